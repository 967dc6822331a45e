// Package storagetest is what "a store" means: every implementation of storage.Store passes the whole of it, races
// included. A store that passes only a part is not a store.
//
// A store's own test is a few lines. Where time can be virtual, each check runs in a bubble of testing/synctest and
// hours cost nothing:
//
//	func TestStoreKeepsThePromises(t *testing.T) {
//		storagetest.Run(t, storagetest.Harness{
//			Open:   func(testing.TB) storage.Store { return memory.New() },
//			Bubble: synctest.Test,
//		})
//	}
//
// A new promise begins as a check here. The package's own tests run the checks against broken stores, and each broken
// store must be caught: a suite that cannot fail proves nothing.
package storagetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// Harness says how to test one implementation. Only Open is required.
type Harness struct {
	// Open returns an empty store, each time another one. The suite closes it.
	Open func(t testing.TB) storage.Store
	// Bubble runs one check; synctest.Test is one. (A bubble cannot contain t.Run, which is why the suite wraps each check
	// and not the other way round.) Without one time is real, and a check that lets it pass and complains is run again with longer units.
	Bubble func(t *testing.T, f func(t *testing.T))
	// Now and Advance are the store's clock: time.Now and time.Sleep unless the store has another one.
	Now     func() time.Time
	Advance func(d time.Duration)
	// Unit is what the suite measures life times in, 1 s if zero; no check needs more than about 100 of them. Grain is
	// how near to an instant the suite looks on both sides, 1 ms if zero. Real clocks want a short Unit and a Grain that
	// is longer than a few calls take.
	Unit, Grain time.Duration

	// still, if not nil, ends a check where it would let time pass, and becomes true then.
	still *atomic.Bool
}

// check is one promise. Its name is a sentence.
type check struct {
	name string
	run  func(k *kit)
}

// checks is the whole suite.
func checks() []check {
	var all []check
	for _, part := range [][]check{
		clientChecks, userChecks, grantChecks, rotateChecks, rotateUserChecks, recallChecks, raceChecks, keyRingChecks,
		budgetChecks, markChecks, entryChecks, entryListChecks, grantsOfChecks, transferChecks, importChecks, lifeChecks,
	} {
		all = append(all, part...)
	}
	return all
}

// Run runs the whole suite, each check as a subtest on a store of its own.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			if h.Bubble == nil {
				runPatiently(t, h, c)
				return
			}
			h.Bubble(t, func(t *testing.T) { t.Helper(); c.run(newKit(t, h)) })
		})
	}
}

// kit is what a check works with: a fresh store, its clock, and ways to complain.
type kit struct {
	testing.TB
	s           storage.Store
	h           Harness
	unit, grain time.Duration
	begun       time.Time // the same in all fixtures of a check, also where time does not stand still
	raced       bool      // callers have raced
}

func newKit(t testing.TB, h Harness) *kit {
	t.Helper()
	k := &kit{TB: t, h: h, unit: h.Unit, grain: h.Grain}
	if k.unit == 0 {
		k.unit = time.Second
	}
	if k.grain == 0 {
		k.grain = time.Millisecond
	}
	k.begun = k.now()
	k.s = h.Open(t)
	t.Cleanup(func() {
		if err := k.s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return k
}

// now is the store's time, in the form in which every store can keep it.
func (k *kit) now() time.Time {
	now := time.Now
	if k.h.Now != nil {
		now = k.h.Now
	}
	return now().UTC().Truncate(time.Millisecond)
}

func (k *kit) advance(d time.Duration) {
	if k.h.still != nil {
		k.h.still.Store(true)
		runtime.Goexit()
	}
	if k.h.Advance != nil {
		k.h.Advance(d)
		return
	}
	time.Sleep(d)
}

// until lets time pass up to the given instant.
func (k *kit) until(t time.Time) {
	if d := t.Sub(k.now()); d > 0 {
		k.advance(d)
	}
}

// units is n units of life time.
func (k *kit) units(n int) time.Duration { return time.Duration(n) * k.unit }

func (k *kit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatalf("unexpected error: %v", err)
	}
}

// want complains unless err is the given sentinel (nil for none).
func (k *kit) want(err, sentinel error, doing string) {
	k.Helper()
	if sentinel == nil && err != nil || !errors.Is(err, sentinel) {
		k.Errorf("%s: got %v, want %v", doing, err, sentinel)
	}
}

// same compares records by what their JSON says.
func (k *kit) same(got, want any, what string) {
	k.Helper()
	a, b := asJSON(k, got), asJSON(k, want)
	if !bytes.Equal(a, b) {
		k.Errorf("%s:\n got %s\nwant %s", what, a, b)
	}
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Errorf("encode: %v", err)
	}
	return b
}

// parallel runs f n times at once and waits. f must not call Fatal.
func (k *kit) parallel(n int, f func(i int)) {
	k.raced = true
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

// oneWins runs a verb n times at once: one call may succeed, all others must answer with the given sentinel.
func (k *kit) oneWins(n int, lost error, verb func(i int) error) {
	k.Helper()
	errs := make([]error, n)
	k.parallel(n, func(i int) { errs[i] = verb(i) })
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		k.want(err, lost, "a loser")
	}
	if won != 1 {
		k.Errorf("%d of %d won, want exactly 1", won, n)
	}
}

// full complains about fields of a fixture that were left zero: a new field must enter the round trips.
func (k *kit) full(v any, except ...string) {
	k.Helper()
	skip := map[string]bool{}
	for _, name := range except {
		skip[name] = true
	}
	walk(k, reflect.ValueOf(v), reflect.TypeOf(v).Name(), skip)
}

func walk(t testing.TB, v reflect.Value, path string, skip map[string]bool) {
	t.Helper()
	if !v.IsValid() || v.IsZero() {
		t.Errorf("the fixture leaves %s zero", path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if _, isTime := v.Interface().(time.Time); isTime {
			return
		}
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; !skip[name] {
				walk(t, v.Field(i), path+"."+name, skip)
			}
		}
	case reflect.Slice:
		if v.Len() == 0 {
			t.Errorf("the fixture leaves %s empty", path)
		} else if v.Type().Elem().Kind() == reflect.Struct {
			walk(t, v.Index(0), path+"[0]", skip)
		}
	case reflect.Map:
		if v.Len() == 0 {
			t.Errorf("the fixture leaves %s empty", path)
		}
	}
}

// oddIDs are ids that a careless store mixes up, splits, folds or cuts.
func oddIDs() []string {
	return []string{
		"a", "A", " a", "a ", "a\x00", "a\x00b", "\x00", "a/b", "a:b", "a*", "%61", "{a}", "a\nb", `a"b\`, "<a>&", "'; --",
		"é", "e\u0301", "ß", "ss", "ſ", "김철수", "🔏", "\u202eabc", "..", "-1", "0", "00", "null",
		string(bytes.Repeat([]byte("x"), 1024)), string(bytes.Repeat([]byte("x"), 1023)) + "y",
	}
}

// endlessIDs are what strangers send: longer than any database likes its keys, or no text at all.
func endlessIDs() []string {
	return []string{string(bytes.Repeat([]byte("k"), 100_000)), "\xff\xfe", ""}
}

func name(prefix string, i int) string { return fmt.Sprintf("%s%03d", prefix, i) }
