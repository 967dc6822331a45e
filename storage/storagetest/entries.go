package storagetest

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ingam/ingam/storage"
)

const kind = storage.KindSession

// entry has every field set and lives 20 units.
func (k *kit) entry(id string) storage.Entry {
	return storage.Entry{
		Kind: kind, ID: id, Owner: "owner", Data: json.RawMessage(`{"name":"Größe 한국","n":[1,null,true]}`), Version: 1,
		ExpiresAt: k.now().Add(k.units(20)),
	}
}

func (k *kit) newEntry(id string) storage.Entry {
	k.Helper()
	e := k.entry(id)
	k.must(k.s.CreateEntry(k.Context(), e))
	return e
}

// wantEntry compares an entry that must be there.
func (k *kit) wantEntry(want storage.Entry, when string) {
	k.Helper()
	got, err := k.s.Entry(k.Context(), want.Kind, want.ID)
	k.want(err, nil, "read an entry "+when)
	k.same(got, want, "the entry "+when)
}

func (k *kit) noEntry(kind, id, when string) {
	k.Helper()
	_, err := k.s.Entry(k.Context(), kind, id)
	k.want(err, storage.ErrNotFound, "read an entry "+when)
	_, err = k.s.TakeEntry(k.Context(), kind, id)
	k.want(err, storage.ErrNotFound, "take an entry "+when)
}

var entryChecks = []check{
	{"an entry comes back exactly as it was stored", func(k *kit) {
		want := k.entry("e")
		k.full(want)
		given := want
		given.Version = 7 // a new one has version 1 whatever it says
		k.must(k.s.CreateEntry(k.Context(), given))
		k.wantEntry(want, "that was stored")
	}},
	{"an entry without owner and end comes back too, and is still there much later", func(k *kit) {
		want := storage.Entry{Kind: kind, ID: "e", Data: json.RawMessage(`0`), Version: 1}
		k.must(k.s.CreateEntry(k.Context(), want))
		k.advance(k.units(60))
		_, err := k.s.Sweep(k.Context(), 100)
		k.must(err)
		k.wantEntry(want, "that never ends")
	}},
	{"the data of an entry is any JSON value, and means the same when it comes back", func(k *kit) {
		for i, data := range []string{
			`null`, `false`, `9007199254740993`, `1e400`, `""`, `"<a>&\u2028\u0000\ud83d\ude00"`, `[]`, `{}`, ` { "a" : [ 1 , 2 ] } `,
			`{"kind":"x","id":"y","version":9}`, `"` + strings.Repeat("x", 200_000) + `"`,
		} {
			want := k.entry(name("e", i))
			want.Data = json.RawMessage(data)
			k.must(k.s.CreateEntry(k.Context(), want))
			k.wantEntry(want, "with data of its own")
		}
	}},
	{"the end of an entry is an instant, in whatever zone it was given, and comes back in UTC", func(k *kit) {
		want := k.entry("e")
		given := want
		given.ExpiresAt = want.ExpiresAt.In(time.FixedZone("KST", 9*3600))
		k.must(k.s.CreateEntry(k.Context(), given))
		k.wantEntry(want, "of another zone")
		k.must(k.s.ReplaceEntry(k.Context(), given))
		want.Version = 2
		k.wantEntry(want, "of another zone, replaced")
	}},
	{"creating an entry whose id is taken answers ErrExists and leaves all as it was", func(k *kit) {
		want := k.newEntry("e")
		again := k.entry("e")
		again.Owner, again.Data, again.ExpiresAt = "thief", json.RawMessage(`1`), time.Time{}
		k.want(k.s.CreateEntry(k.Context(), again), storage.ErrExists, "create again")
		k.wantEntry(want, "after a second creation")
		k.same(k.idsOf(kind, "thief", 9), []string{}, "entries of who came second")
	}},
	{"of 16 parallel creations of one entry exactly one wins", func(k *kit) {
		k.oneWins(16, storage.ErrExists, func(int) error { return k.s.CreateEntry(k.Context(), k.entry("e")) })
	}},
	{"an entry that could not come back as it was is refused", func(k *kit) {
		for what, bend := range map[string]func(e *storage.Entry){
			"no kind": func(e *storage.Entry) { e.Kind = "" }, "no id": func(e *storage.Entry) { e.ID = "" },
			"an id that is no text":    func(e *storage.Entry) { e.ID = "\xff" },
			"an owner that is no text": func(e *storage.Entry) { e.Owner = "\xff" },
			"an endless id":            func(e *storage.Entry) { e.ID = endlessIDs()[0] },
			"an endless owner":         func(e *storage.Entry) { e.Owner = endlessIDs()[0] },
			"no data":                  func(e *storage.Entry) { e.Data = nil },
			"half an object":           func(e *storage.Entry) { e.Data = json.RawMessage(`{"a":`) },
			"two values":               func(e *storage.Entry) { e.Data = json.RawMessage(`1 2`) },
		} {
			e := k.entry("e")
			bend(&e)
			if err := k.s.CreateEntry(k.Context(), e); !storage.IsFailure(err) {
				k.Errorf("%s: got %v, want a failure", what, err)
			}
		}
		want := k.newEntry("e")
		bad := want
		bad.Data = json.RawMessage(`{`)
		if err := k.s.ReplaceEntry(k.Context(), bad); !storage.IsFailure(err) {
			k.Errorf("replace by half an object: got %v, want a failure", err)
		}
		k.wantEntry(want, "after what was refused")
	}},
	{"an unknown entry is not found", func(k *kit) {
		want := k.newEntry("e")
		for _, id := range append(endlessIDs(), "E", "e ", "e\x00", "") {
			k.noEntry(kind, id, "of an unknown id")
			k.noEntry(id, "e", "of an unknown kind")
			k.same(k.idsOf(kind, id, 9), []string{}, "entries of an unknown owner")
			k.same(k.idsOf(id, "owner", 9), []string{}, "entries of an unknown kind")
		}
		k.want(k.s.ReplaceEntry(k.Context(), k.entry("E")), storage.ErrNotFound, "replace")
		other := k.entry("e")
		other.Kind = storage.KindConsent
		k.want(k.s.ReplaceEntry(k.Context(), other), storage.ErrNotFound, "replace in another kind")
		k.wantEntry(want, "beside them")
	}},
	{"entries of another kind are others, and kind and id are not glued together", func(k *kit) {
		pairs := [][2]string{
			{storage.KindSession, "e"},
			{storage.KindConsent, "e"},
			{storage.KindPushed, "e"},
			{storage.KindLogout, "e"},
			{"a", "bc"},
			{"ab", "c"},
			{"a:b", "c"},
			{"a", "b:c"},
			{"a/b", "c"},
			{"a", "b/c"},
			{"a\x00", "b"},
			{"a", "\x00b"},
		}
		end := k.now().Add(k.units(40))
		made := make([]storage.Entry, len(pairs))
		for i, p := range pairs {
			made[i] = storage.Entry{Kind: p[0], ID: p[1], Owner: "owner", Data: asJSON(k, i), Version: 1, ExpiresAt: end}
			k.must(k.s.CreateEntry(k.Context(), made[i]))
		}
		for _, e := range made {
			k.wantEntry(e, "of its own kind")
			k.same(k.idsOf(e.Kind, "owner", 9), idsOfKind(pairs, e.Kind), "entries of kind "+e.Kind)
		}
		for i, e := range made {
			taken, err := k.s.TakeEntry(k.Context(), e.Kind, e.ID)
			k.must(err)
			k.same(taken, made[i], "what was taken")
		}
	}},
	{"entry ids are bytes: nothing is folded, cut or trimmed", func(k *kit) {
		for i, id := range oddIDs() {
			e := k.entry(id)
			e.Data = asJSON(k, i)
			k.must(k.s.CreateEntry(k.Context(), e))
		}
		for i, id := range oddIDs() {
			want := k.entry(id)
			want.Data = asJSON(k, i)
			got, err := k.s.Entry(k.Context(), kind, id)
			k.must(err)
			want.ExpiresAt = got.ExpiresAt
			k.same(got, want, "entry")
		}
		k.same(len(k.idsOf(kind, "owner", 1000)), len(oddIDs()), "listed")
	}},
	{"replacing an entry counts its version up, and only the version that is stored can be replaced", func(k *kit) {
		e := k.newEntry("e")
		for version := uint64(1); version < 5; version++ {
			e.Data, e.ExpiresAt = asJSON(k, version), e.ExpiresAt.Add(k.unit)
			for _, wrong := range []uint64{0, version - 1, version + 1, 1 << 60} {
				other := e
				other.Version, other.Data = wrong, json.RawMessage(`"lost"`)
				k.want(k.s.ReplaceEntry(k.Context(), other), storage.ErrConflict, "replace another version")
			}
			k.must(k.s.ReplaceEntry(k.Context(), e))
			e.Version++
			k.wantEntry(e, "that was replaced")
		}
	}},
	{"of 16 replacements of one entry exactly one wins", func(k *kit) {
		e := k.newEntry("e")
		k.oneWins(16, storage.ErrConflict, func(i int) error {
			mine := e
			mine.Data = asJSON(k, i)
			return k.s.ReplaceEntry(k.Context(), mine)
		})
	}},
	{"8 who count in one entry lose nothing", func(k *kit) {
		e := k.entry("e")
		e.Data = json.RawMessage(`0`)
		k.must(k.s.CreateEntry(k.Context(), e))
		k.parallel(8, func(int) {
			for added := 0; added < 5; {
				mine, err := k.s.Entry(k.Context(), kind, "e")
				var n int
				if err == nil {
					err = json.Unmarshal(mine.Data, &n)
				}
				mine.Data = asJSON(k, n+1)
				if err == nil {
					err = k.s.ReplaceEntry(k.Context(), mine)
				}
				switch {
				case err == nil:
					added++
				case storage.IsFailure(err):
					k.Errorf("count: %v", err)
					return
				}
			}
		})
		e.Data, e.Version = json.RawMessage(`40`), 41
		k.wantEntry(e, "that 8 have counted in")
	}},
	{"the owner of an entry never changes", func(k *kit) {
		e := k.newEntry("e")
		for _, owner := range []string{"thief", ""} {
			mine := e
			mine.Owner = owner
			k.must(k.s.ReplaceEntry(k.Context(), mine))
			e.Version++
			k.wantEntry(e, "that another owner was written into")
		}
		nobodys := k.entry("nobody's")
		nobodys.Owner = ""
		k.must(k.s.CreateEntry(k.Context(), nobodys))
		nobodys.Owner = "thief"
		k.must(k.s.ReplaceEntry(k.Context(), nobodys))
		k.same(k.idsOf(kind, "thief", 9), []string{}, "entries of the thief")
		k.same(k.idsOf(kind, "owner", 9), []string{"e"}, "entries of the owner")
	}},
	{"what is taken is gone, and its id free for a new one", func(k *kit) {
		e := k.newEntry("e")
		e.Data = json.RawMessage(`"second"`)
		k.must(k.s.ReplaceEntry(k.Context(), e))
		e.Version = 2
		got, err := k.s.TakeEntry(k.Context(), kind, "e")
		k.must(err)
		k.same(got, e, "what was taken")
		k.noEntry(kind, "e", "that was taken")
		k.want(k.s.ReplaceEntry(k.Context(), e), storage.ErrNotFound, "replace what was taken")
		k.same(k.idsOf(kind, "owner", 9), []string{}, "entries of the owner")
		fresh := k.entry("e")
		fresh.Owner = "another"
		k.must(k.s.CreateEntry(k.Context(), fresh))
		k.wantEntry(fresh, "that is new under the id")
		k.same(k.idsOf(kind, "owner", 9), []string{}, "entries of the owner of before")
	}},
	{"of 64 who take one entry exactly one gets it", func(k *kit) { // RFC 9126 §4
		want := k.newEntry("e")
		k.oneWins(crowd, storage.ErrNotFound, func(int) error {
			got, err := k.s.TakeEntry(k.Context(), kind, "e")
			if err == nil {
				k.same(got, want, "what was taken")
			}
			return err
		})
	}},
	// L3: a browser that is still loading pages must not bring a session back that was ended.
	{"a replacement that races a taking brings nothing back", func(k *kit) {
		for round := range 20 {
			e := k.newEntry(name("e", round))
			var took atomic.Int32
			k.parallel(4, func(i int) {
				var err error
				if i == 0 {
					if _, err = k.s.TakeEntry(k.Context(), kind, e.ID); err == nil {
						took.Add(1)
					}
				} else {
					err = k.s.ReplaceEntry(k.Context(), e)
				}
				if storage.IsFailure(err) {
					k.Errorf("%v", err)
				}
			})
			k.same(took.Load(), 1, "takers who got it")
			k.noEntry(kind, e.ID, "after it was taken")
		}
	}},
	{"whatever a caller does to an entry changes nothing in the store", func(k *kit) { // R18
		want := k.entry("e")
		given := want
		given.Data = append(json.RawMessage{}, want.Data...)
		k.must(k.s.CreateEntry(k.Context(), given))
		given.Data[9] = 'X'
		k.wantEntry(want, "after what was given was spoilt")
		got, err := k.s.Entry(k.Context(), kind, "e")
		k.must(err)
		got.Data[9] = 'X'
		k.wantEntry(want, "after what was read was spoilt")
		list, err := k.s.EntriesOf(k.Context(), kind, "owner", 9)
		k.must(err)
		list[0].Data[9] = 'X'
		k.wantEntry(want, "after what was listed was spoilt")
		given.Data = append(json.RawMessage{}, want.Data...)
		k.must(k.s.ReplaceEntry(k.Context(), given))
		given.Data[9] = 'X'
		want.Version = 2
		k.wantEntry(want, "after what replaced it was spoilt")
	}},
}
