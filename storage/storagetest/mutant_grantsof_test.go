package storagetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

// withGrants makes a mutant whose GrantsOf looks through all grants it was given, whatever became of them. born is when
// each came, in the order of their coming.
func withGrants(
	list func(ctx context.Context, b *broken, born []storage.Grant, userID string, limit int) ([]storage.Grant, error),
) func() storage.Store {
	return breaking(func(b *broken) {
		var mu sync.Mutex
		var born []storage.Grant
		b.createGrant = func(ctx context.Context, g storage.Grant) error {
			mu.Lock()
			defer mu.Unlock()
			born = append(born, g)
			return b.Store.CreateGrant(ctx, g)
		}
		b.grantsOf = func(ctx context.Context, userID string, limit int) ([]storage.Grant, error) {
			mu.Lock()
			defer mu.Unlock()
			return list(ctx, b, born, userID, limit)
		}
	})
}

// readable are the grants that can be read and fit.
func readable(ctx context.Context, b *broken, born []storage.Grant, fits func(born, now storage.Grant) bool) (list []storage.Grant) {
	for _, first := range born {
		if g, err := b.Store.Grant(ctx, first.ID); err == nil && fits(first, g) {
			list = append(list, g)
		}
	}
	return list
}

const (
	listed    = "listed from their creation"
	nowAsTwo  = "read together as they are now"
	mustBoth  = "both must be there"
	refreshes = "a refresh puts that off"
)

// grantsOfMutants break what is promised about the grants of a user, and about a grant with its user.
var grantsOfMutants = []mutant{
	{"grants that were revoked are listed", withGrants(
		func(ctx context.Context, b *broken, born []storage.Grant, userID string, limit int) ([]storage.Grant, error) {
			return upTo(readable(ctx, b, born, func(_, g storage.Grant) bool { return g.UserID == userID }), limit), nil
		}), []string{listed}},
	{"grants are listed by the beginning of their user", withGrants(
		func(ctx context.Context, b *broken, born []storage.Grant, userID string, limit int) ([]storage.Grant, error) {
			return upTo(readable(ctx, b, born, func(_, g storage.Grant) bool {
				return strings.HasPrefix(g.UserID, userID) && !g.Revoked
			}), limit), nil
		}), []string{listed}},
	{"a user's id and a grant's are glued together", withGrants(
		func(ctx context.Context, b *broken, born []storage.Grant, userID string, limit int) ([]storage.Grant, error) {
			return upTo(readable(ctx, b, born, func(_, g storage.Grant) bool {
				return strings.HasPrefix(g.UserID+g.ID, userID) && !g.Revoked && len(userID) > 1
			}), limit), nil
		}), []string{"a grant's are not"}},
	{"a grant is listed until its first end", withGrants(
		func(ctx context.Context, b *broken, born []storage.Grant, userID string, limit int) ([]storage.Grant, error) {
			return upTo(readable(ctx, b, born, func(first, g storage.Grant) bool {
				return g.UserID == userID && !g.Revoked && time.Now().Before(first.Expiry())
			}), limit), nil
		}), []string{refreshes}},
	{"a grant that has ended is listed a moment longer", withGrants(
		func(_ context.Context, _ *broken, born []storage.Grant, userID string, limit int) (list []storage.Grant, _ error) {
			for _, g := range born {
				if g.UserID == userID && time.Now().Before(g.Expiry().Add(time.Millisecond)) {
					list = append(list, g)
				}
			}
			return upTo(list, limit), nil
		}), []string{refreshes}},
	{"dead grants count against the limit", withGrants(
		func(ctx context.Context, b *broken, born []storage.Grant, userID string, limit int) ([]storage.Grant, error) {
			return readable(ctx, b, upTo(born, limit), func(_, g storage.Grant) bool {
				return g.UserID == userID && !g.Revoked
			}), nil
		}), []string{"does not count against the limit"}},
	{"a list of grants knows no limit", withGrants(
		func(ctx context.Context, b *broken, _ []storage.Grant, userID string, _ int) ([]storage.Grant, error) {
			return b.Store.GrantsOf(ctx, userID, 1000)
		}), []string{listed}},
	{"a grant is listed under who had its id before", withGrants(
		func(ctx context.Context, b *broken, born []storage.Grant, userID string, limit int) ([]storage.Grant, error) {
			return upTo(readable(ctx, b, born, func(first, g storage.Grant) bool {
				return first.UserID == userID && !g.Revoked
			}), limit), nil
		}), []string{"is its new user's"}},
	{"a grant is listed a moment after its creation", withGrants(
		func(ctx context.Context, b *broken, born []storage.Grant, userID string, limit int) ([]storage.Grant, error) {
			list, err := b.Store.GrantsOf(ctx, userID, limit)
			return slices.DeleteFunc(list, func(g storage.Grant) bool {
				return g.ID == born[len(born)-1].ID && time.Since(g.BornAt) < time.Millisecond
			}), err
		}), []string{"listed when CreateGrant has returned"}},
	{"grants of an import are not listed", withGrants(
		func(ctx context.Context, b *broken, born []storage.Grant, userID string, limit int) ([]storage.Grant, error) {
			list, err := b.Store.GrantsOf(ctx, userID, limit)
			return slices.DeleteFunc(list, func(g storage.Grant) bool {
				return !slices.ContainsFunc(born, func(first storage.Grant) bool { return first.ID == g.ID })
			}), err
		}), []string{"lists of grants of an import", "1,000 records"}},
	{"a grant loses its session", breaking(func(b *broken) {
		b.createGrant = func(ctx context.Context, g storage.Grant) error {
			g.SessionBound = false
			return b.Store.CreateGrant(ctx, g)
		}
	}), []string{"a grant comes back exactly"}},
	{"a grant and a user come from memory", breaking(func(b *broken) {
		var mu sync.Mutex
		grants, users := map[string]storage.Grant{}, map[string]storage.User{}
		b.grantAndUser = func(ctx context.Context, id, userID string) (storage.Grant, storage.User, error) {
			g, err := remembering(&mu, grants, id, func() (storage.Grant, error) { return b.Store.Grant(ctx, id) })
			if err != nil {
				return g, storage.User{}, err
			}
			u, err := remembering(&mu, users, userID, func() (storage.User, error) { return b.Store.User(ctx, userID) })
			return g, u, err
		}
	}), []string{nowAsTwo, mustBoth}},
	{"a grant without its user will do", breaking(func(b *broken) {
		b.grantAndUser = func(ctx context.Context, id, userID string) (storage.Grant, storage.User, error) {
			g, err := b.Store.Grant(ctx, id)
			u, missing := b.User(ctx, userID)
			if err == nil && storage.IsFailure(missing) {
				err = missing
			}
			return g, u, err
		}
	}), []string{mustBoth}},
	{"a grant is read with the user who owns it", breaking(func(b *broken) {
		b.grantAndUser = func(ctx context.Context, id, _ string) (storage.Grant, storage.User, error) {
			g, err := b.Store.Grant(ctx, id)
			u, noUser := b.User(ctx, g.UserID)
			return g, u, errors.Join(err, noUser)
		}
	}), []string{nowAsTwo, mustBoth}},
	{"a revoked grant is not read with its user", breaking(func(b *broken) {
		b.grantAndUser = func(ctx context.Context, id, userID string) (storage.Grant, storage.User, error) {
			g, u, err := b.Store.GrantAndUser(ctx, id, userID)
			if g.Revoked {
				err = storage.ErrNotFound
			}
			return g, u, err
		}
	}), []string{nowAsTwo}},
}
