package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// Grants, budgets, marks and most entries end by themselves. Each has exactly one row in the expiry bucket, from its first
// write until the sweeper removes both: 8 bytes of milliseconds, big-endian so that the oldest come first, then one byte
// for the kind, then the record's key. There is no value.
//
// The row tells when to look, not when the record ends. A refresh moves a grant's end and leaves the row alone, which
// saves the hot path two writes; when the row is due the sweeper reads the record itself and, if it is still alive, moves
// the row to where it belongs. So a sign-in costs the sweeper one look per idle lifetime. (The rows of entries are moved
// with them, see entries.go.)
const (
	kindGrant  byte = 'g'
	kindBudget byte = 'b'
	kindMark   byte = 'm'
	kindEntry  byte = 'e'
)

func bucketOf(kind byte) []byte {
	switch kind {
	case kindGrant:
		return bucketGrants
	case kindBudget:
		return bucketBudgets
	case kindEntry:
		return bucketEntries
	default:
		return bucketMarks
	}
}

// putExpiring stores a record, and its row in the expiry bucket if the record is new.
func (t *tx) putExpiring(kind byte, key, value []byte, end time.Time) error {
	if t.get(bucketOf(kind), key) == nil {
		if err := t.put(bucketExpiry, expiryRow(kind, key, end), nil); err != nil {
			return err
		}
	}
	return t.put(bucketOf(kind), key, value)
}

// expiryRow rounds up, so that a record is over when its row is due.
func expiryRow(kind byte, key []byte, end time.Time) []byte {
	ms := max(0, end.UnixMilli())
	if end.Nanosecond()%1e6 != 0 {
		ms++
	}
	b := make([]byte, 0, 9+len(key))
	b = binary.BigEndian.AppendUint64(b, uint64(ms))
	return append(append(b, kind), key...)
}

// sweepBatch is how many rows one transaction of the sweeper looks at, so that nobody waits long behind it.
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

// sweep looks at one batch of due rows. more says that there may be others.
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
			err = t.put(bucketExpiry, expiryRow(kind, key, end), nil)
		} else {
			removed++
			err = t.remove(kind, key)
		}
		if err != nil {
			return 0, false, err
		}
	}
	return removed, len(due) > 0, nil
}

// due returns copies of up to limit rows whose time has come.
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
	switch kind {
	case kindGrant:
		value := t.get(bucketGrants, key)
		if value == nil {
			return time.Time{}, nil
		}
		g, err := decodeGrant(value)
		return g.Expiry(), err
	case kindEntry:
		value := t.get(bucketEntries, key)
		if value == nil {
			return time.Time{}, nil
		}
		e, err := record.Decode[storage.Entry](value)
		return e.ExpiresAt, err
	}
	return t.time(bucketOf(kind), key)
}

// remove takes away a record that has ended, and what it has in other buckets. endOf has read it, so it can be read.
func (t *tx) remove(kind byte, key []byte) error {
	value := t.get(bucketOf(kind), key)
	switch {
	case value == nil:
		return nil
	case kind == kindGrant:
		g, err := decodeGrant(value)
		if err != nil {
			return err
		}
		if err := t.del(bucketGrantsOf, grantRow(g.UserID, g.ID)); err != nil {
			return err
		}
	case kind == kindEntry:
		e, err := record.Decode[storage.Entry](value)
		if err != nil {
			return err
		}
		if t.lives(e.ExpiresAt) {
			return nil // never, though there was a row
		}
		if err := t.dropRows(e); err != nil {
			return err
		}
	}
	return t.del(bucketOf(kind), key)
}
