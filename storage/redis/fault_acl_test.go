package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

const (
	aclUser     = "ingam"
	aclPassword = "sesame" // of a server that lives as long as a test
)

// advertisedACL returns the user line of acl.txt, with a password, and with what a newer Redis knows left out if the server
// under test does not know it.
func advertisedACL(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("acl.txt")
	need(t, "acl.txt", err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "user "+aclUser+" ") {
			line = strings.Replace(strings.TrimSpace(line), ">CHANGE-ME", ">"+aclPassword, 1)
			return "user default off\n" + strings.Replace(line, " +waitaof", "", 1)
		}
	}
	t.Fatal("acl.txt has no line for the user " + aclUser)
	return ""
}

// allowedCommands are the commands of the line, as ACL rules spell them.
func allowedCommands(t testing.TB) []string {
	t.Helper()
	var commands []string
	for rule := range strings.FieldsSeq(advertisedACL(t)) {
		if command, ok := strings.CutPrefix(rule, "+"); ok {
			commands = append(commands, command)
		}
	}
	return commands
}

func asACLUser(cfg Config) Config {
	cfg.Username, cfg.Password = aclUser, aclPassword
	return cfg
}

// S20: one server keeps every promise, for a user who may do nothing but what acl.txt allows.
func TestOneServerKeepsThePromises(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.ACLFile(advertisedACL(t)))
	var n atomic.Int64
	keepsThePromises(t, func(testing.TB) Config {
		return asACLUser(Config{Addresses: []string{server.Addr()}, Prefix: fmt.Sprintf("%ss%d:", DefaultPrefix, n.Add(1))})
	})
	denied, err := server.Client().Do(t.Context(), "ACL", "LOG").Slice()
	need(t, "ACL LOG", err)
	promised(t, "single", "suite under acl.txt", len(denied), "stores=%d denied=%d", n.Load(), len(denied))
	for _, entry := range denied {
		t.Logf("denied: %v", entry)
	}
}

// S20: what acl.txt does not allow is denied.
func TestTheAdvertisedACLDeniesEverythingElse(t *testing.T) {
	server := redistest.Start(t, redistest.ACLFile(advertisedACL(t)), redistest.Config("enable-debug-command", "local"))
	s := open(t, asACLUser(Config{Addresses: []string{server.Addr()}}))
	for _, command := range []string{
		"KEYS *", "FLUSHALL", "FLUSHDB", "CONFIG SET maxmemory 1", "CONFIG REWRITE", "DEBUG SLEEP 0", "SHUTDOWN NOSAVE", "MONITOR",
		"ACL LIST", "REPLICAOF NO ONE", "SAVE", "MODULE LIST", "CLIENT LIST", "CLIENT KILL TYPE normal", "SCRIPT FLUSH",
		"FUNCTION LIST", "SUBSCRIBE x", "PUBLISH x y", "RANDOMKEY", "DBSIZE", "RENAME ingam:a ingam:b", "MIGRATE h 1 k 0 1",
		"GET foreign", "HGETALL foreign", "DEL foreign", "SET foreign x", "EVAL return 0 foreign",
	} {
		words := strings.Fields(command)
		args := make([]any, 0, len(words)+1)
		for _, word := range words {
			args = append(args, word)
		}
		if words[0] == "EVAL" {
			args = []any{"EVAL", "return redis.call('GET', KEYS[1])", 1, "foreign"}
		}
		if err := s.client.Do(t.Context(), args...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("%s: %v", command, err)
		}
	}
	// A script cannot do more than its user, whatever it names.
	for _, body := range []string{
		"return redis.call('GET', 'foreign')", "return redis.call('FLUSHALL')", "return redis.call('CONFIG', 'SET', 'maxmemory', '1')",
		"return redis.call('KEYS', '*')",
	} {
		err := s.client.Eval(t.Context(), body, nil).Err()
		if err == nil || !strings.Contains(err.Error(), "user executing the script can't") && !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("in a script: %s: %v", body, err)
		}
	}
	need(t, "what is allowed", everyVerb(t.Context(), s, "allowed"))
}

// S20: every verb works under acl.txt in each arrangement, and no command of the line is there for nothing: without it
// something fails in one of them.
func TestTheAdvertisedACLIsExact(t *testing.T) {
	t.Parallel()
	line := redistest.ACLFile(advertisedACL(t))
	volatile := redistest.AppendFsync("no")
	primary := redistest.Start(t, line, volatile)
	sentinel := redistest.StartSentinel(t, 1, 3, line, volatile)
	cluster := redistest.StartCluster(t, 3, 3, line, volatile)
	arrangements := []arrangement{
		{"single", asACLUser(Config{Addresses: []string{primary.Addr()}, DB: 1}), []*redistest.Server{primary}},
		{"sentinel", asACLUser(sentinelConfig(sentinel, DefaultPrefix)), sentinel.Servers()},
		{"cluster", asACLUser(clusterConfig(cluster, DefaultPrefix)), cluster.Nodes()},
	}
	for i := range arrangements {
		if a := &arrangements[i]; a.name != "single" {
			a.cfg.Durability = Replicated
		}
	}
	for _, a := range arrangements {
		need(t, "under acl.txt, "+a.name, a.tryAll(t, "whole"))
		if a.name == "cluster" {
			need(t, "a slot on the move, under acl.txt", redirected(t, cluster, a.cfg, "whole"))
		}
	}
	needless := []string{}
	for _, command := range allowedCommands(t) {
		var needed []string
		for _, a := range arrangements {
			a.allow(t, "-"+command)
			err := a.tryAll(t, command)
			if a.name == "cluster" && err == nil {
				err = redirected(t, cluster, a.cfg, command)
			}
			if err != nil {
				needed = append(needed, a.name)
			}
			a.allow(t, "+"+command)
		}
		t.Logf("%-16s needed by %v", command, needed)
		if len(needed) == 0 && command != "config|get" { // that one only lets the doctor see more
			needless = append(needless, command)
		}
	}
	if len(needless) > 0 {
		t.Errorf("acl.txt allows what nobody needs: %v", needless)
	}
}

// arrangement is a way to run Redis.
type arrangement struct {
	name    string
	cfg     Config
	servers []*redistest.Server
}

func (a arrangement) allow(t testing.TB, rule string) {
	t.Helper()
	for _, server := range a.servers {
		need(t, "ACL SETUSER", server.Client().Do(t.Context(), "ACL", "SETUSER", aclUser, rule).Err())
	}
}

// tryAll opens a new store under a prefix of its own and uses all of it.
func (a arrangement) tryAll(t testing.TB, name string) error {
	t.Helper()
	for _, server := range a.servers { // so that scripts are sent whole
		need(t, "SCRIPT FLUSH", server.Client().ScriptFlush(t.Context()).Err())
	}
	cfg := a.cfg
	cfg.Prefix, cfg.Timeout = DefaultPrefix+strings.ReplaceAll(name, "|", "-")+":", MaxTimeout
	if _, err := Init(t.Context(), cfg); err != nil {
		return err
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		return err
	}
	return errors.Join(everyVerb(t.Context(), s, name), s.Close())
}

// everyVerb uses all that a store can do, on fresh records, and returns the first failure.
func everyVerb(ctx context.Context, s *Store, name string) error {
	c := storage.Client{ID: "client-" + name}
	u := storage.User{ID: "user-" + name, Username: "name-" + name}
	budget := storage.Budget{Key: name, Burst: 2, Every: time.Hour}
	until := time.Now().Add(time.Hour)
	g, e := testGrant("grant-"+name), testEntry("entry-"+name, until)
	g.UserID = u.ID
	rotation := aRotation(g.ID, storage.User{ID: u.ID, Version: 1}, 1, "a")
	rotation.Fence = true
	for _, verb := range []func() error{
		func() error { return s.Ping(ctx) },
		func() error { return s.CreateClient(ctx, c) },
		func() error { return first(s.Client(ctx, c.ID)) },
		func() error { c.Version = 1; return s.ReplaceClient(ctx, c) },
		func() error { return first(s.Clients(ctx, "", 3)) },
		func() error { return s.CreateUser(ctx, u) },
		func() error { return first(s.User(ctx, u.ID)) },
		func() error { return first(s.UserByName(ctx, u.Username)) },
		func() error { return first(s.Users(ctx, "", 3)) },
		func() error { return s.CreateGrant(ctx, g) },
		func() error { return first(s.Grant(ctx, g.ID)) },
		func() error {
			outcome, _, err := s.Rotate(ctx, rotation)
			if err == nil && outcome != storage.Rotated {
				err = fmt.Errorf("rotate: %v", outcome)
			}
			return err
		},
		func() error { return s.RevokeGrant(ctx, g.ID, "why") },
		func() error { u.Version, u.Username = 1, "renamed-"+name; return s.ReplaceUser(ctx, u) },
		func() error { return s.PutKeyRing(ctx, storage.KeyRing{}) },
		func() error { return first(s.KeyRing(ctx)) },
		func() error { return first(s.Spend(ctx, budget)) },
		func() error { return s.Refund(ctx, storage.Refund{Budget: budget, Units: 1}) },
		func() error { return first(s.Spend(ctx, budget)) },
		func() error { return first(s.Remember(ctx, name, until)) },
		func() error { return first(s.Remembered(ctx, name)) },
		func() error { return third(s.GrantAndUser(ctx, g.ID, u.ID)) },
		func() error { return first(s.GrantsOf(ctx, u.ID, 3)) },
		func() error { return s.CreateEntry(ctx, e) },
		func() error { return first(s.Entry(ctx, e.Kind, e.ID)) },
		func() error { e.Version, e.ExpiresAt = 1, time.Time{}; return s.ReplaceEntry(ctx, e) },
		func() error { return first(s.EntriesOf(ctx, e.Kind, e.Owner, 3)) },
		func() error { return exported(ctx, s, 7) },
		func() error { return first(s.TakeEntry(ctx, e.Kind, e.ID)) },
		func() error { return first(s.Doctor(ctx)) },
		func() error { return s.DeleteUser(ctx, u.ID) },
		func() error { return s.DeleteClient(ctx, c.ID) },
	} {
		if err := verb(); err != nil {
			return err
		}
	}
	return nil
}

// exported reads everything and counts it.
func exported(ctx context.Context, s *Store, want int) error {
	found := 0
	for _, err := range s.Export(ctx) {
		if err != nil {
			return err
		}
		found++
	}
	if found < want {
		return fmt.Errorf("exported %d records, not %d", found, want)
	}
	return nil
}

// redirected tells by an error that a key is not reached while its slot is on the move (ASK).
func redirected(t testing.TB, g *redistest.ClusterGroup, cfg Config, mark string) error {
	t.Helper()
	cfg.Durability, cfg.Timeout, cfg.Prefix = Local, MaxTimeout, DefaultPrefix+"asked:"
	if _, err := Init(t.Context(), cfg); err != nil {
		return err
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { need(t, "close", s.Close()) }()
	key := s.names.mark(mark)
	slot, err := g.Client().ClusterKeySlot(t.Context(), key).Result()
	need(t, "slot", err)
	owners := g.Primaries(t)
	from := g.PrimaryOf(t, key)
	to := owners[(slices.Index(owners, from)+1)%len(owners)]
	need(t, "begin to move a slot", g.BeginMove(t.Context(), from, to, int(slot)))
	defer func() { need(t, "move it", g.MoveSlot(t.Context(), from, to, int(slot))) }()
	return first(s.Remember(t.Context(), mark, time.Now().Add(time.Second)))
}
