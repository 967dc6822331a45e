package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/backup"
	"github.com/ingam/ingam/storage/bolt"
	"github.com/ingam/ingam/storage/redis"
)

// furnished is a data folder with a user, a client and a grant.
func furnished(t *testing.T) cli {
	t.Helper()
	c := offline(t)
	c.want(nil, aPassword, "user", "add", "alice", "--password-stdin")
	c.want(nil, "", "client", "add", "cli", "--public", "--grant-type", "password,refresh_token")
	c.inStore(func(s storage.Store) error {
		now := time.Now()
		return errors.Join(
			s.CreateGrant(t.Context(), storage.Grant{
				ID: "alive", ClientID: "cli", UserID: "usr_1", BornAt: now, ExpiresAt: now.Add(day), IdleExpiresAt: now.Add(day),
			}),
			s.CreateGrant(t.Context(), storage.Grant{
				ID: "ended", ClientID: "cli", UserID: "usr_1", BornAt: now, ExpiresAt: now.Add(day), IdleExpiresAt: now.Add(day),
				Revoked: true, RevokedReason: "signed out",
			}))
	})
	return c
}

// inStore opens the store of the folder for a moment.
func (c cli) inStore(do func(storage.Store) error) {
	c.t.Helper()
	store, err := bolt.Open(c.t.Context(), filepath.Join(c.dir, storeFile), bolt.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := errors.Join(do(store), store.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// grant reads a grant.
func (c cli) grant(id string) (g storage.Grant) {
	c.t.Helper()
	c.inStore(func(s storage.Store) (err error) { g, err = s.Grant(c.t.Context(), id); return err })
	return g
}

// names are the files of a folder.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// fails wants a command to fail with a status and a text that says why.
func (c cli) fails(status int, part, input string, args ...string) {
	c.t.Helper()
	if r := c.run(input, args...); r.status != status || !strings.Contains(r.stderr, part) || r.stdout != "" {
		c.t.Errorf("%v: %+v, want exit %d with %q", args, r, status, part)
	}
}

// Row S19.
func TestABackupBringsEverythingBackAndEndsSignInsUnlessToldOtherwise(t *testing.T) {
	c := furnished(t)
	file := filepath.Join(t.TempDir(), "b")
	var taken moved
	if r := c.want(&taken, "", "store", "backup", "--out", file); taken.Counts.Users != 1 || taken.Counts.Grants != 2 || r.stderr == "" {
		t.Errorf("%+v, %s", taken, r.stderr)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if got := names(t, filepath.Dir(file)); !slices.Equal(got, []string{"b"}) {
		t.Errorf("there are %v", got)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	fresh := cli{t, filepath.Join(t.TempDir(), "fresh")}
	var back moved
	r := fresh.want(&back, "", "store", "restore", "--in", file)
	if back.EndedGrants != 1 || back.Counts != taken.Counts || back.Digest == taken.Digest || !strings.Contains(r.stderr, "ended 1 sign-ins") {
		t.Errorf("%+v, %s", back, r.stderr)
	}
	if g := fresh.grant("alive"); !g.Revoked || g.RevokedReason != "restored from a backup" {
		t.Errorf("%+v", g)
	}
	if g := fresh.grant("ended"); g.RevokedReason != "signed out" {
		t.Errorf("%+v", g)
	}
	if got := names(t, fresh.dir); !slices.Equal(got, []string{storeFile}) {
		t.Errorf("there are %v", got)
	}

	kept := cli{t, filepath.Join(t.TempDir(), "kept")}
	back = moved{}
	kept.want(&back, string(text), "store", "restore", "--in", "-", "--keep-grants")
	if back.EndedGrants != 0 || back.Digest != taken.Digest || kept.grant("alive").Revoked || !kept.grant("ended").Revoked {
		t.Errorf("%+v", back)
	}
	var users []map[string]any
	if kept.want(&users, "", "user", "list"); len(users) != 1 || users[0]["username"] != "alice" {
		t.Errorf("%v", users)
	}
	if table := c.want(nil, "", "store", "backup", "--out", file+"2").stdout; !strings.Contains(table, taken.Digest.String()) {
		t.Errorf("another backup of the same says\n%s", table)
	}
}

// What flows by is written to a file that only its owner can read, and nothing stays of it.
func TestABackupFromAPipeIsSpooledAndForgotten(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	from, done, err := seekable("-", strings.NewReader("text"))
	if err != nil {
		t.Fatal(err)
	}
	spooled := names(t, temp)
	if len(spooled) != 1 {
		t.Fatalf("%v", spooled)
	}
	if info, err := os.Stat(filepath.Join(temp, spooled[0])); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for range 2 {
		if _, err := from.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(from); string(text) != "text" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
	}
	if done(); len(names(t, temp)) != 0 {
		t.Error(names(t, temp))
	}
	if _, _, err := seekable(temp, nil); err == nil {
		t.Error("a folder is taken for a backup")
	}
}

// Row S19.
func TestADamagedBackupIsRefusedBeforeAnythingIsChanged(t *testing.T) {
	c := furnished(t)
	good := c.want(nil, "", "store", "backup", "--out", "-").stdout
	turned := []byte(good)
	turned[len(turned)/2] ^= 1
	fresh := cli{t, filepath.Join(t.TempDir(), "fresh")}
	for name, bad := range map[string]string{
		"cut in a line": good[:len(good)/2], "cut before the last line": good[:strings.LastIndex(strings.TrimSpace(good), "\n")+1],
		"turned": string(turned), "nothing": "", "more behind": good + good,
	} {
		fresh.fails(exitFailed, "nothing was changed", bad, "store", "restore", "--in", "-")
		if got := names(t, fresh.dir); len(got) != 0 {
			t.Errorf("%s: it has made %v", name, got)
		}
	}
	newer := strings.Replace(good, `"ingam_backup":2`, `"ingam_backup":9`, 1)
	fresh.fails(exitFailed, "newer version of ingam", newer, "store", "restore", "--in", "-")
	fresh.want(nil, good, "store", "restore", "--in", "-") // the same one, whole
}

// A file that changes after it was checked is noticed when it is read again.
func TestABackupThatChangesBetweenTheTwoPassesLeavesNoStore(t *testing.T) {
	c := furnished(t)
	good := c.want(nil, "", "store", "backup", "--out", "-").stdout
	fresh := filepath.Join(t.TempDir(), storeFile)
	s := &storeCommands{app: newTestApp(nil, io.Discard, io.Discard)}
	_, err := s.fill(t.Context(), newConfig(), place{fresh}, &restored{from: bytes.NewReader([]byte(good[:len(good)-10])), now: time.Now()})
	if !errors.Is(err, backup.ErrDamaged) || len(names(t, filepath.Dir(fresh))) != 0 {
		t.Errorf("%v; there are %v", err, names(t, filepath.Dir(fresh)))
	}
}

// growing is a source that somebody writes to: each time it is read it holds one mark more.
type growing struct{ reads int }

func (g *growing) Export(context.Context) iter.Seq2[storage.Record, error] {
	g.reads++
	return func(yield func(storage.Record, error) bool) {
		for i := range g.reads {
			hash := bytes.Repeat([]byte{byte(i)}, 32)
			if !yield(storage.Record{Mark: &storage.MarkState{KeyHash: hash, Until: time.Now().Add(day)}}, nil) {
				return
			}
		}
	}
}

func TestACopyThatIsNotEqualToItsSourceFailsLoudlyAndLeavesNoStore(t *testing.T) {
	fresh := filepath.Join(t.TempDir(), storeFile)
	s := &storeCommands{app: newTestApp(nil, io.Discard, io.Discard)}
	_, err := s.fill(t.Context(), newConfig(), place{fresh}, &growing{})
	if err == nil || !strings.Contains(err.Error(), "not equal") || !strings.Contains(err.Error(), "2 marks") || len(names(t, filepath.Dir(fresh))) != 0 {
		t.Errorf("%v; there are %v", err, names(t, filepath.Dir(fresh)))
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	c := furnished(t)
	file := filepath.Join(t.TempDir(), "b")
	writeFile(t, file, "mine")
	c.fails(exitFailed, "not overwritten", "", "store", "backup", "--out", file)
	if text, err := os.ReadFile(file); string(text) != "mine" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	good := c.want(nil, "", "store", "backup", "--out", "-").stdout
	before := c.want(nil, "", "store", "backup", "--out", "-").stdout
	c.fails(exitFailed, "holds data already", good, "store", "restore", "--in", "-")
	c.fails(exitFailed, "holds data already", "", "store", "copy", "--from", "bolt:"+furnished(t).dir, "--to", "bolt:"+c.dir)
	after := c.want(nil, "", "store", "backup", "--out", "-").stdout
	_, one, err1 := backup.Verify(strings.NewReader(before))
	_, two, err2 := backup.Verify(strings.NewReader(after))
	if one != two || err1 != nil || err2 != nil {
		t.Errorf("%+v became %+v (%v, %v)", one, two, err1, err2)
	}
}

func TestACopyHasTheDigestOfItsSourceWhichStays(t *testing.T) {
	c := furnished(t)
	var taken, copied moved
	c.want(&taken, "", "store", "backup", "--out", filepath.Join(t.TempDir(), "b"))
	to := cli{t, filepath.Join(t.TempDir(), "new")}
	r := c.want(&copied, "", "store", "copy", "--from", "bolt:"+c.dir, "--to", "bolt:"+to.dir)
	if copied.Tally != taken.Tally || !strings.Contains(r.stderr, "same digest") {
		t.Errorf("%+v, want %+v; %s", copied, taken, r.stderr)
	}
	if to.grant("alive").Revoked || c.grant("alive").Revoked {
		t.Error("a copy ends nobody's sign-in")
	}
	// A file may be named as well as a folder.
	named := filepath.Join(t.TempDir(), "other.db")
	c.want(nil, "", "store", "copy", "--from", "bolt:"+filepath.Join(c.dir, storeFile), "--to", "bolt:"+named)
	if got := names(t, filepath.Dir(named)); !slices.Equal(got, []string{"other.db"}) {
		t.Errorf("there are %v", got)
	}
}

func TestWrongCommandLinesOfTheStoreAreSaid(t *testing.T) {
	c := furnished(t)
	for _, test := range []struct {
		status int
		part   string
		args   []string
	}{
		{exitUsage, "--out is missing", []string{"backup"}},
		{exitUsage, "--in is missing", []string{"restore"}},
		{exitUsage, "--from takes", []string{"copy", "--to", "redis"}},
		{exitUsage, "--to takes", []string{"copy", "--from", "redis", "--to", "somewhere"}},
		{exitUsage, "--to takes", []string{"copy", "--from", "redis", "--to", "bolt:"}},
		{exitUsage, "the same store", []string{"copy", "--from", "bolt:" + c.dir, "--to", "bolt:" + filepath.Join(c.dir, storeFile)}},
		{exitUsage, "storage.redis.addresses", []string{"copy", "--from", "bolt:" + c.dir, "--to", "redis"}},
		{exitUsage, "storage.redis.timeout", []string{"doctor", "--storage-redis-timeout", "5s"}},
		{exitUsage, "storage.redis.addresses", []string{"init", "--storage-driver", "redis"}},
		{exitFailed, "there is no store at", []string{"copy", "--from", "bolt:nowhere", "--to", "bolt:" + t.TempDir()}},
		{exitFailed, "no such file", []string{"restore", "--in", "nowhere"}},
	} {
		c.fails(test.status, test.part, "", append([]string{"store"}, test.args...)...)
	}
	if r := c.run("", "store", "init"); r.status != exitDone || !strings.Contains(r.stderr, "needs no setting up") {
		t.Errorf("%+v", r)
	}
}

func TestAStoreInUseIsLeftAlone(t *testing.T) {
	c := furnished(t)
	good := c.want(nil, "", "store", "backup", "--out", "-").stdout
	c.inStore(func(storage.Store) error {
		const stop = "in use by a running server"
		c.fails(exitFailed, stop, "", "store", "copy", "--from", "bolt:"+c.dir, "--to", "bolt:"+t.TempDir())
		c.fails(exitFailed, stop, "", "store", "copy", "--from", "bolt:"+furnished(t).dir, "--to", "bolt:"+c.dir)
		c.fails(exitFailed, stop, good, "store", "restore", "--in", "-")
		c.fails(exitFailed, stop, "", "store", "backup", "--out", filepath.Join(t.TempDir(), "b")) // it has no socket
		return nil
	})
}

// examined are the levels by name, and what is said.
func (c cli) examined(status int) (map[string]redis.Level, string) {
	c.t.Helper()
	r := c.run("", "store", "doctor", "-o", "json")
	var all []redis.Finding
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil || r.status != status {
		c.t.Fatalf("%v, exit %d, want %d: %s%s", err, r.status, status, r.stdout, r.stderr)
	}
	levels := map[string]redis.Level{}
	for _, f := range all {
		levels[f.Name] = f.Level
		if (f.Level == redis.OK) != (f.Fix == "") {
			c.t.Errorf("%+v", f)
		}
	}
	return levels, r.stdout
}

func TestTheDoctorSaysWhetherAFileIsWhole(t *testing.T) {
	c := furnished(t)
	path := filepath.Join(c.dir, storeFile)
	levels, text := c.examined(exitDone)
	for _, name := range []string{"file", "pages", "schema", "records"} {
		if levels[name] != redis.OK {
			t.Errorf("%s: %q in %s", name, levels[name], text)
		}
	}
	if table := c.want(nil, "", "store", "doctor").stdout; !strings.Contains(table, "LEVEL") || !strings.Contains(table, "1 clients, 1 users, 2 grants") {
		t.Error(table)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if levels, text := c.examined(exitDone); levels["file"] != redis.Warn {
		t.Error(text)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if levels, text := c.examined(exitFailed); levels["pages"] != redis.Refuse {
			t.Error(text)
		}
	}
	damaged(whole[:4*os.Getpagesize()])
	damaged([]byte(strings.Repeat("no database ", 4096)))
	writeFile(t, path, string(whole))
	update(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("users")).Put([]byte("usr_x"), []byte("{no JSON")) })
	if levels, text := c.examined(exitFailed); levels["records"] != redis.Refuse || levels["pages"] != redis.OK {
		t.Error(text)
	}
	writeFile(t, path, string(whole))
	update(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte("999")) })
	if levels, text := c.examined(exitFailed); levels["schema"] != redis.Refuse || !strings.Contains(text, "999") {
		t.Error(text)
	}
	cli{t, t.TempDir()}.fails(exitFailed, "there is no store at", "", "store", "doctor")
}

// update changes a file behind the store's back.
func update(t *testing.T, path string, do func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err == nil {
		err = errors.Join(db.Update(do), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheDoctorSaysWhatItCannotSeeWhileAServerRuns(t *testing.T) {
	c := furnished(t)
	c.inStore(func(storage.Store) error {
		levels, text := c.examined(exitDone)
		if levels["pages"] != redis.Warn || levels["server"] != redis.Warn || levels["records"] != "" {
			t.Error(text)
		}
		serveAdmin(t, c.dir)
		if levels, text := c.examined(exitDone); levels["server"] != redis.OK {
			t.Error(text)
		}
		return nil
	})
}
