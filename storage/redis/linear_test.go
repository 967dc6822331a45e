package redis

import (
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
	"github.com/ingam/ingam/storage/storagetest/history"
)

// nodes is how many processes share the store, each with a memory of its own of grants and users.
const nodes = 3

// shared is the setup of a store in the servers of cfg, which the processes open too.
func shared(t *testing.T, name string, cfg Config) history.Setup {
	t.Helper()
	return history.Setup{
		Name: name, Spec: specOf(t, cfg), UserLast: true,
		Open: func(t testing.TB) storage.Store { t.Helper(); return open(t, cfg) },
	}
}

func oneServer(t *testing.T) history.Setup {
	t.Helper()
	server, prefix := redistest.Shared(t)
	return shared(t, "redis", Config{Addresses: []string{server.Addr()}, Prefix: prefix})
}

// INV1 to INV6 (storage/PROMISES.md).
func TestWhatManyClientsOfManyNodesSeeHasAnOrder(t *testing.T) { history.Suite(t, nodes, oneServer) }

// R4, R5, T2.
func TestOfEightWhoRedeemAtOnceOverManyNodesOneWins(t *testing.T) { history.Race(t, nodes, oneServer) }

// A group under Sentinel and a cluster take other paths through the driver: there the user is looked at in a second round
// trip, and writes wait for replicas.
func TestWhatManyClientsOfReplicatedStoresSeeHasAnOrder(t *testing.T) {
	plans := []history.Plan{
		{Mode: history.Mixed, Ends: true, Thieves: true, Unknown: 0.05},
		{Mode: history.Mixed, Grace: 10 * time.Second, Ends: true, Thieves: true, Unknown: 0.05},
		{Mode: history.Honest, Grace: 10 * time.Second, Unknown: 0.05},
	}
	for i, p := range plans {
		// Waiting for replicas is slow, and it is the contention in a family that counts.
		p.Seed, p.Processes, p.Families, p.Steps = uint64(i)+1, nodes, 64, 32
		t.Run("sentinel "+string(p.Mode)+" "+p.Grace.String(), func(t *testing.T) {
			cfg := sentinelConfig(redistest.SharedSentinel(t))
			cfg.Durability, cfg.Replicas = Replicated, 2
			history.Linear(t, shared(t, "redis-sentinel", cfg), p)
		})
		t.Run("cluster "+string(p.Mode)+" "+p.Grace.String(), func(t *testing.T) {
			cfg := clusterConfig(redistest.SharedCluster(t))
			history.Linear(t, shared(t, "redis-cluster", cfg), p)
		})
	}
}
