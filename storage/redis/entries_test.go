package redis

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// What a request of a signed-in browser costs; in a cluster what is written is two round trips, for an index and its records
// live at different servers.
func TestRoundTripsOfEntriesAndGrantsAtOneServer(t *testing.T) {
	server := redistest.Start(t)
	counter := &countingDialer{}
	s := open(t, Config{Addresses: []string{server.Addr()}, PoolSize: 1, Dial: counter.dial})
	ctx := t.Context()
	must(t, everyVerb(ctx, s, "first")) // so that the scripts are known
	must(t, s.CreateUser(ctx, storage.User{ID: "u", Username: "name"}))
	replaced := testEntry("e", time.Now().Add(time.Hour))
	replaced.Version = 1
	for _, verb := range []struct {
		name string
		most int64
		do   func() error
	}{
		{"CreateGrant", 1, func() error { return s.CreateGrant(ctx, testGrant("g")) }},
		{"GrantAndUser", 1, func() error { return third(s.GrantAndUser(ctx, "g", "u")) }},
		{"GrantsOf", 2, func() error { return first(s.GrantsOf(ctx, "u", 9)) }},
		{"CreateEntry", 1, func() error { return s.CreateEntry(ctx, testEntry("e", time.Now().Add(time.Hour))) }},
		{"Entry", 1, func() error { return first(s.Entry(ctx, storage.KindSession, "e")) }},
		{"ReplaceEntry", 1, func() error { return s.ReplaceEntry(ctx, replaced) }},
		{"EntriesOf", 2, func() error { return first(s.EntriesOf(ctx, storage.KindSession, "u", 9)) }},
		{"EntriesOf nobody", 2, func() error { return first(s.EntriesOf(ctx, storage.KindSession, "nobody", 9)) }},
		{"TakeEntry", 1, func() error { return first(s.TakeEntry(ctx, storage.KindSession, "e")) }},
	} {
		writes, turns := counter.writes.Load(), counter.turns.Load()
		must(t, verb.do())
		writes, turns = counter.writes.Load()-writes, counter.turns.Load()-turns
		if writes > verb.most || turns > verb.most {
			t.Errorf("%s took %d writes and %d turns, want at most %d", verb.name, writes, turns, verb.most)
		}
	}
}

// What one node has seen says nothing about what another one changes: a session that was ended there is over here.
func TestAnEntryIsNeverFromMemory(t *testing.T) {
	one, other, _ := twoNodes(t)
	ctx := t.Context()
	must(t, one.CreateEntry(ctx, testEntry("e", time.Time{})))
	e, err := other.Entry(ctx, storage.KindSession, "e")
	must(t, err)
	e.Data = json.RawMessage(`{"a":2}`)
	must(t, one.ReplaceEntry(ctx, e))
	if e, err = other.Entry(ctx, storage.KindSession, "e"); err != nil || string(e.Data) != `{"a":2}` || e.Version != 2 {
		t.Errorf("after a change at the other node: %s, version %d, %v", e.Data, e.Version, err)
	}
	if err := other.ReplaceEntry(ctx, testEntry("e", time.Time{})); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("replaced with the version of before: %v", err)
	}
	must(t, first(one.TakeEntry(ctx, storage.KindSession, "e")))
	if _, err := other.Entry(ctx, storage.KindSession, "e"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("after it was taken at the other node: %v", err)
	}
}

// GrantAndUser is what userinfo asks, and what it has seen is what a redemption goes on from.
func TestGrantAndUserAreWhatTheStoreHasNowAndAreRemembered(t *testing.T) {
	one, other, _ := twoNodes(t)
	ctx := t.Context()
	must(t, one.CreateUser(ctx, storage.User{ID: "u", Username: "before"}))
	must(t, one.CreateGrant(ctx, testGrant("g")))
	must(t, third(other.GrantAndUser(ctx, "g", "u")))
	u, err := one.User(ctx, "u")
	must(t, err)
	u.Username, u.Disabled = "after", true
	must(t, one.ReplaceUser(ctx, u))
	must(t, one.RevokeGrant(ctx, "g", "why"))
	g, u, err := other.GrantAndUser(ctx, "g", "u")
	if err != nil || !g.Revoked || g.RevokedReason != "why" || !u.Disabled {
		t.Errorf("after changes at the other node: %+v, %+v, %v", g, u, err)
	}
	if g, err = other.RecallGrant(ctx, "g"); err != nil || !g.Revoked {
		t.Errorf("recalled the grant %+v, %v", g, err)
	}
	if u, err = other.RecallUser(ctx, "u"); err != nil || u.Username != "after" {
		t.Errorf("recalled the user %+v, %v", u, err)
	}
	for what, err := range map[string]error{
		"no grant": third(other.GrantAndUser(ctx, "x", "u")), "no user": third(other.GrantAndUser(ctx, "g", "x")),
		"neither": third(other.GrantAndUser(ctx, "x", "y")), "no id": third(other.GrantAndUser(ctx, "", "u")),
	} {
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	must(t, one.DeleteUser(ctx, "u"))
	if err := third(other.GrantAndUser(ctx, "g", "u")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("with a deleted user: %v", err)
	}
	if _, _, ok := other.users.get("u"); ok {
		t.Error("a deleted user is remembered")
	}
}

// onEach runs a test on one server and on a cluster.
func onEach(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Helper()
	t.Run("single", func(t *testing.T) {
		server, prefix := redistest.Shared(t)
		test(t, Config{Addresses: []string{server.Addr()}, Prefix: prefix})
	})
	t.Run("cluster", func(t *testing.T) { test(t, clusterConfig(redistest.SharedCluster(t))) })
}

// members returns an index as it is, the ids only.
func members(t testing.TB, s *Store, index string) (ids []string) {
	t.Helper()
	list, err := s.client.ZRange(t.Context(), index, 0, -1).Result()
	need(t, "ZRANGE", err)
	for _, text := range list {
		ids = append(ids, parseMember(text).id)
	}
	return ids
}

// Nobody's index grows by what is over: a session that is used every minute for years is in it once.
func TestAnIndexHoldsEachLiveEntryOnce(t *testing.T) {
	onEach(t, func(t *testing.T, cfg Config) {
		t.Helper()
		s := open(t, cfg)
		ctx := t.Context()
		e := testEntry("e", time.Now().Add(time.Hour))
		must(t, s.CreateEntry(ctx, e))
		for e.Version = 1; e.Version < 9; e.Version++ {
			e.ExpiresAt = e.ExpiresAt.Add(time.Minute)
			if e.Version == 5 {
				e.ExpiresAt = time.Now().Add(time.Minute)
			}
			must(t, s.ReplaceEntry(ctx, e))
		}
		stale := e
		stale.Version = 3
		if err := s.ReplaceEntry(ctx, stale); !errors.Is(err, storage.ErrConflict) {
			t.Errorf("replaced with an old version: %v", err)
		}
		if err := s.CreateEntry(ctx, e); !errors.Is(err, storage.ErrExists) {
			t.Errorf("created again: %v", err)
		}
		e.Owner = "another" // which is not for the caller to say
		must(t, s.ReplaceEntry(ctx, e))
		if err := s.ReplaceEntry(ctx, testEntry("nobody", time.Time{})); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("replaced nothing: %v", err)
		}
		for owner, want := range map[string]string{"u": "e", "another": ""} {
			if got := strings.Join(members(t, s, s.names.owned(e.Kind, owner)), ","); got != want {
				t.Errorf("the index of %s: %q, want %q", owner, got, want)
			}
		}
		must(t, first(s.TakeEntry(ctx, e.Kind, e.ID)))
		if got := members(t, s, s.names.owned(e.Kind, "u")); len(got) != 0 {
			t.Errorf("after it was taken: %v", got)
		}
	})
}

// In a cluster a write can end between the index and the entry. What stays in the index is never listed, hides nothing, and
// goes when it can no longer be of a write that is on its way.
func TestWhatAWriteLeftBehindInAnIndexIsNotListedAndHidesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, cfg Config) {
		t.Helper()
		s := open(t, cfg)
		ctx := t.Context()
		index := s.names.owned(storage.KindSession, "u")
		soon, later := time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		long := fmt.Sprintf("%010x", time.Now().Add(-2*forgottenAfter).Unix())
		must(t, s.CreateEntry(ctx, testEntry("later", later)))
		must(t, s.CreateEntry(ctx, testEntry("soon", soon)))
		left := func(id, began string) {
			m := member{id, newAttempt()}
			m.attempt = began + m.attempt[len(began):]
			must(t, s.own(ctx, "test", index, micros(soon.Add(-time.Minute)), m))
		}
		for i := range 100 {
			left(fmt.Sprint("new", i), "")
			left(fmt.Sprint("old", i), long)
		}
		left("later", "") // somebody began to replace it
		left("later", long)
		for _, limit := range []int{1, 2, 3} {
			list, err := s.EntriesOf(ctx, storage.KindSession, "u", limit)
			must(t, err)
			var ids []string
			for _, e := range list {
				ids = append(ids, e.ID)
			}
			if want := []string{"soon", "later"}[:min(limit, 2)]; !slices.Equal(ids, want) {
				t.Errorf("of %d: %v, want %v", limit, ids, want)
			}
		}
		left2 := members(t, s, index)
		if n := len(left2); n != 103 || slices.ContainsFunc(left2, func(id string) bool { return strings.HasPrefix(id, "old") }) {
			t.Errorf("%d members, want 103 and none of the old ones: %v", n, left2)
		}
	})
}

// The session of a grant is ended by taking back its grants; the ones of before the index must be among them.
func TestGrantsOfASchemaWithoutAnIndexAreFoundAfterTheUpgrade(t *testing.T) {
	onEach(t, func(t *testing.T, cfg Config) {
		t.Helper()
		s := open(t, cfg)
		ctx := t.Context()
		const n = 600 // more than one batch
		importGrants(t, s, n)
		must(t, s.RevokeGrant(ctx, "g1", "why"))
		must(t, s.client.Del(ctx, s.names.grantsOf("u")).Err())
		must(t, s.setMeta(ctx, "schema", 1))
		if list, err := s.GrantsOf(ctx, "u", n); err != nil || len(list) != 0 {
			t.Fatalf("before: %d, %v: this test proves nothing", len(list), err)
		}
		for range 2 { // the second time there is nothing to do
			s = reopen(t, cfg)
			if list, err := s.GrantsOf(ctx, "u", 2*n); err != nil || len(list) != n-1 {
				t.Errorf("after: %d, %v, want %d", len(list), err, n-1)
			}
			if meta, err := s.readMeta(ctx); err != nil || meta["schema"] != fmt.Sprint(schema) {
				t.Errorf("schema %s, %v", meta["schema"], err)
			}
		}
	})
}

// S19: what is dead is not listed, and does not stand in the way of what is not.
func TestGrantsOfAUserAreThoseThatAreAlive(t *testing.T) {
	onEach(t, func(t *testing.T, cfg Config) {
		t.Helper()
		s := open(t, cfg)
		ctx := t.Context()
		const n = 50
		for i := range n {
			g := testGrant(fmt.Sprint("g", i))
			must(t, s.CreateGrant(ctx, g))
			if i%2 == 1 {
				must(t, s.RevokeGrant(ctx, g.ID, "why"))
			}
		}
		idle := testGrant("idle")
		idle.IdleExpiresAt = time.Now().Add(time.Second)
		must(t, s.CreateGrant(ctx, idle))
		other := testGrant("other")
		other.UserID = "other"
		must(t, s.CreateGrant(ctx, other))
		must(t, s.CreateGrant(ctx, testGrant("last")))
		time.Sleep(time.Until(idle.IdleExpiresAt)) // the clock of Redis is real
		list, err := s.GrantsOf(ctx, "u", n)
		must(t, err)
		for _, g := range list {
			if g.Revoked || g.UserID != "u" || g.ID == "idle" {
				t.Errorf("listed: %+v", g)
			}
		}
		if want := n/2 + 1; len(list) != want {
			t.Errorf("%d grants, want %d", len(list), want)
		}
		if list, err = s.GrantsOf(ctx, "u", 3); err != nil || len(list) != 3 {
			t.Errorf("of 3: %d, %v", len(list), err)
		}
		if err := s.CreateGrant(ctx, testGrant("last")); !errors.Is(err, storage.ErrExists) {
			t.Errorf("created again: %v", err)
		}
		if got := members(t, s, s.names.grantsOf("other")); !slices.Equal(got, []string{"other"}) {
			t.Errorf("the index of the other user: %v", got)
		}
	})
}

// Somebody takes a consent back while somebody else gives it: whatever comes of it, what lives is listed, once.
func TestWhatLivesIsListedHoweverManyMakeAndTakeItAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, cfg Config) {
		t.Helper()
		nodes := []*Store{open(t, cfg), reopen(t, cfg)}
		for round := range figure(20, 500) {
			id := fmt.Sprint("e", round)
			parallel(8, func(i int) {
				s := nodes[i%2]
				for n := range 4 {
					var err error
					switch (i + n) % 4 {
					case 0, 1:
						err = s.CreateEntry(t.Context(), testEntry(id, time.Time{}))
					case 2:
						var e storage.Entry
						if e, err = s.Entry(t.Context(), storage.KindSession, id); err == nil {
							e.ExpiresAt = time.Now().Add(time.Hour)
							err = s.ReplaceEntry(t.Context(), e)
						}
					default:
						_, err = s.TakeEntry(t.Context(), storage.KindSession, id)
					}
					if storage.IsFailure(err) {
						t.Error(err)
					}
				}
			})
			want := []string{id}
			if _, err := nodes[0].Entry(t.Context(), storage.KindSession, id); errors.Is(err, storage.ErrNotFound) {
				want = nil
			}
			list, err := nodes[1].EntriesOf(t.Context(), storage.KindSession, "u", 9)
			must(t, err)
			var ids []string
			for _, e := range list {
				ids = append(ids, e.ID)
			}
			if index := members(t, nodes[0], nodes[0].names.owned(storage.KindSession, "u")); !slices.Equal(ids, want) || !slices.Equal(index, want) {
				t.Errorf("round %d: listed %v, in the index %v, want %v", round, ids, index, want)
			}
			_, _ = nodes[0].TakeEntry(t.Context(), storage.KindSession, id) // for the next round
		}
	})
}

// A slot can be on its way while a user looks at their sessions.
func TestEntriesAndGrantsAreFoundWhileASlotIsOnItsWay(t *testing.T) {
	cluster := redistest.StartCluster(t, 3, 3)
	s := open(t, clusterConfig(cluster, "p:"))
	ctx := t.Context()
	must(t, s.CreateUser(ctx, storage.User{ID: "u", Username: "name"}))
	must(t, s.CreateGrant(ctx, testGrant("g")))
	must(t, s.CreateEntry(ctx, testEntry("e", time.Time{})))
	for _, key := range []string{s.names.entry(storage.KindSession, "e"), s.names.owned(storage.KindSession, "u"), s.names.grant("g")} {
		from := cluster.PrimaryOf(t, key)
		to := cluster.Primaries(t)[0]
		if to == from {
			to = cluster.Primaries(t)[1]
		}
		slot := int(cluster.Client().ClusterKeySlot(ctx, key).Val())
		must(t, cluster.BeginMove(ctx, from, to, slot))
		must(t, cluster.MoveKeys(ctx, from, to, []string{key}))
		e, err := s.Entry(ctx, storage.KindSession, "e")
		must(t, err)
		must(t, s.ReplaceEntry(ctx, e))
		if list, err := s.EntriesOf(ctx, e.Kind, "u", 9); err != nil || len(list) != 1 || list[0].Version != e.Version+1 {
			t.Errorf("%s is on its way: %+v, %v", key, list, err)
		}
		if list, err := s.GrantsOf(ctx, "u", 9); err != nil || len(list) != 1 {
			t.Errorf("%s is on its way: %+v, %v", key, list, err)
		}
		must(t, third(s.GrantAndUser(ctx, "g", "u")))
		must(t, cluster.EndMove(ctx, from, to, slot))
	}
}
