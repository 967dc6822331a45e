package storagetest

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

// rotating makes a mutant that bends the question or the answer of Rotate.
func rotating(
	f func(ctx context.Context, b *broken, r storage.Rotation) (storage.Outcome, storage.Grant, error),
) func() storage.Store {
	return breaking(func(b *broken) {
		b.rotate = func(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			return f(ctx, b, r)
		}
	})
}

// userMutants break what is promised about the user of a rotation, and about recalling.
var userMutants = []mutant{
	{"Rotate looks at nobody", rotating(func(ctx context.Context, b *broken, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
		r.UserID = ""
		return b.Store.Rotate(ctx, r)
	}), []string{
		"once its user is gone", "who was never there", "is outdated, and asking again", "has not had yet", "names no user",
		"nothing is refreshed any more",
	}},
	{"Rotate looks at somebody even when nobody was named", rotating(
		func(ctx context.Context, b *broken, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			if r.UserID == "" {
				r.UserID = "somebody"
			}
			return b.Store.Rotate(ctx, r)
		}), []string{"names no user"}},
	{"an outdated user is taken for a current one", rotating(
		func(ctx context.Context, b *broken, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			if u, err := b.User(ctx, r.UserID); err == nil {
				r.UserVersion = u.Version
			}
			return b.Store.Rotate(ctx, r)
		}), []string{"is outdated, and asking again", "has not had yet"}},
	{"an outdated user burns the generation", rotating(
		func(ctx context.Context, b *broken, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			outcome, g, err := b.Store.Rotate(ctx, r)
			if outcome == storage.Outdated {
				r.UserID, r.Attempt = "", "forgotten"
				_, g, err = b.Store.Rotate(ctx, r)
			}
			return outcome, g, err
		}), []string{"is outdated, and asking again", "no sign-in"}},
	{"an outdated user is dead", rotating(
		func(ctx context.Context, b *broken, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			outcome, g, err := b.Store.Rotate(ctx, r)
			if outcome == storage.Outdated {
				outcome = storage.Dead
			}
			return outcome, g, err
		}), []string{"is outdated, and asking again", "no sign-in"}},
	{"a disabled user is looked at before the grant is locked", rotating(
		func(ctx context.Context, b *broken, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			u, err := b.User(ctx, r.UserID)
			time.Sleep(time.Microsecond)
			if outcome := r.DecideUser(u, err == nil); outcome != 0 {
				g, err := b.Grant(ctx, r.GrantID)
				return outcome, g, err
			}
			r.UserID = ""
			return b.Store.Rotate(ctx, r)
		}), []string{"nothing is refreshed any more"}},
	{"only the epoch counts", rotating(func(ctx context.Context, b *broken, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
		if u, err := b.User(ctx, r.UserID); err == nil && u.Epoch == r.UserEpoch {
			r.UserID = ""
		}
		return b.Store.Rotate(ctx, r)
	}), []string{"once its user is gone", "is outdated, and asking again", "nothing is refreshed any more"}},
	{"the user comes before the grant", rotating(
		func(ctx context.Context, b *broken, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			u, err := b.User(ctx, r.UserID)
			if outcome := r.DecideUser(u, err == nil); outcome != 0 {
				g, _ := b.Grant(ctx, r.GrantID)
				return outcome, g, nil
			}
			return b.Store.Rotate(ctx, r)
		}), []string{"the grant comes first"}},
	{"behind the fence nothing is ever redeemed", rotating(
		func(ctx context.Context, b *broken, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			if r.Fence {
				g, err := b.Grant(ctx, r.GrantID)
				return storage.Fenced, g, err
			}
			return b.Store.Rotate(ctx, r)
		}), []string{"behind the fence"}},
	{"memory holds live pointers", breaking(func(b *broken) {
		var mu sync.Mutex
		users, grants := map[string]storage.User{}, map[string]storage.Grant{}
		b.recallUser = func(ctx context.Context, id string) (storage.User, error) {
			return remembering(&mu, users, id, func() (storage.User, error) { return b.Store.User(ctx, id) })
		}
		b.recallGrant = func(ctx context.Context, id string) (storage.Grant, error) {
			return remembering(&mu, grants, id, func() (storage.Grant, error) { return b.Store.Grant(ctx, id) })
		}
	}), []string{"does to what it recalled"}},
	{"memory makes things up", breaking(func(b *broken) {
		b.recallUser = func(ctx context.Context, id string) (storage.User, error) {
			u, err := b.Store.User(ctx, id)
			u.Version++
			return u, err
		}
		b.recallGrant = func(ctx context.Context, id string) (storage.Grant, error) {
			g, err := b.Store.Grant(ctx, id)
			g.Generation++
			return g, err
		}
	}), []string{"a recalled user is", "a recalled grant is"}},
	{"memory keeps that something was not there", breaking(func(b *broken) {
		missing := map[string]bool{}
		b.recallGrant = func(ctx context.Context, id string) (storage.Grant, error) {
			g, err := b.Store.Grant(ctx, id)
			if missing[id] = missing[id] || err != nil; missing[id] {
				return storage.Grant{}, storage.ErrNotFound
			}
			return g, nil
		}
	}), []string{"what was not there can be later"}},
}

func remembering[T any](mu *sync.Mutex, memory map[string]T, id string, read func() (T, error)) (T, error) {
	mu.Lock()
	defer mu.Unlock()
	if v, ok := memory[id]; ok {
		return v, nil
	}
	v, err := read()
	if err == nil {
		memory[id] = v
	}
	return v, err
}

// importing makes a mutant that imports another stream than it was given: bend changes a record or drops it.
func importing(bend func(storage.Record) (storage.Record, bool)) func() storage.Store {
	return breaking(func(b *broken) {
		b.imports = func(ctx context.Context, records iter.Seq2[storage.Record, error]) error {
			return b.Store.Import(ctx, bent(records, bend))
		}
	})
}

// exporting does the same to what is exported.
func exporting(bend func(storage.Record) (storage.Record, bool)) func() storage.Store {
	return breaking(func(b *broken) {
		b.export = func(ctx context.Context) iter.Seq2[storage.Record, error] { return bent(b.Store.Export(ctx), bend) }
	})
}

func bent(records iter.Seq2[storage.Record, error], bend func(storage.Record) (storage.Record, bool)) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		for r, err := range records {
			keep := true
			if err == nil {
				r, keep = bend(r)
			}
			if keep && !yield(r, err) {
				return
			}
		}
	}
}

const copied = "exactly what was exported"

// transferMutants break what is promised about moving a store.
var transferMutants = []mutant{
	{"an import drops the marks", importing(func(r storage.Record) (storage.Record, bool) { return r, r.Mark == nil }), []string{
		copied, "as spent and end", "1,000 records", "comes twice",
	}},
	{"an import drops the budgets", importing(func(r storage.Record) (storage.Record, bool) { return r, r.Budget == nil }), []string{
		copied, "as spent and end",
	}},
	{"an export leaves out grants that were revoked", exporting(func(r storage.Record) (storage.Record, bool) {
		return r, r.Grant == nil || !r.Grant.Revoked
	}), []string{"go on where they were"}},
	{"an import forgets who won the last rotation", importing(func(r storage.Record) (storage.Record, bool) {
		if r.Grant != nil {
			r.Grant.Attempt, r.Grant.RotatedAt = "", time.Time{}
		}
		return r, true
	}), []string{copied, "go on where they were"}},
	{"an import counts versions from 1", importing(func(r storage.Record) (storage.Record, bool) {
		switch {
		case r.Client != nil:
			r.Client.Version = 1
		case r.User != nil:
			r.User.Version = 1
		case r.KeyRing != nil:
			r.KeyRing.Version = 1
		}
		return r, true
	}), []string{copied, "change as before"}},
	{"an import prolongs what it brings", importing(func(r storage.Record) (storage.Record, bool) {
		switch {
		case r.Mark != nil:
			r.Mark.Until = r.Mark.Until.Add(time.Second)
		case r.Grant != nil:
			r.Grant.IdleExpiresAt, r.Grant.ExpiresAt = r.Grant.ExpiresAt.Add(time.Hour), r.Grant.ExpiresAt.Add(time.Hour)
		}
		return r, true
	}), []string{copied, "as spent and end"}},
	{"an export forgets that things end", breaking(func(b *broken) {
		var born []storage.Grant
		b.createGrant = func(ctx context.Context, g storage.Grant) error {
			born = append(born, g)
			return b.Store.CreateGrant(ctx, g)
		}
		b.export = func(ctx context.Context) iter.Seq2[storage.Record, error] {
			return func(yield func(storage.Record, error) bool) {
				for r, err := range b.Store.Export(ctx) {
					if !yield(r, err) {
						return
					}
				}
				for _, g := range born {
					if _, err := b.Store.Grant(ctx, g.ID); errors.Is(err, storage.ErrNotFound) && !yield(storage.Record{Grant: &g}, nil) {
						return
					}
				}
			}
		}
	}), []string{"has ended or was removed"}},
	{"an export says everything twice", breaking(func(b *broken) {
		b.export = func(ctx context.Context) iter.Seq2[storage.Record, error] {
			return func(yield func(storage.Record, error) bool) {
				for r, err := range b.Store.Export(ctx) {
					for range 2 {
						if !yield(r, err) {
							return
						}
					}
				}
			}
		}
	}), []string{copied, "1,000 records"}},
	{"an export that cannot read says that it is at its end", breaking(func(b *broken) {
		b.export = func(ctx context.Context) iter.Seq2[storage.Record, error] {
			return func(yield func(storage.Record, error) bool) {
				for r, err := range b.Store.Export(ctx) {
					if err != nil || !yield(r, nil) {
						return
					}
				}
			}
		}
	}), []string{"neither exports nor imports"}},
	{"an import over what is there does nothing and is content", breaking(func(b *broken) {
		b.imports = func(ctx context.Context, records iter.Seq2[storage.Record, error]) error {
			if err := b.Store.Import(ctx, records); !errors.Is(err, storage.ErrExists) {
				return err
			}
			return nil
		}
	}), []string{"holds anything refuses"}},
	{"the second of two wins", breaking(func(b *broken) {
		b.imports = func(ctx context.Context, records iter.Seq2[storage.Record, error]) error {
			seen := map[string]bool{}
			return b.Store.Import(ctx, bent(records, func(r storage.Record) (storage.Record, bool) {
				if r.Client == nil {
					return r, true
				}
				again := seen[r.Client.ID]
				seen[r.Client.ID] = true
				return r, !again
			}))
		}
	}), []string{"comes twice"}},
	{"of two things in one record one counts", importing(func(r storage.Record) (storage.Record, bool) {
		if r.Client != nil {
			r.Grant = nil
		}
		return r, true
	}), []string{"no store has exported"}},
	{"an import ends where its stream breaks off", breaking(func(b *broken) {
		b.imports = func(ctx context.Context, records iter.Seq2[storage.Record, error]) error {
			return b.Store.Import(ctx, func(yield func(storage.Record, error) bool) {
				for r, err := range records {
					if err != nil || !yield(r, nil) {
						return
					}
				}
			})
		}
	}), []string{"breaks off breaks"}},
}
