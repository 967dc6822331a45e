package redis

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// population is what a store holds when its primary is lost. Of each kind the first half is touched while the primary is
// cut off from its replicas, so that no other server will ever hear of it.
type population struct {
	user                             storage.User
	codes, families, revoked, strays []string
}

// populate makes n of each, and waits until all replicas have them.
func populate(t testing.TB, s *Store, primary *redistest.Server, replicas int, name string, u storage.User, n int) population {
	t.Helper()
	p := population{user: u}
	for i := range n {
		for kind, generation := range map[string]uint64{"code": 0, "family": 1, "revoked": 1} {
			id := fmt.Sprintf("%s-%s-%d", name, kind, i)
			need(t, "create a grant", s.CreateGrant(t.Context(), aGrant(id, u, generation)))
			switch kind {
			case "code":
				p.codes = append(p.codes, id)
			case "family":
				p.families = append(p.families, id)
			default:
				p.revoked = append(p.revoked, id)
			}
		}
		p.strays = append(p.strays, fmt.Sprintf("%s-user-%d", name, i))
	}
	eventually(t, "all replicas have all", func() error {
		need(t, "SET", primary.Client().Incr(t.Context(), "nobody's").Err())
		have, err := primary.Client().Wait(t.Context(), replicas, 100*time.Millisecond).Result()
		if err == nil && int(have) < replicas {
			err = fmt.Errorf("%d of %d replicas", have, replicas)
		}
		return err
	})
	return p
}

// touch uses the first half of everything. It returns how many uses were acknowledged.
func (p population) touch(t testing.TB, s *Store, attempt string) (acknowledged, failed int) {
	t.Helper()
	var good, bad atomic.Int64
	note := func(outcome storage.Outcome, err error) {
		if err == nil && outcome == storage.Rotated {
			good.Add(1)
		} else if storage.IsFailure(err) {
			bad.Add(1)
		} else {
			t.Errorf("on the lost primary: %v, %v", outcome, err)
		}
	}
	ctx := t.Context()
	parallel(len(p.codes)/2, func(i int) {
		outcome, _, err := s.Rotate(ctx, aRotation(p.codes[i], p.user, 0, attempt))
		note(outcome, err)
		outcome, _, err = s.Rotate(ctx, aRotation(p.families[i], p.user, 1, attempt))
		note(outcome, err)
		note(storage.Rotated, s.RevokeGrant(ctx, p.revoked[i], "why"))
		note(storage.Rotated, s.CreateUser(ctx, storage.User{ID: p.strays[i], Username: p.strays[i]}))
	})
	return int(good.Load()), int(bad.Load())
}

// aftermath is what a new primary knows of a population whose first half was touched on the old one.
type aftermath struct {
	codes, double, fenced                  int
	refreshes, lost, detected, undetected  int
	revokes, lostRevokes, users, lostUsers int
	wrong                                  int
}

func (a aftermath) String() string {
	return fmt.Sprintf("codes=%d double=%d fenced=%d rotations=%d lost_rotations=%d detected=%d undetected=%d "+
		"revokes=%d lost_revokes=%d users=%d lost_users=%d wrong_answers=%d", a.codes, a.double, a.fenced,
		a.refreshes, a.lost, a.detected, a.undetected, a.revokes, a.lostRevokes, a.users, a.lostUsers, a.wrong)
}

func (a *aftermath) add(o aftermath) {
	a.codes, a.double, a.fenced = a.codes+o.codes, a.double+o.double, a.fenced+o.fenced
	a.refreshes, a.lost, a.detected = a.refreshes+o.refreshes, a.lost+o.lost, a.detected+o.detected
	a.undetected, a.revokes, a.lostRevokes = a.undetected+o.undetected, a.revokes+o.revokes, a.lostRevokes+o.lostRevokes
	a.users, a.lostUsers, a.wrong = a.users+o.users, a.lostUsers+o.lostUsers, a.wrong+o.wrong
}

// inspect presents everything again, all of it acknowledged before: codes by others, refresh tokens by who has the newest.
func (p population) inspect(t testing.TB, s *Store) aftermath {
	t.Helper()
	ctx := t.Context()
	var a aftermath
	wrong := func(what, id string, outcome storage.Outcome, err error) {
		a.wrong++
		t.Errorf("%s %s: %v, %v", what, id, outcome, err)
	}
	half := len(p.codes) / 2
	for i, id := range p.codes {
		outcome, err := presented(t, s, aRotation(id, p.user, 0, "latecomer"))
		a.codes++
		switch {
		case outcome == storage.Fenced:
			a.fenced++
		case i < half && success(outcome):
			a.double++
		case i < half && (outcome == storage.Reused || outcome == storage.Dead), i >= half && outcome == storage.Rotated:
		default:
			wrong("code", id, outcome, err)
		}
	}
	for i, id := range p.families[:half] {
		a.refreshes++
		g, err := s.Grant(ctx, id) // a read, so that nothing is waited for
		need(t, "read a grant", err)
		outcome, err := presented(t, s, aRotation(id, p.user, 2, "the newest"))
		switch {
		case g.Generation == 1 && outcome == storage.Ahead:
			a.lost, a.detected = a.lost+1, a.detected+1
		case g.Generation == 1:
			a.lost, a.undetected = a.lost+1, a.undetected+1
		case outcome != storage.Rotated:
			wrong("refresh", id, outcome, err)
		}
		a.revokes++
		if outcome, err = presented(t, s, aRotation(p.revoked[i], p.user, 1, "a")); success(outcome) {
			a.lostRevokes++
		} else if outcome != storage.Dead {
			wrong("revoked", p.revoked[i], outcome, err)
		}
		a.users++
		if _, err := s.User(ctx, p.strays[i]); errors.Is(err, storage.ErrNotFound) {
			a.lostUsers++
		} else if err != nil {
			wrong("user", p.strays[i], 0, err)
		}
	}
	return a
}

// presented asks for a rotation until there is an answer.
func presented(t testing.TB, s *Store, r storage.Rotation) (outcome storage.Outcome, err error) {
	t.Helper()
	err = answered(t, r.GrantID, func() (err error) { outcome, _, err = s.Rotate(t.Context(), r); return err })
	return outcome, err
}
