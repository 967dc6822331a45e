package redistest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// groupTimeout bounds how long a group may take to become ready. Sentinel alone takes 8 s to be sure that an old primary
// that came back must become a replica.
const groupTimeout = 2 * time.Minute

// launchAll starts servers side by side: all or none.
func launchAll(specs []*spec) ([]*Server, error) {
	servers, errs := make([]*Server, len(specs)), make([]error, len(specs))
	var wg sync.WaitGroup
	for i, spec := range specs {
		wg.Go(func() { servers[i], errs[i] = launch(spec) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, closeAll(servers))
	}
	return servers, nil
}

// closeAll ends the servers that are not nil.
func closeAll(servers []*Server) error {
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		if s != nil {
			wg.Go(func() { errs[i] = s.close() })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// finishAll ends the servers of a test.
func finishAll(t testing.TB, servers []*Server) {
	t.Helper()
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() { s.finish(t) })
	}
	wg.Wait()
}

// running tells whether the process of the server runs, paused or not.
func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.running()
}

// waitFor fails the test unless the condition becomes true within the time of a group.
func waitFor(t testing.TB, what string, condition func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), groupTimeout)
	defer cancel()
	if err := await(ctx, func() error { return condition(ctx) }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
