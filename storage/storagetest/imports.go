package storagetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

var importChecks = []check{
	{"a store that holds anything refuses an import, and keeps what it has", func(k *kit) {
		source := newKit(k.TB, k.h)
		source.newClient("imported")
		for kind, hold := range map[string]func(k *kit){
			"client":   func(k *kit) { k.newClient("c") },
			"user":     func(k *kit) { k.newUser("u") },
			"grant":    func(k *kit) { k.newGrant("g") },
			"key ring": func(k *kit) { k.must(k.s.PutKeyRing(k.Context(), k.ring("k"))) },
			"budget":   func(k *kit) { k.spends(1, k.slowBudget("b")) },
			"mark":     func(k *kit) { k.remember("m", k.now().Add(k.units(50)), true) },
			"entry":    func(k *kit) { k.newEntry("e") },
		} {
			to := newKit(k.TB, k.h)
			hold(to)
			before := to.exported()
			k.want(to.s.Import(k.Context(), source.s.Export(k.Context())), storage.ErrExists, "import over a "+kind)
			k.want(to.s.Import(k.Context(), stream()), storage.ErrExists, "import of nothing over a "+kind)
			k.same(to.exported(), before, "a store with a "+kind)
		}
	}},
	{"a record that comes twice is refused by name", func(k *kit) {
		sameName := k.user("u")
		sameName.ID = "another"
		g, e, far := k.grant("the grant"), k.entry("the entry"), k.now().Add(time.Hour) // copies take their time
		g.IdleExpiresAt, g.ExpiresAt, e.ExpiresAt = far, far, far
		for what, twice := range map[string][2]storage.Record{
			"the client":       {{Client: new(k.client("the client"))}, {Client: new(k.client("the client"))}},
			"id of the user":   {{User: new(k.user("the user"))}, {User: new(k.user("the user"))}},
			"another":          {{User: new(k.user("u"))}, {User: &sameName}},
			"the grant":        {{Grant: &g}, {Grant: &g}},
			"key ring":         {{KeyRing: new(k.ring("a"))}, {KeyRing: new(k.ring("b"))}},
			"budget 626262626": {{Budget: k.budgetState("b")}, {Budget: k.budgetState("b")}},
			"mark 6d6d6d6d6d6": {{Mark: k.markState("m")}, {Mark: k.markState("m")}},
			"the entry":        {{Entry: &e}, {Entry: &e}},
		} {
			for _, between := range []int{0, 700} {
				list := []storage.Record{twice[0]}
				for i := range between {
					list = append(list, storage.Record{Client: &storage.Client{ID: name("c", i)}})
				}
				err := newKit(k.TB, k.h).s.Import(k.Context(), stream(append(list, twice[1])...))
				if err == nil || !strings.Contains(err.Error(), what) {
					k.Errorf("%s twice, %d between: got %v", what, between, err)
				}
				if between == 0 {
					k.must(newKit(k.TB, k.h).s.Import(k.Context(), stream(list...)))
				}
			}
		}
	}},
	{"records that no store has exported are refused", func(k *kit) {
		c, g := k.client("c"), k.grant("g")
		short := k.markState("m")
		short.KeyHash = short.KeyHash[1:]
		half, kindless := k.entry("e"), k.entry("e")
		half.Data, kindless.Kind = half.Data[1:], ""
		for what, r := range map[string]storage.Record{
			"nothing": {}, "two things": {Client: &c, Grant: &g}, "no id": {Client: &storage.Client{}},
			"a user without a name": {User: &storage.User{ID: "u"}}, "half a hash": {Mark: short}, "no hash": {Budget: &storage.BudgetState{}},
			"half an object": {Entry: &half}, "an entry of no kind": {Entry: &kindless},
			"an entry and a client": {Client: &c, Entry: new(k.entry("e"))},
		} {
			if err := newKit(k.TB, k.h).s.Import(k.Context(), stream(r)); !storage.IsFailure(err) {
				k.Errorf("%s: got %v, want a failure", what, err)
			}
		}
	}},
	{"a stream that breaks off breaks the import", func(k *kit) {
		broken := errors.New("cut off")
		for _, before := range []int{0, 1, 300} {
			err := newKit(k.TB, k.h).s.Import(k.Context(), func(yield func(storage.Record, error) bool) {
				for i := range before {
					if !yield(storage.Record{Client: &storage.Client{ID: name("c", i)}}, nil) {
						return
					}
				}
				yield(storage.Record{}, broken)
			})
			if !errors.Is(err, broken) {
				k.Errorf("after %d records: got %v, want the error of the stream", before, err)
			}
		}
	}},
	{"1,000 records of each kind arrive", func(k *kit) {
		const n = 1000
		var list []storage.Record
		for i := range n {
			id := name("r", i)
			hash := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 16)
			g := k.grant(id)
			g.ExpiresAt = k.now().Add(time.Hour)
			g.IdleExpiresAt = g.ExpiresAt
			list = append(list,
				storage.Record{Client: &storage.Client{ID: id, Version: 1}}, storage.Record{User: &storage.User{ID: id, Username: id, Version: 1}},
				storage.Record{Grant: &g},
				storage.Record{Budget: &storage.BudgetState{KeyHash: hash, FullAt: k.now().Add(time.Hour)}},
				storage.Record{Mark: &storage.MarkState{KeyHash: hash, Until: k.now().Add(time.Hour)}},
				storage.Record{Entry: &storage.Entry{Kind: kind, ID: id, Owner: "owner", Data: []byte("1"), Version: 1}})
		}
		k.must(k.s.Import(k.Context(), stream(list...)))
		k.same(len(k.exported()), 6*n, "records")
		k.rotate(k.rotation(name("r", n-1), 1, "a"), storage.Rotated)
		entries, err := k.s.EntriesOf(k.Context(), kind, "owner", n+1)
		k.must(err)
		grants, err := k.s.GrantsOf(k.Context(), "user", n+1)
		k.must(err)
		k.same([]int{len(entries), len(grants)}, []int{n, n}, "entries and grants that are listed")
	}},
}

func (k *kit) budgetState(hash string) *storage.BudgetState {
	return &storage.BudgetState{KeyHash: []byte(strings.Repeat(hash, 32)), FullAt: k.now().Add(k.units(50))}
}

// budgetUntil is the state of a budget that is full at the given time.
func budgetUntil(key string, full time.Time) *storage.BudgetState {
	hash := sha256.Sum256([]byte(key))
	return &storage.BudgetState{KeyHash: hash[:], FullAt: full}
}

func (k *kit) markState(hash string) *storage.MarkState {
	return &storage.MarkState{KeyHash: []byte(strings.Repeat(hash, 32)), Until: k.now().Add(k.units(50))}
}

func stream(list ...storage.Record) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
	}
}
