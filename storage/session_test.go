package storage_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// aSession has every field set but its version.
func aSession(id, userID string) storage.Session {
	now := time.Now().UTC().Truncate(time.Second)
	return storage.Session{
		ID: id, SecretHash: []byte{0, 255, 7}, UserID: userID, UserEpoch: 1<<53 + 1, AuthTime: now, AMR: []string{"pwd"}, ACR: "1",
		BornAt: now, SeenAt: now, IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(10 * time.Hour), Remembered: true,
		UserAgent: "Browser <&> 한국", Address: "192.0.2.7", Clients: []string{"web", "cli"},
	}
}

// same compares a record with what it should be, its version included.
func same[T any](t *testing.T, got, want T, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
}

func wants(t *testing.T, doing string, got, want error) {
	t.Helper()
	if want == nil && got != nil || !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", doing, got, want)
	}
}

func TestASessionComesBackAsItWasAndChangesOnlyForWhoHasSeenItsLastVersion(t *testing.T) {
	sessions := storage.Sessions{Entries: memory.New()}
	s := aSession("s", "u")
	must(t, sessions.Create(t.Context(), s))
	wants(t, "create again", sessions.Create(t.Context(), s), storage.ErrExists)
	got, err := sessions.Session(t.Context(), "s")
	s.Version = 1
	same(t, got, s, err)

	first, second := got, got
	first.SecretHash, first.Clients = []byte("another"), append(slices.Clone(got.Clients), "third")
	must(t, sessions.Replace(t.Context(), first))
	wants(t, "replace what has changed", sessions.Replace(t.Context(), second), storage.ErrConflict)
	got, err = sessions.Session(t.Context(), "s")
	first.Version = 2
	same(t, got, first, err)

	_, err = sessions.Session(t.Context(), "S")
	wants(t, "an unknown session", err, storage.ErrNotFound)
	wants(t, "replace an unknown session", sessions.Replace(t.Context(), aSession("S", "u")), storage.ErrNotFound)
}

// Logging out in two tabs at once must notify each client once.
func TestExactlyOneCallerEndsASession(t *testing.T) {
	sessions := storage.Sessions{Entries: memory.New()}
	must(t, sessions.Create(t.Context(), aSession("s", "u")))
	var ended atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch s, err := sessions.End(t.Context(), "s"); {
			case err == nil:
				ended.Add(1)
				if s.ID != "s" || s.Version != 1 || len(s.Clients) != 2 {
					t.Errorf("ended %+v", s)
				}
			case !errors.Is(err, storage.ErrNotFound):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ended.Load() != 1 {
		t.Errorf("%d have ended it, want 1", ended.Load())
	}
	_, err := sessions.Session(t.Context(), "s")
	wants(t, "read what was ended", err, storage.ErrNotFound)
}

// L3.
func TestASessionEndsWhenItIsIdleOrAtItsLatestAndUseMovesOnlyTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions := storage.Sessions{Entries: memory.New()}
		for _, id := range []string{"idle", "used"} {
			must(t, sessions.Create(t.Context(), aSession(id, "u")))
		}
		must(t, sessions.Create(t.Context(), aSession("another's", "v")))
		start := time.Now()
		at := func(d time.Duration, want ...string) {
			t.Helper()
			time.Sleep(time.Until(start.Add(d)))
			list, err := sessions.Of(t.Context(), "u", 10)
			must(t, err)
			var ids []string
			for _, s := range list {
				ids = append(ids, s.ID)
				if s.Version == 0 {
					t.Errorf("session %s is listed without its version", s.ID)
				}
			}
			if !slices.Equal(ids, want) {
				t.Errorf("after %v: sessions %v, want %v", d, ids, want)
			}
		}
		at(30*time.Minute, "idle", "used")
		used, err := sessions.Session(t.Context(), "used")
		must(t, err)
		used.IdleExpiresAt = used.IdleExpiresAt.Add(24 * time.Hour) // later than the latest
		must(t, sessions.Replace(t.Context(), used))
		at(time.Hour-time.Millisecond, "idle", "used")
		at(time.Hour, "used")
		at(10*time.Hour-time.Millisecond, "used")
		at(10 * time.Hour)
	})
}

// L3.
func TestASessionHoldsForItsUserOfItsEpochWhoIsNotDisabled(t *testing.T) {
	s := storage.Session{UserID: "u", UserEpoch: 3}
	for _, tc := range []struct {
		u    storage.User
		want bool
	}{
		{storage.User{ID: "u", Epoch: 3}, true},
		{storage.User{ID: "u", Epoch: 4}, false},
		{storage.User{ID: "u", Epoch: 2}, false},
		{storage.User{ID: "v", Epoch: 3}, false},
		{storage.User{ID: "u", Epoch: 3, Disabled: true}, false},
		{storage.User{}, false},
	} {
		if got := s.Holds(tc.u); got != tc.want {
			t.Errorf("%+v: got %v, want %v", tc.u, got, tc.want)
		}
	}
}

func TestALogNamesASessionAndShowsNothingOfIt(t *testing.T) {
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "session", aSession("the-id", "the-user"))
	if !strings.Contains(b.String(), "session=the-id") || strings.Contains(b.String(), "192.0.2.7") {
		t.Error(b.String())
	}
}

func TestConsentsAddUpAndAreTakenBack(t *testing.T) {
	consents := storage.Consents{Entries: memory.New()}
	ctx := t.Context()
	now := time.Now().UTC().Truncate(time.Second)
	_, err := consents.Consent(ctx, "u", "c")
	wants(t, "before any", err, storage.ErrNotFound)
	for _, c := range []storage.Consent{
		{UserID: "u", ClientID: "c", Scopes: []string{"openid", "email"}, GrantedAt: now.Add(-time.Hour)},
		{UserID: "u", ClientID: "c", Scopes: []string{"email", "profile"}, Claims: []string{"phone_number"}, GrantedAt: now},
		{UserID: "u", ClientID: "c2", Scopes: []string{"openid"}, GrantedAt: now},
		{UserID: "v", ClientID: "c", Scopes: []string{"openid"}, GrantedAt: now},
	} {
		must(t, consents.Add(ctx, c))
	}
	want := storage.Consent{
		UserID: "u", ClientID: "c", Scopes: []string{"openid", "email", "profile"}, Claims: []string{"phone_number"}, GrantedAt: now, Version: 2,
	}
	got, err := consents.Consent(ctx, "u", "c")
	same(t, got, want, err)
	for userID, clients := range map[string]int{"u": 2, "v": 1, "w": 0} {
		if list, err := consents.Of(ctx, userID, 9); err != nil || len(list) != clients {
			t.Errorf("consents of %s: %+v, %v; want %d", userID, list, err, clients)
		}
	}
	for range 2 { // there being none is no error
		must(t, consents.Remove(ctx, "u", "c"))
		_, err = consents.Consent(ctx, "u", "c")
		wants(t, "after it was taken back", err, storage.ErrNotFound)
	}
	for _, pair := range [][2]string{{"u", "c2"}, {"v", "c"}} {
		if _, err := consents.Consent(ctx, pair[0], pair[1]); err != nil {
			t.Errorf("%v: %v", pair, err)
		}
	}
	must(t, consents.Add(ctx, storage.Consent{UserID: "u", ClientID: "c", Scopes: []string{"email"}, GrantedAt: now}))
	got, err = consents.Consent(ctx, "u", "c")
	same(t, got, storage.Consent{UserID: "u", ClientID: "c", Scopes: []string{"email"}, GrantedAt: now, Version: 1}, err)
}

// Two tabs that allow different scopes at once: neither may be forgotten.
func TestConsentsThatAreGivenAtOnceAllCount(t *testing.T) {
	consents := storage.Consents{Entries: memory.New()}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c := storage.Consent{UserID: "u", ClientID: "c", Scopes: []string{fmt.Sprint("scope", i)}, Claims: []string{fmt.Sprint("claim", i)}}
			if err := consents.Add(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c, err := consents.Consent(t.Context(), "u", "c")
	if err != nil || len(c.Scopes) != 8 || len(c.Claims) != 8 || c.Version != 8 {
		t.Errorf("got %+v, %v; want 8 of each", c, err)
	}
}

// RFC 9126 §4: a request URI is used once.
func TestAPushedRequestIsUsedOnceAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pushed := storage.PushedRequests{Entries: memory.New()}
		ctx := t.Context()
		want := storage.PushedRequest{
			ID: "p", ClientID: "c", Params: url.Values{"scope": {"openid"}, "resource": {"a", "b&c"}}, ExpiresAt: time.Now().UTC().Add(time.Minute),
		}
		late := want
		late.ID = "late"
		must(t, errors.Join(pushed.Create(ctx, want), pushed.Create(ctx, late)))
		wants(t, "create again", pushed.Create(ctx, want), storage.ErrExists)
		want.Version = 1
		for range 2 { // reading uses nothing up
			got, err := pushed.Request(ctx, "p")
			same(t, got, want, err)
		}
		must(t, pushed.Take(ctx, "p"))
		wants(t, "take again", pushed.Take(ctx, "p"), storage.ErrNotFound)
		_, err := pushed.Request(ctx, "p")
		wants(t, "read what was used up", err, storage.ErrNotFound)

		time.Sleep(time.Minute - time.Millisecond)
		if _, err := pushed.Request(ctx, "late"); err != nil {
			t.Errorf("just before the end: %v", err)
		}
		time.Sleep(time.Millisecond)
		_, err = pushed.Request(ctx, "late")
		wants(t, "read at the end", err, storage.ErrNotFound)
		wants(t, "take at the end", pushed.Take(ctx, "late"), storage.ErrNotFound)
	})
}

// RFC 9126 §2.2: it waits a short time for its browser; when that has come it waits for a person.
func TestTheEndOfAPushedRequestMovesOnlyForWhoHasSeenItsLastVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pushed := storage.PushedRequests{Entries: memory.New()}
		ctx := t.Context()
		must(t, pushed.Create(ctx, storage.PushedRequest{ID: "p", ClientID: "c", ExpiresAt: time.Now().UTC().Add(time.Minute)}))
		first, err := pushed.Request(ctx, "p")
		must(t, err)
		second := first
		first.Shown, first.ExpiresAt = true, first.ExpiresAt.Add(time.Hour)
		second.ExpiresAt = second.ExpiresAt.Add(2 * time.Hour)
		must(t, pushed.Replace(ctx, first))
		wants(t, "replace what has changed", pushed.Replace(ctx, second), storage.ErrConflict)

		time.Sleep(time.Hour + time.Minute - time.Millisecond)
		got, err := pushed.Request(ctx, "p")
		first.Version = 2
		same(t, got, first, err)
		time.Sleep(time.Millisecond)
		wants(t, "replace at the end", pushed.Replace(ctx, got), storage.ErrNotFound)
		wants(t, "take at the end", pushed.Take(ctx, "p"), storage.ErrNotFound)
	})
}

func TestOneNodeOwnsTheNextTryOfADelivery(t *testing.T) {
	outbox := storage.Outbox{Entries: memory.New()}
	ctx := t.Context()
	now := time.Now().UTC().Truncate(time.Second)
	oldest := storage.Delivery{
		ID: "d1", ClientID: "c", URI: "https://c.example/logout?a=1&b=2", Subject: "sub", SessionID: "sid", CreatedAt: now,
		ExpiresAt: now.Add(time.Hour), NextAt: now, Attempts: 1, LastError: "503 <&>", Failed: true,
	}
	newer := oldest
	newer.ID, newer.ExpiresAt = "d0", now.Add(2*time.Hour)
	must(t, errors.Join(outbox.Add(ctx, newer), outbox.Add(ctx, oldest)))
	all, err := outbox.All(ctx, 9)
	oldest.Version, newer.Version = 1, 1
	same(t, all, []storage.Delivery{oldest, newer}, err)
	if first, err := outbox.All(ctx, 1); err != nil || len(first) != 1 || first[0].ID != "d1" {
		t.Errorf("the first: %+v, %v", first, err)
	}

	var owners atomic.Int32
	var wg sync.WaitGroup
	for range 8 { // nodes
		wg.Go(func() {
			mine := all[0]
			mine.NextAt = mine.NextAt.Add(time.Minute)
			switch err := outbox.Replace(ctx, mine); {
			case err == nil:
				owners.Add(1)
			case !errors.Is(err, storage.ErrConflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if owners.Load() != 1 {
		t.Errorf("%d nodes own the next try, want 1", owners.Load())
	}
	for range 2 { // gone already is no error
		must(t, outbox.Done(ctx, "d1"))
	}
	all, err = outbox.All(ctx, 9)
	same(t, all, []storage.Delivery{newer}, err)
	wants(t, "replace what is done", outbox.Replace(ctx, oldest), storage.ErrNotFound)
}

// INV10: a store that fails is never "there is none".
func TestEachViewPassesOnThatTheStoreFails(t *testing.T) {
	store := memory.New()
	must(t, store.Close())
	ctx := t.Context()
	sessions, consents := storage.Sessions{Entries: store}, storage.Consents{Entries: store}
	pushed, outbox := storage.PushedRequests{Entries: store}, storage.Outbox{Entries: store}
	_, session := sessions.Session(ctx, "s")
	_, end := sessions.End(ctx, "s")
	_, ofUser := sessions.Of(ctx, "u", 9)
	_, consent := consents.Consent(ctx, "u", "c")
	_, consentsOf := consents.Of(ctx, "u", 9)
	_, request := pushed.Request(ctx, "p")
	_, all := outbox.All(ctx, 9)
	for what, err := range map[string]error{
		"Session": session, "End": end, "Of": ofUser, "Create": sessions.Create(ctx, aSession("s", "u")),
		"Replace": sessions.Replace(ctx, aSession("s", "u")), "Consent": consent, "Consents.Of": consentsOf,
		"Consents.Add": consents.Add(ctx, storage.Consent{UserID: "u", ClientID: "c"}), "Consents.Remove": consents.Remove(ctx, "u", "c"),
		"Request": request, "Take": pushed.Take(ctx, "p"), "PushedRequests.Create": pushed.Create(ctx, storage.PushedRequest{ID: "p"}),
		"PushedRequests.Replace": pushed.Replace(ctx, storage.PushedRequest{ID: "p"}),
		"All":                    all, "Outbox.Add": outbox.Add(ctx, storage.Delivery{ID: "d"}), "Outbox.Replace": outbox.Replace(ctx, storage.Delivery{ID: "d"}),
		"Done": outbox.Done(ctx, "d"),
	} {
		if !storage.IsFailure(err) {
			t.Errorf("%s: got %v, want a failure", what, err)
		}
	}
}

func TestAnEntryOfAnotherFormIsAFailure(t *testing.T) {
	store := memory.New()
	for _, kind := range []string{storage.KindSession, storage.KindConsent, storage.KindPushed, storage.KindLogout} {
		id, owner := "x", "u"
		if kind == storage.KindConsent {
			id = "c/u"
		}
		must(t, store.CreateEntry(t.Context(), storage.Entry{Kind: kind, ID: id, Owner: owner, Data: []byte(`"a secret"`)}))
	}
	_, session := storage.Sessions{Entries: store}.Session(t.Context(), "x")
	_, list := storage.Sessions{Entries: store}.Of(t.Context(), "u", 9)
	_, consent := storage.Consents{Entries: store}.Consent(t.Context(), "u", "c")
	_, request := storage.PushedRequests{Entries: store}.Request(t.Context(), "x")
	for what, err := range map[string]error{"session": session, "list": list, "consent": consent, "request": request} {
		if !storage.IsFailure(err) || strings.Contains(err.Error(), "a secret") {
			t.Errorf("%s: got %v, want a failure that does not say what is stored", what, err)
		}
	}
}
