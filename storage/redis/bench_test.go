package redis

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// benchRotate is what a refresh asks of the store when the node knows grant and user.
func benchRotate(b *testing.B, cfg Config) {
	b.Helper()
	s := open(b, cfg)
	u := storage.User{ID: "u", Username: "name"}
	if err := s.CreateUser(b.Context(), u); err != nil {
		b.Fatal(err)
	}
	var workers atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		id := fmt.Sprint("g", workers.Add(1))
		if err := s.CreateGrant(b.Context(), testGrant(id)); err != nil {
			b.Error(err)
			return
		}
		for generation := uint64(1); pb.Next(); generation++ {
			if _, err := s.RecallGrant(b.Context(), id); err != nil {
				b.Error(err)
				return
			}
			outcome, _, err := s.Rotate(b.Context(), storage.Rotation{
				GrantID: id, Generation: generation, Attempt: "a", Grace: time.Second, IdleLifetime: time.Hour,
				UserID: "u", UserVersion: 1,
			})
			if err != nil || outcome != storage.Rotated {
				b.Error(outcome, err)
				return
			}
		}
	})
}

func BenchmarkRotate(b *testing.B) {
	server, prefix := redistest.Shared(b)
	benchRotate(b, Config{Addresses: []string{server.Addr()}, Prefix: prefix})
}

func BenchmarkRotateWithoutFsync(b *testing.B) {
	server := redistest.Start(b, redistest.Config("appendonly", "no"))
	benchRotate(b, Config{Addresses: []string{server.Addr()}})
}

func BenchmarkRotateReplicated(b *testing.B) {
	group, prefix := redistest.SharedSentinel(b)
	cfg := sentinelConfig(group, prefix)
	cfg.Durability = Replicated
	benchRotate(b, cfg)
}

func BenchmarkRotateInACluster(b *testing.B) {
	benchRotate(b, clusterConfig(redistest.SharedCluster(b)))
}

// BenchmarkClient is the look-up of a client that every request makes.
func BenchmarkClient(b *testing.B) {
	server, prefix := redistest.Shared(b)
	s := open(b, Config{Addresses: []string{server.Addr()}, Prefix: prefix})
	if err := s.CreateClient(b.Context(), storage.Client{ID: "c", Scopes: []string{"openid", "profile"}}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Client(b.Context(), "c"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPing is the price of a round trip.
func BenchmarkPing(b *testing.B) {
	server, prefix := redistest.Shared(b)
	s := open(b, Config{Addresses: []string{server.Addr()}, Prefix: prefix})
	for b.Loop() {
		if err := s.Ping(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// One round trip: what goes out and comes back for a redemption is one write and one read of the socket.
func TestARedemptionByANodeThatKnowsTheGrantIsOneRoundTrip(t *testing.T) {
	server := redistest.Start(t)
	counter := &countingDialer{}
	s := open(t, Config{Addresses: []string{server.Addr()}, PoolSize: 1, Dial: counter.dial})
	roundTrip(t, s)
	u, err := s.RecallUser(t.Context(), "u")
	must(t, err)
	writes, reads := counter.writes.Load(), counter.turns.Load()
	_, err = s.RecallGrant(t.Context(), "g")
	must(t, err)
	_, err = s.RecallUser(t.Context(), "u")
	must(t, err)
	_, err = s.Client(t.Context(), "c") // read a moment ago or not, it is one client and not part of the count
	must(t, err)
	writes, reads = counter.writes.Load()-writes, counter.turns.Load()-reads
	if writes > 1 || reads > 1 {
		t.Errorf("recalling took %d writes and %d turns", writes, reads)
	}
	writes, reads = counter.writes.Load(), counter.turns.Load()
	outcome, _, err := s.Rotate(t.Context(), storage.Rotation{
		GrantID: "g", Generation: 2, Attempt: "b", IdleLifetime: time.Hour, UserID: u.ID, UserVersion: u.Version,
	})
	must(t, err)
	if outcome != storage.Rotated {
		t.Fatal(outcome)
	}
	if writes, turns := counter.writes.Load()-writes, counter.turns.Load()-reads; writes != 1 || turns != 1 {
		t.Errorf("a redemption took %d writes and %d turns, want 1 and 1", writes, turns)
	}
}

func TestWhatIsWrongInAConfigurationIsNamed(t *testing.T) {
	good := Config{Addresses: []string{"127.0.0.1:6379"}}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*Config)
		names  string
	}{
		{func(c *Config) { c.Addresses = nil }, "addresses"},
		{func(c *Config) { c.Addresses = []string{"a:1", "b:2"} }, "addresses"},
		{func(c *Config) { c.Addresses = []string{"nowhere"} }, `"nowhere"`},
		{func(c *Config) { c.Addresses = []string{"unix:"} }, "unix:/path"},
		{func(c *Config) { c.Mode = Cluster; c.Addresses = []string{"unix:/r"} }, "unix:/r"},
		{func(c *Config) { c.Mode = "ring" }, `"ring"`},
		{func(c *Config) { c.Mode = Sentinel }, "master_name"},
		{func(c *Config) { c.Mode = Cluster; c.DB = 1 }, "db"},
		{func(c *Config) { c.Prefix = "{x}" }, "key_prefix"},
		{func(c *Config) { c.Timeout = 2 * time.Second }, "timeout"},
		{func(c *Config) { c.PoolSize = -1 }, "pool_size"},
		{func(c *Config) { c.Durability = "hopeful" }, `"hopeful"`},
		{func(c *Config) { c.Fsync = true }, "wait_fsync"},
	} {
		cfg := good
		c.change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%+v: %v, want it to name %s", cfg, err, c.names)
		}
		if _, err := Open(t.Context(), cfg); err == nil {
			t.Errorf("%+v was opened", cfg)
		}
	}
}

func BenchmarkRotateOnTheDisksOfReplicas(b *testing.B) {
	program := redistest.Program(redistest.Binary8(b))
	primary := redistest.Start(b, program)
	redistest.Start(b, program, redistest.ReplicaOf(primary))
	cfg := Config{Addresses: []string{primary.Addr()}}
	open(b, cfg)
	cfg.Durability, cfg.Fsync, cfg.Timeout = Replicated, true, MaxTimeout
	awaitReplica(b, reopen(b, cfg))
	benchRotate(b, cfg)
}
