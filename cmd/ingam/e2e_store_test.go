package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// redisEnv are the settings of a server whose data is in that Redis, under a prefix. The disk of a busy machine that runs
// tests may take its time for an fsync.
func redisEnv(address, prefix string) []string {
	return []string{
		"INGAM_STORAGE_DRIVER=redis", "INGAM_STORAGE_REDIS_ADDRESSES=" + address, "INGAM_STORAGE_REDIS_KEY_PREFIX=" + prefix,
		"INGAM_STORAGE_REDIS_TIMEOUT=1s",
	}
}

// store runs `ingam store …` with the settings of the server, and more of them.
func (s *server) store(t *testing.T, more []string, input string, args ...string) result {
	t.Helper()
	return runProgram(slices.Concat(s.env, more), program(t, "ingam"), input, append([]string{"store"}, args...)...)
}

// wantMoved is store for a command that must move records; it returns its JSON.
func (s *server) wantMoved(t *testing.T, more []string, input string, args ...string) (m moved) {
	t.Helper()
	r := s.store(t, more, input, append(args, "-o", "json")...)
	if r.status != exitDone || json.Unmarshal([]byte(r.stdout), &m) != nil {
		t.Fatalf("ingam store %v: %+v", args, r)
	}
	return m
}

// moveTo starts the server on another data folder, or with other settings; what it has so far stays where it is.
func (s *server) moveTo(t *testing.T, more ...string) {
	t.Helper()
	s.env = slices.Concat(s.env, more)
	s.start(t)
}

// stop ends the server well.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if status := s.terminate(t); status != exitDone {
		t.Fatalf("exit %d: %s", status, s.stderr)
	}
}

// peopled is a server with a user and a client, and a sign-in of the two.
func peopled(t *testing.T, s *server) (client *http.Client, got issued, keys string) {
	t.Helper()
	s.want(t, carolsPassword, "user", "add", "carol", "--password-stdin")
	s.publicClient(t, "cli", "--refresh-grace", "0s")
	client = newClient(t)
	return client, mustSignIn(t, client, s.issuer, "cli", "carol", carolsPassword), s.keys(t, client)
}

// keys are the published keys.
func (s *server) keys(t *testing.T, client *http.Client) string {
	t.Helper()
	return must(t)(ask(client, "GET", s.issuer+"/.well-known/jwks.json", "")).body
}

// mustRefresh redeems a refresh token that has to be good.
func (s *server) mustRefresh(t *testing.T, client *http.Client, token string) issued {
	t.Helper()
	a := must(t)(refresh(client, s.issuer, "cli", token))
	if a.status != http.StatusOK {
		t.Fatalf("refresh: %v", a)
	}
	return a.tokens()
}

// assertRefused wants invalid_grant.
func (s *server) assertRefused(t *testing.T, client *http.Client, what, token string) {
	t.Helper()
	a := must(t)(refresh(client, s.issuer, "cli", token))
	if a.status == http.StatusServiceUnavailable { // a busy machine: once more
		a = must(t)(refresh(client, s.issuer, "cli", token))
	}
	if a.status != http.StatusBadRequest || a.tokens().Error != "invalid_grant" {
		t.Errorf("%s: %v", what, a)
	}
}

func TestEverythingMovesFromBoltToRedisAndBackAndSignInsGoOn(t *testing.T) {
	redis, prefix := redistest.Shared(t)
	there := redisEnv(redis.Addr(), prefix)
	s := newServer(t, quickHashes...) // with limits on guesses: they move as well
	client, got, keys := peopled(t, s)
	first := s.mustRefresh(t, client, got.Refresh)
	if a := must(t)(signIn(client, s.issuer, "cli", "carol", "a wrong guess")); a.status != http.StatusBadRequest {
		t.Errorf("a wrong password: %v", a)
	}
	if r := s.store(t, there, "", "copy", "--from", "bolt:"+s.data(), "--to", "redis"); r.status != exitFailed ||
		!strings.Contains(r.stderr, "stop that server first") {
		t.Errorf("while the server runs: %+v", r)
	}
	s.stop(t)

	// The driver may still be bolt: the settings of Redis are enough for a copy.
	out := s.wantMoved(t, there[1:], "", "copy", "--from", "bolt:"+s.data(), "--to", "redis")
	if c := out.Counts; c.Users != 1 || c.Clients != 1 || c.Grants != 1 || c.KeyRings != 1 || c.Budgets == 0 {
		t.Errorf("copied %+v", out)
	}
	untouched := filepath.Join(t.TempDir(), "untouched")
	if back := s.wantMoved(t, there, "", "copy", "--from", "redis", "--to", "bolt:"+untouched); back.Tally != out.Tally {
		t.Errorf("bolt to Redis: %+v, back: %+v", out.Tally, back.Tally)
	}
	if r := s.store(t, there, "", "copy", "--from", "bolt:"+untouched, "--to", "redis"); r.status != exitFailed ||
		!strings.Contains(r.stderr, "holds data already") || !strings.Contains(r.stderr, prefix) {
		t.Errorf("into a Redis that holds data: %+v", r)
	}

	s.moveTo(t, there...)
	if now := s.keys(t, client); now != keys {
		t.Errorf("the keys were\n%s\nand are\n%s", keys, now)
	}
	s.want(t, "", "user", "show", "carol")
	second := s.mustRefresh(t, client, first.Refresh)
	if got := mustSignIn(t, client, s.issuer, "cli", "carol", carolsPassword); got.Refresh == "" {
		t.Error("no sign-in on Redis")
	}
	s.stop(t)

	home := filepath.Join(t.TempDir(), "home")
	s.wantMoved(t, nil, "", "copy", "--from", "redis", "--to", "bolt:"+home)
	s.moveTo(t, "INGAM_STORAGE_DRIVER=bolt", "INGAM_DATA_DIR="+home)
	third := s.mustRefresh(t, client, second.Refresh)
	s.assertRefused(t, client, "a refresh token that was used on Redis", second.Refresh)
	s.assertRefused(t, client, "the one after it: its family is dead (R4)", third.Refresh)
	s.stop(t)
}

// Row S19, on both stores.
func TestARestoreEndsTheSignInsOfTheBackupUnlessToldOtherwise(t *testing.T) {
	for _, driver := range []string{driverBolt, driverRedis} {
		t.Run(driver, func(t *testing.T) {
			// Each restore goes into a place of its own.
			places := 0
			place := func() []string {
				places++
				if driver == driverBolt {
					return []string{"INGAM_DATA_DIR=" + filepath.Join(t.TempDir(), fmt.Sprint("place", places))}
				}
				redis, prefix := redistest.Shared(t)
				return redisEnv(redis.Addr(), prefix)
			}
			s := prepareServer(t, slices.Concat(quickHashes, manyGuesses)...)
			if driver == driverRedis {
				s.env = append(s.env, place()...)
			}
			if r := s.store(t, nil, "", "init"); r.status != exitDone {
				t.Fatalf("%+v", r)
			}
			s.start(t)
			client, got, keys := peopled(t, s)
			current := s.mustRefresh(t, client, got.Refresh)
			file := filepath.Join(t.TempDir(), "backup")
			taken := s.wantMoved(t, nil, "", "backup", "--out", file)
			if r := s.store(t, nil, "", "restore", "--in", file); r.status != exitFailed ||
				!strings.Contains(r.stderr, "in use") && !strings.Contains(r.stderr, "holds data already") {
				t.Errorf("into the store of the running server: %+v", r)
			}
			// Time goes on after the backup: another sign-in, which nobody will know any more.
			later := mustSignIn(t, client, s.issuer, "cli", "carol", carolsPassword)
			s.stop(t)

			for _, keep := range []bool{false, true} {
				args, at := []string{"restore", "--in", file}, place()
				if keep {
					args = append(args, "--keep-grants")
				}
				back := s.wantMoved(t, at, "", args...)
				if back.Counts.Grants != 1 || (back.EndedGrants == 0) != keep || (back.Digest == taken.Digest) != keep {
					t.Errorf("keep-grants %v: %+v", keep, back)
				}
				s.moveTo(t, at...)
				if now := s.keys(t, client); now != keys {
					t.Errorf("the keys were\n%s\nand are\n%s", keys, now)
				}
				if keep {
					s.mustRefresh(t, client, current.Refresh)
				} else {
					s.assertRefused(t, client, "a refresh token of the backup", current.Refresh)
				}
				s.assertRefused(t, client, "a refresh token from after the backup", later.Refresh)
				mustSignIn(t, client, s.issuer, "cli", "carol", carolsPassword)
				s.stop(t)
			}
		})
	}
}

// A backup of a running server is the state of one moment, however many refreshes go on.
func TestABackupUnderLoadIsWholeAndStopsNobody(t *testing.T) {
	s := newServer(t, slices.Concat(quickHashes, manyGuesses)...)
	client, got, _ := peopled(t, s)
	done := make(chan []result, 1)
	go func() {
		var all []result
		for range 10 {
			all = append(all, runProgram(s.env, filepath.Join(built, "ingam"), "", "store", "backup", "--out", "-"))
		}
		done <- all
	}()
	var all []result
	times := useWhile(t, client, s.issuer, "cli", got.Refresh, func() bool {
		select {
		case all = <-done:
			return false
		default:
			return true
		}
	})
	if times == 0 || len(all) != 10 {
		t.Errorf("%d refreshes, %d backups: there was no load", times, len(all))
	}
	for _, r := range all {
		fresh := filepath.Join(t.TempDir(), "fresh")
		if r.status != exitDone {
			t.Fatalf("%+v", r)
		}
		if m := s.wantMoved(t, []string{"INGAM_DATA_DIR=" + fresh}, r.stdout, "restore", "--in", "-"); m.Counts.Grants != 1 {
			t.Errorf("%+v", m)
		}
	}
}

// Row S19: what was cut off or changed on the way changes nothing.
func TestADamagedBackupChangesNothingOnRedis(t *testing.T) {
	redis, prefix := redistest.Shared(t)
	s := newServer(t, quickHashes...)
	peopled(t, s)
	good := s.store(t, nil, "", "backup", "--out", "-").stdout
	s.stop(t)
	turned := []byte(good)
	turned[len(good)/3] ^= 4
	for name, bad := range map[string]string{"cut": good[:len(good)-1], "turned": string(turned)} {
		r := s.store(t, redisEnv(redis.Addr(), prefix), bad, "restore", "--in", "-")
		if r.status != exitFailed || !strings.Contains(r.stderr, "damaged") {
			t.Errorf("%s: %+v", name, r)
		}
		if n, err := redis.Client().Keys(t.Context(), prefix+"*").Result(); err != nil || len(n) != 0 {
			t.Errorf("%s: Redis holds %v, %v", name, n, err)
		}
	}
	s.wantMoved(t, redisEnv(redis.Addr(), prefix), good, "restore", "--in", "-") // the whole one
}

// startFails wants `serve` to end with exit status 1 before it opens a port, and returns what it says.
func (s *server) startFails(t *testing.T) string {
	t.Helper()
	p := spawn(t, s.env, program(t, "ingam"), "serve")
	if status := p.exit(t); status != exitFailed {
		t.Errorf("exit %d: %s", status, p.stderr)
	}
	if text := p.stderr.String(); strings.Contains(text, `"msg":"ready"`) {
		t.Errorf("it was ready:\n%s", text)
	}
	if _, err := os.Stat(filepath.Join(s.data(), adminSocket)); err == nil {
		t.Error("it has opened the admin socket")
	}
	return p.stderr.String()
}

// readiness asks the internal listener.
func (s *server) readiness(t *testing.T, client *http.Client) answer {
	t.Helper()
	return must(t)(ask(client, "GET", "http://"+s.internal+"/readyz", ""))
}

// awaitReadiness waits for an answer of the internal listener.
func (s *server) awaitReadiness(t *testing.T, client *http.Client, status int) {
	t.Helper()
	s.await(t, fmt.Sprint("readiness ", status), func() bool { return s.readiness(t, client).status == status })
}

// Row S17: a server does not mint a new issuer identity silently, at its start or while it runs.
func TestAnEmptyRedisIsNoStore(t *testing.T) {
	redis := redistest.Start(t)
	s := prepareServer(t, append(redisEnv(redis.Addr(), "ingam:"), quickHashes...)...)
	for range 2 { // the first try has left nothing that a second one would take for a store
		if text := s.startFails(t); !strings.Contains(text, "'ingam store init'") || !strings.Contains(text, redis.Addr()) {
			t.Error(text)
		}
	}
	if r := s.store(t, nil, "", "doctor"); r.status != exitFailed || !strings.Contains(r.stderr, "'ingam store init'") {
		t.Errorf("doctor: %+v", r)
	}
	if r := s.store(t, nil, "", "init"); r.status != exitDone || !strings.Contains(r.stderr, "set up") {
		t.Errorf("init: %+v", r)
	}
	if r := s.store(t, nil, "", "init"); r.status != exitFailed || !strings.Contains(r.stderr, "already initialised") {
		t.Errorf("init again: %+v", r)
	}
	if r := s.store(t, nil, "", "init", "--if-missing"); r.status != exitDone || !strings.Contains(r.stderr, "set up already") {
		t.Errorf("init --if-missing: %+v", r)
	}
	s.start(t)
	client, _, _ := peopled(t, s)
	if a := s.readiness(t, client); a.status != http.StatusOK {
		t.Errorf("%v", a)
	}
	if err := redis.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.awaitReadiness(t, client, http.StatusServiceUnavailable)
	s.await(t, "line that says why", func() bool { return strings.Contains(s.stderr.String(), "was it emptied?") })
	// Another identity under the same name is none: what it knows is not what this process has handed out.
	if r := s.store(t, nil, "", "init"); r.status != exitDone {
		t.Errorf("init: %+v", r)
	}
	if a := s.readiness(t, client); a.status != http.StatusServiceUnavailable {
		t.Errorf("ready on somebody else's data: %v", a)
	}
	s.stop(t)
}

// Rows S6 and S13.
func TestARedisThatForgetsIsRefusedByName(t *testing.T) {
	for name, test := range map[string]struct {
		option redistest.Option
		want   []string
		heal   [2]string
	}{
		"eviction": {
			redistest.Config("maxmemory-policy", "allkeys-lru"),
			[]string{"maxmemory-policy", "allkeys-lru", "noeviction"},
			[2]string{"maxmemory-policy", "noeviction"},
		},
		"nothing on the disk": {redistest.AppendFsync("off"), []string{"appendonly yes"}, [2]string{"appendonly", "yes"}},
	} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t, test.option)
			s := prepareServer(t, append(redisEnv(redis.Addr(), "ingam:"), quickHashes...)...)
			if r := s.store(t, nil, "", "init"); r.status != exitDone {
				t.Fatalf("%+v", r)
			}
			refused := s.startFails(t)
			doctor := s.store(t, nil, "", "doctor")
			for _, part := range test.want {
				if !strings.Contains(refused, part) || !strings.Contains(doctor.stdout, part) {
					t.Errorf("%s is not named:\n%s\n%s", part, refused, doctor.stdout)
				}
			}
			if doctor.status != exitFailed || !strings.Contains(doctor.stdout, "refuse") {
				t.Errorf("doctor: %+v", doctor)
			}
			if err := redis.Client().ConfigSet(t.Context(), test.heal[0], test.heal[1]).Err(); err != nil {
				t.Fatal(err)
			}
			awaitNoRefusal(t, s)
			s.start(t)
			s.stop(t)
		})
	}
}

// awaitNoRefusal waits until the doctor refuses nothing: Redis writes its first append-only file in the background.
func awaitNoRefusal(t *testing.T, s *server) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		r := s.store(t, nil, "", "doctor")
		if r.status == exitDone {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("doctor: %+v", r)
		}
	}
}

// Row G1 for the store: the password of Redis and everything that was sent is in no output, and a backup holds no more
// than the store.
func TestNoOutputOfTheStoreHasASecret(t *testing.T) {
	c := canaries{}
	password := c.make("the password of Redis")
	redis := redistest.Start(t, redistest.User("ingam", password, "~* &* +@all"))
	file := filepath.Join(t.TempDir(), "redis.password")
	writeFile(t, file, password+"\n")
	s := prepareServer(t, slices.Concat(quickHashes, redisEnv(redis.Addr(), "ingam:"), []string{
		"INGAM_STORAGE_REDIS_USERNAME=ingam", "INGAM_STORAGE_REDIS_PASSWORD_FILE=" + file, "INGAM_LOG_LEVEL=debug",
	})...)
	master, err := os.ReadFile(filepath.Join(s.dir, "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	c["the master key"] = strings.TrimSpace(string(master))
	outputs := map[string]string{}
	run := func(more []string, args ...string) {
		t.Helper()
		r := s.store(t, more, "", args...)
		if r.status != exitDone {
			t.Fatalf("%v: %+v", args, r)
		}
		outputs["store "+strings.Join(args, " ")] = r.stdout + r.stderr
	}
	run(nil, "init")
	run(nil, "doctor")
	s.start(t)
	assertArgumentsHold(t, s.process, c)
	user := c.make("the password of carol")
	s.want(t, user, "user", "add", "carol", "--password-stdin")
	s.publicClient(t, "cli")
	got := mustSignIn(t, newClient(t), s.issuer, "cli", "carol", user)
	c.addJWT(t, "the access token", got.Access)
	c["the refresh token"] = got.Refresh
	run(nil, "backup", "--out", filepath.Join(s.dir, "b"), "-v")
	run(nil, "backup", "--out", "-")
	s.stop(t)
	run(nil, "copy", "--from", "redis", "--to", "bolt:"+filepath.Join(t.TempDir(), "new"), "-v")
	outputs["the server"] = s.stderr.String()
	outputs["config show"] = runProgram(s.env, program(t, "ingam"), "", "config", "show").stdout

	// Mistakes: a wrong password, none, and one in an address.
	wrong := c.make("a wrong password of Redis")
	for name, more := range map[string][]string{
		"a wrong password": {"INGAM_STORAGE_REDIS_PASSWORD=" + wrong, "INGAM_STORAGE_REDIS_PASSWORD_FILE="},
		"no password":      {"INGAM_STORAGE_REDIS_PASSWORD_FILE="},
		"a URL":            {"INGAM_STORAGE_REDIS_ADDRESSES=redis://ingam:" + password + "@" + redis.Addr()},
	} {
		for _, args := range [][]string{{"serve"}, {"store", "doctor"}, {"user", "list"}} {
			r := runProgram(slices.Concat(s.env, more), program(t, "ingam"), "", args...)
			if r.status == exitDone || r.stderr == "" {
				t.Errorf("%s, %v: %+v", name, args, r)
			}
			if name == "a wrong password" && !(strings.Contains(r.stderr, "WRONGPASS") && strings.Contains(r.stderr, redis.Addr())) {
				t.Errorf("%s, %v: %s", name, args, r.stderr)
			}
			outputs[name+" "+args[0]] += r.stdout + r.stderr
		}
	}
	assertNowhere(t, c, outputs)
	if backup := outputs["store backup --out -"]; !strings.Contains(backup, `"username":"carol"`) {
		t.Errorf("what was searched?\n%s", backup)
	}
}
