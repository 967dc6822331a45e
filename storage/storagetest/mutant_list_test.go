package storagetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

var mutants = []mutant{
	{"Rotate reads, thinks and writes without a lock", breaking(func(b *broken) { ownGrants(b, nil) }), []string{
		"inside the window one rotates", "without a window one rotates", "move the generation 20 times",
		"no refresh succeeds",
	}},
	{"expired grants are found", breaking(func(b *broken) {
		createGrant := b.createGrant
		b.createGrant = func(ctx context.Context, g storage.Grant) error {
			g.IdleExpiresAt, g.ExpiresAt = g.IdleExpiresAt.Add(time.Hour), g.ExpiresAt.Add(time.Hour)
			return createGrant(ctx, g)
		}
	}), []string{"an idle grant ends", "at its absolute end", "is free again", "born expired"}},
	{"a grant lives one millisecond too long", breaking(func(b *broken) {
		createGrant := b.createGrant
		b.createGrant = func(ctx context.Context, g storage.Grant) error {
			g.IdleExpiresAt = g.IdleExpiresAt.Add(time.Millisecond)
			return createGrant(ctx, g)
		}
	}), []string{"an idle grant ends"}},
	{"the store keeps live pointers", breaking(func(b *broken) {
		kept := map[string]storage.Client{}
		b.client = func(ctx context.Context, id string) (storage.Client, error) {
			if _, ok := kept[id]; !ok {
				c, err := b.Store.Client(ctx, id)
				if err != nil {
					return c, err
				}
				kept[id] = c
			}
			return kept[id], nil
		}
	}), []string{"does to a client"}},
	{"a window of 0 is open at the instant of the rotation", breaking(func(b *broken) {
		ownGrants(b, func(r *storage.Rotation, g storage.Grant, now time.Time) {
			// Milliseconds that are equal differ by 0, and 0 is not more than the window.
			if r.Grace == 0 && now.UnixMilli()-g.RotatedAt.UnixMilli() <= r.Grace.Milliseconds() {
				r.Grace = time.Millisecond
			}
		})
	}), []string{"is reuse at once"}},
	{"the attempt of the winner is forgotten", breaking(func(b *broken) {
		rotate := b.rotate
		b.rotate = func(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			r.Attempt = ""
			return rotate(ctx, r)
		}
	}), []string{"the winner who asks again", "64 copies of one attempt"}},
	{"the idle lifetime that is asked for is ignored", breaking(func(b *broken) {
		rotate := b.rotate
		b.rotate = func(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			r.IdleLifetime = time.Hour
			return rotate(ctx, r)
		}
	}), []string{"moves the idle end", "became shorter"}},
	{"reuse is answered but the grant lives on", breaking(func(b *broken) {
		rotate := b.rotate
		b.rotate = func(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			g, err := b.Store.Grant(ctx, r.GrantID)
			if err == nil && r.Generation != g.Generation && !g.Revoked {
				if outcome, after, _ := r.Decide(g, time.Now()); outcome == storage.Reused {
					return outcome, after, nil
				}
			}
			return rotate(ctx, r)
		}
	}), []string{"the generation before is reuse, and the grant dies", "two generations back", "races its successor"}},
	{"the last reason of a revocation wins", breaking(func(b *broken) {
		ownGrants(b, nil)
		own := b.grant
		var mu sync.Mutex
		reasons := map[string]string{}
		b.revoke = func(_ context.Context, id, reason string) error {
			mu.Lock()
			defer mu.Unlock()
			reasons[id] = reason
			return nil
		}
		b.grant = func(ctx context.Context, id string) (storage.Grant, error) {
			g, err := own(ctx, id)
			mu.Lock()
			defer mu.Unlock()
			g.RevokedReason, g.Revoked = reasons[id], reasons[id] != ""
			return g, err
		}
	}), []string{"keeps its first reason"}},
	{"versions are not compared", breaking(func(b *broken) {
		b.replace = func(ctx context.Context, c storage.Client) error {
			stored, err := b.Store.Client(ctx, c.ID)
			c.Version = stored.Version
			return errors.Join(err, b.Store.ReplaceClient(ctx, c))
		}
		b.putRing = func(ctx context.Context, ring storage.KeyRing) error {
			stored, _ := b.KeyRing(ctx)
			ring.Version = stored.Version
			return b.Store.PutKeyRing(ctx, ring)
		}
	}), []string{"a client that has changed", "replacements of one client", "16 nodes that start", "a ring of another version"}},
	{"a refused rename has freed the old name", breaking(func(b *broken) { // R17
		b.replaceUser = func(ctx context.Context, u storage.User) error {
			err := b.Store.ReplaceUser(ctx, u)
			if errors.Is(err, storage.ErrExists) {
				return errors.Join(b.DeleteUser(ctx, u.ID), err)
			}
			return err
		}
	}), []string{"renaming to a name that is taken"}},
	{"a page begins with the id it should begin after", breaking(func(b *broken) {
		b.clients = func(ctx context.Context, after string, limit int) ([]storage.Client, error) {
			list, err := b.Store.Clients(ctx, after, limit)
			if c, found := b.Store.Client(ctx, after); found == nil && limit > 0 {
				list = append([]storage.Client{c}, list...)[:min(limit, len(list)+1)]
			}
			return list, err
		}
	}), []string{"clients are listed in order", "begins after an id"}},
	{"Spend looks first and pays later", breaking(func(b *broken) {
		var mu sync.Mutex
		paid := map[string]time.Time{}
		b.spend = func(_ context.Context, budgets ...storage.Budget) (time.Duration, error) {
			for _, budget := range budgets {
				mu.Lock()
				before := paid[budget.Key]
				mu.Unlock()
				time.Sleep(time.Microsecond)
				after, wait := budget.SpendOne(before, time.Now())
				if wait > 0 {
					return wait, nil
				}
				mu.Lock()
				paid[budget.Key] = after
				mu.Unlock()
			}
			return 0, nil
		}
	}), []string{"200 parallel spends", "two budgets the smaller one"}},
	{"Spend goes on after an empty budget", breaking(func(b *broken) {
		b.spend = func(ctx context.Context, budgets ...storage.Budget) (longest time.Duration, err error) {
			for _, budget := range budgets {
				wait, err := b.Store.Spend(ctx, budget)
				if err != nil {
					return 0, err
				}
				longest = max(longest, wait)
			}
			return longest, nil
		}
	}), []string{"stops at the first empty budget"}},
	{"a refund does nothing", breaking(func(b *broken) {
		b.refund = func(context.Context, ...storage.Refund) error { return nil }
	}), []string{"a refund gives units back"}},
	{"Remember asks and then marks", breaking(func(b *broken) {
		b.remember = func(ctx context.Context, key string, until time.Time) (bool, error) {
			there, err := b.Remembered(ctx, key)
			time.Sleep(time.Microsecond)
			if err == nil && !there {
				_, err = b.Store.Remember(ctx, key, until)
			}
			return !there, err
		}
	}), []string{"of 64 parallel callers exactly one is first"}},
	{"a sweep knows no limit", breaking(func(b *broken) {
		b.sweep = func(ctx context.Context, _ int) (int, error) { return b.Store.Sweep(ctx, 1000) }
	}), []string{"sweeping is bounded"}},
	{"a closed store goes on", breaking(func(b *broken) {
		b.shut = func() error { return nil }
	}), []string{"closing twice"}},
	{"the caller's context is ignored", breaking(func(b *broken) {
		b.revoke = func(ctx context.Context, id, reason string) error {
			return b.Store.RevokeGrant(context.WithoutCancel(ctx), id, reason)
		}
	}), []string{"a caller who is gone"}},
}

// ownGrants keeps the grants of a mutant in a map of its own and redeems them the naive way: read, think, write, with
// time for others in between. bend may change the question before it is decided.
func ownGrants(b *broken, bend func(*storage.Rotation, storage.Grant, time.Time)) {
	var mu sync.Mutex
	grants := map[string]storage.Grant{}
	put := func(g storage.Grant) {
		mu.Lock()
		defer mu.Unlock()
		grants[g.ID] = g
	}
	b.createGrant = func(_ context.Context, g storage.Grant) error { put(g); return nil }
	b.grant = func(_ context.Context, id string) (storage.Grant, error) {
		mu.Lock()
		defer mu.Unlock()
		return grants[id], nil
	}
	b.rotate = func(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
		g, _ := b.grant(ctx, r.GrantID)
		now := time.Now()
		if bend != nil {
			bend(&r, g, now)
		}
		outcome, after, _ := r.Decide(g, now)
		time.Sleep(time.Microsecond)
		put(after)
		return outcome, after, nil
	}
	b.revoke = func(ctx context.Context, id, reason string) error {
		g, _ := b.grant(ctx, id)
		g.Revoked, g.RevokedReason = true, reason
		put(g)
		return nil
	}
}
