// Package property runs properties of rapid as often as this project wants, and shows that they can fail.
//
// A property is a function that draws a case and fails its argument if a rule does not hold there. It comes in pairs here:
// [Holds] with the code as it is, and [Refuted] with a mutant, code that is wrong in one way. A property that no mutant
// refutes proves nothing.
package property

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// flags guards the flags of rapid, which are those of the process.
var flags sync.Mutex

// with sets flags of rapid until the returned function is called.
func with(t testing.TB, settings map[string]string) (restore func()) {
	t.Helper()
	flags.Lock()
	before := map[string]string{}
	for name, value := range settings {
		before[name] = flag.Lookup(name).Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		defer flags.Unlock()
		for name, value := range before {
			if err := flag.Set(name, value); err != nil {
				t.Error(err)
			}
		}
	}
}

// Count is how many cases to try: the short number by default, the full one with INGAM_FULL=1.
func Count(short, full int) int {
	if os.Getenv("INGAM_FULL") == "1" {
		return full
	}
	return short
}

// Holds fails t if prop does not hold in each of n random cases. With -short it tries a fifth of them.
func Holds(t *testing.T, n int, prop func(*rapid.T)) {
	t.Helper()
	defer with(t, map[string]string{"rapid.checks": strconv.Itoa(n)})()
	rapid.Check(t, prop)
}

// Refuted fails t unless rapid finds a case in which prop does not hold, among n of them, which are the same ones in each
// run. It must be an answer of prop: a panic refutes nothing. What prop cannot know, like a failure of a server, it must
// report to t and not to its argument.
func Refuted(t *testing.T, n int, prop func(*rapid.T)) {
	t.Helper()
	said, refuted := refutation(t, n, prop)
	if !refuted {
		t.Errorf("nothing refutes this mutant in %d cases: %s", n, said)
		return
	}
	rule, _, _ := strings.Cut(said, "\n")
	t.Log(rule)
}

// refutation is what rapid says about prop, and whether that refutes it.
func refutation(t *testing.T, n int, prop func(*rapid.T)) (said string, refuted bool) {
	t.Helper()
	defer with(t, map[string]string{
		"rapid.checks": strconv.Itoa(n), "rapid.seed": "20260101", "rapid.nofailfile": "true", "rapid.shrinktime": "0s",
	})()
	w := &witness{TB: t}
	rapid.Check(w, prop)
	return w.said.String(), w.failed && strings.Contains(w.said.String(), "[rapid] failed after ")
}

// witness stands in for a test that is expected to fail.
type witness struct {
	rapid.TB
	failed bool
	said   strings.Builder
}

func (w *witness) Helper()      {}
func (w *witness) Failed() bool { return w.failed }
func (w *witness) Fail()        { w.failed = true }
func (w *witness) FailNow()     { w.failed = true } // rapid.Check calls it last

func (w *witness) Log(args ...any) { fmt.Fprintln(&w.said, args...) }

func (w *witness) Logf(format string, args ...any) { fmt.Fprintf(&w.said, format+"\n", args...) }

func (w *witness) Error(args ...any) {
	w.failed = true
	w.Log(args...)
}

func (w *witness) Errorf(format string, args ...any) {
	w.failed = true
	w.Logf(format, args...)
}
