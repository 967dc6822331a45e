package history

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

const window = 10 * time.Second

// maxSeeds bounds how many runs a mutant may survive: what it breaks needs two clients at the right moment.
const maxSeeds = 5

// mutant is a store with one promise broken (INV11, T21).
type mutant struct {
	name  string
	store func() storage.Store
	plan  Plan
	// says is part of what plain counting complains about, "" where only the model can tell.
	says string
}

var mutants = []mutant{
	{"no compare and swap", noCAS, Plan{Mode: Mixed, Grace: window}, "INV2"},
	{"no compare and swap, codes and no window", noCAS, Plan{Mode: Mixed}, "INV1"},
	{"revocations are forgotten now and then", breaking(func(b *broken) {
		b.revoke = sometimes(b.revoke, func(context.Context, string, string) error { return nil })
	}), Plan{Mode: Mixed, Grace: window, Ends: true}, "INV5"},
	{"the user is not looked at", breaking(func(b *broken) {
		b.change = func(r *storage.Rotation) { r.UserID = "" }
	}), Plan{Mode: Mixed, Grace: window, Ends: true}, "INV5"},
	{"a changed user is not noticed", breaking(func(b *broken) {
		b.change = func(r *storage.Rotation) {
			if u, err := b.User(context.Background(), r.UserID); err == nil {
				r.UserVersion = u.Version
			}
		}
	}), Plan{Mode: Mixed, Grace: window}, ""},
	{"a failure is answered as a dead grant", breaking(func(b *broken) {
		b.rotate = rarely(b.rotate, func(storage.Rotation) (storage.Outcome, storage.Grant, error) {
			return storage.Dead, storage.Grant{}, nil
		})
	}), Plan{Mode: Mixed, Grace: window}, ""},
	{"a failure before the write is answered as success", breaking(func(b *broken) {
		b.rotate = rarely(b.rotate, func(r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			return storage.Rotated, storage.Grant{ID: r.GrantID, Generation: r.Generation + 1}, nil
		})
	}), Plan{Mode: Mixed, Grace: window}, "INV"},
	{"a failure after the write is answered as a replay", breaking(func(b *broken) {
		b.rotate = after(b.rotate, func(_ storage.Rotation, o storage.Outcome, g storage.Grant) (storage.Outcome, storage.Grant) {
			if o == storage.Rotated {
				o = storage.Replayed
			}
			return o, g
		})
	}), Plan{Mode: Mixed, Grace: window}, "INV1"},
	{"a replay moves the generation", breaking(func(b *broken) {
		b.rotate = after(b.rotate, func(r storage.Rotation, o storage.Outcome, g storage.Grant) (storage.Outcome, storage.Grant) {
			if o == storage.Replayed {
				r.Generation, r.Attempt = r.Generation+1, r.Attempt+"+"
				_, _, _ = b.Store.Rotate(context.Background(), r)
			}
			return o, g
		})
	}), Plan{Mode: Mixed, Grace: window}, ""},
	{"the window is open where there is none", breaking(func(b *broken) {
		b.change = func(r *storage.Rotation) { r.Grace = window }
	}), Plan{Mode: Mixed}, "without a window"},
	{"the window is ignored", breaking(func(b *broken) {
		b.change = func(r *storage.Rotation) { r.Grace = 0 }
	}), Plan{Mode: Mixed, Grace: window}, ""},
	{"the window is ignored, honest clients", breaking(func(b *broken) {
		b.change = func(r *storage.Rotation) { r.Grace = 0 }
	}), Plan{Mode: Honest, Grace: window}, "logged out"},
	{"reuse is answered and the grant lives on", breaking(func(b *broken) {
		b.rotate = func(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			g, err := b.Store.Grant(ctx, r.GrantID)
			if err == nil && !g.Revoked && r.Generation < g.Generation {
				if outcome, after, _ := r.Decide(g, time.Now()); outcome == storage.Reused {
					return outcome, after, nil
				}
			}
			return b.Store.Rotate(ctx, r)
		}
	}), Plan{Mode: Mixed, Thieves: true}, "INV6"},
	{"the attempt of the winner is forgotten", breaking(func(b *broken) {
		b.change = func(r *storage.Rotation) { r.Attempt = "" }
	}), Plan{Mode: Mixed, Unknown: 0.2}, ""},
	{"reads come from a cache", breaking(func(b *broken) {
		var mu sync.Mutex
		cache := map[string]storage.Grant{}
		b.grant = func(ctx context.Context, id string) (storage.Grant, error) {
			mu.Lock()
			defer mu.Unlock()
			if g, ok := cache[id]; ok {
				return g, nil
			}
			g, err := b.Store.Grant(ctx, id)
			cache[id] = g
			return g, err
		}
	}), Plan{Mode: Mixed, Grace: window}, "INV3"},
	{"an acknowledged rotation is lost", breaking(func(b *broken) {
		b.rotate = rarely(b.rotate, func(r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			g, err := b.Store.Grant(context.Background(), r.GrantID)
			outcome, after, _ := r.Decide(g, time.Now())
			return outcome, after, err
		})
	}), Plan{Mode: Mixed, Grace: window}, "INV"},
	{"users are replaced whatever their version", breaking(func(b *broken) {
		b.replace = func(ctx context.Context, u storage.User) error {
			for {
				stored, err := b.Store.User(ctx, u.ID)
				if err != nil {
					return err
				}
				u.Version = stored.Version
				if err = b.Store.ReplaceUser(ctx, u); !errors.Is(err, storage.ErrConflict) {
					return err
				}
			}
		}
	}), Plan{Mode: Mixed, Grace: window, Ends: true}, ""},
	{"codes are fenced without a failover", breaking(func(b *broken) {
		b.rotate = rarely(b.rotate, func(r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			g, err := b.Store.Grant(context.Background(), r.GrantID)
			return storage.Fenced, g, err
		})
	}), Plan{Mode: Mixed, Grace: window}, "fenced"},
	{"grants vanish", breaking(func(b *broken) {
		b.rotate = rarely(b.rotate, func(storage.Rotation) (storage.Outcome, storage.Grant, error) {
			return 0, storage.Grant{}, storage.ErrNotFound
		})
	}), Plan{Mode: Mixed, Grace: window}, "INV3"},
}

func TestTheModelCatchesBrokenStores(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // for the pictures
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			var illegal, counted bool
			for seed := uint64(1); seed <= maxSeeds && (!illegal || !counted); seed++ {
				v := judgeRun(t, m.store(), m.plan, seed)
				if len(v.Undecided) > 0 {
					t.Errorf("seed %d: %v", seed, v.Undecided)
				}
				illegal = illegal || len(v.Illegal) > 0
				counted = counted || m.says == "" || strings.Contains(strings.Join(v.Broken, "\n"), m.says)
				if seed == 1 && len(v.Illegal) > 0 {
					t.Log(v.Illegal[0])
				}
			}
			if !illegal {
				t.Errorf("the model explains what the broken store did")
			}
			if !counted {
				t.Errorf("plain counting does not say %q", m.says)
			}
		})
	}
}

// Each plan that catches a mutant finds nothing wrong with a sound store, nor with one that fails.
func TestTheModelExplainsSoundStores(t *testing.T) {
	done := map[Plan]bool{}
	for _, m := range mutants {
		for _, unknown := range []float64{m.plan.Unknown, 0.05} {
			p := m.plan
			if p.Unknown = unknown; done[p] {
				continue
			}
			done[p] = true
			if err := judgeRun(t, slow(), p, 1).Err(); err != nil {
				t.Errorf("%+v: %v", p, err)
			}
		}
	}
}

func TestARaceCountsWhatIsRedeemedTwice(t *testing.T) {
	plan := Plan{Mode: Raced, Grace: window, Families: 200}
	open := func(s storage.Store) Setup {
		return Setup{Name: "mutant", Open: func(testing.TB) storage.Store { return s }}
	}
	if got, want := race(t, open(slow()), plan), (Tally{Codes: 100, Refreshes: 100}); got != want {
		t.Errorf("a sound store: %+v, want %+v", got, want)
	}
	if got := race(t, open(noCAS()), plan); got.Double == 0 {
		t.Errorf("no compare and swap: %+v", got)
	}
	if got := race(t, open(breaking(func(b *broken) {
		b.change = func(r *storage.Rotation) { r.Grace = 0 }
	})()), plan); got.LoggedOut != 100 {
		t.Errorf("the window is ignored: %+v", got)
	}
	if got := race(t, open(breaking(func(b *broken) {
		b.rotate = after(b.rotate, func(r storage.Rotation, o storage.Outcome, g storage.Grant) (storage.Outcome, storage.Grant) {
			if o == storage.Rotated && !strings.HasSuffix(r.Attempt, ".code") { // Prepare does not race
				o = storage.Dead
			}
			return o, g
		})
	})()), plan); got.Lost == 0 {
		t.Errorf("winners are told that they lost: %+v", got)
	}
}

// judgeRun runs a plan against a store and returns the verdict.
func judgeRun(t *testing.T, s storage.Store, p Plan, seed uint64) Verdict {
	t.Helper()
	p.Seed, p.Steps = seed, 60
	if p.Mode == Mixed {
		p.Families = 128
	}
	setup := Setup{Open: func(testing.TB) storage.Store { return s }}
	return Judge(p.Rules(), run(t, setup, p.withDefaults()))
}

// broken overrides single verbs of a sound store.
type broken struct {
	*memory.Store
	change  func(*storage.Rotation)
	rotate  rotateFunc
	revoke  func(context.Context, string, string) error
	grant   func(context.Context, string) (storage.Grant, error)
	replace func(context.Context, storage.User) error
}

type rotateFunc func(context.Context, storage.Rotation) (storage.Outcome, storage.Grant, error)

// breaking makes a mutant from a function that overrides what it wants.
func breaking(f func(b *broken)) func() storage.Store {
	return func() storage.Store {
		s := memory.New()
		b := &broken{
			Store: s, change: func(*storage.Rotation) {}, rotate: s.Rotate, revoke: s.RevokeGrant, grant: s.Grant,
			replace: s.ReplaceUser,
		}
		f(b)
		return b
	}
}

// slow is a sound store that lets others go first, as the mutants do.
func slow() storage.Store { return breaking(func(*broken) {})() }

// yield lets other clients go first.
func yield() {
	for range 3 {
		runtime.Gosched()
	}
}

func (b *broken) Rotate(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	yield()
	b.change(&r)
	outcome, g, err := b.rotate(ctx, r)
	yield()
	return outcome, g, err
}

func (b *broken) RevokeGrant(ctx context.Context, id, why string) error {
	return b.revoke(ctx, id, why)
}

func (b *broken) Grant(ctx context.Context, id string) (storage.Grant, error) {
	return b.grant(ctx, id)
}

func (b *broken) ReplaceUser(ctx context.Context, u storage.User) error {
	yield()
	return b.replace(ctx, u)
}

// sometimes takes the other way each third time.
func sometimes(
	usual, other func(context.Context, string, string) error,
) func(context.Context, string, string) error {
	var calls atomic.Int64
	return func(ctx context.Context, id, why string) error {
		if calls.Add(1)%3 == 0 {
			return other(ctx, id, why)
		}
		return usual(ctx, id, why)
	}
}

// rarely answers 1 rotation in 50 by itself. It spares the codes that Prepare redeems, so that a run can begin.
func rarely(usual rotateFunc, other func(storage.Rotation) (storage.Outcome, storage.Grant, error)) rotateFunc {
	var calls atomic.Int64
	return func(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
		if !strings.HasSuffix(r.Attempt, ".code") && calls.Add(1)%50 == 0 {
			return other(r)
		}
		return usual(ctx, r)
	}
}

// after changes 1 answer in 3, of those that Prepare does not get.
func after(
	usual rotateFunc, change func(storage.Rotation, storage.Outcome, storage.Grant) (storage.Outcome, storage.Grant),
) rotateFunc {
	var calls atomic.Int64
	return func(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
		outcome, g, err := usual(ctx, r)
		if err == nil && !strings.HasSuffix(r.Attempt, ".code") && calls.Add(1)%3 == 0 {
			outcome, g = change(r, outcome, g)
		}
		return outcome, g, err
	}
}

// noCAS reads a grant, decides, and writes it, without holding anything meanwhile.
func noCAS() storage.Store {
	return breaking(func(b *broken) {
		var mu sync.Mutex
		grants := map[string]storage.Grant{}
		b.grant = func(ctx context.Context, id string) (storage.Grant, error) {
			mu.Lock()
			defer mu.Unlock()
			if g, ok := grants[id]; ok {
				return g, nil
			}
			return b.Store.Grant(ctx, id)
		}
		b.rotate = func(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
			g, err := b.grant(ctx, r.GrantID)
			if err != nil {
				return 0, g, err
			}
			u, err := b.User(ctx, r.UserID)
			if err != nil {
				return 0, g, err
			}
			if outcome := r.DecideUser(u, true); !g.Revoked && outcome != 0 {
				return outcome, g, nil
			}
			outcome, after, changed := r.Decide(g, time.Now())
			yield()
			if changed {
				mu.Lock()
				defer mu.Unlock()
				grants[r.GrantID] = after
			}
			return outcome, after, nil
		}
	})()
}

// recorder is a testing.TB that keeps complaints to itself.
type recorder struct {
	testing.TB
	failed bool
	text   strings.Builder
}

func (r *recorder) Failed() bool { return r.failed }

func (r *recorder) Errorf(format string, args ...any) {
	r.failed = true
	fmt.Fprintf(&r.text, format+"\n", args...)
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

func (r *recorder) FailNow() {
	r.failed = true
	runtime.Goexit()
}

func TestCheckFailsTheTestOfABrokenStore(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	rec := &recorder{TB: t}
	Check(rec, Rules{}, pairs[0].good)
	if rec.Failed() {
		t.Errorf("a sound history fails: %s", rec.text.String())
	}
	Check(rec, Rules{}, pairs[0].wrong)
	if !rec.Failed() || !strings.Contains(rec.text.String(), "INV1") {
		t.Errorf("failed %t: %s", rec.Failed(), rec.text.String())
	}
}
