package storagetest

import (
	"sync/atomic"

	"github.com/ingam/ingam/storage"
)

// crowd is how many present one credential at once: the tabs of a busy browser, or a thief with a script.
const crowd = 64

var raceChecks = []check{
	{"of 64 who redeem one generation inside the window one rotates and 63 get its successor", func(k *kit) { // R5
		k.newGrant("g")
		got := k.rush(k.rotation("g", 1, ""), true)
		k.same(got, map[string]int{"rotated": 1, "replayed": crowd - 1}, "outcomes")
		k.rotate(k.rotation("g", 2, "next"), storage.Rotated)
	}},
	{"of 64 who redeem one generation without a window one rotates, and the grant dies", func(k *kit) { // R4
		k.newGrant("g")
		r := k.rotation("g", 1, "")
		r.Grace = 0
		got := k.rush(r, true)
		k.same(got, map[string]int{"rotated": 1, "reused": 1, "dead": crowd - 2}, "outcomes")
		k.rotate(k.rotation("g", 2, "next"), storage.Dead)
	}},
	{"64 copies of one attempt are one attempt", func(k *kit) { // S11
		k.newGrant("g")
		r := k.rotation("g", 1, "the one")
		r.Grace = 0
		k.same(k.rush(r, false), map[string]int{"rotated": crowd}, "outcomes")
		k.rotate(k.rotation("g", 2, "next"), storage.Rotated)
	}},
	{"20 rounds of 5 in parallel move the generation 20 times, no more and no less", func(k *kit) {
		k.newGrant("g")
		for round := range uint64(20) {
			var rotated atomic.Int32
			k.parallel(5, func(i int) {
				outcome, g, err := k.s.Rotate(k.Context(), k.rotation("g", round+1, name("a", i)))
				if err != nil || g.Generation != round+2 {
					k.Errorf("round %d: %v, generation %d, %v", round, outcome, g.Generation, err)
				}
				if outcome == storage.Rotated {
					rotated.Add(1)
				}
			})
			if rotated.Load() != 1 {
				k.Fatalf("round %d: %d rotated, want 1", round, rotated.Load())
			}
		}
	}},
	{"100 grants that rotate at the same time lose nothing", func(k *kit) {
		const grants, rotations = 100, 5
		for i := range grants {
			k.newGrant(name("g", i))
		}
		k.parallel(grants, func(i int) {
			for generation := range uint64(rotations) {
				outcome, g, err := k.s.Rotate(k.Context(), k.rotation(name("g", i), generation+1, name("a", i)))
				if err != nil || outcome != storage.Rotated || g.Generation != generation+2 || g.Attempt != name("a", i) {
					k.Errorf("grant %d: %v, generation %d, %v", i, outcome, g.Generation, err)
				}
			}
		})
		for i := range grants {
			g, err := k.s.Grant(k.Context(), name("g", i))
			k.must(err)
			if g.Generation != rotations+1 {
				k.Errorf("grant %d ended at generation %d, want %d", i, g.Generation, rotations+1)
			}
		}
	}},
	// R10: a person has signed out and the page says so (Keycloak #51312).
	{"once RevokeGrant has returned no refresh succeeds", func(k *kit) {
		for round := range 25 {
			id := name("g", round)
			k.newGrant(id)
			var revoked atomic.Bool
			k.parallel(5, func(i int) {
				if i == 0 {
					if err := k.s.RevokeGrant(k.Context(), id, "signed out"); err != nil {
						k.Errorf("revoke: %v", err)
					}
					revoked.Store(true)
					return
				}
				for generation := uint64(1); generation < 200; {
					over := revoked.Load()
					outcome, g, err := k.s.Rotate(k.Context(), k.rotation(id, generation, name("a", i)))
					switch {
					case err != nil:
						k.Errorf("rotate: %v", err)
						return
					case outcome == storage.Rotated || outcome == storage.Replayed:
						if over {
							k.Errorf("%v after the revocation", outcome)
							return
						}
						generation = g.Generation
					default:
						return
					}
				}
			})
			g, err := k.s.Grant(k.Context(), id)
			k.must(err)
			if !g.Revoked {
				k.Errorf("a refresh has brought grant %s back to life", id)
			}
		}
	}},
	{"a used token that races its successor kills the grant, whoever comes first", func(k *kit) {
		for round := range 10 {
			id := name("g", round)
			k.newGrant(id)
			for generation := range uint64(3) {
				k.rotate(k.rotation(id, generation+1, "a"), storage.Rotated)
			}
			k.parallel(4, func(i int) {
				generation := []uint64{4, 1}[i%2]
				if _, _, err := k.s.Rotate(k.Context(), k.rotation(id, generation, name("b", i))); err != nil {
					k.Errorf("rotate: %v", err)
				}
			})
			k.rotate(k.rotation(id, 5, "c"), storage.Dead)
		}
	}},
	{"who reads while others rotate sees whole grants, and never an older one than before", func(k *kit) {
		k.newGrant("g")
		k.parallel(4, func(i int) {
			if i == 0 {
				for generation := range uint64(50) {
					// The attempt tells its generation, so that a mixture of two writes would show.
					r := k.rotation("g", generation+1, name("a", int(generation)+2))
					if outcome, _, err := k.s.Rotate(k.Context(), r); err != nil || outcome != storage.Rotated {
						k.Errorf("rotate: %v, %v", outcome, err)
					}
				}
				return
			}
			var last uint64
			for range 50 {
				g, err := k.s.Grant(k.Context(), "g")
				if err != nil || g.Generation < last || (g.Generation > 1 && g.Attempt != name("a", int(g.Generation))) {
					k.Errorf("after generation %d: generation %d by %q, %v", last, g.Generation, g.Attempt, err)
				}
				last = g.Generation
			}
		})
	}},
	{"everything at once does no harm", func(k *kit) {
		k.populate()
		k.parallel(8, func(int) {
			for range 3 {
				for _, v := range k.verbs() {
					if err := v.call(k.Context()); storage.IsFailure(err) {
						k.Errorf("%s: %v", v.name, err)
					}
				}
			}
		})
	}},
}

// rush presents one rotation as a crowd does and counts the outcomes. Whoever succeeds must have the same successor.
func (k *kit) rush(r storage.Rotation, everyoneAnother bool) map[string]int {
	k.Helper()
	outcomes := make([]storage.Outcome, crowd)
	k.parallel(crowd, func(i int) {
		r := r
		if everyoneAnother {
			r.Attempt = name("attempt ", i)
		}
		outcome, g, err := k.s.Rotate(k.Context(), r)
		if err != nil || g.Generation != r.Generation+1 {
			k.Errorf("%v with generation %d, %v", outcome, g.Generation, err)
		}
		outcomes[i] = outcome
	})
	count := map[string]int{}
	for _, outcome := range outcomes {
		count[outcome.String()]++
	}
	return count
}
