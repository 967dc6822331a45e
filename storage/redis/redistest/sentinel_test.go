package redistest_test

import (
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// viaSentinel returns a client that asks the sentinels for the primary.
func viaSentinel(t *testing.T, g *redistest.SentinelGroup) *goredis.Client {
	t.Helper()
	c := goredis.NewFailoverClient(&goredis.FailoverOptions{MasterName: g.MasterName(), SentinelAddrs: g.Addresses()})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestASentinelFailoverChangesThePrimaryAndKeepsTheData(t *testing.T) {
	begin := time.Now()
	g, prefix := redistest.SharedSentinel(t)
	t.Logf("ready in %s", time.Since(begin))
	if took := time.Since(begin); took > patience { // usually 2.2 s; the bound is for busy machines
		t.Errorf("the group took %s", took)
	}
	if len(g.Sentinels()) != 3 || len(g.Replicas(t)) != 2 || len(g.Servers()) != 3 {
		t.Fatalf("%d sentinels, %d replicas", len(g.Sentinels()), len(g.Replicas(t)))
	}
	old := g.Primary(t)
	c := viaSentinel(t, g)
	if err := c.Set(t.Context(), prefix+"k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := old.Client().Wait(t.Context(), 2, patience).Result(); err != nil || n != 2 {
		t.Fatalf("%d replicas acknowledge, %v", n, err)
	}
	begin = time.Now()
	now := g.Failover(t)
	t.Logf("failover in %s", time.Since(begin))
	if now == old || g.Primary(t) != now || !slices.Contains(g.Replicas(t), old) {
		t.Fatalf("the primary was %s and is %s", old.Addr(), now.Addr())
	}
	if !holds(t, now, prefix+"k") {
		t.Error("the new primary lacks the key")
	}
	begin = time.Now()
	g.Settle(t)
	t.Logf("settled in %s", time.Since(begin))
	if err := old.Client().Set(t.Context(), prefix+"k", "w", 0).Err(); err == nil {
		t.Error("the old primary still takes writes")
	}
	eventually(t, "the client finds the new primary", func() bool {
		return c.Set(t.Context(), prefix+"k2", "v", 0).Err() == nil && holds(t, now, prefix+"k2")
	})
}

func TestSentinelsReplaceAPrimaryThatDied(t *testing.T) {
	g := redistest.StartSentinel(t, 1, 3, redistest.TLS(), redistest.User("ingam", "secret", "~* +@all"))
	old := g.Primary(t)
	set(t, old, "k")
	if n, err := old.Client().Wait(t.Context(), 1, patience).Result(); err != nil || n != 1 {
		t.Fatalf("%d replicas acknowledge, %v", n, err)
	}
	if err := g.Sentinels()[2].Kill(); err != nil { // two of three are still a majority
		t.Fatal(err)
	}
	begin := time.Now()
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	now := g.AwaitOtherPrimary(t, old)
	t.Logf("replaced in %s", time.Since(begin))
	if now == old || !holds(t, now, "k") {
		t.Errorf("%s took over from %s without the key", now.Addr(), old.Addr())
	}
	if err := old.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := g.Sentinels()[2].Restart(); err != nil {
		t.Fatal(err)
	}
	g.Settle(t)
	if replicas := g.Replicas(t); len(replicas) != 1 || replicas[0] != old {
		t.Errorf("%d replicas", len(replicas))
	}
}
