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
	late := func(k *kit, complain func(...any)) {
		k.advance(time.Nanosecond)
		if k.unit == unit {
			complain("late")
		}
	}
	for _, a := range []struct {
		name  string
		check func(k *kit)
		runs  int
		fails bool
	}{
		{"holds", func(*kit) {}, 1, false},
		{"lets no time pass, and does not hold", func(k *kit) { k.Error("wrong") }, 1, true},
		{"lets no time pass, in units that are long", func(k *kit) {
			if k.unit != farAway {
				k.Error("late")
			}
		}, 1, false},
		{"holds while time passes", func(k *kit) { k.advance(time.Nanosecond) }, 2, false},
		{"holds in longer units", func(k *kit) { late(k, k.Fatal) }, 3, false},
		{"finds something in longer units", func(k *kit) { late(k, func(...any) { panic("index out of range") }) }, 3, false},
		{"never holds", func(k *kit) { k.advance(time.Nanosecond); k.Error("wrong") }, 1 + runs, true},
		{"does not hold after a race", func(k *kit) { k.parallel(2, func(int) {}); late(k, k.Error) }, 2, true},
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
