package redis

import (
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// T8, S8: two primaries at once, each with nodes of ours. Every code is presented to both. Without the fence both accept it;
// with it none is redeemed twice. A refresh token is accepted by both, and both give out the same successor, so that no
// family forks; how often is counted.
func TestASplitBrainRedeemsNoCodeTwiceAndForksNoFamily(t *testing.T) {
	var fenced, open splitCount
	runs, codes := figure(1, 20), figure(200, 2000)
	for run := range runs {
		one, other := splitBrain(t)
		fenced.add(one.presentToBoth(t, other, fmt.Sprint("fenced", run), codes, true))
		open.add(one.presentToBoth(t, other, fmt.Sprint("open", run), codes/10, false))
	}
	promised(t, "sentinel", "split brain", fenced.double+fenced.forks+open.forks+fenced.wrong+open.wrong,
		"runs=%d codes=%d double=%d refused_everywhere=%d refreshes=%d accepted_by_both=%d forks=%d "+
			"without_fence_codes=%d without_fence_double=%d",
		runs, fenced.codes, fenced.double, fenced.nowhere, fenced.refreshes, fenced.both, fenced.forks, open.codes, open.double)
	if open.double != open.codes {
		t.Errorf("without the fence %d of %d codes are redeemed twice: this is no split brain", open.double, open.codes)
	}
}

// side is one of two primaries that do not know of each other, and a node of ours that uses it.
type side struct {
	*Store
	server *redistest.Server
	user   storage.User
}

// splitBrain starts a primary with a replica. They are still one; see part.
func splitBrain(t testing.TB) (one, other *side) {
	t.Helper()
	primary := redistest.Start(t, redistest.AppendFsync("no"))
	replica := redistest.Start(t, redistest.AppendFsync("no"), redistest.ReplicaOf(primary))
	s := open(t, Config{Addresses: []string{primary.Addr()}})
	u := aUser(t, s, "u")
	return &side{Store: s, server: primary, user: u}, &side{server: replica, user: u}
}

// part makes the replica a primary of its own, when it knows all that the other one knows.
func (s *side) part(t testing.TB, other *side) {
	t.Helper()
	eventually(t, "the replica has all", func() error {
		need(t, "INCR", s.server.Client().Incr(t.Context(), "nobody's").Err())
		have, err := s.server.Client().Wait(t.Context(), 1, 100*time.Millisecond).Result()
		if err == nil && have < 1 {
			err = fmt.Errorf("%d replicas", have)
		}
		return err
	})
	need(t, "REPLICAOF NO ONE", other.server.Client().ReplicaOf(t.Context(), "NO", "ONE").Err())
	if other.Store == nil {
		other.Store = reopen(t, Config{Addresses: []string{other.server.Addr()}, Timeout: MaxTimeout})
	}
}

// rejoin makes the other one a replica again.
func (s *side) rejoin(t testing.TB, other *side) {
	t.Helper()
	need(t, "REPLICAOF", other.server.Client().ReplicaOf(t.Context(), "127.0.0.1", fmt.Sprint(s.server.PortNumber())).Err())
}

type splitCount struct{ codes, double, nowhere, refreshes, both, forks, wrong int }

func (c *splitCount) add(o splitCount) {
	c.codes, c.double, c.nowhere = c.codes+o.codes, c.double+o.double, c.nowhere+o.nowhere
	c.refreshes, c.both, c.forks, c.wrong = c.refreshes+o.refreshes, c.both+o.both, c.forks+o.forks, c.wrong+o.wrong
}

// presentToBoth makes codes and families before the split, and presents each to both sides after it.
func (s *side) presentToBoth(t testing.TB, other *side, name string, n int, fence bool) splitCount {
	t.Helper()
	code := func(i int) string { return fmt.Sprintf("%s-code-%d", name, i) }
	family := func(i int) string { return fmt.Sprintf("%s-family-%d", name, i) }
	parallel(n, func(i int) {
		for id, generation := range map[string]uint64{code(i): 0, family(i): 1} {
			g := aGrant(id, s.user, generation)
			g.Nonce = []byte(id)
			if err := s.CreateGrant(t.Context(), g); err != nil {
				t.Errorf("create %s: %v", id, err)
			}
		}
	})
	s.part(t, other)
	defer s.rejoin(t, other)
	var double, nowhere, both, forks, wrong atomic.Int64
	parallel(n, func(i int) {
		wins, gens := 0, []storage.Grant{}
		for at, node := range []*side{s, other} {
			r := aRotation(code(i), s.user, 0, fmt.Sprint("side", at))
			r.Fence = fence
			outcome, _, err := node.Rotate(t.Context(), r)
			switch {
			case success(outcome):
				wins++
			case outcome != storage.Fenced:
				wrong.Add(1)
				t.Errorf("%s at side %d: %v, %v", code(i), at, outcome, err)
			}
			outcome, g, err := node.Rotate(t.Context(), aRotation(family(i), s.user, 1, fmt.Sprint("side", at)))
			if success(outcome) {
				gens = append(gens, g)
			} else {
				t.Logf("%s at side %d: %v, %v", family(i), at, outcome, err)
			}
		}
		if wins > 1 {
			double.Add(1)
		} else if wins == 0 {
			nowhere.Add(1)
		}
		if len(gens) == 2 {
			both.Add(1)
			// The token is derived from these three, so these three being the same is the token being the same.
			if gens[0].ID != gens[1].ID || gens[0].Generation != gens[1].Generation || !bytes.Equal(gens[0].Nonce, gens[1].Nonce) {
				forks.Add(1)
			}
		}
	})
	return splitCount{
		codes: n, double: int(double.Load()), nowhere: int(nowhere.Load()), refreshes: n, both: int(both.Load()),
		forks: int(forks.Load()), wrong: int(wrong.Load()),
	}
}
