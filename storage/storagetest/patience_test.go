package storagetest

import (
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// A machine that stands still costs a second run with longer units; what is wrong in any unit is told, and so is at once what
// came out of a race.
func TestOnlyWhatTimeExplainsIsRunAgain(t *testing.T) {
	const unit = 10 * time.Millisecond
	for _, a := range []struct {
		name  string
		check func(k *kit)
		runs  int
		fails bool
	}{
		{"holds", func(*kit) {}, 1, false},
		{"holds in longer units", func(k *kit) {
			if k.unit == unit {
				k.Fatal("late")
			}
		}, 2, false},
		{"finds something in longer units", func(k *kit) {
			if k.unit == unit {
				panic("index out of range")
			}
		}, 2, false},
		{"never holds", func(k *kit) { k.Error("wrong") }, runs, true},
		{"does not hold after a race", func(k *kit) {
			k.parallel(2, func(int) {})
			if k.unit == unit {
				k.Error("two won")
			}
		}, 1, true},
	} {
		ran := 0
		h := Harness{Open: func(testing.TB) storage.Store { ran++; return sound() }, Unit: unit, Grain: unit / 2}
		outside := &recorder{TB: t}
		var wg sync.WaitGroup
		wg.Go(func() { runPatiently(outside, h, check{a.name, a.check}) }) // Fatal ends its goroutine
		wg.Wait()
		if ran != a.runs || (len(outside.complaints) > 0) != a.fails {
			t.Errorf("%s: ran %d times, %q, want %d times, failure %t", a.name, ran, outside.complaints, a.runs, a.fails)
		}
	}
}
