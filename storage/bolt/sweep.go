package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"
)

// Grants, budgets and marks end by themselves. Each has exactly one entry in the expiry bucket, from its first write
// until the sweeper removes both: 8 bytes of milliseconds, big-endian so that the oldest come first, then one byte for
// the kind, then the record's key. There is no value.
//
// The entry tells when to look, not when the record ends. A refresh moves a grant's end and leaves the entry alone,
// which saves the hot path two writes; when the entry is due the sweeper reads the record itself and, if it is still
// alive, moves the entry to where it belongs. So a session costs the sweeper one look per idle lifetime.
const (
	kindGrant  byte = 'g'
	kindBudget byte = 'b'
	kindMark   byte = 'm'
)

func bucketOf(kind byte) []byte {
	switch kind {
	case kindGrant:
		return bucketGrants
	case kindBudget:
		return bucketBudgets
	default:
		return bucketMarks
	}
}

// putExpiring stores a record, and its index entry if the record is new.
func (t *tx) putExpiring(kind byte, key, value []byte, end time.Time) error {
	if t.get(bucketOf(kind), key) == nil {
		if err := t.put(bucketExpiry, entry(kind, key, end), nil); err != nil {
			return err
		}
	}
	return t.put(bucketOf(kind), key, value)
}

// entry rounds up, so that a record is over when its entry is due.
func entry(kind byte, key []byte, end time.Time) []byte {
	ms := max(0, end.UnixMilli())
	if end.Nanosecond()%1e6 != 0 {
		ms++
	}
	b := make([]byte, 0, 9+len(key))
	b = binary.BigEndian.AppendUint64(b, uint64(ms))
	return append(append(b, kind), key...)
}

// sweepBatch is how many entries one transaction of the sweeper looks at, so that nobody waits long behind it.
const sweepBatch = 256

// Sweep removes up to limit records that have ended.
func (s *Store) Sweep(ctx context.Context, limit int) (removed int, err error) {
	type progress struct {
		removed int
		more    bool
	}
	for removed < limit {
		p, err := write(ctx, s, func(t *tx) (p progress, err error) {
			p.removed, p.more, err = t.sweep(limit - removed)
			return p, err
		})
		removed += p.removed
		if err != nil || !p.more {
			return removed, err
		}
	}
	return removed, nil
}

// sweep looks at one batch of due entries. more says that there may be others.
func (t *tx) sweep(limit int) (removed int, more bool, err error) {
	due := t.due(min(limit, sweepBatch))
	for _, old := range due {
		kind, key := old[8], old[9:]
		end, err := t.endOf(kind, key)
		if err != nil {
			// Nobody can read this record. It must not keep the sweeper from all others for ever.
			end = t.now.Add(24 * time.Hour)
		}
		if err := t.del(bucketExpiry, old); err != nil {
			return 0, false, err
		}
		if t.now.Before(end) {
			err = t.put(bucketExpiry, entry(kind, key, end), nil)
		} else {
			removed++
			err = t.del(bucketOf(kind), key)
		}
		if err != nil {
			return 0, false, err
		}
	}
	return removed, len(due) > 0, nil
}

// due returns copies of up to limit index entries whose time has come.
func (t *tx) due(limit int) [][]byte {
	horizon := binary.BigEndian.AppendUint64(nil, uint64(t.now.UnixMilli()))
	var list [][]byte
	cursor := t.Bucket(bucketExpiry).Cursor()
	for key, _ := cursor.First(); key != nil && len(list) < limit; key, _ = cursor.Next() {
		if bytes.Compare(key[:8], horizon) > 0 {
			break
		}
		list = append(list, bytes.Clone(key))
	}
	return list
}

// endOf reads when a record ends.
func (t *tx) endOf(kind byte, key []byte) (time.Time, error) {
	if kind != kindGrant {
		return t.time(bucketOf(kind), key)
	}
	value := t.get(bucketGrants, key)
	if value == nil {
		return time.Time{}, nil
	}
	g, err := decodeGrant(value)
	return g.Expiry(), err
}
