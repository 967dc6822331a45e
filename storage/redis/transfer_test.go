package redis

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// A copy that is killed must not leave a store on which a server starts with half of the users.
func TestAStoreWithHalfAnImportCannotBeOpened(t *testing.T) {
	server, prefix := redistest.Shared(t)
	cfg := Config{Addresses: []string{server.Addr()}, Prefix: prefix, Timeout: MaxTimeout}
	s := open(t, cfg)
	brokenOff := errors.New("broken off")
	err := s.Import(t.Context(), func(yield func(storage.Record, error) bool) {
		if yield(storage.Record{Client: &storage.Client{ID: "c", Version: 1}}, nil) {
			yield(storage.Record{}, brokenOff)
		}
	})
	if !errors.Is(err, brokenOff) {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "not finished") {
		t.Errorf("opened after half an import: %v", err)
	}

	server, prefix = redistest.Shared(t)
	cfg = Config{Addresses: []string{server.Addr()}, Prefix: prefix, Timeout: MaxTimeout}
	must(t, open(t, cfg).Import(t.Context(), func(yield func(storage.Record, error) bool) {
		yield(storage.Record{Client: &storage.Client{ID: "c", Version: 1}}, nil)
	}))
	if _, err := reopen(t, cfg).Client(t.Context(), "c"); err != nil {
		t.Errorf("after a whole import: %v", err)
	}
}

// Indexes are not copied: they follow from the records.
func TestWhatWasImportedIsFoundByItsOwner(t *testing.T) {
	onEach(t, func(t *testing.T, cfg Config) {
		t.Helper()
		s := open(t, cfg)
		ctx := t.Context()
		const n = 300 // more than one batch
		over, unowned := testEntry("over", time.Now().Add(-time.Second)), testEntry("unowned", time.Time{})
		unowned.Owner = ""
		must(t, s.Import(ctx, func(yield func(storage.Record, error) bool) {
			for i := range n {
				g, e := testGrant(fmt.Sprint("g", i)), testEntry(fmt.Sprint("e", i), time.Time{})
				e.Version = 7
				g.Revoked = i == 0
				if !yield(storage.Record{Grant: &g}, nil) || !yield(storage.Record{Entry: &e}, nil) {
					return
				}
			}
			_ = yield(storage.Record{Entry: &over}, nil) && yield(storage.Record{Entry: &unowned}, nil)
		}))
		list, err := s.EntriesOf(ctx, storage.KindSession, "u", 2*n)
		if err != nil || len(list) != n || list[0].Version != 7 {
			t.Errorf("%d entries, %v, want %d", len(list), err, n)
		}
		if list, err := s.GrantsOf(ctx, "u", 2*n); err != nil || len(list) != n-1 {
			t.Errorf("%d grants, %v, want %d", len(list), err, n-1)
		}
		entries := 0
		for r, err := range s.Export(ctx) {
			must(t, err)
			if r.Entry != nil {
				entries++
			}
		}
		if entries != n+1 {
			t.Errorf("exported %d entries, want %d", entries, n+1)
		}
		e := list[0]
		must(t, s.ReplaceEntry(ctx, e))
		must(t, first(s.TakeEntry(ctx, e.Kind, e.ID)))
		if got := len(members(t, s, s.names.owned(e.Kind, "u"))); got != n-1 {
			t.Errorf("%d members of the index, want %d", got, n-1)
		}
	})
}
