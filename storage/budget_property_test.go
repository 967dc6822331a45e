package storage

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ingam/ingam/storage/storagetest/property"
)

// spending are the two decisions about a budget: those of this package, or a mutant of them.
type spending struct {
	spend  func(b Budget, paid, now time.Time) (time.Time, time.Duration)
	refund func(r Refund, paid time.Time) time.Time
}

var frugal = spending{spend: Budget.SpendOne, refund: Refund.Apply}

// T12, L7, K7: a budget in any schedule.
func TestABudgetIsNeverOverspentInAnySchedule(t *testing.T) {
	property.Holds(t, property.Count(10_000, 100_000), budgeting(frugal))
}

// budgeting is the property: a budget is spent and refunded in a random schedule, as the stores do it, and each answer is
// judged.
func budgeting(as spending) func(*rapid.T) {
	return func(t *rapid.T) {
		every := rapid.SampledFrom([]time.Duration{1, 7, time.Microsecond, time.Second, time.Minute, time.Hour}).Draw(t, "every")
		w := &wallet{
			spending: as, budget: Budget{Key: "k", Burst: rapid.IntRange(1, 8).Draw(t, "burst"), Every: every},
			now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		}
		// So many times a unit's time, give or take a nanosecond.
		step := func(t *rapid.T) time.Duration {
			return max(0, time.Duration(rapid.IntRange(0, 12).Draw(t, "units"))*every+
				time.Duration(rapid.IntRange(-1, 1).Draw(t, "ns")))
		}
		t.Repeat(map[string]func(*rapid.T){
			"spend":       w.spendOne,
			"spend again": w.spendOne,
			"spend all": func(t *rapid.T) {
				for range w.budget.Burst {
					w.spendOne(t)
				}
			},
			"refund": func(t *rapid.T) { w.giveBack(t, rapid.IntRange(0, 10).Draw(t, "given back")) },
			"time goes on": func(t *rapid.T) {
				d := step(t)
				w.now, w.elapsed = w.now.Add(d), w.elapsed+d
			},
			"the clock is set back": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
					w.now, w.setBack = w.now.Add(-step(t)), true
				}
			},
			"the clock is set back far": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					w.now, w.setBack = w.now.Add(-1000*time.Hour), true
				}
			},
		})
	}
}

// wallet is a budget and its history.
type wallet struct {
	spending
	budget   Budget
	paid     time.Time // as stored
	now      time.Time
	elapsed  time.Duration // all the time that went on; setting a clock back gives nothing and takes nothing from it
	refunded int
	setBack  bool
	spent    []expense
}

// expense is a unit that was spent, with what had happened until then.
type expense struct {
	elapsed  time.Duration
	refunded int
}

func (w *wallet) spendOne(t *rapid.T) {
	b := w.budget
	after, wait := w.spend(b, w.paid, w.now)
	if again, same := w.spend(b, w.paid, w.now); !again.Equal(after) || same != wait {
		t.Fatalf("decided twice: %s %s, then %s %s", after, wait, again, same)
	}
	if wait < 0 || wait > b.Every {
		t.Fatalf("with a unit each %s nobody waits %s", b.Every, wait) // K7: nor when the clock was set back
	}
	w.paid = after
	if wait == 0 {
		w.spent = append(w.spent, expense{w.elapsed, w.refunded})
		w.judgeHistory(t)
		return
	}
	// It is what SpendOne returned that makes this true when the clock was set back: what was stored before it may be in a
	// future that is hours away.
	if _, early := w.spend(b, w.paid, w.now.Add(wait-1)); wait > 1 && early != 1 {
		t.Fatalf("told to wait %s; 1 ns before that the wait is %s, not 1 ns", wait, early)
	}
	if _, still := w.spend(b, w.paid, w.now.Add(wait)); still > 0 {
		t.Fatalf("waited %s as told, and has to wait %s again", wait, still)
	}
}

// judgeHistory looks at all windows that end now.
func (w *wallet) judgeHistory(t *rapid.T) {
	last := len(w.spent) - 1
	for i, first := range w.spent {
		units := last - i + 1
		elapsed, refunded := w.elapsed-first.elapsed, w.refunded-first.refunded
		if most := w.budget.Burst + int(elapsed/w.budget.Every) + refunded; units > most {
			t.Fatalf("%d units of %+v were spent within %s, with %d given back: at most %d", units, w.budget, elapsed, refunded, most)
		}
	}
}

// giveBack refunds units, as the stores do.
func (w *wallet) giveBack(t *rapid.T, units int) {
	before := w.left(t)
	if w.paid = w.refund(Refund{w.budget, units}, w.paid); !w.paid.After(w.now) {
		w.paid = time.Time{}
	}
	w.refunded += units
	after := w.left(t)
	if after > min(before+units, w.budget.Burst) || after < before {
		t.Fatalf("%d units given back to %d of %+v are %d", units, before, w.budget, after)
	}
	if after != min(before+units, w.budget.Burst) && !w.setBack {
		t.Fatalf("%d units given back to %d of %+v are only %d", units, before, w.budget, after)
	}
}

// left counts the units that could be spent now.
func (w *wallet) left(t *rapid.T) int {
	paid := w.paid
	for n := range 1000 {
		after, wait := w.spend(w.budget, paid, w.now)
		if wait > 0 {
			return n
		}
		paid = after
	}
	t.Fatalf("%+v is bottomless", w.budget)
	return 0
}

// Each is wrong in one way, and must be found.
func TestAWrongBudgetIsFound(t *testing.T) {
	plain := frugal.spend
	spends := map[string]func(b Budget, paid, now time.Time) (time.Time, time.Duration){
		"one more than the burst": func(b Budget, paid, now time.Time) (time.Time, time.Duration) {
			b.Burst++
			return plain(b, paid, now)
		},
		"one less than the burst": func(b Budget, paid, now time.Time) (time.Time, time.Duration) {
			b.Burst--
			return plain(b, paid, now)
		},
		"units come 1 ns early": func(b Budget, paid, now time.Time) (time.Time, time.Duration) {
			if after, wait := plain(b, paid, now); wait != 1 {
				return after, wait
			}
			return plain(b, paid, now.Add(1))
		},
		"what is unspent is saved up for ever": func(b Budget, paid, now time.Time) (time.Time, time.Duration) {
			if next := paid.Add(b.Every); paid.Before(now) && !paid.IsZero() {
				return next, 0
			}
			return plain(b, paid, now)
		},
		"a clock that was set back shuts it (K7)": func(b Budget, paid, now time.Time) (time.Time, time.Duration) {
			if empty := now.Add(time.Duration(b.Burst) * b.Every); paid.After(empty) {
				return paid, paid.Add(b.Every).Sub(empty)
			}
			return plain(b, paid, now)
		},
		"a clock that was set back keeps it empty (K7)": func(b Budget, paid, now time.Time) (time.Time, time.Duration) {
			after, wait := plain(b, paid, now)
			if wait > 0 {
				after = paid
			}
			return after, wait
		},
		"a clock that was set back fills it (K7)": func(b Budget, paid, now time.Time) (time.Time, time.Duration) {
			if paid.After(now.Add(time.Duration(b.Burst) * b.Every)) {
				paid = now
			}
			return plain(b, paid, now)
		},
		"it is free": func(_ Budget, paid, _ time.Time) (time.Time, time.Duration) { return paid, 0 },
		"it is shut": func(b Budget, paid, _ time.Time) (time.Time, time.Duration) { return paid, b.Every },
		"who is refused pays": func(b Budget, paid, now time.Time) (time.Time, time.Duration) {
			after, wait := plain(b, paid, now)
			if wait > 0 {
				after = after.Add(b.Every)
			}
			return after, wait
		},
		"everybody waits for the whole burst": func(b Budget, paid, now time.Time) (time.Time, time.Duration) {
			after, wait := plain(b, paid, now)
			if wait > 0 {
				wait = time.Duration(b.Burst) * b.Every
			}
			return after, wait
		},
	}
	for name, spend := range spends {
		t.Run(name, func(t *testing.T) {
			property.Refuted(t, 10_000, budgeting(spending{spend: spend, refund: frugal.refund}))
		})
	}
	for name, refund := range map[string]func(r Refund, paid time.Time) time.Time{
		"given back twice": func(r Refund, paid time.Time) time.Time { r.Units *= 2; return r.Apply(paid) },
		"one too few":      func(r Refund, paid time.Time) time.Time { r.Units = max(0, r.Units-1); return r.Apply(paid) },
		"taken instead":    func(r Refund, paid time.Time) time.Time { r.Units = -r.Units; return r.Apply(paid) },
		"not given back":   func(_ Refund, paid time.Time) time.Time { return paid },
	} {
		t.Run(name, func(t *testing.T) {
			property.Refuted(t, 10_000, budgeting(spending{spend: frugal.spend, refund: refund}))
		})
	}
}
