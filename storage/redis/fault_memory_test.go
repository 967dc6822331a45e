package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// S13: a Redis that is full refuses writes, which are failures. What it has it keeps, and reads go on. With memory, so do
// writes.
func TestAFullRedisRefusesWritesAndForgetsNothing(t *testing.T) {
	server := redistest.Start(t, redistest.AppendFsync("no"))
	s := open(t, Config{Addresses: []string{server.Addr()}})
	ctx := t.Context()
	u := aUser(t, s, "u")
	need(t, "create a client", s.CreateClient(ctx, storage.Client{ID: "c"}))
	need(t, "create a grant", s.CreateGrant(ctx, aGrant("g", u, 1)))
	for _, id := range []string{"e", "taken"} {
		need(t, "create an entry", s.CreateEntry(ctx, testEntry(id, time.Time{})))
	}
	again := testEntry("e", time.Time{})
	again.Version = 1
	marks := figure(1000, 10000)
	parallel(marks, func(i int) {
		if first, err := s.Remember(ctx, fmt.Sprint("used", i), time.Now().Add(time.Hour)); !first || err != nil {
			t.Errorf("mark %d: %v, %v", i, first, err)
		}
	})
	need(t, "CONFIG SET", server.Client().ConfigSet(ctx, "maxmemory", "1000000").Err())

	refused, wrong := 0, 0
	for what, err := range map[string]error{
		"CreateGrant":  s.CreateGrant(ctx, aGrant("g2", u, 1)),
		"Rotate":       second(s.Rotate(ctx, aRotation("g", u, 1, "a"))),
		"CreateUser":   s.CreateUser(ctx, storage.User{ID: "u2", Username: "u2"}),
		"ReplaceUser":  s.ReplaceUser(ctx, u),
		"PutKeyRing":   s.PutKeyRing(ctx, storage.KeyRing{}),
		"Remember":     first(s.Remember(ctx, "new", time.Now().Add(time.Hour))),
		"Spend":        first(s.Spend(ctx, storage.Budget{Key: "b", Burst: 1, Every: time.Hour})),
		"CreateEntry":  s.CreateEntry(ctx, testEntry("e2", time.Time{})),
		"ReplaceEntry": s.ReplaceEntry(ctx, again),
	} {
		if refused++; !storage.IsFailure(err) || !strings.Contains(err.Error(), "OOM") {
			wrong++
			t.Errorf("%s on a full server: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"Grant": first(s.Grant(ctx, "g")), "Client": first(s.readClient(ctx, "c")), "User": first(s.User(ctx, "u")),
		"UserByName": first(s.UserByName(ctx, u.Username)), "Users": first(s.Users(ctx, "", 9)), "Ping": s.Ping(ctx),
		"Entry": first(s.Entry(ctx, storage.KindSession, "e")), "EntriesOf": first(s.EntriesOf(ctx, storage.KindSession, "u", 9)),
		"GrantAndUser": third(s.GrantAndUser(ctx, "g", u.ID)), "GrantsOf": first(s.GrantsOf(ctx, u.ID, 9)),
		// Signing out makes room.
		"TakeEntry": first(s.TakeEntry(ctx, storage.KindSession, "taken")),
	} {
		if err != nil {
			wrong++
			t.Errorf("%s on a full server: %v", what, err)
		}
	}
	need(t, "CONFIG SET", server.Client().ConfigSet(ctx, "maxmemory", "0").Err())
	outcome, g, err := s.Rotate(ctx, aRotation("g", u, 1, "a"))
	if err != nil || outcome != storage.Rotated || g.Generation != 2 {
		t.Errorf("the refused rotation asked again: %v, generation %d, %v", outcome, g.Generation, err)
	}
	need(t, "write again", s.CreateGrant(ctx, aGrant("g2", u, 1)))
	lost := countLostMarks(t, s, marks)
	promised(t, "single", "out of memory, noeviction", lost+wrong, "marks=%d lost=%d refused=%d wrong_answers=%d", marks, lost,
		refused, wrong)
}

func first[T any](_ T, err error) error          { return err }
func second[T, U any](_ T, _ U, err error) error { return err }

func countLostMarks(t testing.TB, s *Store, marks int) (lost int) {
	t.Helper()
	for i := range marks {
		seen, err := s.Remembered(t.Context(), fmt.Sprint("used", i))
		need(t, "remembered", err)
		if !seen {
			lost++
		}
	}
	return lost
}

// S13: with an eviction policy Redis does forget marks of what was used. The doctor refuses such a server by the name of the
// setting.
func TestAServerThatEvictsForgetsAndIsRefused(t *testing.T) {
	server := redistest.Start(t, redistest.AppendFsync("no"), redistest.Config("maxmemory-policy", "allkeys-lru"))
	s := open(t, Config{Addresses: []string{server.Addr()}, AllowVolatile: true})
	ctx := t.Context()
	const marks = 1000
	parallel(marks, func(i int) {
		need(t, "remember", first(s.Remember(ctx, fmt.Sprint("used", i), time.Now().Add(time.Hour))))
	})
	findings, err := s.Doctor(ctx)
	need(t, "doctor", err)
	refused := 0
	for _, f := range findings {
		if f.Level == Refuse {
			refused++
			if f.Name != "maxmemory-policy" || f.Says != "allkeys-lru" || !strings.Contains(f.Fix, "noeviction") {
				t.Errorf("refused for %+v", f)
			}
		}
	}
	if refused != 1 {
		t.Errorf("%d refusals: %+v", refused, findings)
	}
	need(t, "CONFIG SET", server.Client().ConfigSet(ctx, "maxmemory", "1").Err())
	_, err = s.Remember(ctx, "one more", time.Now().Add(time.Hour)) // makes room
	need(t, "CONFIG SET", server.Client().ConfigSet(ctx, "maxmemory", "0").Err())
	lost := countLostMarks(t, s, marks)
	t.Logf("an evicting server forgot %d of %d marks (last write: %v)", lost, marks, err)
	if lost == 0 {
		t.Error("nothing was evicted: the refusal is not shown to be right")
	}
}

// S14: scripts that are forgotten under load cost a second try and nothing else.
func TestScriptsThatAreForgottenMakeNoFailures(t *testing.T) {
	for _, on := range []struct {
		topology string
		start    func(testing.TB) *torn
	}{{"single", tornSingle}, {"cluster", tornCluster}} {
		t.Run(on.topology, func(t *testing.T) {
			n := on.start(t)
			u := aUser(t, n.Store, "u")
			l := startTraffic(t.Context(), n.Store, "flushed", u, false, 4)
			flushes := 0
			for end := time.Now().Add(time.Duration(figure(1, 20)) * time.Second); time.Now().Before(end); flushes++ {
				for _, server := range n.servers {
					need(t, "SCRIPT FLUSH", server.Client().ScriptFlush(t.Context()).Err())
				}
				time.Sleep(time.Duration(flushes%5) * time.Millisecond) // from incessantly to now and then
			}
			l.end()
			v := l.judge(t)
			for kind := range l.failures {
				t.Logf("failure: %s", kind)
			}
			promised(t, on.topology, "SCRIPT FLUSH under load", v.failed+v.double+v.lost()+v.wrong, "flushes=%d %v", flushes, v)
		})
	}
}

// S17: a store that was emptied under a running server says so, and nobody starts on it.
func TestAnEmptiedRedisIsNoticed(t *testing.T) {
	server := redistest.Start(t, redistest.AppendFsync("no"))
	cfg := Config{Addresses: []string{server.Addr()}}
	s := open(t, cfg)
	need(t, "ping", s.Ping(t.Context()))
	need(t, "FLUSHALL", server.Client().FlushAll(t.Context()).Err())
	if err := s.Ping(t.Context()); !storage.IsFailure(err) || !strings.Contains(err.Error(), "emptied") {
		t.Errorf("Ping of an emptied store: %v", err)
	}
	ctx := t.Context()
	replacement := testEntry("e", time.Time{})
	for what, err := range map[string]error{ // nobody may be told that their session is over
		"Entry": first(s.Entry(ctx, storage.KindSession, "e")), "EntriesOf": first(s.EntriesOf(ctx, storage.KindSession, "u", 9)),
		"ReplaceEntry": s.ReplaceEntry(ctx, replacement), "TakeEntry": first(s.TakeEntry(ctx, storage.KindSession, "e")),
		"GrantAndUser": third(s.GrantAndUser(ctx, "g", "u")), "GrantsOf": first(s.GrantsOf(ctx, "u", 9)),
	} {
		if !storage.IsFailure(err) {
			t.Errorf("%s of an emptied store: %v, want a failure", what, err)
		}
	}
	if other, err := Open(t.Context(), cfg); !errors.Is(err, storage.ErrUninitialized) {
		t.Errorf("Open of an emptied store: %v, %v", other, err)
	}
	// Somebody else's data in the same place is not ours either.
	created, err := Init(t.Context(), cfg)
	if !created || err != nil {
		t.Fatalf("init: %v, %v", created, err)
	}
	if err := s.Ping(t.Context()); !storage.IsFailure(err) {
		t.Errorf("Ping of another store in the same place: %v", err)
	}
}

// S18: data of a newer version is refused and left as it is.
func TestDataOfANewerVersionIsRefusedAndNotTouched(t *testing.T) {
	server, prefix := redistest.Shared(t)
	cfg := Config{Addresses: []string{server.Addr()}, Prefix: prefix}
	ctx := t.Context()
	need(t, "create a user", open(t, cfg).CreateUser(ctx, storage.User{ID: "u", Username: "u"}))
	meta := names{prefix}.meta()
	need(t, "HSET", server.Client().HSet(ctx, meta, "schema", schema+1).Err())
	before := dump(ctx, t, server, prefix)
	_, err := Open(ctx, cfg)
	if !errors.Is(err, storage.ErrNewerSchema) {
		t.Errorf("Open: %v", err)
	}
	if created, err := Init(ctx, cfg); created || !errors.Is(err, storage.ErrNewerSchema) {
		t.Errorf("Init: %v, %v", created, err)
	}
	if after := dump(ctx, t, server, prefix); fmt.Sprint(after) != fmt.Sprint(before) || len(before) == 0 {
		t.Errorf("it was changed:\n%v\n%v", before, after)
	}
	need(t, "HSET", server.Client().HSet(ctx, meta, "schema", schema).Err())
	reopen(t, cfg)
}

// dump returns all keys with their values as Redis would move them.
func dump(ctx context.Context, t testing.TB, server *redistest.Server, prefix string) map[string]string {
	t.Helper()
	values := map[string]string{}
	keys, err := server.Client().Keys(ctx, prefix+"*").Result()
	need(t, "KEYS", err)
	for _, key := range keys {
		values[key], err = server.Client().Dump(ctx, key).Result()
		need(t, "DUMP", err)
	}
	return values
}
