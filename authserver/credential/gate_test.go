package credential

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slow makes each computation of h take a second of the test's clock; it returns the most that ran at once.
func slow(h *Hasher) *atomic.Int64 {
	var running, most atomic.Int64
	h.computing = func(string) {
		n := running.Add(1)
		defer running.Add(-1)
		for {
			seen := most.Load()
			if n <= seen || most.CompareAndSwap(seen, n) {
				break
			}
		}
		time.Sleep(time.Second)
	}
	return &most
}

func hasher(t testing.TB, c HasherConfig) *Hasher {
	t.Helper()
	c.Params = cheap
	h, err := NewHasher(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestNoMoreHashesRunAtOnceThanAllowed(t *testing.T) { // row L11
	synctest.Test(t, func(t *testing.T) {
		h := hasher(t, HasherConfig{MaxHashes: 3, MaxQueue: 100, MaxWait: time.Hour})
		most := slow(h)
		var all sync.WaitGroup
		begun := time.Now()
		for i := range 30 { // all kinds: new hashes, stored ones of each scheme, and decoys
			stored := []string{"", cheapHash(), "$2b$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"}[i%3]
			all.Go(func() {
				if i%5 == 0 {
					if _, err := h.Hash(t.Context(), right); err != nil {
						t.Error(err)
					}
					return
				}
				if _, _, err := h.Verify(t.Context(), stored, right); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := most.Load(); got != 3 {
			t.Errorf("%d ran at once, want 3", got)
		}
		if took := time.Since(begun); took != 10*time.Second {
			t.Errorf("30 computations of a second, 3 at once, took %v", took)
		}
	})
}

func TestAFullQueueAnswersBusyAtOnce(t *testing.T) { // row L11
	synctest.Test(t, func(t *testing.T) {
		h := hasher(t, HasherConfig{MaxHashes: 1, MaxQueue: 2, MaxWait: time.Hour})
		slow(h)
		var busy, done atomic.Int64
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				begun := time.Now()
				_, _, err := h.Verify(t.Context(), "", right)
				switch {
				case err == nil:
					done.Add(1)
				case errors.Is(err, ErrBusy) && time.Since(begun) == 0:
					busy.Add(1)
				default:
					t.Errorf("after %v: %v", time.Since(begun), err)
				}
			})
		}
		all.Wait()
		if done.Load() != 3 || busy.Load() != 7 {
			t.Errorf("%d done and %d busy; one runs, two wait, seven must go", done.Load(), busy.Load())
		}
	})
}

func TestWhoeverWaitsTooLongGetsBusy(t *testing.T) { // row L11
	synctest.Test(t, func(t *testing.T) {
		h := hasher(t, HasherConfig{MaxHashes: 1, MaxQueue: 10, MaxWait: 1500 * time.Millisecond})
		slow(h)
		var all sync.WaitGroup
		outcomes := make([]error, 3)
		for i := range outcomes {
			all.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond) // in order
				_, outcomes[i] = h.Hash(t.Context(), right)
			})
		}
		all.Wait()
		if outcomes[0] != nil || outcomes[1] != nil {
			t.Errorf("the first two had room in time: %v, %v", outcomes[0], outcomes[1])
		}
		if !errors.Is(outcomes[2], ErrBusy) || !strings.Contains(outcomes[2].Error(), "1.5s") {
			t.Errorf("the third waited more than 1.5s and got %v", outcomes[2])
		}
		if _, _, err := h.Verify(t.Context(), "", right); err != nil {
			t.Errorf("the place of one who gave up is not free again: %v", err)
		}
	})
}

func TestACallerWhoLeavesDoesNotFreeTheWorkersPlace(t *testing.T) { // row L11
	synctest.Test(t, func(t *testing.T) {
		h := hasher(t, HasherConfig{MaxHashes: 1, MaxQueue: 1, MaxWait: time.Minute})
		most := slow(h)
		for range 20 { // clients that send a password and hang up
			ctx, hangUp := context.WithCancel(t.Context())
			go func() {
				_, _, err := h.Verify(ctx, cheapHash(), right)
				if !errors.Is(err, context.Canceled) || errors.Is(err, ErrBusy) {
					t.Errorf("the caller who left got %v", err)
				}
			}()
			synctest.Wait()
			hangUp()
			synctest.Wait()
		}
		begun := time.Now()
		if _, _, err := h.Verify(t.Context(), "", right); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("took %v; the first computation still had its second to run, and those who left the queue none", took)
		}
		if most.Load() != 1 {
			t.Errorf("%d ran at once, want 1", most.Load())
		}
	})
}

func TestADeadlineOfTheCallerIsBusyAndItsEndIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hasher(t, HasherConfig{MaxHashes: 1, MaxWait: time.Minute})
		slow(h)
		for _, early := range []bool{true, false} {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			if early {
				cancel()
			}
			_, err := h.Hash(ctx, right)
			if errors.Is(err, ErrBusy) == early || err == nil {
				t.Errorf("cancelled %v: %v", early, err)
			}
			cancel()
		}
		time.Sleep(time.Second)
	})
}

func TestWhatCanWaitForLaterNeverWaitsForRoom(t *testing.T) { // row L12
	synctest.Test(t, func(t *testing.T) {
		h := hasher(t, HasherConfig{MaxHashes: 1})
		if phc, err := h.hashIfIdle(t.Context(), right); err != nil || CheckHash(phc) != nil {
			t.Errorf("idle, and yet %q, %v", phc, err)
		}
		slow(h)
		go func() { _, _ = h.Hash(t.Context(), right) }()
		synctest.Wait()
		begun := time.Now()
		if _, err := h.hashIfIdle(t.Context(), right); !errors.Is(err, ErrBusy) || time.Since(begun) != 0 {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		for range 100 {
			if _, err := h.hashIfIdle(t.Context(), right); !errors.Is(err, ErrBusy) {
				t.Fatal(err)
			}
		}
		if _, err := h.Hash(t.Context(), right); err != nil {
			t.Errorf("those who did not wait have taken the queue: %v", err)
		}
	})
}

// O5: a panic in a computation is an error of that sign-in; the process and the room it had live on.
func TestAPanicInAComputationIsAnErrorAndGivesItsRoomBack(t *testing.T) {
	g := newGate(1, 0, time.Second)
	for range 3 {
		err := g.run(t.Context(), func() { panic("hunter2") })
		if err == nil || strings.Contains(err.Error(), "hunter2") || errors.Is(err, ErrBusy) {
			t.Fatalf("got %v", err)
		}
	}
	if err := g.run(t.Context(), func() {}); err != nil {
		t.Errorf("the gate is stuck: %v", err)
	}
}
