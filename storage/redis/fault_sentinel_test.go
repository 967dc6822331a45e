package redis

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// isolate takes a primary's replicas away. Clients still reach it.
func isolate(t testing.TB, primary *redistest.Server, replicas []*redistest.Server) {
	t.Helper()
	for _, replica := range replicas {
		need(t, "pause a replica", replica.Pause())
	}
	need(t, "cut the replication", primary.Client().Do(t.Context(), "CLIENT", "KILL", "TYPE", "replica").Err())
}

func rejoin(t testing.TB, replicas []*redistest.Server) {
	t.Helper()
	for _, replica := range replicas {
		need(t, "resume a replica", replica.Resume())
	}
}

// T7, S7: a primary that only clients still reach acknowledges, and is lost with all of that. The new primary redeems no
// code twice, and notices every refresh token that it should know and does not. What it cannot know is counted.
func TestWhatAFailoverForgetsIsNeverRedeemedTwiceAndIsNoticed(t *testing.T) {
	t.Parallel()
	g := redistest.StartSentinel(t, 2, 3, redistest.AppendFsync("everysec"))
	s := open(t, Config{Mode: Sentinel, Addresses: g.Addresses(), MasterName: g.MasterName()})
	u := aUser(t, s, "u")
	var sum aftermath
	var slowest time.Duration
	runs, acknowledged := figure(1, 50), 0
	for run := range runs {
		old, replicas := g.Primary(t), g.Replicas(t)
		p := populate(t, s, old, 2, fmt.Sprint("run", run), u, figure(40, 100))
		isolate(t, old, replicas)
		good, bad := p.touch(t, s, "honest")
		if acknowledged += good; bad > 0 {
			t.Errorf("%d uses failed on a primary that was there", bad)
		}
		if run%2 == 0 {
			need(t, "kill the primary", old.Kill())
		} else {
			need(t, "pause the primary", old.Pause())
		}
		rejoin(t, replicas)
		begin := time.Now()
		g.AwaitOtherPrimary(t, old)
		recovery(t, s)
		slowest = max(slowest, time.Since(begin))
		// A store that has found the new primary may still hold connections to the old one.
		eventually(t, "the store is at the new primary", func() error {
			return remembering(t, s, fmt.Sprint("probe", run))
		})
		sum.add(p.inspect(t, s))
		if run == runs-1 {
			break
		}
		if run%2 == 0 {
			need(t, "restart the old primary", old.Restart())
		} else {
			need(t, "resume the old primary", old.Resume())
		}
		g.Settle(t)
	}
	promised(t, "sentinel", "failover durability=local", sum.double+sum.undetected+sum.wrong,
		"runs=%d acknowledged=%d %v recovery_max=%v", runs, acknowledged, sum, slowest.Round(time.Millisecond))
	if sum.lost == 0 || sum.fenced == 0 {
		t.Error("nothing was lost: this test proves nothing")
	}
}

// remembering makes a mark, to see whether the store writes.
func remembering(t testing.TB, s *Store, key string) error {
	_, err := s.Remember(t.Context(), key, time.Now().Add(time.Hour))
	return err
}

// T7: with durability replicated, what was acknowledged is there after the failover, and what was not is a failure that asking
// again settles.
func TestWhatReplicasConfirmedSurvivesAFailover(t *testing.T) {
	t.Parallel()
	g := redistest.StartSentinel(t, 2, 3, redistest.AppendFsync("everysec"))
	s := open(t, Config{
		Mode: Sentinel, Addresses: g.Addresses(), MasterName: g.MasterName(), Durability: Replicated, Replicas: 1,
	})
	u := aUser(t, s, "u")
	var sum verdict
	var short aftermath
	runs, failures, unsettled := figure(1, 50), 0, 0
	for run := range runs {
		old, replicas := g.Primary(t), g.Replicas(t)
		l := startTraffic(t.Context(), s, fmt.Sprint("run", run), u, false, 8)
		l.busy(t)
		p := populate(t, s, old, 2, fmt.Sprint("short", run), u, 8)
		isolate(t, old, replicas)
		good, bad := p.touch(t, s, "honest") // nobody confirms
		failures += bad
		if good > 0 {
			t.Errorf("%d uses were acknowledged that no replica has", good)
		}
		need(t, "kill the primary", old.Kill())
		rejoin(t, replicas)
		g.AwaitOtherPrimary(t, old)
		eventually(t, "the store is at the new primary", func() error {
			return remembering(t, s, fmt.Sprint("probe", run))
		})
		time.Sleep(loadTime)
		l.end()
		sum.add(l.judge(t))
		unsettled += p.settle(t, s)
		short.add(p.inspectSettled(t, s))
		if run < runs-1 {
			need(t, "restart the old primary", old.Restart())
			g.Settle(t)
		}
	}
	promised(t, "sentinel", "failover durability=replicated", sum.double+sum.lost()+sum.wrong,
		"runs=%d %v", runs, sum)
	promised(t, "sentinel", "short acknowledgements durability=replicated", unsettled+short.double+short.undetected+short.wrong,
		"runs=%d not_confirmed=%d unsettled=%d %v", runs, failures, unsettled, short)
	if sum.moves == 0 || failures == 0 {
		t.Error("nothing happened: this test proves nothing")
	}
}

// settle asks again, by the same attempts, for what was not confirmed, and returns how much of it is not settled by that.
func (p population) settle(t testing.TB, s *Store) (unsettled int) {
	t.Helper()
	for i := range len(p.families) / 2 {
		var outcome storage.Outcome
		var g storage.Grant
		err := answered(t, p.families[i], func() (err error) {
			outcome, g, err = s.Rotate(t.Context(), aRotation(p.families[i], p.user, 1, "honest"))
			return err
		})
		if err != nil || outcome != storage.Rotated || g.Generation != 2 {
			unsettled++
			t.Errorf("%s asked again: %v, generation %d, %v", p.families[i], outcome, g.Generation, err)
		}
		err = answered(t, p.revoked[i], func() error { return s.RevokeGrant(t.Context(), p.revoked[i], "why") })
		if err != nil {
			unsettled++
			t.Errorf("%s revoked again: %v", p.revoked[i], err)
		}
		err = answered(t, p.strays[i], func() error {
			return s.CreateUser(t.Context(), storage.User{ID: p.strays[i], Username: p.strays[i]})
		})
		if err != nil && !errors.Is(err, storage.ErrExists) {
			unsettled++
			t.Errorf("%s created again: %v", p.strays[i], err)
		}
	}
	return unsettled
}

// inspectSettled is inspect where asking again has settled everything, so that nothing may be missing.
func (p population) inspectSettled(t testing.TB, s *Store) aftermath {
	t.Helper()
	a := p.inspect(t, s)
	a.wrong += a.lost + a.lostRevokes + a.lostUsers
	return a
}

// S7, S9: a sentinel that hangs is passed by, and while all of them hang what is connected goes on, and nobody waits for long.
func TestSentinelsThatHangAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	g := redistest.StartSentinel(t, 1, 3, redistest.AppendFsync("no"))
	s := open(t, Config{Mode: Sentinel, Addresses: g.Addresses(), MasterName: g.MasterName(), Timeout: DefaultTimeout})
	aside := open(t, Config{Addresses: []string{g.Primary(t).Addr()}})
	primary := g.Primary(t)
	var slowest time.Duration
	late, wrong := 0, 0
	disconnect := func() {
		need(t, "end all connections", primary.Client().Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	}
	ask := func() error {
		begin, stalled := time.Now(), stalls()
		err := s.Ping(t.Context())
		if took, lag := time.Since(begin), stalled(); took > DefaultTimeout+slack+lag {
			late++
			t.Errorf("Ping took %v (the machine stalled for %v)", took, lag)
		}
		return err
	}
	for _, sentinel := range g.Sentinels() {
		need(t, "pause a sentinel", sentinel.Pause())
		disconnect()
		slowest = max(slowest, eventually(t, "the store finds the primary by another sentinel", ask))
		need(t, "resume it", sentinel.Resume())
	}
	for _, sentinel := range g.Sentinels() {
		need(t, "pause a sentinel", sentinel.Pause())
	}
	if err := ask(); err != nil {
		wrong++
		t.Errorf("with a connection, and all sentinels silent: %v", err)
	}
	disconnect()
	refused := 0
	for range 5 {
		if ask() != nil {
			refused++
		}
	}
	eventually(t, "the primary itself is well", func() error { return aside.Ping(t.Context()) })
	for _, sentinel := range g.Sentinels() {
		need(t, "resume a sentinel", sentinel.Resume())
	}
	again := eventually(t, "the store finds the primary again", ask)
	promised(t, "sentinel", "sentinels hang", late+wrong, "one_hangs_recovery_max=%v all_hang_failures=%d recovery=%v late=%d",
		slowest.Round(time.Millisecond), refused, again.Round(time.Millisecond), late)
}
