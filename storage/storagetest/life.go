package storagetest

import (
	"context"
	"errors"

	"github.com/ingam/ingam/storage"
)

var lifeChecks = []check{
	{"a new store answers, and holds nothing", func(k *kit) { // S17
		k.must(k.s.Ping(k.Context()))
		clients, err := k.s.Clients(k.Context(), "", 10)
		k.must(err)
		users, err := k.s.Users(k.Context(), "", 10)
		k.must(err)
		removed, err := k.s.Sweep(k.Context(), 10)
		k.must(err)
		if len(clients)+len(users)+removed != 0 {
			k.Errorf("%d clients, %d users, %d expired", len(clients), len(users), removed)
		}
	}},
	// R19. Stores that expire by themselves remove nothing here; for the others no sweep goes beyond its limit, and
	// together they remove all that has ended and nothing else.
	{"sweeping is bounded, comes to an end, and takes only what has ended", func(k *kit) {
		for i := range 10 {
			k.newGrant(name("dead", i))
			k.spends(1, k.budget(name("dead", i), 1))
			k.remember(name("dead", i), k.now().Add(k.unit), true)
		}
		for i := range 10 {
			k.newEntry(name("dead", i))
		}
		k.advance(k.units(21))
		k.newGrant("alive")
		k.newEntry("alive")
		k.remember("alive", k.now().Add(k.units(50)), true)
		empty := k.budget("alive", 1)
		k.spends(1, empty)
		total := 0
		for _, limit := range []int{0, 1, 7, 7, 7, 7, 7, 7, 7} {
			removed, err := k.s.Sweep(k.Context(), limit)
			k.must(err)
			if removed < 0 || removed > limit {
				k.Errorf("removed %d, limit %d", removed, limit)
			}
			total += removed
		}
		if total != 0 && total != 40 {
			k.Errorf("removed %d records, want 40 (or none, if they go by themselves)", total)
		}
		removed, err := k.s.Sweep(k.Context(), 100)
		k.must(err)
		if removed != 0 {
			k.Errorf("the last sweep removed %d records, want none", removed)
		}
		k.rotate(k.rotation("alive", 1, "a"), storage.Rotated)
		k.remembered("alive", true)
		k.same(k.idsOf(kind, "owner", 100), []string{"alive"}, "entries")
		if k.spend(empty) == 0 {
			k.Error("the sweep has filled a budget")
		}
	}},
	{"sweeping while others work takes nothing from them", func(k *kit) {
		const grants = 20
		for i := range grants {
			k.newGrant(name("g", i))
			k.remember(name("old", i), k.now().Add(k.unit), true)
		}
		k.advance(k.units(2))
		k.parallel(grants+2, func(i int) {
			if i >= grants {
				if _, err := k.s.Sweep(k.Context(), 100); err != nil {
					k.Errorf("sweep: %v", err)
				}
				return
			}
			outcome, _, err := k.s.Rotate(k.Context(), k.rotation(name("g", i), 1, "a"))
			if err != nil || outcome != storage.Rotated {
				k.Errorf("rotate: %v, %v", outcome, err)
			}
		})
	}},
	{"closing twice is no error, and afterwards every verb fails", func(k *kit) {
		k.populate()
		verbs := k.verbs()
		k.must(k.s.Close())
		k.must(k.s.Close())
		for _, v := range verbs {
			if err := v.call(k.Context()); !storage.IsFailure(err) {
				k.Errorf("%s on a closed store: got %v, want a failure", v.name, err)
			}
		}
	}},
	{"closing while others work ends every call with an answer or a failure", func(k *kit) {
		k.populate()
		verbs := k.verbs()
		k.parallel(9, func(i int) {
			if i == 0 {
				if err := k.s.Close(); err != nil {
					k.Errorf("close: %v", err)
				}
				return
			}
			for _, v := range verbs {
				_ = v.call(k.Context())
			}
		})
	}},
	{"a caller who is gone gets a failure, and nothing changes", func(k *kit) {
		k.populate()
		before := k.everything()
		gone, cancel := context.WithCancel(k.Context())
		cancel()
		for _, v := range k.verbs() {
			if err := v.call(gone); !storage.IsFailure(err) || !errors.Is(err, context.Canceled) {
				k.Errorf("%s: got %v, want a failure that wraps context.Canceled", v.name, err)
			}
		}
		k.same(k.everything(), before, "the store")
		k.spends(1, k.budget("b", 1))
	}},
	{"every verb works on a healthy store", func(k *kit) {
		// A verb that could not work here would prove nothing in the checks above.
		k.populate()
		for _, v := range k.verbs() {
			k.want(v.call(k.Context()), nil, v.name)
		}
	}},
}
