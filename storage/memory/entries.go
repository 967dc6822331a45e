package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// entryKey is kind and id.
type entryKey struct{ kind, id string }

// Entry returns a live entry.
func (s *Store) Entry(ctx context.Context, kind, id string) (storage.Entry, error) {
	if err := s.enter(ctx); err != nil {
		return storage.Entry{}, err
	}
	defer s.leave()
	return s.entry(kind, id, time.Now())
}

// CreateEntry stores a new entry.
func (s *Store) CreateEntry(ctx context.Context, e storage.Entry) error {
	if err := record.CheckEntry(e); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if _, err := s.entry(e.Kind, e.ID, time.Now()); err == nil {
		return storage.ErrExists
	}
	e.Version = 1
	return s.putEntry(e)
}

// ReplaceEntry stores e if the stored entry still has its version.
func (s *Store) ReplaceEntry(ctx context.Context, e storage.Entry) error {
	if err := record.CheckEntry(e); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	stored, err := s.entry(e.Kind, e.ID, time.Now())
	if err != nil {
		return err
	}
	if stored.Version != e.Version {
		return storage.ErrConflict
	}
	e.Version++
	e.Owner = stored.Owner
	return s.putEntry(e)
}

// TakeEntry removes an entry and returns it.
func (s *Store) TakeEntry(ctx context.Context, kind, id string) (storage.Entry, error) {
	if err := s.enter(ctx); err != nil {
		return storage.Entry{}, err
	}
	defer s.leave()
	e, err := s.entry(kind, id, time.Now())
	if err == nil {
		delete(s.entries, entryKey{kind, id})
	}
	return e, err
}

// EntriesOf lists, those that end first first.
func (s *Store) EntriesOf(ctx context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if owner == "" || limit <= 0 {
		return nil, nil
	}
	var list []storage.Entry
	for key := range s.entries {
		e, err := s.entry(key.kind, key.id, time.Now())
		if err == nil && e.Kind == kind && e.Owner == owner {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b storage.Entry) int {
		switch never := a.ExpiresAt.IsZero(); {
		case never != b.ExpiresAt.IsZero():
			if never {
				return 1
			}
			return -1
		default:
			return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.ID, b.ID))
		}
	})
	return list[:min(len(list), limit)], nil
}

// entry finds an entry that is alive at the time now.
func (s *Store) entry(kind, id string, now time.Time) (storage.Entry, error) {
	b, ok := s.entries[entryKey{kind, id}]
	if !ok {
		return storage.Entry{}, storage.ErrNotFound
	}
	e, err := record.Decode[storage.Entry](b)
	if err != nil {
		return storage.Entry{}, err
	}
	if !e.ExpiresAt.IsZero() && !now.Before(e.ExpiresAt) {
		return storage.Entry{}, storage.ErrNotFound
	}
	return e, nil
}

func (s *Store) putEntry(e storage.Entry) error {
	e.ExpiresAt = e.ExpiresAt.UTC()
	b, err := record.Encode(e)
	if err != nil {
		return err
	}
	s.entries[entryKey{e.Kind, e.ID}] = b
	return nil
}

// GrantAndUser returns both.
func (s *Store) GrantAndUser(ctx context.Context, id, userID string) (storage.Grant, storage.User, error) {
	if err := s.enter(ctx); err != nil {
		return storage.Grant{}, storage.User{}, err
	}
	defer s.leave()
	g, err := s.grant(id, time.Now())
	if err != nil {
		return storage.Grant{}, storage.User{}, err
	}
	u, err := s.user(userID)
	if err != nil {
		return storage.Grant{}, storage.User{}, err
	}
	return g, u, nil
}

// GrantsOf looks at everything; fine for tests.
func (s *Store) GrantsOf(ctx context.Context, userID string, limit int) ([]storage.Grant, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var list []storage.Grant
	for id := range s.grants {
		g, err := s.grant(id, time.Now())
		if err == nil && g.UserID == userID && !g.Revoked && len(list) < limit {
			list = append(list, g)
		}
	}
	return list, nil
}
