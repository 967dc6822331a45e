package storagetest

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// TestTheSuiteCatchesBrokenStores breaks one promise at a time. Each mutant must fail the checks that are named for
// it (by a part of their sentence), and a sound store must pass the very same ones.
func TestTheSuiteCatchesBrokenStores(t *testing.T) {
	for _, m := range slices.Concat(mutants, userMutants, transferMutants, entryMutants, entryListMutants, grantsOfMutants) {
		t.Run(m.name, func(t *testing.T) {
			for _, part := range m.caughtBy {
				c := find(t, part)
				if passes(t, c, m.store) {
					t.Errorf("%q lets the broken store pass", c.name)
				}
				if !passes(t, c, sound) {
					t.Errorf("%q fails a sound store", c.name)
				}
			}
		})
	}
}

// TestCheckNamesAreUnique keeps find honest, and a filter by name.
func TestCheckNamesAreUnique(t *testing.T) {
	var names []string
	for _, c := range checks() {
		if slices.Contains(names, c.name) {
			t.Errorf("two checks are called %q", c.name)
		}
		names = append(names, c.name)
	}
	if len(names) < 60 {
		t.Errorf("only %d checks are in the suite", len(names))
	}
}

func sound() storage.Store { return memory.New() }

func find(t *testing.T, part string) check {
	t.Helper()
	found := slices.DeleteFunc(checks(), func(c check) bool { return !strings.Contains(c.name, part) })
	if len(found) != 1 {
		t.Fatalf("%d checks have %q in their name, want 1", len(found), part)
	}
	return found[0]
}

// passes runs one check in a bubble and tells what it thinks of the store.
func passes(t *testing.T, c check, store func() storage.Store) bool {
	t.Helper()
	var complaints []string
	synctest.Test(t, func(t *testing.T) {
		_, complaints = attempt(t, Harness{Open: func(testing.TB) storage.Store { return store() }}, c)
	})
	return len(complaints) == 0
}

// mutant is a store with one promise broken.
type mutant struct {
	name     string
	store    func() storage.Store
	caughtBy []string
}

// broken overrides single verbs of a sound store.
type broken struct {
	*memory.Store
	rotate      func(context.Context, storage.Rotation) (storage.Outcome, storage.Grant, error)
	createGrant func(context.Context, storage.Grant) error
	recallUser  func(context.Context, string) (storage.User, error)
	recallGrant func(context.Context, string) (storage.Grant, error)
	grant       func(context.Context, string) (storage.Grant, error)
	revoke      func(context.Context, string, string) error
	client      func(context.Context, string) (storage.Client, error)
	clients     func(context.Context, string, int) ([]storage.Client, error)
	replace     func(context.Context, storage.Client) error
	replaceUser func(context.Context, storage.User) error
	putRing     func(context.Context, storage.KeyRing) error
	spend       func(context.Context, ...storage.Budget) (time.Duration, error)
	refund      func(context.Context, ...storage.Refund) error
	remember    func(context.Context, string, time.Time) (bool, error)
	sweep       func(context.Context, int) (int, error)
	shut        func() error
	export      func(context.Context) iter.Seq2[storage.Record, error]
	imports     func(context.Context, iter.Seq2[storage.Record, error]) error

	entry        func(context.Context, string, string) (storage.Entry, error)
	createEntry  func(context.Context, storage.Entry) error
	replaceEntry func(context.Context, storage.Entry) error
	takeEntry    func(context.Context, string, string) (storage.Entry, error)
	entriesOf    func(context.Context, string, string, int) ([]storage.Entry, error)
	grantAndUser func(context.Context, string, string) (storage.Grant, storage.User, error)
	grantsOf     func(context.Context, string, int) ([]storage.Grant, error)
}

// breaking makes a mutant from a function that overrides what it wants.
func breaking(f func(b *broken)) func() storage.Store {
	return func() storage.Store {
		s := memory.New()
		b := &broken{
			Store: s, rotate: s.Rotate, createGrant: s.CreateGrant, grant: s.Grant, revoke: s.RevokeGrant, client: s.Client,
			clients: s.Clients, replace: s.ReplaceClient, replaceUser: s.ReplaceUser, putRing: s.PutKeyRing, spend: s.Spend,
			refund: s.Refund, remember: s.Remember, sweep: s.Sweep, shut: s.Close, recallUser: s.RecallUser,
			recallGrant: s.RecallGrant, export: s.Export, imports: s.Import,
			entry: s.Entry, createEntry: s.CreateEntry, replaceEntry: s.ReplaceEntry, takeEntry: s.TakeEntry, entriesOf: s.EntriesOf,
			grantAndUser: s.GrantAndUser, grantsOf: s.GrantsOf,
		}
		f(b)
		return b
	}
}

func (b *broken) Rotate(c context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	return b.rotate(c, r)
}

func (b *broken) CreateGrant(c context.Context, g storage.Grant) error { return b.createGrant(c, g) }

func (b *broken) Grant(c context.Context, id string) (storage.Grant, error) { return b.grant(c, id) }

func (b *broken) RevokeGrant(c context.Context, id, why string) error { return b.revoke(c, id, why) }

func (b *broken) RecallUser(c context.Context, id string) (storage.User, error) {
	return b.recallUser(c, id)
}

func (b *broken) RecallGrant(c context.Context, id string) (storage.Grant, error) {
	return b.recallGrant(c, id)
}

func (b *broken) Export(c context.Context) iter.Seq2[storage.Record, error] { return b.export(c) }

func (b *broken) Import(c context.Context, records iter.Seq2[storage.Record, error]) error {
	return b.imports(c, records)
}

func (b *broken) Client(c context.Context, id string) (storage.Client, error) { return b.client(c, id) }

func (b *broken) ReplaceClient(c context.Context, cl storage.Client) error { return b.replace(c, cl) }

func (b *broken) ReplaceUser(c context.Context, u storage.User) error { return b.replaceUser(c, u) }

func (b *broken) PutKeyRing(c context.Context, r storage.KeyRing) error { return b.putRing(c, r) }

func (b *broken) Refund(c context.Context, rs ...storage.Refund) error { return b.refund(c, rs...) }

func (b *broken) Sweep(c context.Context, limit int) (int, error) { return b.sweep(c, limit) }

func (b *broken) Remember(c context.Context, k string, t time.Time) (bool, error) {
	return b.remember(c, k, t)
}

func (b *broken) Spend(c context.Context, bs ...storage.Budget) (time.Duration, error) {
	return b.spend(c, bs...)
}

func (b *broken) Clients(c context.Context, after string, limit int) ([]storage.Client, error) {
	return b.clients(c, after, limit)
}

func (b *broken) Entry(c context.Context, kind, id string) (storage.Entry, error) {
	return b.entry(c, kind, id)
}

func (b *broken) CreateEntry(c context.Context, e storage.Entry) error { return b.createEntry(c, e) }

func (b *broken) ReplaceEntry(c context.Context, e storage.Entry) error { return b.replaceEntry(c, e) }

func (b *broken) TakeEntry(c context.Context, kind, id string) (storage.Entry, error) {
	return b.takeEntry(c, kind, id)
}

func (b *broken) EntriesOf(c context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
	return b.entriesOf(c, kind, owner, limit)
}

func (b *broken) GrantAndUser(c context.Context, id, userID string) (storage.Grant, storage.User, error) {
	return b.grantAndUser(c, id, userID)
}

func (b *broken) GrantsOf(c context.Context, userID string, limit int) ([]storage.Grant, error) {
	return b.grantsOf(c, userID, limit)
}

func (b *broken) Close() error { return b.shut() }
