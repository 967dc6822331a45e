package memory

import (
	"context"
	"errors"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// CreateGrant stores a new grant.
func (s *Store) CreateGrant(ctx context.Context, g storage.Grant) error {
	if err := record.CheckID("grant id", g.ID); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	switch _, err := s.grant(g.ID, time.Now()); {
	case err == nil:
		return storage.ErrExists
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	return s.putGrant(g)
}

// Grant returns a grant that has not expired.
func (s *Store) Grant(ctx context.Context, id string) (storage.Grant, error) {
	if err := s.enter(ctx); err != nil {
		return storage.Grant{}, err
	}
	defer s.leave()
	return s.grant(id, time.Now())
}

// RecallGrant is Grant: nothing here is older than the store.
func (s *Store) RecallGrant(ctx context.Context, id string) (storage.Grant, error) {
	return s.Grant(ctx, id)
}

// Rotate redeems one generation. It ignores the fence, because it forgets nothing.
func (s *Store) Rotate(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	if err := s.enter(ctx); err != nil {
		return 0, storage.Grant{}, err
	}
	defer s.leave()
	now := time.Now().UTC().Round(0)
	g, err := s.grant(r.GrantID, now)
	if err != nil {
		return 0, storage.Grant{}, err
	}
	if r.UserID != "" && !g.Revoked {
		u, err := s.user(r.UserID)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return 0, storage.Grant{}, err
		}
		if outcome := r.DecideUser(u, err == nil); outcome != 0 {
			return outcome, g, nil
		}
	}
	outcome, after, changed := r.Decide(g, now)
	if changed {
		if err := s.putGrant(after); err != nil {
			return 0, storage.Grant{}, err
		}
	}
	return outcome, after, nil
}

// RevokeGrant ends a grant for ever.
func (s *Store) RevokeGrant(ctx context.Context, id, reason string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	g, err := s.grant(id, time.Now())
	if errors.Is(err, storage.ErrNotFound) || g.Revoked {
		return nil
	}
	if err != nil {
		return err
	}
	g.Revoked, g.RevokedReason = true, reason
	return s.putGrant(g)
}

// grant finds a grant that is alive at the time now.
func (s *Store) grant(id string, now time.Time) (storage.Grant, error) {
	b, ok := s.grants[id]
	if !ok {
		return storage.Grant{}, storage.ErrNotFound
	}
	g, err := record.Decode[storage.Grant](b)
	if err != nil {
		return storage.Grant{}, err
	}
	if !now.Before(g.Expiry()) {
		return storage.Grant{}, storage.ErrNotFound
	}
	return g, nil
}

func (s *Store) putGrant(g storage.Grant) error {
	b, err := record.Encode(g)
	if err != nil {
		return err
	}
	s.grants[g.ID] = b
	return nil
}
