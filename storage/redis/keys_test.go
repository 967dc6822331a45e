package redis

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// The comment on names is the whole layout; this is its test.
func TestEveryKeyHasTheTypeAndTheEndThatTheListOfKeysSays(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{Addresses: []string{server.Addr()}, Prefix: "p:"})
	roundTrip(t, s)
	want := map[string]string{
		"p:meta": "hash", "p:ring": "hash",
		"p:{clients}:id:c": "hash", "p:{clients}:list": "zset",
		"p:{users}:id:u": "hash", "p:{users}:name:name": "string", "p:{users}:list": "zset",
		"p:grant:g": "hash", s.names.budget("b"): "string", s.names.mark("m"): "string",
		"p:entry:session:e": "hash", "p:owned:session:u": "zset", "p:entry:k%3A%25:e": "hash", "p:owned:k%3A%25:u": "zset",
		"p:grants-of:u": "zset",
	}
	got := keysOf(t, server)
	if !maps.Equal(got, want) {
		t.Errorf("keys:\n got %v\nwant %v", got, want)
	}
	for key := range got {
		ttl := server.Client().PTTL(t.Context(), key).Val()
		if key == "p:grants-of:u" { // as long as the absolute end of the grant is away
			ttl -= 23 * time.Hour
		}
		ends := slices.ContainsFunc([]string{"p:grant", "p:budget:", "p:mark:", "p:entry:session:", "p:owned:session:"},
			func(prefix string) bool { return strings.HasPrefix(key, prefix) })
		if ends != (ttl > 0) {
			t.Errorf("%s: time to live %v", key, ttl)
		}
		if ends && (ttl < 59*time.Minute || ttl > 62*time.Minute) {
			t.Errorf("%s ends in %v, want an hour and a little", key, ttl)
		}
	}
}

// R19: a grant stays as long as its own end is away, so that reuse is found all that time.
func TestAGrantIsKeptUntilAMinuteAfterItsEnd(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, Config{Addresses: []string{server.Addr()}, Prefix: "p:"})
	g := testGrant("g")
	g.ExpiresAt = g.BornAt.Add(90 * time.Minute)
	if err := s.CreateGrant(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	ends := func(want time.Duration) {
		t.Helper()
		got := server.Client().PTTL(t.Context(), "p:grant:g").Val()
		if d := got - want - time.Minute; d.Abs() > 5*time.Second {
			t.Errorf("kept for %v, want %v and a minute", got, want)
		}
	}
	ends(time.Hour)
	r := storage.Rotation{GrantID: "g", Generation: 1, Attempt: "a", IdleLifetime: 20 * time.Minute}
	if outcome, _, err := s.Rotate(t.Context(), r); outcome != storage.Rotated {
		t.Fatal(outcome, err)
	}
	ends(20 * time.Minute)
	r.Generation, r.IdleLifetime = 2, 10*time.Hour
	if outcome, _, err := s.Rotate(t.Context(), r); outcome != storage.Rotated {
		t.Fatal(outcome, err)
	}
	ends(90 * time.Minute)
}

// A script that nobody loads, or a command that the ACL does not know, is a mistake.
func TestEveryScriptIsUsedAndSaysWhatItTakes(t *testing.T) {
	files, err := sources.ReadDir("scripts")
	if err != nil {
		t.Fatal(err)
	}
	loaded := []string{"index.lua"} // what others begin with
	for name, sc := range allScripts() {
		loaded = append(loaded, name+".lua")
		for _, line := range []string{"-- KEYS: ", "-- Returns "} {
			if !strings.Contains(sc.source, line) {
				t.Errorf("%s does not say %q", name, line)
			}
		}
	}
	slices.Sort(loaded)
	found := []string{}
	for _, f := range files {
		found = append(found, f.Name())
	}
	if !slices.Equal(found, loaded) {
		t.Errorf("files %v, loaded %v", found, loaded)
	}
}

func allScripts() map[string]script {
	return map[string]script{
		"init": scriptInit, "ring_put": scriptRingPut, "client_create": scriptClientCreate,
		"client_replace": scriptClientReplace, "client_delete": scriptClientDelete, "user_create": scriptUserCreate,
		"user_replace": scriptUserReplace, "user_delete": scriptUserDelete, "user_by_name": scriptUserByName, "list": scriptList,
		"grant_create": scriptGrantCreate, "grant_read": scriptGrantRead, "grant_rotate": scriptGrantRotate,
		"grant_revoke": scriptGrantRevoke, "budget_spend": scriptBudgetSpend, "budget_refund": scriptBudgetRefund,
		"mark_set": scriptMarkSet, "mark_read": scriptMarkRead,
		"entry_create": scriptEntryCreate, "entry_read": scriptEntryRead, "entry_replace": scriptEntryReplace,
		"entry_take": scriptEntryTake, "index_add": scriptIndexAdd, "index_read": scriptIndexRead,
	}
}
