package memory

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// Export yields everything that has not ended: a copy of one moment.
func (s *Store) Export(ctx context.Context) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		list, err := s.snapshot(ctx)
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(storage.Record{}, err)
		}
	}
}

func (s *Store) snapshot(ctx context.Context) ([]storage.Record, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	now := time.Now()
	var list []storage.Record
	for id := range s.clients {
		c, err := s.client(id)
		if err != nil {
			return nil, err
		}
		list = append(list, storage.Record{Client: &c})
	}
	for id := range s.users {
		u, err := s.user(id)
		if err != nil {
			return nil, err
		}
		list = append(list, storage.Record{User: &u})
	}
	for _, b := range s.grants {
		g, err := record.Decode[storage.Grant](b)
		if err != nil {
			return nil, err
		}
		if now.Before(g.Expiry()) {
			list = append(list, storage.Record{Grant: &g})
		}
	}
	if s.ring != nil {
		ring, err := record.Decode[storage.KeyRing](s.ring)
		if err != nil {
			return nil, err
		}
		list = append(list, storage.Record{KeyRing: &ring})
	}
	for hash, full := range s.budgets {
		if now.Before(full) {
			list = append(list, storage.Record{Budget: &storage.BudgetState{KeyHash: hash[:], FullAt: full.Round(0).UTC()}})
		}
	}
	for hash, end := range s.marks {
		if now.Before(end) {
			list = append(list, storage.Record{Mark: &storage.MarkState{KeyHash: hash[:], Until: end.Round(0).UTC()}})
		}
	}
	for key := range s.entries {
		e, err := s.entry(key.kind, key.id, now)
		if storage.IsFailure(err) {
			return nil, err
		}
		if err == nil {
			list = append(list, storage.Record{Entry: &e})
		}
	}
	return list, nil
}

// Import fills an empty store. One that failed has changed nothing.
func (s *Store) Import(ctx context.Context, records iter.Seq2[storage.Record, error]) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	// The stream may take long and may ask this very store, so nothing is locked yet.
	filled := New()
	for r, err := range records {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = filled.add(r)
		}
		if err != nil {
			return fmt.Errorf("memory: import: %w", err)
		}
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.ring != nil || len(s.clients)+len(s.users)+len(s.grants)+len(s.budgets)+len(s.marks)+len(s.entries) > 0 {
		return storage.ErrExists
	}
	s.clients, s.users, s.usernames, s.grants = filled.clients, filled.users, filled.usernames, filled.grants
	s.ring, s.budgets, s.marks, s.entries = filled.ring, filled.budgets, filled.marks, filled.entries
	return nil
}

// add stores one imported record exactly as it is. The caller owns s.
func (s *Store) add(r storage.Record) (err error) {
	if err := record.Check(r); err != nil {
		return err
	}
	twice := false
	switch {
	case r.Client != nil:
		if twice = s.clients[r.Client.ID] != nil; !twice {
			err = s.putClient(*r.Client)
		}
	case r.User != nil:
		if twice = s.users[r.User.ID] != nil || s.usernames[r.User.Username] != ""; !twice {
			err = s.putUser(*r.User)
		}
	case r.Grant != nil:
		if twice = s.grants[r.Grant.ID] != nil; !twice {
			err = s.putGrant(*r.Grant)
		}
	case r.KeyRing != nil:
		if twice = s.ring != nil; !twice {
			s.ring, err = record.Encode(*r.KeyRing)
		}
	case r.Budget != nil:
		twice = addTime(s.budgets, r.Budget.KeyHash, r.Budget.FullAt)
	case r.Mark != nil:
		twice = addTime(s.marks, r.Mark.KeyHash, r.Mark.Until)
	case r.Entry != nil:
		if twice = s.entries[entryKey{r.Entry.Kind, r.Entry.ID}] != nil; !twice {
			err = s.putEntry(*r.Entry)
		}
	}
	if twice {
		return record.Duplicate(r)
	}
	return err
}

// addTime tells whether the hash was there already.
func addTime(times map[record.Hash]time.Time, hash []byte, t time.Time) (twice bool) {
	key := record.Hash(hash)
	if _, twice = times[key]; !twice {
		times[key] = t
	}
	return twice
}
