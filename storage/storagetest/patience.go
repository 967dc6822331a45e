package storagetest

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
)

// longer is how much longer the units are each time a check is run again, and runs how often it is run at most.
const (
	longer = 4
	runs   = 3
)

// runPatiently runs a check against a real clock. A machine that stands still for a moment makes a sound store look late, so
// a check that complains is run again with longer units: what is wrong with a store is wrong in any unit. A check in which
// callers race is not: there it may be chance that shows what is wrong, and once is enough.
func runPatiently(t testing.TB, h Harness, c check) {
	t.Helper()
	for n := 1; ; n++ {
		k, complaints := attempt(t, h, c)
		if len(complaints) == 0 {
			return
		}
		if n == runs || k == nil || k.raced {
			t.Fatal(strings.Join(complaints, "\n"))
		}
		t.Logf("run again, with units of %v: %s", longer*k.unit, strings.Join(complaints, "\n"))
		h.Unit, h.Grain = longer*k.unit, longer*k.grain
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
