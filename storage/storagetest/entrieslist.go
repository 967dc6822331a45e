package storagetest

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/ingam/ingam/storage"
)

// idsOf lists the entries of an owner, and checks that each is what Entry says.
func (k *kit) idsOf(kind, owner string, limit int) []string {
	k.Helper()
	list, err := k.s.EntriesOf(k.Context(), kind, owner, limit)
	k.must(err)
	ids := []string{}
	for _, e := range list {
		if e.Kind != kind || e.Owner != owner {
			k.Errorf("among the %ss of %q is %s", kind, owner, asJSON(k, e))
		}
		k.wantEntry(e, "as it is listed")
		ids = append(ids, e.ID)
	}
	return ids
}

// idsOfKind are the ids of the pairs of that kind, in order.
func idsOfKind(pairs [][2]string, kind string) []string {
	var ids []string
	for _, p := range pairs {
		if p[0] == kind {
			ids = append(ids, p[1])
		}
	}
	slices.Sort(ids)
	return ids
}

// ownedUntil creates an entry.
func (k *kit) ownedUntil(id, owner string, end time.Time) storage.Entry {
	k.Helper()
	e := k.entry(id)
	e.Owner, e.ExpiresAt = owner, end
	k.must(k.s.CreateEntry(k.Context(), e))
	return e
}

var entryListChecks = []check{
	{"the entries of an owner come in the order of their ends, then of their ids", func(k *kit) {
		start := k.now()
		for id, end := range map[string]time.Time{
			"late": start.Add(k.units(30)), "never b": {}, "tie b": start.Add(k.units(20)), "tie a": start.Add(k.units(20)), "never a": {},
			"tie B": start.Add(k.units(20)), "tie": start.Add(k.units(20)), "a bit before": start.Add(k.units(20) - time.Millisecond),
			"soon": start.Add(k.units(10)), "a bit later": start.Add(k.units(20) + time.Millisecond), "tie é": start.Add(k.units(20)),
		} {
			k.ownedUntil(id, "owner", end)
		}
		k.ownedUntil("another's", "owner ", start.Add(k.units(15)))
		k.ownedUntil("nobody's", "", start.Add(k.units(15)))
		other := k.entry("another kind's")
		other.Kind = storage.KindConsent
		k.must(k.s.CreateEntry(k.Context(), other))
		all := []string{
			"soon", "a bit before", "tie", "tie B", "tie a", "tie b", "tie é", "a bit later", "late", "never a", "never b",
		}
		for _, limit := range []int{0, 1, 4, 10, 11, 12, 1000} {
			k.same(k.idsOf(kind, "owner", limit), all[:min(limit, len(all))], "entries of the owner")
		}
		k.same(k.idsOf(kind, "", 100), []string{}, "entries of nobody")
	}},
	{"the place of an entry among its owner's follows a change of its end", func(k *kit) {
		start := k.now()
		ends := []time.Time{start.Add(k.units(10)), start.Add(k.units(20)), {}}
		for i, end := range ends {
			k.ownedUntil(name("e", i), "owner", end)
		}
		moving := k.ownedUntil("moving", "owner", start.Add(k.units(15)))
		for _, move := range []struct {
			to   time.Time
			want []string
		}{
			{start.Add(k.units(30)), []string{"e000", "e001", "moving", "e002"}},
			{start.Add(k.units(5)), []string{"moving", "e000", "e001", "e002"}},
			{time.Time{}, []string{"e000", "e001", "e002", "moving"}},
			{start.Add(k.units(15)), []string{"e000", "moving", "e001", "e002"}},
			{start.Add(k.units(15)), []string{"e000", "moving", "e001", "e002"}},
		} {
			moving.ExpiresAt = move.to
			k.must(k.s.ReplaceEntry(k.Context(), moving))
			moving.Version++
			k.same(k.idsOf(kind, "owner", 100), move.want, "entries of the owner")
		}
	}},
	{"owners are bytes: nothing is folded, cut or trimmed", func(k *kit) {
		for i, owner := range oddIDs() {
			k.ownedUntil(name("e", i), owner, time.Time{})
		}
		for i, owner := range oddIDs() {
			k.same(k.idsOf(kind, owner, 100), []string{name("e", i)}, "entries of an odd owner")
		}
	}},
	{"an entry is listed when CreateEntry has returned, however many are made at once", func(k *kit) {
		k.parallel(16, func(i int) {
			id := name("e", i)
			if err := k.s.CreateEntry(k.Context(), k.entry(id)); err != nil {
				k.Errorf("create: %v", err)
			}
			list, err := k.s.EntriesOf(k.Context(), kind, "owner", 100)
			if err != nil || !slices.ContainsFunc(list, func(e storage.Entry) bool { return e.ID == id }) {
				k.Errorf("%s is not listed: %v", id, err)
			}
		})
		k.same(len(k.idsOf(kind, "owner", 100)), 16, "listed")
	}},
	{"an owner with 300 entries sees as many as it asks for", func(k *kit) {
		end := k.now().Add(k.units(60))
		for i := range 300 {
			k.ownedUntil(name("e", i), "owner", end)
		}
		for _, limit := range []int{1, 299, 300, 301} {
			got := k.idsOf(kind, "owner", limit)
			k.same(len(got), min(limit, 300), "listed")
			k.same(got[len(got)-1], name("e", min(limit, 300)-1), "the last one")
		}
	}},
	{"an entry ends to the millisecond, swept or not", func(k *kit) {
		end := k.now().Add(k.units(20))
		for _, id := range []string{"read", "taken", "replaced", "swept"} {
			k.ownedUntil(id, "owner", end)
		}
		k.until(end.Add(-k.grain))
		_, err := k.s.Sweep(k.Context(), 100)
		k.must(err)
		list, err := k.s.EntriesOf(k.Context(), kind, "owner", 9)
		k.want(err, nil, "list just before the end")
		k.same(len(list), 4, "listed just before the end")
		for _, moment := range []time.Time{end, end.Add(k.grain)} {
			k.until(moment)
			_, err := k.s.Entry(k.Context(), kind, "read")
			k.want(err, storage.ErrNotFound, "read at the end or after")
			_, err = k.s.TakeEntry(k.Context(), kind, "taken")
			k.want(err, storage.ErrNotFound, "take at the end or after")
			late := k.entry("replaced")
			k.want(k.s.ReplaceEntry(k.Context(), late), storage.ErrNotFound, "replace at the end or after")
			k.same(k.idsOf(kind, "owner", 9), []string{}, "listed at the end or after")
		}
		_, err = k.s.Sweep(k.Context(), 100)
		k.must(err)
		k.noEntry(kind, "swept", "after the sweep")
	}},
	{"an entry that has ended before it is made is never seen", func(k *kit) {
		for i, end := range []time.Time{time.UnixMilli(0), time.UnixMilli(-1), k.now().Add(-k.unit), k.now()} {
			e := k.ownedUntil(name("e", i), "owner", end)
			k.noEntry(kind, e.ID, "that was over at its birth")
		}
		k.same(k.idsOf(kind, "owner", 9), []string{}, "listed")
		e := k.newEntry("alive")
		e.ExpiresAt = k.now()
		k.must(k.s.ReplaceEntry(k.Context(), e))
		k.noEntry(kind, e.ID, "that was replaced by one that is over")
	}},
	{"the id of an entry that has ended can be used by another owner, and the sweeper spares that one", func(k *kit) {
		k.newEntry("e")
		k.newEntry("same owner")
		k.advance(k.units(21))
		want := k.entry("e")
		want.Owner, want.Data = "another", json.RawMessage(`"new"`)
		k.must(k.s.CreateEntry(k.Context(), want))
		same := k.newEntry("same owner")
		for range 2 {
			k.wantEntry(want, "that is new under the id")
			k.wantEntry(same, "of the same owner")
			k.same(k.idsOf(kind, "owner", 9), []string{"same owner"}, "entries of the first owner")
			k.same(k.idsOf(kind, "another", 9), []string{"e"}, "entries of the second owner")
			_, err := k.s.Sweep(k.Context(), 100)
			k.must(err)
		}
	}},
	{"a replacement moves the end of an entry in both directions, and takes it away", func(k *kit) {
		start := k.now()
		longer, shorter, forever := k.newEntry("longer"), k.newEntry("shorter"), k.newEntry("for ever")
		ending := k.ownedUntil("ending", "owner", time.Time{})
		longer.ExpiresAt, shorter.ExpiresAt = start.Add(k.units(40)), start.Add(k.units(10))
		forever.ExpiresAt, ending.ExpiresAt = time.Time{}, start.Add(k.units(10))
		for _, e := range []storage.Entry{longer, shorter, forever, ending} {
			k.must(k.s.ReplaceEntry(k.Context(), e))
		}
		for _, step := range []struct {
			units int
			want  []string
		}{
			{11, []string{"longer", "for ever"}}, {21, []string{"longer", "for ever"}}, {41, []string{"for ever"}}, {60, []string{"for ever"}},
		} {
			k.until(start.Add(k.units(step.units)))
			k.same(k.idsOf(kind, "owner", 9), step.want, "listed")
			_, err := k.s.Sweep(k.Context(), 100)
			k.must(err)
			k.same(k.idsOf(kind, "owner", 9), step.want, "listed after a sweep")
		}
		k.noEntry(kind, "shorter", "that became shorter")
	}},
	{"an owner's list shows what lives, whatever ended or was taken before it", func(k *kit) {
		start := k.now()
		for i := range 40 {
			k.ownedUntil(name("dead", i), "owner", start.Add(k.unit))
			k.ownedUntil(name("taken", i), "owner", start.Add(k.units(50)))
			_, err := k.s.TakeEntry(k.Context(), kind, name("taken", i))
			k.must(err)
		}
		k.ownedUntil("alive", "owner", start.Add(k.units(60)))
		k.until(start.Add(k.units(2)))
		k.same(k.idsOf(kind, "owner", 1), []string{"alive"}, "listed")
	}},
}
