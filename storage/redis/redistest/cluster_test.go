package redistest_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage/redis/redistest"
)

func TestAClusterServesAllSlotsAndMovesThemUnderAWriter(t *testing.T) {
	begin := time.Now()
	g, prefix := redistest.SharedCluster(t)
	took := time.Since(begin)
	t.Logf("ready in %s", took)
	if took > patience { // usually 2.1 s; the bound is for busy machines
		t.Errorf("the cluster took %s", took)
	}
	primaries := g.Primaries(t)
	if len(g.Nodes()) != 6 || len(primaries) != 3 {
		t.Fatalf("%d nodes, %d primaries", len(g.Nodes()), len(primaries))
	}
	for _, p := range primaries {
		if n := len(g.ReplicasOf(t, p)); n != 1 {
			t.Errorf("%s has %d replicas", p.Addr(), n)
		}
	}
	had := [2]int{len(g.SlotsOf(t, primaries[0])), len(g.SlotsOf(t, primaries[1]))} // another test may have moved some
	c := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: g.Addresses()[:1]})
	defer c.Close()
	stop := make(chan struct{})
	var writers sync.WaitGroup
	counts := make([]int, 4)
	for w := range counts {
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				i := counts[w]
				if err := c.Set(t.Context(), fmt.Sprintf("%s%d-%d", prefix, w, i), i, 0).Err(); err != nil {
					t.Errorf("write %d: %v", i, err)
					return
				}
				counts[w]++
			}
		})
	}
	begin = time.Now()
	g.MoveSlots(t, primaries[0], primaries[1], 150)
	t.Logf("moved 150 slots in %s", time.Since(begin))
	close(stop)
	writers.Wait()
	total := 0
	for w, n := range counts {
		total += n
		for from := 0; from < n; from += 500 {
			checkKeys(t, c, fmt.Sprintf("%s%d-", prefix, w), from, min(from+500, n))
		}
	}
	if total == 0 {
		t.Fatal("nothing was written")
	}
	t.Logf("%d keys written meanwhile, all there", total)
	if a, b := len(g.SlotsOf(t, primaries[0])), len(g.SlotsOf(t, primaries[1])); a != had[0]-150 || b != had[1]+150 {
		t.Errorf("%d and %d slots after %v, 150 of which moved", a, b, had)
	}
	if err := g.Reshard(t.Context(), primaries[0], primaries[1], redistest.Slots); err == nil {
		t.Error("more slots moved than there were")
	}
	if n := len(g.SlotsOf(t, primaries[0])); n != had[0]-150 {
		t.Errorf("the refused move left %d slots", n)
	}
}

// checkKeys checks that the keys prefix<i> hold i, for from <= i < to.
func checkKeys(t *testing.T, c *goredis.ClusterClient, prefix string, from, to int) {
	t.Helper()
	pipe := c.Pipeline()
	for i := from; i < to; i++ {
		pipe.Get(t.Context(), fmt.Sprintf("%s%d", prefix, i))
	}
	answers, err := pipe.Exec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, answer := range answers {
		if got, err := answer.(*goredis.StringCmd).Int(); err != nil || got != from+i {
			t.Fatalf("key %s%d is %d, %v", prefix, from+i, got, err)
		}
	}
}

func TestASlotOnItsWayAnswersWithASK(t *testing.T) {
	g, prefix := redistest.SharedCluster(t)
	key, gone := "{"+prefix+"}stays", "{"+prefix+"}gone"
	from := g.PrimaryOf(t, key)
	to := g.Primaries(t)[0]
	if to == from {
		to = g.Primaries(t)[1]
	}
	slot := int(g.Client().ClusterKeySlot(t.Context(), key).Val())
	for _, k := range []string{key, gone} {
		set(t, from, k)
	}
	if err := g.BeginMove(t.Context(), from, to, slot); err != nil {
		t.Fatal(err)
	}
	if err := g.MoveKeys(t.Context(), from, to, []string{gone}); err != nil {
		t.Fatal(err)
	}
	if err := from.Client().Get(t.Context(), key).Err(); err != nil {
		t.Errorf("a key that stays: %v", err)
	}
	if err := from.Client().Get(t.Context(), gone).Err(); err == nil || !strings.HasPrefix(err.Error(), "ASK ") {
		t.Errorf("a key that has gone: %v, want ASK", err)
	}
	if got, err := g.Client().Get(t.Context(), gone).Result(); err != nil || got != "v" {
		t.Errorf("a client that follows ASK: %q, %v", got, err)
	}
	if err := g.MoveSlot(t.Context(), from, to, slot); err != nil {
		t.Fatal(err)
	}
	g.WaitReady(t)
	if g.PrimaryOf(t, key) != to || !holds(t, to, gone) {
		t.Error("the slot has not moved")
	}
	if err := from.Client().Get(t.Context(), key).Err(); err == nil || !strings.HasPrefix(err.Error(), "MOVED ") {
		t.Errorf("%v, want MOVED", err)
	}
}

func TestAReplicaOfAClusterTakesOverOverTLSAndPasswords(t *testing.T) {
	g := redistest.StartCluster(t, 3, 3, redistest.TLS(), redistest.User("ingam", "secret", "~* +@all"),
		redistest.Config("cluster-node-timeout", "500"))
	old := g.PrimaryOf(t, "k")
	if err := g.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := old.Client().Wait(t.Context(), 1, patience).Result(); err != nil || n != 1 {
		t.Fatalf("%d replicas acknowledge, %v", n, err)
	}
	// MIGRATE signs in and speaks TLS. Not to the node that is killed next: with the epoch that a slot gives its new owner the
	// old primary would come back and claim what its replica has inherited.
	other := slices.DeleteFunc(g.Primaries(t), func(node *redistest.Server) bool { return node == old })
	g.MoveSlots(t, other[0], other[1], 5)
	heir := g.ReplicasOf(t, old)[0]
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	g.WaitReady(t) // the nodes that run
	t.Logf("taken over in %s", time.Since(begin))
	if now := g.PrimaryOf(t, "k"); now != heir || !holds(t, now, "k") {
		t.Errorf("%s serves the key, want %s", now.Addr(), heir.Addr())
	}
	if err := old.Restart(); err != nil {
		t.Fatal(err)
	}
	g.WaitReady(t)
	if replicas := g.ReplicasOf(t, heir); len(replicas) != 1 || replicas[0] != old {
		t.Errorf("the old primary is no replica of the new one: %d", len(replicas))
	}
}
