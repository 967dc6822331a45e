package keys

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// sig and mac make records for policy: made at hour h; then ActivateAt, RetireAt, ForgetAt by hour, 0 for none.
func sig(id string, h int, times ...int) storage.SealedKey {
	k := storage.SealedKey{ID: id, Use: useSign, CreatedAt: at(h)}
	for i, field := range []*time.Time{&k.ActivateAt, &k.RetireAt, &k.ForgetAt} {
		if i < len(times) && times[i] != 0 {
			*field = at(times[i])
		}
	}
	return k
}

func mac(id string, h int, times ...int) storage.SealedKey {
	k := sig(id, h, times...)
	k.Use = useMAC
	return k
}

// K3, K8: the whole life of keys as arithmetic. Times are hours; each row sits beside one that differs in one fact.
func TestPolicySaysWhichKeySignsAndWhichArePublished(t *testing.T) {
	rotation := []storage.SealedKey{sig("old", 1, 0, 20, 40), sig("new", 10, 20)}
	for _, c := range []struct {
		name      string
		keys      []storage.SealedKey
		now       int
		signing   string
		published []string
		until     int // 0: for ever
	}{
		{"no keys", nil, 5, "", nil, 0},
		{"a key without times signs for ever", []storage.SealedKey{sig("a", 1)}, 5, "a", []string{"a"}, 0},
		{"a key made in the future, by a fast clock, signs too", []storage.SealedKey{sig("a", 9)}, 5, "a", []string{"a"}, 0},
		{"the newest of two signs", []storage.SealedKey{sig("a", 1), sig("b", 2)}, 5, "b", []string{"b", "a"}, 0},
		{"of two as new the kid decides", []storage.SealedKey{sig("b", 1), sig("a", 1)}, 5, "a", []string{"a", "b"}, 0},

		{"before its turn a key is only published", rotation, 19, "old", []string{"new", "old"}, 20},
		{"at its turn, to the instant, it signs", rotation, 20, "new", []string{"new", "old"}, 40},
		{"the old one is published until it is forgotten", rotation, 39, "new", []string{"new", "old"}, 40},
		{"and not at that instant any more", rotation, 40, "new", []string{"new"}, 0},

		{"retired without a successor: none signs", []storage.SealedKey{sig("a", 1, 0, 5, 9)}, 5, "", []string{"a"}, 9},
		{"an instant before, it does", []storage.SealedKey{sig("a", 1, 0, 6, 9)}, 5, "a", []string{"a"}, 6},
		{"when the newest retires, the one before signs", []storage.SealedKey{sig("a", 1), sig("b", 2, 0, 4)}, 5, "a", []string{"b", "a"}, 0},
		{"a forgotten key does not sign, even if nobody retired it", []storage.SealedKey{sig("a", 1, 0, 0, 5)}, 5, "", nil, 0},
		{"withdrawn at once, the one before signs", []storage.SealedKey{sig("a", 1), sig("b", 2, 0, 0, 3)}, 5, "a", []string{"a"}, 0},
		{"a secret never signs", []storage.SealedKey{mac("m", 1)}, 5, "", nil, 0},
		{"of several changes the next one counts", []storage.SealedKey{sig("a", 1, 3, 8, 9), mac("m", 1, 0, 7)}, 5, "a", []string{"a"}, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := policy(c.keys, at(c.now))
			if p.signing != c.signing || !slices.Equal(p.published, c.published) {
				t.Errorf("signs %q, publishes %q; want %q, %q", p.signing, p.published, c.signing, c.published)
			}
			if want := at(c.until); c.until != 0 && !p.until.Equal(want) || c.until == 0 && !p.until.IsZero() {
				t.Errorf("until %v, want hour %d", p.until, c.until)
			}
		})
	}
}

func TestPolicyPutsTheActiveSecretFirst(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []storage.SealedKey
		want []string
	}{
		{"none", []storage.SealedKey{sig("a", 1)}, nil},
		{"newest first", []storage.SealedKey{mac("a", 1), mac("b", 2)}, []string{"b", "a"}},
		{"one whose turn is to come is accepted, not used", []storage.SealedKey{mac("a", 1), mac("b", 2, 9)}, []string{"a", "b"}},
		{"a retired one is accepted, not used", []storage.SealedKey{mac("a", 1), mac("b", 2, 0, 4)}, []string{"a", "b"}},
		{"a forgotten one is neither", []storage.SealedKey{mac("a", 1), mac("b", 2, 0, 0, 4)}, []string{"a"}},
	} {
		if got := policy(c.keys, at(5)).secrets; !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestEveryKeyIsInOneStateOfItsLife(t *testing.T) {
	for _, k := range []storage.SealedKey{sig("k", 0, 10, 20, 30), mac("k", 0, 10, 20, 30)} {
		for hour, want := range map[int]State{
			0: StateNext, 9: StateNext, 10: StateActive, 19: StateActive, 20: StateRetired, 29: StateRetired, 30: StateForgotten,
		} {
			p := policy([]storage.SealedKey{k}, at(hour))
			if got := p.state(k, at(hour)); got != want {
				t.Errorf("%s at hour %d: %s, want %s", k.Use, hour, got, want)
			}
		}
	}
	older, newer := sig("older", 1), sig("newer", 2)
	p := policy([]storage.SealedKey{older, newer}, at(5))
	if got := p.state(older, at(5)); got != StateRetired {
		t.Errorf("a superseded key is %s", got)
	}
}

// K3: whatever rings look like, nodes agree, and nothing happens between two of the moments that until names.
func TestPolicyHoldsItsPromisesForRandomRings(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		var ring []storage.SealedKey
		for i := range rng.IntN(6) {
			k := sig(fmt.Sprint("k", i), rng.IntN(20), rng.IntN(40), rng.IntN(40), rng.IntN(40))
			if rng.IntN(3) == 0 {
				k.Use = useMAC
			}
			ring = append(ring, k)
		}
		before := slices.Clone(ring)
		hour := rng.IntN(40)
		p := policy(ring, at(hour))
		if !slices.EqualFunc(ring, before, sameRecord) {
			t.Fatalf("round %d: policy changed the ring", round)
		}
		if p.signing != "" && !slices.Contains(p.published, p.signing) {
			t.Fatalf("round %d: %s signs and is not published", round, p.signing)
		}
		rng.Shuffle(len(ring), func(i, j int) { ring[i], ring[j] = ring[j], ring[i] })
		if other := policy(ring, at(hour)); !samePlan(p, other) {
			t.Fatalf("round %d: the order of the keys matters: %+v, %+v", round, p, other)
		}
		for later := hour; later < 45 && (p.until.IsZero() || at(later).Before(p.until)); later++ {
			if other := policy(ring, at(later)); !samePlan(p, other) {
				t.Fatalf("round %d: the plan changes at hour %d, before %v", round, later, p.until)
			}
		}
	}
}

func samePlan(a, b plan) bool {
	return a.signing == b.signing && slices.Equal(a.published, b.published) && slices.Equal(a.secrets, b.secrets) &&
		a.until.Equal(b.until)
}
