package history

import (
	"context"
	"testing"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// twoSteps moves the grant and looks at the user in two steps, as a store does whose records lie on two servers.
type twoSteps struct {
	*memory.Store
	userFirst bool // the wrong way round: who is disabled between the steps gets tokens afterwards
}

func (s *twoSteps) Rotate(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	id := r.UserID
	r.UserID = ""
	var judged storage.Outcome
	if s.userFirst {
		judged = s.look(ctx, r, id)
		yield()
	}
	outcome, g, err := s.Store.Rotate(ctx, r)
	if err != nil {
		return outcome, g, err
	}
	if !s.userFirst {
		yield()
		judged = s.look(ctx, r, id)
	}
	if judged != 0 && (outcome == storage.Rotated || outcome == storage.Replayed) {
		outcome = judged
	}
	return outcome, g, nil
}

func (s *twoSteps) look(ctx context.Context, r storage.Rotation, id string) storage.Outcome {
	u, err := s.User(ctx, id)
	r.UserID = id
	return r.DecideUser(u, err == nil)
}

func judgeTwoSteps(t *testing.T, userFirst, declared bool, p Plan) Verdict {
	t.Helper()
	setup := Setup{Open: func(testing.TB) storage.Store { return &twoSteps{memory.New(), userFirst} }}
	rules := p.Rules()
	rules.UserLast = declared
	return Judge(rules, run(t, setup, p.withDefaults()))
}

func TestAStoreMayLookAtTheUserLastAndNotFirst(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var caughtFirst, caughtUndeclared bool
	for seed := uint64(1); seed <= maxSeeds && (!caughtFirst || !caughtUndeclared); seed++ {
		for _, p := range []Plan{{Mode: Mixed, Ends: true, Unknown: 0.05}, {Mode: Mixed, Ends: true, Grace: window}} {
			p.Seed, p.Steps, p.Families = seed, 60, 128
			if err := judgeTwoSteps(t, false, true, p).Err(); err != nil {
				t.Errorf("seed %d: a store that looks at the user last: %v", seed, err)
			}
			caughtFirst = caughtFirst || len(judgeTwoSteps(t, true, true, p).Illegal) > 0
			caughtUndeclared = caughtUndeclared || len(judgeTwoSteps(t, false, false, p).Illegal) > 0
		}
	}
	if !caughtFirst {
		t.Error("a store that looks at the user first passes")
	}
	if !caughtUndeclared {
		t.Error("a store that looks at the user last passes where one step is declared")
	}
}
