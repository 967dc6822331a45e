package credential

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
)

// together makes 64 attempts at once and returns their errors.
func together(t *testing.T, d *desk, at func(i int) Attempt) []error {
	t.Helper()
	errs := make([]error, 64)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			<-begin
			_, errs[i] = d.Authenticate(t.Context(), at(i))
		})
	}
	close(begin)
	all.Wait()
	return errs
}

// Right passwords never run into the limits on wrong ones, however many come at once.
func TestSixtyFourRightPasswordsAtOnceAreAllAccepted(t *testing.T) {
	for what, at := range map[string]func(i int) Attempt{
		"one user, one address":      func(int) Attempt { return Attempt{"alice", right, home} },
		"one user, many addresses":   func(i int) Attempt { return Attempt{"alice", right, address(i)} },
		"many users, one address":    func(i int) Attempt { return Attempt{fmt.Sprintf("user%d", i), right, home} },
		"one user, device known now": func(int) Attempt { return Attempt{"bob", right, elsewhere} },
	} {
		d := newDesk(t, HasherConfig{MaxHashes: 2, MaxQueue: 64, MaxWait: time.Minute})
		d.add(t, "alice", cheapHash(), false)
		d.add(t, "bob", cheapHash(), false)
		for i := range 64 {
			d.add(t, fmt.Sprintf("user%d", i), cheapHash(), false)
		}
		if err := d.guess(t.Context(), elsewhere, "bob", right); err != nil {
			t.Fatal(err)
		}
		for i, err := range together(t, d, at) {
			if err != nil {
				t.Errorf("%s: attempt %d: %v", what, i, err)
			}
		}
		if len(d.lanes.of) != 0 {
			t.Errorf("%s: %d lanes are left", what, len(d.lanes.of))
		}
	}
}

// oneLane is a lane of two turns, both taken, in a bubble of virtual time. f calls leave once.
func oneLane(t *testing.T, f func(t *testing.T, l *lanes, budgets []storage.Budget, g *gate, leave func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, g := &lanes{}, newGate(1, 0, 2*time.Second)
		budgets := []storage.Budget{{Key: "a", Burst: 30, Every: time.Second}, {Key: "b", Burst: 2, Every: time.Second}}
		first, err := l.enter(t.Context(), budgets, g)
		if err != nil {
			t.Fatal(err)
		}
		second, err := l.enter(t.Context(), budgets, g)
		if err != nil {
			t.Fatal(err)
		}
		f(t, l, budgets, g, first)
		second()
		if len(l.of) != 0 {
			t.Errorf("%d lanes are left", len(l.of))
		}
	})
}

func TestATurnThatDoesNotComeInTimeIsBusy(t *testing.T) {
	oneLane(t, func(t *testing.T, l *lanes, budgets []storage.Budget, g *gate, leave func()) {
		t.Helper()
		start := time.Now()
		if _, err := l.enter(t.Context(), budgets, g); !errors.Is(err, ErrBusy) || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v, want busy after 2s", err, time.Since(start))
		}
		// Its place in the first lane was given back.
		if n := len(l.of["a"].turns); n != 2 {
			t.Errorf("%d turns are taken in the first lane, want 2", n)
		}
		leave()
		again, err := l.enter(t.Context(), budgets, g)
		if err != nil {
			t.Fatal(err)
		}
		again()
	})
}

func TestWhoLeavesTheLaneWhileWaitingTakesNothing(t *testing.T) {
	oneLane(t, func(t *testing.T, l *lanes, budgets []storage.Budget, g *gate, leave func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.enter(ctx, budgets, g); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if len(l.of["b"].turns) != 2 || l.of["b"].standing != 2 {
			t.Errorf("%d turns taken, %d standing, want 2 and 2", len(l.of["b"].turns), l.of["b"].standing)
		}
		leave()
	})
}

func TestALaneHasAnEnd(t *testing.T) {
	oneLane(t, func(t *testing.T, l *lanes, budgets []storage.Budget, g *gate, leave func()) {
		t.Helper()
		var waiting sync.WaitGroup
		for range laneLength - 2 {
			waiting.Go(func() { _, _ = l.enter(t.Context(), budgets[1:], g) })
		}
		synctest.Wait()
		start := time.Now()
		if _, err := l.enter(t.Context(), budgets[1:], g); !errors.Is(err, ErrBusy) || time.Since(start) != 0 {
			t.Errorf("%v after %v, want busy at once", err, time.Since(start))
		}
		waiting.Wait() // each until its time is over
		leave()
	})
}
