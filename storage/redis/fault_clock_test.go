package redis

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// S21: a grant and a mark end by the clock of Redis and by the times in their records, to the millisecond, whatever has become
// of the expiry of their keys.
func TestWhatHasEndedByTheClockOfRedisIsGoneThoughItsKeyIsNot(t *testing.T) {
	server, prefix := redistest.Shared(t)
	s := open(t, Config{Addresses: []string{server.Addr()}, Prefix: prefix})
	ctx := t.Context()
	clock := func() time.Time {
		now, err := server.Client().Time(ctx).Result()
		need(t, "TIME", err)
		return now
	}
	u := aUser(t, s, "u")
	end := clock().Add(2 * time.Second) // so that PERSIST is in time on a slow machine
	g := aGrant("g", u, 1)
	g.IdleExpiresAt = end
	need(t, "create a grant", s.CreateGrant(ctx, g))
	need(t, "remember", first(s.Remember(ctx, "m", end)))
	for _, key := range []string{s.names.grant("g"), s.names.mark("m")} {
		if there, err := server.Client().Persist(ctx, key).Result(); err != nil || !there {
			t.Fatalf("PERSIST %s: %v, %v", key, there, err)
		}
	}
	looks, early, late := 0, 0, 0
	for clock().Before(end.Add(100 * time.Millisecond)) {
		before := clock()
		_, err := s.Grant(ctx, "g")
		seen, markErr := s.Remembered(ctx, "m")
		after := clock()
		if storage.IsFailure(err) || markErr != nil {
			t.Fatal(err, markErr)
		}
		looks++
		if after.Before(end) && (err != nil || !seen) {
			early++
			t.Errorf("gone %v before its end: grant %v, mark %v", end.Sub(after), err, seen)
		}
		if !before.Before(end) && (err == nil || seen) {
			late++
			t.Errorf("there %v after its end: grant %v, mark %v", before.Sub(end), err, seen)
		}
	}
	for _, key := range []string{s.names.grant("g"), s.names.mark("m")} {
		if n, err := server.Client().Exists(ctx, key).Result(); n != 1 || err != nil {
			t.Fatalf("%s is no longer there (%d, %v): this test proves nothing", key, n, err)
		}
	}
	if outcome, _, err := s.Rotate(ctx, aRotation("g", u, 1, "a")); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a grant that has ended was rotated: %v, %v", outcome, err)
	}
	need(t, "a grant that has ended makes room", s.CreateGrant(ctx, aGrant("g", u, 1)))
	if first, err := s.Remember(ctx, "m", time.Now().Add(time.Hour)); !first || err != nil {
		t.Errorf("a mark that has ended makes no room: %v, %v", first, err)
	}
	promised(t, "single", "expiry by the clock of Redis", early+late, "looks=%d gone_too_early=%d there_too_late=%d", looks, early, late)
}

// The canaries: what strangers type. The user's own name is there to show that the search finds what is there.
const (
	canaryBudget = "canary-hunter2-budget"
	canaryMark   = "canary-hunter2-mark"
	canaryName   = "canary-username"
)

// K1, G1, T19: the keys of budgets and marks, into which strangers may type a password, reach Redis only as hashes, and are in
// no message of a failure.
func TestWhatStrangersTypeNeverReachesRedis(t *testing.T) {
	server := redistest.Start(t, redistest.AppendFsync("no"))
	s := open(t, Config{Addresses: []string{server.Addr()}})
	ctx := t.Context()
	heard := monitor(t, server)
	u := storage.User{ID: "u", Username: canaryName, PasswordHash: "$argon2id$canary-hash"}
	use := func() (errs []error) {
		g := aGrant("g", u, 1)
		g.Nonce = []byte("canary-nonce")
		budget := storage.Budget{Key: canaryBudget, Burst: 2, Every: time.Hour}
		return []error{
			s.CreateUser(ctx, u), first(s.UserByName(ctx, canaryName)), s.CreateGrant(ctx, g),
			first(s.Spend(ctx, budget)), s.Refund(ctx, storage.Refund{Budget: budget, Units: 1}), first(s.Spend(ctx, budget)),
			first(s.Remember(ctx, canaryMark, time.Now().Add(time.Hour))), first(s.Remembered(ctx, canaryMark)),
			second(s.Rotate(ctx, aRotation("g", storage.User{ID: "u", Version: 1}, 1, "a"))),
		}
	}
	need(t, "use", errors.Join(use()...))
	said := heard()
	stored := fmt.Sprint(dump(ctx, t, server, ""))
	for where, text := range map[string]string{"MONITOR": said, "the data": stored} {
		if !strings.Contains(text, canaryName) {
			t.Errorf("%s does not even have the username: the search is blind", where)
		}
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s has what a stranger typed", where)
		}
	}
	// K1: what is secret in a failure is nobody's business but the store's.
	need(t, "kill", server.Kill())
	for i, err := range use() {
		if !storage.IsFailure(err) || strings.Contains(err.Error(), "canary") {
			t.Errorf("call %d on a dead server: %v", i, err)
		}
	}
	hits := strings.Count(said, "hunter2") + strings.Count(stored, "hunter2")
	promised(t, "single", "canaries", hits, "commands=%d stored_bytes=%d hits=%d", strings.Count(said, "\n"), len(stored), hits)
}

// monitor listens to all commands of a server; heard ends that and returns them.
func monitor(t testing.TB, server *redistest.Server) (heard func() string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Addr())
	need(t, "dial", err)
	_, err = conn.Write([]byte("MONITOR\r\n"))
	need(t, "MONITOR", err)
	buf := make([]byte, 64<<10)
	_, err = conn.Read(buf) // +OK
	need(t, "MONITOR", err)
	return func() string {
		defer func() { need(t, "close", conn.Close()) }()
		const last = "the-end-of-listening"
		need(t, "ECHO", server.Client().Echo(t.Context(), last).Err())
		need(t, "deadline", conn.SetReadDeadline(time.Now().Add(patience)))
		var all bytes.Buffer
		for !strings.Contains(all.String(), last) {
			n, err := conn.Read(buf)
			need(t, "listen", err)
			all.Write(buf[:n])
		}
		return all.String()
	}
}
