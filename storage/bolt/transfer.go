package bolt

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"time"

	"go.etcd.io/bbolt"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// export is a snapshot of the store.
type export struct {
	*tx
	pending map[record.Hash]time.Time // budgets that are newer than in the file
}

// decodePair makes a record of what a bucket holds. skip says that it is no record, or one that has ended.
type decodePair func(x *export, key, value []byte) (r storage.Record, skip bool, err error)

// exported are the buckets of an export.
var exported = []struct {
	bucket []byte
	decode decodePair
}{
	{bucketClients, func(_ *export, _, value []byte) (storage.Record, bool, error) {
		c, err := record.Decode[storage.Client](value)
		return storage.Record{Client: &c}, false, err
	}},
	{bucketUsers, func(_ *export, _, value []byte) (storage.Record, bool, error) {
		u, err := record.Decode[storage.User](value)
		return storage.Record{User: &u}, false, err
	}},
	{bucketGrants, func(x *export, _, value []byte) (storage.Record, bool, error) {
		g, err := decodeGrant(value)
		return storage.Record{Grant: &g}, err == nil && !x.now.Before(g.Expiry()), err
	}},
	{bucketMeta, func(_ *export, key, value []byte) (storage.Record, bool, error) {
		if !bytes.Equal(key, keyRing) {
			return storage.Record{}, true, nil
		}
		ring, err := record.Decode[storage.KeyRing](value)
		return storage.Record{KeyRing: &ring}, false, err
	}},
	{bucketBudgets, func(x *export, key, value []byte) (storage.Record, bool, error) {
		full, err := decodeTime(value)
		_, newer := x.pending[record.Hash(key)]
		return budgetRecord(key, full), err == nil && (newer || !x.now.Before(full)), err
	}},
	{bucketMarks, func(x *export, key, value []byte) (storage.Record, bool, error) {
		end, err := decodeTime(value)
		mark := storage.MarkState{KeyHash: bytes.Clone(key), Until: end}
		return storage.Record{Mark: &mark}, err == nil && !x.now.Before(end), err
	}},
	{bucketEntries, func(x *export, _, value []byte) (storage.Record, bool, error) {
		e, err := record.Decode[storage.Entry](value)
		return storage.Record{Entry: &e}, err == nil && !x.lives(e.ExpiresAt), err
	}},
}

func budgetRecord(hash []byte, full time.Time) storage.Record {
	return storage.Record{Budget: &storage.BudgetState{KeyHash: bytes.Clone(hash), FullAt: full.UTC().Round(0)}}
}

// Export yields everything that has not ended, from one read transaction. Close waits until the loop is over, and so do
// writes that make the file grow: a loop that writes to this very store may wait for itself.
func (s *Store) Export(ctx context.Context) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		x, err := s.beginExport(ctx)
		if err != nil {
			yield(storage.Record{}, err)
			return
		}
		defer func() { _ = safely(x.Rollback) }() // it has only read
		for _, part := range exported {
			next := x.walk(part.bucket, part.decode)
			for {
				r, more, err := next(ctx)
				if err != nil {
					yield(storage.Record{}, fmt.Errorf("bolt: export %s: %w", part.bucket, err))
					return
				}
				if !more {
					break
				}
				if !yield(r, nil) {
					return
				}
			}
		}
		for hash, full := range x.pending {
			if x.now.Before(full) && !yield(budgetRecord(hash[:], full), nil) {
				return
			}
		}
	}
}

// beginExport opens a snapshot. A budget leaves the pending ones only when it is in the file, so that with the lock held
// the two together have everything.
func (s *Store) beginExport(ctx context.Context) (*export, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.budgets.mu.Lock()
	defer s.budgets.mu.Unlock()
	x := &export{tx: &tx{now: now()}, pending: maps.Clone(s.budgets.changed)}
	err := safely(func() (err error) { x.Tx, err = s.db.Begin(false); return err })
	return x, err
}

// walk returns a function that answers the records of a bucket one after the other. bbolt panics at a page that makes
// no sense; only its own steps are guarded, the caller's panics are the caller's.
func (x *export) walk(bucket []byte, decode decodePair) func(context.Context) (storage.Record, bool, error) {
	var cursor *bbolt.Cursor
	return func(ctx context.Context) (r storage.Record, more bool, err error) {
		err = safely(func() error {
			for {
				var key, value []byte
				if cursor == nil {
					cursor = x.Bucket(bucket).Cursor()
					key, value = cursor.First()
				} else {
					key, value = cursor.Next()
				}
				if key == nil {
					return ctx.Err()
				}
				var skip bool
				if r, skip, err = decode(x, key, value); err != nil {
					return err
				}
				if !skip {
					more = true
					return ctx.Err()
				}
			}
		})
		return r, more, err
	}
}

// importBatch is how many records an import puts into one transaction.
const importBatch = 256

// imported is a record on its way in, copied or encoded where the caller waits: the writer keeps nothing of the caller's.
type imported struct {
	bucket, key, value []byte
	username           []byte    // of a user
	kind               byte      // of what ends by itself, else 0
	end                time.Time // of a budget or a mark
	grant              storage.Grant
	entry              storage.Entry
	twice              error // the answer if it is there already
}

// Import fills an empty store, some hundred records in each transaction.
func (s *Store) Import(ctx context.Context, records iter.Seq2[storage.Record, error]) error {
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		if !t.empty() || s.budgets.waiting() {
			return nothing{}, storage.ErrExists
		}
		return nothing{}, nil
	})
	if err != nil {
		return err
	}
	var batch []imported
	for r, err := range records {
		var p imported
		if err == nil {
			p, err = encodeImported(r)
		}
		if batch = append(batch, p); err == nil && len(batch) == importBatch {
			err = s.importAll(ctx, batch)
			batch = nil // the writer may still have the old one
		}
		if err != nil {
			return fmt.Errorf("bolt: import: %w", err)
		}
	}
	if err := s.importAll(ctx, batch); err != nil {
		return fmt.Errorf("bolt: import: %w", err)
	}
	return nil
}

func (s *Store) importAll(ctx context.Context, batch []imported) error {
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		for _, p := range batch {
			if err := t.putImported(p); err != nil {
				return nothing{}, err
			}
		}
		return nothing{}, nil
	})
	return err
}

// empty tells whether the file holds no record, ended ones included: it is meant for a file that was just made.
func (t *tx) empty() bool {
	for _, part := range exported {
		cursor := t.Bucket(part.bucket).Cursor()
		key, _ := cursor.First()
		if bytes.Equal(part.bucket, bucketMeta) {
			key = t.get(bucketMeta, keyRing)
		}
		if key != nil {
			return false
		}
	}
	return true
}

func encodeImported(r storage.Record) (p imported, err error) {
	if err := record.Check(r); err != nil {
		return p, err
	}
	p.twice = record.Duplicate(r)
	switch {
	case r.Client != nil:
		p.bucket, p.key = bucketClients, []byte(r.Client.ID)
		p.value, err = record.Encode(*r.Client)
	case r.User != nil:
		p.bucket, p.key, p.username = bucketUsers, []byte(r.User.ID), []byte(r.User.Username)
		p.value, err = record.Encode(*r.User)
	case r.Grant != nil:
		p.kind, p.key, p.grant = kindGrant, []byte(r.Grant.ID), r.Grant.Clone()
	case r.KeyRing != nil:
		p.bucket, p.key = bucketMeta, keyRing
		p.value, err = record.Encode(*r.KeyRing)
	case r.Budget != nil:
		p.kind, p.key, p.end = kindBudget, bytes.Clone(r.Budget.KeyHash), r.Budget.FullAt
		p.value = encodeTime(p.end)
	case r.Mark != nil:
		p.kind, p.key, p.end = kindMark, bytes.Clone(r.Mark.KeyHash), r.Mark.Until
		p.value = encodeTime(p.end)
	case r.Entry != nil:
		p.kind, p.key, p.entry = kindEntry, entryKey(r.Entry.Kind, r.Entry.ID), *r.Entry
		p.entry.Data = bytes.Clone(p.entry.Data)
	}
	if p.kind != 0 {
		p.bucket = bucketOf(p.kind)
	}
	return p, err
}

func (t *tx) putImported(p imported) error {
	if t.get(p.bucket, p.key) != nil {
		return p.twice
	}
	if p.username != nil {
		if t.get(bucketUsernames, p.username) != nil {
			return p.twice
		}
		if err := t.put(bucketUsernames, p.username, p.key); err != nil {
			return err
		}
	}
	switch p.kind {
	case kindGrant:
		return t.putNewGrant(p.grant)
	case kindEntry:
		return t.putEntry(storage.Entry{}, false, p.entry)
	case kindBudget, kindMark:
		return t.putExpiring(p.kind, p.key, p.value, p.end)
	}
	return t.put(p.bucket, p.key, p.value)
}
