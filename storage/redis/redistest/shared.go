package redistest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// shared is something that is started once for a test binary and ended by Main.
type shared[T any] struct {
	once  sync.Once
	value T
	err   error
}

// get returns the value, which the first caller starts.
func (s *shared[T]) get(start func() (T, error)) (T, error) {
	s.once.Do(func() { s.value, s.err = start() })
	return s.value, s.err
}

// leftovers are the closers of what is shared.
var leftovers struct {
	sync.Mutex
	closers []func() error
}

// atEnd lets Main call f.
func atEnd(f func() error) {
	leftovers.Lock()
	defer leftovers.Unlock()
	leftovers.closers = append(leftovers.closers, f)
}

// Main runs the tests of a package, ends what they shared, and returns the exit code: os.Exit(redistest.Main(m)). Without
// it shared servers end with the process all the same, but their folders stay behind.
func Main(m *testing.M) int {
	code := m.Run()
	leftovers.Lock()
	defer leftovers.Unlock()
	var errs []error
	for _, f := range leftovers.closers {
		errs = append(errs, f())
	}
	leftovers.closers = nil
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "redistest: end what was shared:", err)
		return max(code, 1)
	}
	return code
}

// newPrefix returns a key prefix that nobody else has. It holds no braces, which would mean a slot in a cluster.
func newPrefix() string { return "t" + rand.Text()[:16] + ":" }

var sharedServer shared[*Server]

// Shared returns the server of this test binary, which the first caller starts with the default options, and a key
// prefix that only this caller has. It must not be flushed, killed, paused or reconfigured.
func Shared(t testing.TB) (server *Server, prefix string) {
	t.Helper()
	program := Binary(t)
	server, err := sharedServer.get(func() (*Server, error) {
		s, err := launch(newSpec(program, nil))
		if err == nil {
			atEnd(s.close)
		}
		return s, err
	})
	if err != nil {
		t.Fatalf("start the shared Redis server: %v", err)
	}
	return server, newPrefix()
}
