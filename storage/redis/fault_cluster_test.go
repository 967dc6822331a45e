package redis

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// bothTraffics runs traffic under both durabilities on one cluster.
type bothTraffics struct {
	local, replicated         *Store
	localLoad, replicatedLoad *traffic
}

func startBoth(t testing.TB, g *redistest.ClusterGroup) *bothTraffics {
	t.Helper()
	cfg := clusterConfig(g, "")
	b := &bothTraffics{local: open(t, cfg)}
	cfg.Durability, cfg.Timeout = Replicated, MaxTimeout
	b.replicated = reopen(t, cfg)
	return b
}

// begin starts the traffic. lossy is for the local one: what is replicated never loses anything here.
func (b *bothTraffics) begin(t testing.TB, name string, lossy bool) {
	t.Helper()
	u := aUser(t, b.replicated, "user of "+name)
	b.localLoad = startTraffic(t.Context(), b.local, name+"-local", u, lossy, 4)
	b.replicatedLoad = startTraffic(t.Context(), b.replicated, name+"-replicated", u, false, 4)
}

func (b *bothTraffics) busy(t testing.TB) {
	t.Helper()
	b.localLoad.busy(t)
	b.replicatedLoad.busy(t)
}

// end stops it and waits until every slot is served to both stores.
func (b *bothTraffics) end(t testing.TB, name string) {
	t.Helper()
	b.localLoad.end()
	b.replicatedLoad.end()
	served(t, b.local, name)
	served(t, b.replicated, name)
}

// served waits until a store can write to every node, and returns how long that took.
func served(t testing.TB, s *Store, name string) time.Duration {
	t.Helper()
	begin := time.Now()
	for i := range 60 {
		eventually(t, "every slot is served", func() error {
			return remembering(t, s, fmt.Sprint(name, s.cfg.Durability, i))
		})
	}
	return time.Since(begin)
}

// report judges both. tolerated bounds the share of verbs that may fail, in percent.
func (b *bothTraffics) report(t testing.TB, what string, tolerated float64, counts string) {
	t.Helper()
	for _, l := range []*traffic{b.localLoad, b.replicatedLoad} {
		v := l.judge(t)
		share := 100 * float64(v.failed) / float64(v.asked)
		for kind := range l.failures {
			t.Logf("failure: %s", kind)
		}
		if share > tolerated {
			t.Errorf("%s: %.2f %% of the verbs failed", what, share)
		}
		violations := v.double + v.undetected + v.wrong
		if !l.lossy {
			violations += v.lost()
		}
		promised(t, "cluster", fmt.Sprintf("%s durability=%s", what, l.store.cfg.Durability), violations,
			"%s %v failure_rate=%.2f%%", counts, v, share)
	}
}

// S12, T10: while slots move, and the slots of users and of clients with them, everything goes on.
func TestMovingSlotsUnderLoadChangesNoAnswer(t *testing.T) {
	t.Parallel()
	g, b := aCluster(t)
	users := (names{DefaultPrefix}).userList()
	slot, err := g.Client().ClusterKeySlot(t.Context(), users).Result()
	need(t, "slot of the users", err)
	b.begin(t, "moving", false)
	b.busy(t)
	moves, slots := 0, figure(100, 1000)
	for ; moves < slots; moves += 50 { // back and forth, so that slots that hold keys move
		owners := g.Primaries(t)
		from, to := owners[moves/50%len(owners)], owners[(moves/50+1)%len(owners)]
		need(t, "move slots", g.Reshard(t.Context(), from, to, 50))
		if moves%500 > 0 {
			continue
		}
		// Many keys in one slot, and scripts on several of them: this is what TRYAGAIN comes of.
		from = g.PrimaryOf(t, users)
		for _, to = range owners {
			if to != from {
				break
			}
		}
		need(t, "move the slot of the users", g.MoveSlot(t.Context(), from, to, int(slot)))
	}
	time.Sleep(loadTime)
	b.end(t, "moved")
	b.report(t, "resharding", 1, fmt.Sprintf("slots=%d", moves))
	owners := g.Primaries(t)
	for _, node := range g.Nodes() { // S15: what decides is asked of primaries only
		stats, err := node.Info(t.Context(), "commandstats")
		need(t, "INFO commandstats", err)
		asked := stats["cmdstat_evalsha"] + stats["cmdstat_eval"] + stats["cmdstat_hget"] + stats["cmdstat_hmget"]
		if primary := slices.Contains(owners, node); primary != (asked != "") {
			t.Errorf("%s, primary=%v, was asked: %q", node.Addr(), primary, asked)
		}
	}
}

// aCluster is a cluster of one's own, with both kinds of stores.
func aCluster(t testing.TB) (*redistest.ClusterGroup, *bothTraffics) {
	t.Helper()
	g := redistest.StartCluster(t, 3, 3, redistest.AppendFsync("everysec"))
	return g, startBoth(t, g)
}

// S7, T10: a primary of a cluster is killed (every other time it hangs), its replica takes over, and the stores go on without
// being reopened. What waits for replicas has to wait until there is one again.
func TestAPrimaryOfAClusterIsLostUnderLoad(t *testing.T) {
	t.Parallel()
	g, b := aCluster(t)
	runs := figure(1, 20)
	for run := range runs {
		name := fmt.Sprint("lost", run)
		b.begin(t, name, true)
		b.busy(t)
		victim := g.Primaries(t)[run%3]
		heir := g.ReplicasOf(t, victim)[0]
		lose, back := victim.Kill, victim.Restart
		if run%2 == 1 {
			lose, back = victim.Pause, victim.Resume
		}
		need(t, "lose a primary", lose())
		died, stalled := time.Now(), stalls()
		inherited := eventually(t, "the replica takes over", func() error {
			info, err := heir.Info(t.Context(), "replication")
			if err == nil && info["role"] != "master" {
				err = fmt.Errorf("it is %s", info["role"])
			}
			return err
		})
		served(t, b.local, name+"-probe")
		again, lag := time.Since(died), stalled()
		need(t, "it comes back", back())
		served(t, b.replicated, name+"-probe")
		b.end(t, name+"-end")
		b.report(t, "failover", 100, fmt.Sprintf("run=%d redis_took=%v store_took=%v", run+1,
			inherited.Round(time.Millisecond), again.Round(time.Millisecond)))
		if b.localLoad.failed.Load() == 0 {
			t.Error("nobody noticed the kill")
		}
		if late := again - inherited; late > 5*time.Second+lag {
			t.Errorf("the store needed %v longer than Redis (the machine stalled for %v)", late, lag)
		}
		g.WaitReady(t)
	}
}

// S12: multi-key scripts meet TRYAGAIN while their slot is half moved. That is a failure, and nothing of it is done.
func TestAHalfMovedSlotRefusesWhole(t *testing.T) {
	g, prefix := redistest.SharedCluster(t)
	s := open(t, clusterConfig(g, prefix))
	u := aUser(t, s, "u")
	key := s.names.user(u.ID)
	from := g.PrimaryOf(t, key)
	owners := g.Primaries(t)
	to := owners[0]
	if to == from {
		to = owners[1]
	}
	slot, err := g.Client().ClusterKeySlot(t.Context(), key).Result()
	need(t, "slot", err)
	need(t, "begin to move", g.BeginMove(t.Context(), from, to, int(slot)))
	finish := sync.OnceFunc(func() { need(t, "move", g.MoveSlot(t.Context(), from, to, int(slot))) })
	defer finish()
	need(t, "move one key", g.MoveKeys(t.Context(), from, to, []string{key}))

	// What has moved is found where it went; a script on keys of both sides is refused.
	got, err := s.User(t.Context(), u.ID)
	if err != nil || got.ID != u.ID {
		t.Errorf("a user that has moved: %+v, %v", got, err)
	}
	renamed := u
	renamed.Username = "another"
	err = s.ReplaceUser(t.Context(), renamed)
	t.Logf("replacing a user whose keys are on both sides: %v", err)
	finish()
	switch after, readErr := s.User(t.Context(), u.ID); {
	case readErr != nil:
		t.Error(readErr)
	case err != nil && after.Version != u.Version, err == nil && after.Version != u.Version+1:
		t.Errorf("answered %v, and the user has version %d", err, after.Version)
	}
	need(t, "replace when it has moved", s.DeleteUser(t.Context(), u.ID))
}
