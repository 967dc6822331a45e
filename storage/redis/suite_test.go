package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
	"github.com/ingam/ingam/storage/storagetest"
)

// open sets a store up and opens it; it is closed when the test ends. The timeout is generous: a busy machine is no fault.
func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	cfg.Timeout = patient(cfg.Timeout)
	if _, err := Init(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return reopen(t, cfg)
}

// patient is the timeout of a test that does not ask for one.
func patient(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return MaxTimeout
	}
	return timeout
}

// reopen opens a store that exists.
func reopen(t testing.TB, cfg Config) *Store {
	t.Helper()
	cfg.Timeout = patient(cfg.Timeout)
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// keepsThePromises runs the whole suite. Time is real here, so its units are short and it looks less closely. One server is
// in fault_acl_test.go, as the user of acl.txt.
func keepsThePromises(t *testing.T, config func(t testing.TB) Config) {
	t.Helper()
	storagetest.Run(t, storagetest.Harness{
		Open: func(t testing.TB) storage.Store { t.Helper(); return open(t, config(t)) },
		Unit: 120 * time.Millisecond, Grain: 90 * time.Millisecond,
	})
}

func TestSentinelKeepsThePromises(t *testing.T) {
	t.Parallel()
	keepsThePromises(t, func(t testing.TB) Config { return sentinelConfig(redistest.SharedSentinel(t)) })
}

// Replicated is tested where there is something to wait for.
func TestSentinelWithReplicatedWritesKeepsThePromises(t *testing.T) {
	t.Parallel()
	keepsThePromises(t, func(t testing.TB) Config {
		cfg := sentinelConfig(redistest.SharedSentinel(t))
		cfg.Durability, cfg.Replicas = Replicated, 2
		return cfg
	})
}

func sentinelConfig(group *redistest.SentinelGroup, prefix string) Config {
	return Config{Mode: Sentinel, Addresses: group.Addresses(), MasterName: group.MasterName(), Prefix: prefix}
}

func TestClusterKeepsThePromises(t *testing.T) {
	t.Parallel()
	keepsThePromises(t, func(t testing.TB) Config { return clusterConfig(redistest.SharedCluster(t)) })
}

func TestClusterWithReplicatedWritesKeepsThePromises(t *testing.T) {
	t.Parallel()
	keepsThePromises(t, func(t testing.TB) Config {
		cfg := clusterConfig(redistest.SharedCluster(t))
		cfg.Durability = Replicated
		return cfg
	})
}

func clusterConfig(cluster *redistest.ClusterGroup, prefix string) Config {
	return Config{Mode: Cluster, Addresses: cluster.Addresses(), Prefix: prefix}
}

// WAITAOF needs Redis 7.2.
func TestWritesThatWaitForTheDisksOfReplicasKeepThePromises(t *testing.T) {
	t.Parallel()
	program := redistest.Program(redistest.Binary8(t))
	primary := redistest.Start(t, program)
	redistest.Start(t, program, redistest.ReplicaOf(primary))
	cfg := Config{Addresses: []string{primary.Addr()}, Durability: Replicated, Fsync: true}
	if _, err := Init(t.Context(), Config{Addresses: cfg.Addresses}); err != nil {
		t.Fatal(err)
	}
	awaitReplica(t, reopen(t, cfg))
	n := 0
	keepsThePromises(t, func(testing.TB) Config {
		n++
		cfg := cfg
		cfg.Prefix = fmt.Sprint("suite-", n, ":")
		return cfg
	})
}

func TestATLSConnectionWorksAndAnUntrustedOneDoesNot(t *testing.T) {
	server := redistest.Start(t, redistest.TLS())
	cfg := Config{Addresses: []string{server.Addr()}, TLS: server.TLSConfig()}
	roundTrip(t, open(t, cfg))
	cfg.TLS = cfg.TLS.Clone()
	cfg.TLS.RootCAs = nil
	if _, err := Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server with a certificate of nobody's: %v", err)
	}
}

func TestASocketWorks(t *testing.T) {
	server := redistest.Start(t, redistest.UnixSocket())
	roundTrip(t, open(t, Config{Addresses: []string{"unix:" + server.Socket()}}))
}

func TestAUserWithAPasswordWorksAndAWrongPasswordIsNeverRepeated(t *testing.T) {
	server := redistest.Start(t, redistest.User("someone", "sesame", "~* &* +@all"))
	cfg := Config{Addresses: []string{server.Addr()}, Username: "someone", Password: "sesame"}
	roundTrip(t, open(t, cfg))
	cfg.Password = "canary-wrong-password"
	_, err := Open(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "WRONGPASS") || strings.Contains(err.Error(), cfg.Password) {
		t.Errorf("wrong password: %v", err)
	}
}

func TestStoresWithDifferentPrefixesDoNotMeet(t *testing.T) {
	server := redistest.Start(t)
	one := open(t, Config{Addresses: []string{server.Addr()}, Prefix: "one:"})
	other := open(t, Config{Addresses: []string{server.Addr()}, Prefix: "other:"})
	roundTrip(t, one)
	roundTrip(t, other) // the same ids are free there
	for key := range keysOf(t, server) {
		if !strings.HasPrefix(key, "one:") && !strings.HasPrefix(key, "other:") {
			t.Errorf("key %q has no prefix", key)
		}
	}
}

// keysOf returns all keys of a server with their types.
func keysOf(t *testing.T, server *redistest.Server) map[string]string {
	t.Helper()
	types := map[string]string{}
	keys, err := server.Client().Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		types[key] = server.Client().Type(t.Context(), key).Val()
	}
	return types
}

// roundTrip makes one of everything and reads it back.
func roundTrip(t *testing.T, s *Store) {
	t.Helper()
	ctx := t.Context()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("ping", s.Ping(ctx))
	check("create client", s.CreateClient(ctx, storage.Client{ID: "c"}))
	check("create user", s.CreateUser(ctx, storage.User{ID: "u", Username: "name"}))
	check("create grant", s.CreateGrant(ctx, testGrant("g")))
	check("put key ring", s.PutKeyRing(ctx, storage.KeyRing{}))
	_, err := s.Spend(ctx, storage.Budget{Key: "b", Burst: 2, Every: time.Hour})
	check("spend", err)
	_, err = s.Remember(ctx, "m", time.Now().Add(time.Hour))
	check("remember", err)
	check("create entry", s.CreateEntry(ctx, testEntry("e", time.Now().Add(time.Hour))))
	check("create entry that never ends", s.CreateEntry(ctx, storage.Entry{Kind: "k:%", ID: "e", Owner: "u", Data: []byte("1")}))
	u, err := s.UserByName(ctx, "name")
	check("user", err)
	outcome, g, err := s.Rotate(ctx, storage.Rotation{
		GrantID: "g", Generation: 1, Attempt: "a", IdleLifetime: time.Hour, UserID: u.ID, UserEpoch: u.Epoch, UserVersion: u.Version,
	})
	check("rotate", err)
	if outcome != storage.Rotated || g.Generation != 2 {
		t.Fatalf("rotate: %v, generation %d", outcome, g.Generation)
	}
}

// testEntry is an entry of a user; a zero end is never.
func testEntry(id string, end time.Time) storage.Entry {
	return storage.Entry{Kind: storage.KindSession, ID: id, Owner: "u", Data: []byte(`{"a":1}`), ExpiresAt: end.UTC()}
}

func testGrant(id string) storage.Grant {
	now := time.Now().UTC()
	return storage.Grant{
		ID: id, ClientID: "c", UserID: "u", Scopes: []string{"openid", "profile"}, Audience: []string{"https://api.example"},
		Nonce: []byte("0123456789abcdef"), AuthTime: now, AMR: []string{"pwd"}, ACR: "1", Generation: 1,
		BornAt: now, IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(24 * time.Hour),
	}
}
