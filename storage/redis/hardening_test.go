package redis

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// A rotation that holds one connection and asks for a second waits for others that do the same.
func TestAsManyRedemptionsAsConnectionsAtOnceAllSucceed(t *testing.T) {
	const n = 4
	primary := redistest.Start(t)
	redistest.Start(t, redistest.ReplicaOf(primary))
	cfg := Config{Addresses: []string{primary.Addr()}, PoolSize: n, Timeout: MaxTimeout}
	local := open(t, cfg)
	must(t, local.CreateUser(t.Context(), storage.User{ID: "u", Username: "name"}))
	for i := range n {
		must(t, local.CreateGrant(t.Context(), testGrant(fmt.Sprint("g", i))))
	}
	cfg.Durability = Replicated
	s := reopen(t, cfg)
	awaitReplica(t, s)
	for round := range 20 {
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range n {
			wg.Go(func() {
				<-start
				outcome, _, err := s.Rotate(t.Context(), storage.Rotation{
					GrantID: fmt.Sprint("g", i), Generation: uint64(round + 1), Attempt: "a", IdleLifetime: time.Hour,
					UserID: "u", UserVersion: 1,
				})
				if err != nil || outcome != storage.Rotated {
					t.Errorf("round %d: %v, %v", round, outcome, err)
				}
			})
		}
		close(start)
		wg.Wait()
	}
}

// A retry finds its work done by a try that no replica has confirmed; at another node it has another connection. Each retry
// here is at a node of its own, whose connection has no unconfirmed write of another verb to wait for.
func retriesAtAnotherNode(t *testing.T, program ...redistest.Option) {
	t.Helper()
	s, replica := replicatedStore(t, program...)
	awaitReplica(t, s)
	ctx := t.Context()
	must(t, s.CreateUser(ctx, storage.User{ID: "gone", Username: "gone"}))
	must(t, s.CreateClient(ctx, storage.Client{ID: "gone"}))
	must(t, s.PutKeyRing(ctx, storage.KeyRing{}))
	for _, id := range []string{"redeemed", "revoked"} {
		must(t, s.CreateGrant(ctx, testGrant(id)))
	}
	for _, id := range []string{"replaced", "taken"} {
		must(t, s.CreateEntry(ctx, testEntry(id, time.Time{})))
	}
	replacement := testEntry("replaced", time.Time{})
	replacement.Version = 1
	g, until, attempts := testGrant("new"), time.Now().Add(time.Hour), 0
	verbs := map[string]func(*Store) error{
		"remember":      func(s *Store) error { _, err := s.Remember(ctx, "jti", until); return err },
		"delete user":   func(s *Store) error { return s.DeleteUser(ctx, "gone") },
		"delete client": func(s *Store) error { return s.DeleteClient(ctx, "gone") },
		"create user":   func(s *Store) error { return s.CreateUser(ctx, storage.User{ID: "x", Username: "x"}) },
		"create client": func(s *Store) error { return s.CreateClient(ctx, storage.Client{ID: "x"}) },
		"create grant":  func(s *Store) error { return s.CreateGrant(ctx, g) },
		"put key ring":  func(s *Store) error { return s.PutKeyRing(ctx, storage.KeyRing{Version: 1}) },
		"rotate": func(s *Store) error {
			attempts++
			return third(s.Rotate(ctx, storage.Rotation{
				GrantID: "redeemed", Generation: 1, Attempt: fmt.Sprint(attempts), Grace: time.Hour, IdleLifetime: time.Hour,
			}))
		},
		"revoke": func(s *Store) error { return s.RevokeGrant(ctx, "revoked", "x") },
		// Another user of the same name: "exists" too is an answer that must not be forgotten.
		"create user, whose name": func(s *Store) error {
			attempts++
			return s.CreateUser(ctx, storage.User{ID: fmt.Sprint("y", attempts), Username: "y"})
		},
		"init":          func(s *Store) error { _, err := Init(ctx, s.cfg); return err },
		"create entry":  func(s *Store) error { return s.CreateEntry(ctx, testEntry("new", until)) },
		"replace entry": func(s *Store) error { return s.ReplaceEntry(ctx, replacement) },
		// Whoever is told that a session is over must not meet it again.
		"take entry":                 func(s *Store) error { _, err := s.TakeEntry(ctx, storage.KindSession, "taken"); return err },
		"replace what was not there": func(s *Store) error { return s.ReplaceEntry(ctx, testEntry("nobody", until)) },
	}
	others := map[string]*Store{}
	for what := range verbs {
		others[what] = reopen(t, s.cfg)
		awaitReplica(t, others[what])
	}
	must(t, replica.Pause())
	for what, verb := range verbs {
		for i, node := range []*Store{s, others[what]} {
			if err := verb(node); !storage.IsFailure(err) {
				t.Errorf("%s, try %d: %v, want a failure", what, i+1, err)
			}
		}
	}
	must(t, replica.Resume())
}

func TestUnconfirmedWritesStaySoForRetriesAtAnotherNode(t *testing.T) { retriesAtAnotherNode(t) }

// Redis 7.2 and later let WAIT count only up to the last write of its own connection.
func TestUnconfirmedWritesStaySoForRetriesAtAnotherNodeOfNewerRedis(t *testing.T) {
	retriesAtAnotherNode(t, redistest.Program(redistest.Binary8(t)))
}

// After a failover that forgot a change there can be two writings of a user with the same version.
func TestARememberedUserIsNotTakenForAnotherOfTheSameVersion(t *testing.T) {
	server := redistest.Start(t)
	a := open(t, Config{Addresses: []string{server.Addr()}})
	b := reopen(t, a.cfg)
	ctx := t.Context()
	must(t, b.CreateUser(ctx, storage.User{ID: "u", Username: "name"}))
	must(t, b.CreateGrant(ctx, testGrant("g")))
	before, err := server.Client().Dump(ctx, b.names.user("u")).Result()
	must(t, err)
	u, err := b.User(ctx, "u")
	must(t, err)
	u.Claims = map[string]any{"role": "admin"}
	must(t, b.ReplaceUser(ctx, u))
	_, err = a.User(ctx, "u") // a remembers the admin
	must(t, err)
	must(t, server.Client().RestoreReplace(ctx, b.names.user("u"), 0, before).Err()) // forgotten
	u.Claims = map[string]any{"role": "guest"}
	must(t, b.ReplaceUser(ctx, u))
	for i, want := range []storage.Outcome{storage.Outdated, storage.Rotated} {
		seen, err := a.RecallUser(ctx, "u")
		must(t, err)
		outcome, _, err := a.Rotate(ctx, storage.Rotation{
			GrantID: "g", Generation: 1, Attempt: "a", IdleLifetime: time.Hour, UserID: "u", UserVersion: seen.Version,
		})
		if err != nil || outcome != want {
			t.Errorf("try %d, with the user %v: %v, %v, want %v", i+1, seen.Claims, outcome, err, want)
		}
	}
}

func TestASingleServerThatIsANodeOfAClusterIsAFailure(t *testing.T) {
	cluster, prefix := redistest.SharedCluster(t)
	failures := 0
	for _, node := range cluster.Nodes() {
		_, err := Init(t.Context(), Config{Addresses: []string{node.Addr()}, Prefix: prefix, Durability: Replicated})
		if err != nil {
			failures++
		}
	}
	if failures < 5 { // one of six has the slot
		t.Errorf("%d failures, want at least 5", failures)
	}
}

// S12: a slot that is on its way has each key at one of two nodes.
func TestWhileASlotIsOnItsWayItsKeysAreFoundWhereTheyAre(t *testing.T) {
	cluster := redistest.StartCluster(t, 3, 3)
	ctx := t.Context()
	cfg := clusterConfig(cluster, "p:")
	local := open(t, cfg)
	cfg.Durability = Replicated
	replicated := reopen(t, cfg)
	must(t, local.CreateUser(ctx, storage.User{ID: "u", Username: "name"}))
	must(t, local.CreateGrant(ctx, testGrant("g")))
	begin := func(first string, others ...string) (finish func()) {
		from := cluster.PrimaryOf(t, first)
		to := cluster.Primaries(t)[0]
		if to == from {
			to = cluster.Primaries(t)[1]
		}
		slot := int(cluster.Client().ClusterKeySlot(ctx, first).Val())
		must(t, cluster.BeginMove(ctx, from, to, slot))
		must(t, cluster.MoveKeys(ctx, from, to, []string{first}))
		return func() {
			must(t, cluster.MoveKeys(ctx, from, to, others))
			must(t, cluster.EndMove(context.Background(), from, to, slot))
		}
	}
	finish := begin(local.names.grant("g"))
	r := storage.Rotation{GrantID: "g", Generation: 1, Attempt: "a", IdleLifetime: time.Hour, UserID: "u", UserVersion: 1}
	for _, s := range []*Store{replicated, local} {
		if outcome, _, err := s.Rotate(ctx, r); err != nil || outcome != storage.Rotated {
			t.Errorf("%s: %v, %v", s.cfg.Durability, outcome, err)
		}
	}
	finish()
	if outcome, _, err := replicated.Rotate(ctx, r); err != nil || outcome != storage.Rotated {
		t.Errorf("after the move: %v, %v", outcome, err)
	}
	// The name went first, the user is to follow: nobody may be told that there is no such user.
	finish = begin(local.names.username("name"), local.names.user("u"), local.names.userList())
	if _, err := local.UserByName(ctx, "name"); !storage.IsFailure(err) {
		t.Errorf("a user whose slot is on its way: %v, want a failure", err)
	}
	finish()
	if u, err := local.UserByName(ctx, "name"); err != nil || u.ID != "u" {
		t.Errorf("after the move: %v, %v", u.ID, err)
	}
}

// importGrants fills a store.
func importGrants(t *testing.T, s *Store, n int) {
	t.Helper()
	must(t, s.Import(t.Context(), func(yield func(storage.Record, error) bool) {
		for i := range n {
			g := testGrant(fmt.Sprint("g", i))
			if !yield(storage.Record{Grant: &g}, nil) {
				return
			}
		}
	}))
}

// exportWith exports, does something after some grants, and returns how many came and the error at the end.
func exportWith(t *testing.T, s *Store, after int, do func()) (grants int, failure error) {
	t.Helper()
	for r, err := range s.Export(t.Context()) {
		if err != nil {
			return grants, err
		}
		if r.Grant != nil {
			grants++
		}
		if grants == after {
			do()
		}
	}
	return grants, nil
}

func TestAnExportThatARestartMayHaveCutShortIsAnError(t *testing.T) {
	const n = 1000
	server := redistest.Start(t)
	s := open(t, Config{Addresses: []string{server.Addr()}})
	importGrants(t, s, n)
	if got, err := exportWith(t, s, n/2, func() {}); err != nil || got != n {
		t.Errorf("undisturbed: %d of %d, %v", got, n, err)
	}
	got, err := exportWith(t, s, n/2, func() {
		must(t, server.Terminate())
		must(t, server.Restart())
	})
	if err == nil {
		t.Errorf("%d of %d across a restart, and no error", got, n)
	}
}

func TestAnExportBesideAReshardIsAnError(t *testing.T) {
	const n = 1000
	cluster := redistest.StartCluster(t, 3, 3)
	s := open(t, clusterConfig(cluster, "p:"))
	importGrants(t, s, n)
	got, err := exportWith(t, s, n/2, func() {
		primaries := cluster.Primaries(t)
		must(t, cluster.Reshard(t.Context(), primaries[0], primaries[1], 10))
	})
	if err == nil {
		t.Errorf("%d of %d while slots moved, and no error", got, n)
	}
	if got, err := exportWith(t, s, n/2, func() {}); err != nil || got != n {
		t.Errorf("undisturbed: %d of %d, %v", got, n, err)
	}
}

func TestCopiesAndTheDoctorHaveMorePatienceThanVerbs(t *testing.T) {
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr())
	aside := open(t, Config{Addresses: []string{server.Addr()}})
	must(t, aside.CreateGrant(t.Context(), testGrant("g")))
	s := reopen(t, Config{Addresses: []string{proxy.Addr()}, Timeout: 500 * time.Millisecond})
	proxy.Latency(300 * time.Millisecond)
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a verb waited longer than its timeout")
	}
	if got, err := exportWith(t, s, 1, func() {}); err != nil || got != 1 {
		t.Errorf("export: %d, %v", got, err)
	}
	if _, err := s.Doctor(t.Context()); err != nil {
		t.Errorf("doctor: %v", err)
	}
}

func TestTheAgeOfWhatIsRememberedCountsFromTheQuestion(t *testing.T) {
	m := newMemory[string](10)
	asked := m.ticket()
	asked.at = asked.at.Add(-time.Minute) // the answer took a minute
	m.putIf(asked, "k", "v")
	if _, age, ok := m.get("k"); !ok || age < time.Minute {
		t.Errorf("age %v, want a minute", age)
	}
}

func TestAStoreCanBeClosedBesideReadsInTheBackground(t *testing.T) {
	server, prefix := redistest.Shared(t)
	cfg := Config{Addresses: []string{server.Addr()}, Prefix: prefix, Timeout: MaxTimeout}
	must(t, open(t, cfg).CreateClient(t.Context(), storage.Client{ID: "c"}))
	for range 50 {
		s := reopen(t, cfg)
		_, err := s.Client(t.Context(), "c")
		must(t, err)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for s.alive(t.Context()) == nil {
					s.clients.renewed("c")
					s.renewClient("c")
				}
			})
		}
		must(t, s.Close())
		wg.Wait()
	}
}
