package storagetest

import (
	"sync/atomic"
	"time"

	"github.com/ingam/ingam/storage"
)

var budgetChecks = []check{
	{"a budget gives its burst at once, and then says how long to wait", func(k *kit) {
		b := k.budget("b", 3)
		start := k.now()
		k.spends(3, b)
		wait := k.spend(b)
		if took := k.now().Sub(start); wait < k.unit-took-k.grain || wait > k.unit {
			k.Errorf("wait %v, want about %v", wait, k.unit)
		}
	}},
	// K7: an import brings a state that otherwise only a clock makes that was set back.
	{"a budget from the far future is only empty, and the wait that it tells is enough", func(k *kit) {
		b := k.budget("b", 3)
		k.must(k.s.Import(k.Context(), stream(storage.Record{Budget: budgetUntil("b", k.now().Add(k.units(1000)))})))
		wait := k.spend(b)
		if wait <= 0 || wait > k.unit {
			k.Fatalf("wait %v, want at most %v", wait, k.unit)
		}
		k.advance(wait + k.grain)
		k.spends(1, b)
	}},
	{"a budget refills one unit at a time, to the millisecond", func(k *kit) {
		b := k.budget("b", 2)
		k.spends(2, b)
		k.advance(k.spend(b) - k.grain)
		if k.spend(b) == 0 {
			k.Error("a unit came early")
		}
		k.advance(k.grain)
		k.spends(1, b)
		if k.spend(b) == 0 {
			k.Error("two units came at once")
		}
	}},
	{"a budget that rests is full again, and never fuller", func(k *kit) {
		b := k.budget("b", 3)
		for range 2 {
			k.spends(3, b)
			if k.spend(b) == 0 {
				k.Error("a fourth unit was there")
			}
			k.advance(k.units(30))
		}
	}},
	{"asking an empty budget costs nothing", func(k *kit) {
		b := k.budget("b", 1)
		k.spends(1, b)
		wait := k.spend(b)
		for range 20 {
			if again := k.spend(b); again > wait {
				k.Fatalf("the wait has grown from %v to %v", wait, again)
			}
		}
		k.advance(wait)
		k.spends(1, b)
	}},
	{"spending stops at the first empty budget: those before stay spent, those behind are untouched", func(k *kit) {
		first, second, third := k.budget("1", 3), k.budget("2", 1), k.budget("3", 3)
		k.spends(1, first, second, third) // leaves 2, 0, 2
		if k.spend(first, second, third) == 0 {
			k.Error("the second budget was not empty")
		} // leaves 1, 0, 2
		k.spends(1, first)
		if k.spend(first) == 0 {
			k.Error("the first budget was not spent")
		}
		k.spends(2, third)
		if k.spend(third) == 0 {
			k.Error("the third budget held more than its burst")
		}
	}},
	{"a budget named twice in one call pays twice", func(k *kit) {
		b := k.budget("b", 3)
		k.spends(1, b, b)
		k.spends(1, b)
		if k.spend(b) == 0 {
			k.Error("a fourth unit was there")
		}
	}},
	{"spending nothing and refunding nothing is no error", func(k *kit) {
		k.spends(1)
		k.must(k.s.Refund(k.Context()))
	}},
	{"of 200 parallel spends exactly the burst passes", func(k *kit) {
		b := k.budget("b", 37)
		b.Every = time.Hour
		var passed atomic.Int32
		k.parallel(200, func(int) {
			wait, err := k.s.Spend(k.Context(), b)
			if err != nil {
				k.Errorf("spend: %v", err)
			} else if wait == 0 {
				passed.Add(1)
			}
		})
		if passed.Load() != 37 {
			k.Errorf("%d passed, want 37", passed.Load())
		}
	}},
	{"of 100 parallel spends of two budgets the smaller one decides", func(k *kit) {
		wide, narrow := k.budget("wide", 60), k.budget("narrow", 11)
		wide.Every, narrow.Every = time.Hour, time.Hour
		var passed atomic.Int32
		k.parallel(100, func(int) {
			if wait, err := k.s.Spend(k.Context(), wide, narrow); err == nil && wait == 0 {
				passed.Add(1)
			}
		})
		if passed.Load() != 11 {
			k.Errorf("%d passed, want 11", passed.Load())
		}
	}},
	{"a refund gives units back", func(k *kit) {
		b := k.budget("b", 5)
		b.Every = time.Hour
		k.spends(5, b)
		k.refund(b, 2)
		k.spends(2, b)
		if k.spend(b) == 0 {
			k.Error("a third unit was there")
		}
	}},
	{"a refund never lifts a budget above its burst", func(k *kit) {
		used, fresh := k.budget("used", 3), k.budget("fresh", 3)
		used.Every, fresh.Every = time.Hour, time.Hour
		k.spends(1, used)
		k.refund(used, 100)
		k.refund(fresh, 100)
		for _, b := range []storage.Budget{used, fresh} {
			k.spends(3, b)
			if k.spend(b) == 0 {
				k.Errorf("budget %s gave more than its burst", b.Key)
			}
		}
	}},
	{"100 parallel spends with a refund each leave a budget as it was", func(k *kit) {
		b := k.budget("b", 100)
		b.Every = time.Hour
		k.spends(1, b)
		k.parallel(99, func(int) {
			if wait, err := k.s.Spend(k.Context(), b); wait != 0 || err != nil {
				k.Errorf("spend: %v, %v", wait, err)
			}
			if err := k.s.Refund(k.Context(), storage.Refund{Budget: b, Units: 1}); err != nil {
				k.Errorf("refund: %v", err)
			}
		})
		k.spends(99, b)
		if k.spend(b) == 0 {
			k.Error("a unit was made out of nothing")
		}
	}},
	{"a budget is as good after its sweep as before", func(k *kit) {
		b := k.budget("b", 2)
		k.spends(2, b)
		_, err := k.s.Sweep(k.Context(), 100)
		k.must(err)
		if k.spend(b) == 0 {
			k.Error("the sweep has filled the budget")
		}
		k.advance(k.units(3))
		_, err = k.s.Sweep(k.Context(), 100)
		k.must(err)
		k.spends(2, b)
		if k.spend(b) == 0 {
			k.Error("a third unit was there")
		}
	}},
	{"budgets of different keys are apart, however odd or long the keys", func(k *kit) {
		for _, key := range append(oddIDs(), endlessIDs()...) {
			b := k.budget(key, 1)
			k.spends(1, b)
			if k.spend(b) == 0 {
				k.Errorf("a budget whose key has %d bytes was not spent", len(key))
			}
		}
	}},
}

var markChecks = []check{
	{"a mark is first once, and lives to the millisecond, swept or not", func(k *kit) {
		end := k.now().Add(k.units(5))
		k.remember("m", end, true)
		k.remember("m", end, false)
		k.until(end.Add(-k.grain))
		_, err := k.s.Sweep(k.Context(), 100)
		k.must(err)
		k.remembered("m", true)
		k.remember("m", end, false)
		for _, moment := range []time.Time{end, end.Add(k.grain)} {
			k.until(moment)
			k.remembered("m", false)
		}
		_, err = k.s.Sweep(k.Context(), 100)
		k.must(err)
		k.remembered("m", false)
	}},
	{"a key that was never marked is not remembered", func(k *kit) {
		k.remember("m", k.now().Add(k.unit), true)
		for _, key := range append(endlessIDs(), "M", "m ", "m\x00") {
			k.remembered(key, false)
		}
	}},
	{"who is not first changes nothing, neither longer nor shorter", func(k *kit) {
		end := k.now().Add(k.units(5))
		k.remember("m", end, true)
		k.remember("m", end.Add(k.units(20)), false)
		k.remember("m", k.now().Add(-k.unit), false)
		k.until(end.Add(-k.grain))
		k.remembered("m", true)
		k.until(end)
		k.remembered("m", false)
	}},
	{"after its end a mark can be made anew, and the sweeper spares the new one", func(k *kit) {
		k.remember("m", k.now().Add(k.unit), true)
		k.advance(k.unit)
		k.remember("m", k.now().Add(k.units(5)), true)
		_, err := k.s.Sweep(k.Context(), 100)
		k.must(err)
		k.remember("m", k.now().Add(k.units(5)), false)
	}},
	{"a mark that is over before it begins is first every time and never remembered", func(k *kit) {
		for _, end := range []time.Time{{}, k.now().Add(-k.unit), k.now()} {
			k.remember("m", end, true)
			k.remembered("m", false)
		}
	}},
	{"of 64 parallel callers exactly one is first", func(k *kit) {
		for round := range 5 {
			var first atomic.Int32
			k.parallel(crowd, func(int) {
				ok, err := k.s.Remember(k.Context(), name("m", round), k.now().Add(k.units(50)))
				if err != nil {
					k.Errorf("remember: %v", err)
				} else if ok {
					first.Add(1)
				}
			})
			if first.Load() != 1 {
				k.Errorf("%d were first, want 1", first.Load())
			}
		}
	}},
	{"marks of different keys are apart, however odd or long the keys, and apart from budgets", func(k *kit) {
		for _, key := range append(oddIDs(), endlessIDs()...) {
			k.spends(1, k.budget(key, 1))
			k.remember(key, k.now().Add(k.units(50)), true)
			k.remembered(key, true)
			k.remember(key, k.now().Add(k.units(50)), false)
		}
	}},
}

// budget has a unit each unit of time.
func (k *kit) budget(key string, burst int) storage.Budget {
	return storage.Budget{Key: key, Burst: burst, Every: k.unit}
}

func (k *kit) spend(budgets ...storage.Budget) time.Duration {
	k.Helper()
	wait, err := k.s.Spend(k.Context(), budgets...)
	k.must(err)
	if wait < 0 {
		k.Errorf("a wait of %v", wait)
	}
	return wait
}

// spends n times without having to wait.
func (k *kit) spends(n int, budgets ...storage.Budget) {
	k.Helper()
	for i := range n {
		if wait := k.spend(budgets...); wait != 0 {
			k.Fatalf("spend %d of %d must wait %v", i+1, n, wait)
		}
	}
}

func (k *kit) refund(b storage.Budget, units int) {
	k.Helper()
	k.must(k.s.Refund(k.Context(), storage.Refund{Budget: b, Units: units}))
}

func (k *kit) remember(key string, until time.Time, want bool) {
	k.Helper()
	first, err := k.s.Remember(k.Context(), key, until)
	k.must(err)
	if first != want {
		k.Errorf("mark %.20q: first is %v, want %v", key, first, want)
	}
}

func (k *kit) remembered(key string, want bool) {
	k.Helper()
	got, err := k.s.Remembered(k.Context(), key)
	k.must(err)
	if got != want {
		k.Errorf("mark %.20q: remembered is %v, want %v", key, got, want)
	}
}
