package storagetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

var transferChecks = []check{
	{"an empty store exports nothing, and nothing can be imported into it", func(k *kit) {
		if got := k.exported(); len(got) != 0 {
			k.Errorf("exported %s", got)
		}
		k.must(k.s.Import(k.Context(), k.s.Export(k.Context())))
		k.must(k.s.Import(k.Context(), stream()))
		k.populate()
	}},
	{"an import has exactly what was exported, versions included", func(k *kit) {
		k.fill()
		want := k.exported()
		to := newKit(k.TB, k.h)
		k.must(to.s.Import(k.Context(), k.s.Export(k.Context())))
		k.same(to.exported(), want, "the copy")
		k.same(k.exported(), want, "the original afterwards")
		for _, kind := range []string{`{"client":`, `{"user":`, `{"grant":`, `{"key_ring":`, `{"budget":`, `{"mark":`, `{"entry":`} {
			if !slices.ContainsFunc(want, func(r string) bool { return strings.HasPrefix(r, kind) }) {
				k.Errorf("no record of kind %s was there to copy", kind)
			}
		}
		for _, r := range want {
			if strings.Contains(r, "typed by a stranger") {
				k.Errorf("the key of a budget or a mark is in the export: %s", r)
			}
		}
	}},
	{"clients, users and keys of an import are found and change as before", func(k *kit) {
		k.fill()
		to := newKit(k.TB, k.h)
		k.must(to.s.Import(k.Context(), k.s.Export(k.Context())))
		c, u := k.client("c"), k.user("renamed")
		c.Version, u.ID, u.Version = 2, "id of u", 3
		got, err := to.s.Client(k.Context(), "c")
		k.must(err)
		k.same(got, c, "client")
		to.wantUser(u, "renamed")
		_, err = to.s.UserByName(k.Context(), "u")
		k.want(err, storage.ErrNotFound, "a name that was given up")
		for _, version := range []uint64{1, 2} {
			c.Version = version
			k.want(to.s.ReplaceClient(k.Context(), c), []error{storage.ErrConflict, nil}[version-1], "replace client")
		}
		for _, version := range []uint64{1, 3} {
			u.Version = version
			k.want(to.s.ReplaceUser(k.Context(), u), map[uint64]error{1: storage.ErrConflict, 3: nil}[version], "replace user")
		}
		other := k.user("renamed")
		other.ID = "somebody else"
		k.want(to.s.CreateUser(k.Context(), other), storage.ErrExists, "take an imported name")
		ring := k.ring("third")
		for _, version := range []uint64{1, 2} {
			ring.Version = version
			k.want(to.s.PutKeyRing(k.Context(), ring), []error{storage.ErrConflict, nil}[version-1], "put key ring")
		}
		list, err := to.s.Users(k.Context(), "", 100)
		k.must(err)
		k.same(len(list), 2, "listed users")
	}},
	{"grants of an import go on where they were", func(k *kit) {
		k.fill()
		to := newKit(k.TB, k.h)
		k.must(to.s.Import(k.Context(), k.s.Export(k.Context())))
		to.rotate(k.rotation("rotated", 2, "b"), storage.Rotated) // the winner who asks again
		to.rotate(k.rotation("rotated", 2, "c"), storage.Replayed)
		to.rotate(k.rotation("rotated", 3, "d"), storage.Rotated)
		to.rotate(k.rotation("rotated", 1, "e"), storage.Reused)
		to.rotate(k.rotation("revoked", 1, "a"), storage.Dead)
		g, err := to.s.Grant(k.Context(), "revoked")
		k.must(err)
		k.same(g.RevokedReason, "signed out", "reason")
		g = to.rotate(k.rotation("fresh", 1, "a"), storage.Rotated)
		to.until(g.IdleExpiresAt)
		_, err = to.s.Grant(k.Context(), "fresh")
		k.want(err, storage.ErrNotFound, "read at the idle end")
		_, err = to.s.Sweep(k.Context(), 100)
		k.must(err)
	}},
	{"an export has all entries that live, whoever owns them", func(k *kit) {
		owned := k.newEntry("e")
		nobodys := storage.Entry{Kind: storage.KindConsent, ID: "e", Data: []byte("[1]"), Version: 1}
		k.must(k.s.CreateEntry(k.Context(), nobodys))
		want := []string{string(asJSON(k, storage.Record{Entry: &nobodys})), string(asJSON(k, storage.Record{Entry: &owned}))}
		k.same(k.exported(), want, "exported")
		k.until(owned.ExpiresAt)
		k.same(k.exported(), want[:1], "exported when one has ended")
	}},
	{"entries and lists of grants of an import are as they were, and end when they did", func(k *kit) {
		start := k.now()
		k.fill()
		to := newKit(k.TB, k.h)
		k.must(to.s.Import(k.Context(), k.s.Export(k.Context())))
		k.same(to.grantsOf("user", 9), []string{"fresh", "rotated"}, "grants of the user")
		k.same(to.idsOf(kind, "owner", 9), []string{"ending", "changed"}, "entries of the owner")
		changed, err := k.s.Entry(k.Context(), kind, "changed")
		k.must(err)
		to.wantEntry(changed, "that had changed")
		for _, version := range []uint64{1, 2} {
			changed.Version = version
			k.want(to.s.ReplaceEntry(k.Context(), changed), []error{storage.ErrConflict, nil}[version-1], "replace an entry")
		}
		k.want(to.s.CreateEntry(k.Context(), k.entry("ending")), storage.ErrExists, "take an imported id")
		to.until(start.Add(k.units(45)))
		_, err = to.s.Sweep(k.Context(), 100)
		k.must(err)
		k.same(to.grantsOf("user", 9), []string{}, "grants of the user in the end")
		k.same(to.idsOf(kind, "owner", 9), []string{"changed"}, "entries of the owner in the end")
		to.noEntry(kind, "ending", "that has ended")
	}},
	{"marks and budgets of an import are as spent and end when they did", func(k *kit) {
		end, empty := k.fill(), k.slowBudget("b typed by a stranger")
		to := newKit(k.TB, k.h)
		k.must(to.s.Import(k.Context(), k.s.Export(k.Context())))
		to.remember("m typed by a stranger", end, false)
		if to.spend(empty) == 0 {
			k.Error("the import has filled a budget")
		}
		_, err := to.s.Sweep(k.Context(), 100)
		k.must(err)
		to.until(end.Add(k.grain))
		to.remembered("m typed by a stranger", false)
		to.remember("m typed by a stranger", end, true)
		to.spends(1, empty)
		if to.spend(empty) == 0 {
			k.Error("an imported budget holds more than its burst")
		}
	}},
	{"an export has nothing that has ended or was removed", func(k *kit) {
		k.newGrant("dead")
		k.remember("dead", k.now().Add(k.unit), true)
		k.spends(1, k.budget("dead", 1))
		full := k.budget("full", 2)
		k.spends(1, full)
		k.refund(full, 1)
		k.newEntry("dead")
		k.ownedUntil("taken", "owner", time.Time{})
		_, err := k.s.TakeEntry(k.Context(), kind, "taken")
		k.must(err)
		k.newClient("removed")
		k.must(k.s.DeleteClient(k.Context(), "removed"))
		u := k.newUser("removed")
		k.must(k.s.DeleteUser(k.Context(), u.ID))
		k.advance(k.units(21))
		k.newGrant("alive")
		got := k.exported()
		if len(got) != 1 || !strings.Contains(got[0], `"alive"`) {
			k.Errorf("exported %s, want one grant", got)
		}
	}},
	{"who has read enough of an export may stop, and the store goes on", func(k *kit) {
		k.fill()
		for stop := range 10 {
			seen := 0
			for _, err := range k.s.Export(k.Context()) {
				k.must(err)
				if seen++; seen > stop {
					break
				}
			}
		}
		k.rotate(k.rotation("fresh", 1, "a"), storage.Rotated)
	}},
	{"an export while others work yields whole records and disturbs nobody", func(k *kit) {
		k.newGrant("g")
		k.parallel(3, func(i int) {
			for n := range uint64(20) {
				if i == 0 {
					r := k.rotation("g", n+1, name("a", int(n)+2)) // the attempt tells its generation
					if outcome, _, err := k.s.Rotate(k.Context(), r); err != nil || outcome != storage.Rotated {
						k.Errorf("rotate: %v, %v", outcome, err)
					}
					continue
				}
				found := 0
				for r, err := range k.s.Export(k.Context()) {
					found++
					if err != nil || r.Grant == nil || r.Grant.Generation > 1 && r.Grant.Attempt != name("a", int(r.Grant.Generation)) {
						k.Errorf("exported %s, %v", asJSON(k, r), err)
					}
				}
				if found != 1 {
					k.Errorf("exported %d records, want 1", found)
				}
			}
		})
	}},
	{"whatever is done to transferred records changes nothing in the stores", func(k *kit) { // R18
		k.fill()
		want := k.exported()
		to := newKit(k.TB, k.h)
		var list []storage.Record
		for r, err := range k.s.Export(k.Context()) {
			k.must(err)
			list = append(list, r)
		}
		k.must(to.s.Import(k.Context(), stream(list...)))
		for _, r := range list {
			spoil(r)
		}
		k.same(k.exported(), want, "the original")
		k.same(to.exported(), want, "the copy")
	}},
	{"when its caller is gone or it is closed a store neither exports nor imports", func(k *kit) {
		k.populate()
		to := newKit(k.TB, k.h)
		gone, cancel := context.WithCancel(k.Context())
		cancel()
		record := storage.Record{Client: new(k.client("c"))}
		refused := func(ctx context.Context, what string) {
			k.Helper()
			n, last := 0, error(nil)
			for _, last = range k.s.Export(ctx) {
				n++
			}
			if n != 1 || !storage.IsFailure(last) {
				k.Errorf("%s: an export of %d steps ended with %v, want one step with a failure", what, n, last)
			}
			if err := to.s.Import(ctx, stream(record)); !storage.IsFailure(err) {
				k.Errorf("%s: import: got %v, want a failure", what, err)
			}
		}
		refused(gone, "gone")
		k.must(k.s.Close())
		k.must(to.s.Close())
		refused(k.Context(), "closed")
	}},
}

// fill makes one of everything, with a past, and returns when the mark ends. It lives for some units.
func (k *kit) fill() (markEnds time.Time) {
	k.Helper()
	ctx := k.Context()
	k.must(k.s.ReplaceClient(ctx, k.newClient("c")))
	u := k.renamed(k.newUser("u"), "v")
	k.renamed(u, "renamed")
	k.newUser("second")
	for _, id := range []string{"fresh", "rotated", "revoked"} {
		k.newGrant(id)
	}
	k.rotate(k.rotation("rotated", 1, "a"), storage.Rotated)
	k.rotate(k.rotation("rotated", 2, "b"), storage.Rotated)
	k.must(k.s.RevokeGrant(ctx, "revoked", "signed out"))
	ring := k.ring("first")
	k.must(k.s.PutKeyRing(ctx, ring))
	ring.Version = 1
	k.must(k.s.PutKeyRing(ctx, ring))
	k.newEntry("ending")
	changed := k.ownedUntil("changed", "owner", time.Time{})
	k.must(k.s.ReplaceEntry(ctx, changed))
	nobodys := storage.Entry{Kind: storage.KindConsent, ID: "nobody's", Data: []byte(`"text"`)}
	k.must(k.s.CreateEntry(ctx, nobodys))
	k.spends(1, k.slowBudget("b typed by a stranger"))
	markEnds = k.now().Add(k.units(45))
	k.remember("m typed by a stranger", markEnds, true)
	return markEnds
}

// slowBudget is empty for long after one unit.
func (k *kit) slowBudget(key string) storage.Budget {
	return storage.Budget{Key: key, Burst: 1, Every: k.units(45)}
}

// exported reads a store to its end: each record as JSON, in order.
func (k *kit) exported() []string {
	k.Helper()
	list := []string{}
	for r, err := range k.s.Export(k.Context()) {
		k.must(err)
		list = append(list, string(asJSON(k, r)))
	}
	slices.Sort(list)
	for i := 1; i < len(list); i++ {
		if list[i] == list[i-1] {
			k.Errorf("exported twice: %s", list[i])
		}
	}
	return list
}

// spoil changes all that a record points to.
func spoil(r storage.Record) {
	switch {
	case r.Client != nil:
		r.Client.Secrets[0].Hash[0]++
		r.Client.Scopes[0] = "spoilt"
	case r.User != nil:
		r.User.Claims["name"] = "spoilt"
		r.User.Claims["groups"].([]any)[0] = "spoilt"
	case r.Grant != nil:
		r.Grant.Scopes[0] = "spoilt"
		r.Grant.Nonce[0]++
	case r.KeyRing != nil:
		r.KeyRing.Keys[0].Sealed[0]++
	case r.Budget != nil:
		r.Budget.KeyHash[0]++
	case r.Mark != nil:
		r.Mark.KeyHash[0]++
	case r.Entry != nil:
		r.Entry.Data[1] = 'X'
	}
}
