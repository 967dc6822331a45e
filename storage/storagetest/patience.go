package storagetest

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// farAway is the unit of a check that lets no time pass: nothing ends while it runs, however slow the machine is.
	farAway = time.Minute
	// longer is how much longer the units are each time a check is run again, and runs how often it is run at most.
	longer = 4
	runs   = 3
)

// runPatiently runs a check against a real clock, where a machine that stands still for a moment makes a sound store look
// late. Most checks let no time pass, and with long units what they say counts at once. The others need short units, and
// one that complains is run again with longer ones: what is wrong with a store is wrong in any unit. But not if callers
// raced in it: there it may be chance that shows what is wrong.
func runPatiently(t testing.TB, h Harness, c check) {
	t.Helper()
	timeless := h
	timeless.Unit, timeless.Grain, timeless.still = farAway, farAway/2, new(atomic.Bool)
	if _, complaints := attempt(t, timeless, c); !timeless.still.Load() {
		report(t, complaints)
		return
	}
	for n := 1; ; n++ {
		k, complaints := attempt(t, h, c)
		if len(complaints) == 0 || n == runs || k == nil || k.raced {
			report(t, complaints)
			return
		}
		t.Logf("run again, with units of %v: %s", longer*k.unit, strings.Join(complaints, "\n"))
		h.Unit, h.Grain = longer*k.unit, longer*k.grain
	}
}

func report(t testing.TB, complaints []string) {
	t.Helper()
	if len(complaints) > 0 {
		t.Fatal(strings.Join(complaints, "\n"))
	}
}

// attempt runs a check once and returns what it complained of. The kit is nil if there was no store.
func attempt(t testing.TB, h Harness, c check) (k *kit, complaints []string) {
	t.Helper()
	r := &recorder{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { // Fatal ends its goroutine
		defer func() { // a record that has ended too soon leaves a check with nothing to look at
			if p := recover(); p != nil {
				r.complain(fmt.Sprintf("panic: %v\n%s", p, debug.Stack()))
			}
		}()
		k = newKit(r, h)
		c.run(k)
	})
	wg.Wait()
	return k, r.complaints
}

// recorder is a testing.TB that keeps complaints instead of passing them on. Safe for concurrent use.
type recorder struct {
	testing.TB
	mu         sync.Mutex
	complaints []string
}

func (r *recorder) complain(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complaints = append(r.complaints, text)
}

func (r *recorder) Error(v ...any)            { r.complain(fmt.Sprint(v...)) }
func (r *recorder) Errorf(f string, v ...any) { r.complain(fmt.Sprintf(f, v...)) }
func (r *recorder) Fatal(v ...any)            { r.complain(fmt.Sprint(v...)); runtime.Goexit() }
func (r *recorder) Fatalf(f string, v ...any) { r.complain(fmt.Sprintf(f, v...)); runtime.Goexit() }
