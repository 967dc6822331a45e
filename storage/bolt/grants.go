package bolt

import (
	"context"
	"errors"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// CreateGrant stores a new grant.
func (s *Store) CreateGrant(ctx context.Context, g storage.Grant) error {
	if err := record.CheckID("grant id", g.ID); err != nil {
		return err
	}
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		switch _, err := t.grant(g.ID); {
		case err == nil:
			return nothing{}, storage.ErrExists
		case !errors.Is(err, storage.ErrNotFound):
			return nothing{}, err
		}
		return nothing{}, t.putNewGrant(g)
	})
	return err
}

// Grant returns a grant that has not expired.
func (s *Store) Grant(ctx context.Context, id string) (storage.Grant, error) {
	return read(ctx, s, func(t *tx) (storage.Grant, error) { return t.grant(id) })
}

// RecallGrant is Grant: this process sees every change at once.
func (s *Store) RecallGrant(ctx context.Context, id string) (storage.Grant, error) {
	return s.Grant(ctx, id)
}

// rotated is the result of Rotate.
type rotated struct {
	outcome storage.Outcome
	grant   storage.Grant
}

// Rotate redeems one generation. It ignores the fence: what was acknowledged is on the disk.
func (s *Store) Rotate(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	result, err := write(ctx, s, func(t *tx) (rotated, error) {
		g, err := t.grant(r.GrantID)
		if err != nil {
			return rotated{}, err
		}
		if r.UserID != "" && !g.Revoked {
			u, err := t.user([]byte(r.UserID))
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return rotated{}, err
			}
			if outcome := r.DecideUser(u, err == nil); outcome != 0 {
				return rotated{outcome, g}, nil
			}
		}
		outcome, after, changed := r.Decide(g, t.now)
		if changed {
			err = t.putChanged(after)
		}
		return rotated{outcome, after}, err
	})
	return result.outcome, result.grant, err
}

// RevokeGrant ends a grant for ever.
func (s *Store) RevokeGrant(ctx context.Context, id, reason string) error {
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		g, err := t.grant(id)
		if errors.Is(err, storage.ErrNotFound) || (err == nil && g.Revoked) {
			return nothing{}, nil
		}
		if err != nil {
			return nothing{}, err
		}
		g.Revoked, g.RevokedReason = true, reason
		return nothing{}, t.putChanged(g)
	})
	return err
}

// grant finds a grant that has not expired.
func (t *tx) grant(id string) (storage.Grant, error) {
	value := t.get(bucketGrants, []byte(id))
	if value == nil {
		return storage.Grant{}, storage.ErrNotFound
	}
	g, err := decodeGrant(value)
	if err != nil {
		return storage.Grant{}, err
	}
	if !t.now.Before(g.Expiry()) {
		return storage.Grant{}, storage.ErrNotFound
	}
	return g, nil
}
