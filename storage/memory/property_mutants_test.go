package memory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
	"github.com/ingam/ingam/storage/storagetest/property"
)

// Each of the stores below is wrong in one verb. Reading and writing are two steps in some of them: in one goroutine that
// is no fault.
func TestAMemoryStoreThatIsWrongIsFound(t *testing.T) {
	for name, open := range map[string]func(*memory.Store) storage.Store{
		"a new grant replaces the one of its id":     func(s *memory.Store) storage.Store { return replacing{s} },
		"a revocation is forgotten":                  func(s *memory.Store) storage.Store { return unrevoking{s} },
		"the last reason of a revocation counts":     func(s *memory.Store) storage.Store { return rerevoking{s} },
		"the user is not looked at":                  func(s *memory.Store) storage.Store { return userless{s} },
		"a rotation is never fenced, but refused":    func(s *memory.Store) storage.Store { return fencing{s} },
		"the idle end is not moved":                  func(s *memory.Store) storage.Store { return unmoving{s} },
		"a recalled grant is one that is not there":  func(s *memory.Store) storage.Store { return forgetful{s} },
		"a budget before the empty one is not spent": func(s *memory.Store) storage.Store { return generous{s} },
		"only the first budget is spent":             func(s *memory.Store) storage.Store { return shortsighted{s} },
		"a refund is a full budget":                  func(s *memory.Store) storage.Store { return lavish{s} },
		"a mark is prolonged":                        func(s *memory.Store) storage.Store { return prolonging{s, map[string]time.Time{}} },
		"a mark lives in its last instant":           func(s *memory.Store) storage.Store { return lingering{s} },
	} {
		t.Run(name, func(t *testing.T) { property.Refuted(t, 10_000, likeThePlainModel(t, open)) })
	}
}

type replacing struct{ *memory.Store }

func (s replacing) CreateGrant(ctx context.Context, g storage.Grant) error {
	if err := s.Store.CreateGrant(ctx, g); !errors.Is(err, storage.ErrExists) {
		return err
	}
	return nil
}

type unrevoking struct{ *memory.Store }

func (s unrevoking) RevokeGrant(ctx context.Context, _, _ string) error { return s.Ping(ctx) }

type rerevoking struct{ *memory.Store }

func (s rerevoking) Grant(ctx context.Context, id string) (storage.Grant, error) {
	g, err := s.Store.Grant(ctx, id)
	if g.Revoked {
		g.RevokedReason = "revoked " + id
	}
	return g, err
}

type userless struct{ *memory.Store }

func (s userless) Rotate(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	r.UserID = ""
	return s.Store.Rotate(ctx, r)
}

type fencing struct{ *memory.Store }

func (s fencing) Rotate(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	if !r.Fence {
		return s.Store.Rotate(ctx, r)
	}
	g, err := s.Grant(ctx, r.GrantID)
	if err != nil {
		return 0, g, err
	}
	return storage.Fenced, g, nil
}

type unmoving struct{ *memory.Store }

func (s unmoving) Rotate(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	if g, err := s.Grant(ctx, r.GrantID); err == nil {
		r.IdleLifetime = time.Until(g.IdleExpiresAt)
	}
	return s.Store.Rotate(ctx, r)
}

type forgetful struct{ *memory.Store }

func (s forgetful) RecallGrant(context.Context, string) (storage.Grant, error) {
	return storage.Grant{}, storage.ErrNotFound
}

type generous struct{ *memory.Store }

func (s generous) Spend(ctx context.Context, budgets ...storage.Budget) (time.Duration, error) {
	for i, b := range budgets {
		wait, err := s.Store.Spend(ctx, b)
		if err != nil {
			return 0, err
		}
		for _, before := range budgets[:i] {
			if wait > 0 {
				err = errors.Join(err, s.Refund(ctx, storage.Refund{Budget: before, Units: 1}))
			}
		}
		if wait > 0 || err != nil {
			return wait, err
		}
	}
	return 0, nil
}

type shortsighted struct{ *memory.Store }

func (s shortsighted) Spend(ctx context.Context, budgets ...storage.Budget) (time.Duration, error) {
	return s.Store.Spend(ctx, budgets[0])
}

type lavish struct{ *memory.Store }

func (s lavish) Refund(ctx context.Context, refunds ...storage.Refund) error {
	for i := range refunds {
		refunds[i].Units = refunds[i].Burst
	}
	return s.Store.Refund(ctx, refunds...)
}

type prolonging struct {
	*memory.Store
	until map[string]time.Time
}

func (s prolonging) Remember(ctx context.Context, key string, until time.Time) (bool, error) {
	first, err := s.Remembered(ctx, key)
	s.until[key] = until
	return !first, err
}

func (s prolonging) Remembered(ctx context.Context, key string) (bool, error) {
	return time.Now().Before(s.until[key]), s.Ping(ctx)
}

type lingering struct{ *memory.Store }

func (s lingering) Remember(ctx context.Context, key string, until time.Time) (bool, error) {
	return s.Store.Remember(ctx, key, until.Add(1))
}
