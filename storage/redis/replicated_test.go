package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// replicatedStore waits for the one replica of a server, which the test can stop.
func replicatedStore(t *testing.T, program ...redistest.Option) (*Store, *redistest.Server) {
	t.Helper()
	primary := redistest.Start(t, program...)
	replica := redistest.Start(t, append(program, redistest.ReplicaOf(primary))...)
	cfg := Config{Addresses: []string{primary.Addr()}, Timeout: DefaultTimeout}
	open(t, cfg) // by local writes: the replica may still be on its way
	cfg.Durability = Replicated
	return reopen(t, cfg), replica
}

// awaitReplica waits until writes are confirmed: a replica that has just synchronised rewrites its append-only file first.
func awaitReplica(t testing.TB, s *Store) {
	t.Helper()
	var err error
	for n := range 100 {
		if err = s.CreateGrant(t.Context(), testGrant(fmt.Sprint("first", n, time.Now().UnixNano()))); err == nil {
			return
		}
	}
	t.Fatalf("no write is ever confirmed: %v", err)
}

// unconfirmed checks what a write and its retries are worth while the replica is away, and after it has come back.
func unconfirmed(t *testing.T, s *Store, replica *redistest.Server) {
	t.Helper()
	awaitReplica(t, s)
	must(t, s.CreateGrant(t.Context(), testGrant("g")))
	r := storage.Rotation{GrantID: "g", Generation: 1, Attempt: "a", Grace: time.Minute, IdleLifetime: time.Hour}
	again := r
	again.Attempt = "b" // the client, who got no answer, asks again
	must(t, replica.Pause())
	for what, err := range map[string]error{
		"rotate":           third(s.Rotate(t.Context(), r)),
		"the same attempt": third(s.Rotate(t.Context(), r)),
		"another attempt":  third(s.Rotate(t.Context(), again)),
		"create user":      s.CreateUser(t.Context(), storage.User{ID: "u", Username: "name"}),
		"put key ring":     s.PutKeyRing(t.Context(), storage.KeyRing{}),
	} {
		if !storage.IsFailure(err) {
			t.Errorf("%s without the replica: %v, want a failure", what, err)
		}
	}
	// Reads and budgets do not wait.
	if _, err := s.Grant(t.Context(), "g"); err != nil {
		t.Errorf("grant: %v", err)
	}
	if _, err := s.Spend(t.Context(), storage.Budget{Key: "k", Burst: 1, Every: time.Hour}); err != nil {
		t.Errorf("spend: %v", err)
	}
	must(t, replica.Resume())
	outcome := storage.Outcome(0)
	for begun := time.Now(); time.Since(begun) < patience; { // the replica catches up
		var err error
		if outcome, _, err = s.Rotate(t.Context(), again); err == nil {
			break
		}
	}
	if outcome != storage.Replayed {
		t.Errorf("another attempt with the replica: %v, want replayed", outcome)
	}
	if outcome, _, err := s.Rotate(t.Context(), r); err != nil || outcome != storage.Rotated {
		t.Errorf("the same attempt with the replica: %v, %v, want rotated", outcome, err)
	}
	must(t, replica.Pause())
	for what, revoke := range map[string]func() error{
		"revoke": func() error { return s.RevokeGrant(t.Context(), "g", "x") },
		"again":  func() error { return s.RevokeGrant(t.Context(), "g", "x") },
	} {
		if err := revoke(); !storage.IsFailure(err) {
			t.Errorf("%s without the replica: %v, want a failure", what, err)
		}
	}
	must(t, replica.Resume())
}

func third[A, B any](_ A, _ B, err error) error { return err }

func TestUnconfirmedWritesAreFailuresUntilAReplicaHasThem(t *testing.T) {
	s, replica := replicatedStore(t)
	unconfirmed(t, s, replica)
}

func TestUnconfirmedOnTheDisksIsAFailureToo(t *testing.T) {
	program := redistest.Program(redistest.Binary8(t))
	s, replica := replicatedStore(t, program)
	s.cfg.Fsync = true
	unconfirmed(t, s, replica)
}

func TestWAITAOFAtAServerThatDoesNotKnowItIsAFailure(t *testing.T) {
	s, _ := replicatedStore(t)
	awaitReplica(t, s)
	s.cfg.Fsync = true
	if v, err := s.Doctor(t.Context()); err != nil || v[0].Name != "version" || v[0].Level == OK {
		t.Skipf("this Redis knows WAITAOF: %+v", v[0])
	}
	err := s.CreateGrant(t.Context(), testGrant("g"))
	if !storage.IsFailure(err) || !strings.Contains(err.Error(), "WAITAOF") {
		t.Errorf("got %v, want a failure that names WAITAOF", err)
	}
}
