package redis

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// The fault_*_test.go files break what lies under a running store and look at what the store then says. Rows in comments
// (S7, T6, INV10) are those of the threat catalogue. Every count is logged in one line that begins with PROMISE.

// figure is how often something is done: a short count by default, the full one with INGAM_FULL=1.
func figure(short, full int) int {
	if os.Getenv("INGAM_FULL") == "1" {
		return full
	}
	return short
}

// promised logs what was measured, and fails the test if the promise was broken.
func promised(t testing.TB, topology, what string, violations int, counts string, args ...any) {
	t.Helper()
	t.Logf("PROMISE redis-%s %s: %s violations=%d", topology, what, fmt.Sprintf(counts, args...), violations)
	if violations != 0 {
		t.Errorf("redis-%s %s: %d violations", topology, what, violations)
	}
}

// need ends the test if something that is no part of what is tested goes wrong.
func need(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// patience is how long anything may take before it counts as never happening.
const patience = 60 * time.Second

// eventually waits until the condition holds, and ends the test if it never does. It returns how long it took.
func eventually(t testing.TB, what string, condition func() error) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		err := condition()
		switch {
		case err == nil:
			return time.Since(begin)
		case time.Since(begin) > patience:
			t.Fatalf("%s: still not after %v: %v", what, patience, err)
		}
		time.Sleep(5 * time.Millisecond) // between two looks
	}
}

// aUser makes a user whose grants the tests redeem.
func aUser(t testing.TB, s *Store, id string) storage.User {
	t.Helper()
	need(t, "create a user", s.CreateUser(t.Context(), storage.User{ID: id, Username: "name of " + id}))
	u, err := s.User(t.Context(), id)
	need(t, "read a user", err)
	return u
}

// aGrant is a grant of a user at a generation: 0 is a code.
func aGrant(id string, u storage.User, generation uint64) storage.Grant {
	g := testGrant(id)
	g.UserID, g.UserEpoch, g.Generation = u.ID, u.Epoch, generation
	return g
}

// aRotation redeems a generation. A code is fenced, as the engine does it.
func aRotation(id string, u storage.User, generation uint64, attempt string) storage.Rotation {
	return storage.Rotation{
		GrantID: id, Generation: generation, Attempt: attempt, IdleLifetime: time.Hour, Fence: generation == 0,
		UserID: u.ID, UserEpoch: u.Epoch, UserVersion: u.Version,
	}
}

// success tells whether an outcome hands out tokens.
func success(o storage.Outcome) bool { return o == storage.Rotated || o == storage.Replayed }

// parallel runs f for 0 … n-1, at most 16 at a time.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() { f(i); <-slots })
	}
	wg.Wait()
}

// scriptCalls returns how often a server ran the commands that call scripts, as Redis counts: what was sent to it.
func scriptCalls(t testing.TB, server *redistest.Server) (sum int) {
	t.Helper()
	stats, err := server.Info(t.Context(), "commandstats")
	need(t, "INFO commandstats", err)
	for _, command := range []string{"cmdstat_eval", "cmdstat_evalsha"} {
		var n int
		if _, err := fmt.Sscanf(stats[command], "calls=%d", &n); err == nil {
			sum += n
		}
	}
	return sum
}

// firstLine keeps messages of failures short.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
