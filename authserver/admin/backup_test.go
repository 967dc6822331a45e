package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/backup"
	"github.com/ingam/ingam/storage/memory"
)

// fromSocket is a request as it comes over the admin socket: from no address.
func (s *server) fromSocket(method, path string) reply {
	s.t.Helper()
	r := httptest.NewRequest(method, path, http.NoBody)
	r.RemoteAddr = "@"
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, r)
	return reply{rec.Result(), rec.Body.Bytes()}
}

func TestABackupHoldsWhatTheStoreHolds(t *testing.T) {
	s := newServer(t, nil)
	s.want(s.send("POST", "/admin/v1/users", `{"username":"alice","password":"a fine password"}`), http.StatusCreated, nil)
	s.want(s.send("POST", "/admin/v1/clients", `{"client_id":"cli","grant_types":["client_credentials"]}`), http.StatusCreated, nil)
	got := s.fromSocket("GET", "/admin/v1/backup")
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/x-ndjson" || got.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", got.StatusCode, got.Header, got.body)
	}
	_, tally, err := backup.Verify(bytes.NewReader(got.body))
	if err != nil || tally.Counts.Users != 1 || tally.Counts.Clients != 1 {
		t.Errorf("%+v, %v", tally, err)
	}
	if !strings.Contains(string(got.body), s.user("alice").PasswordHash) {
		t.Error("the hash is not in it: alice could not sign in after a restore")
	}
	if strings.Contains(s.log.String(), "argon2id") || !strings.Contains(s.log.String(), "a backup was taken") {
		t.Error(s.log)
	}
}

// The answer holds hashes and sealed keys: a token on the network is not enough.
func TestABackupIsGivenOverTheSocketOnly(t *testing.T) {
	s := newServer(t, nil)
	s.wantError(s.send("GET", "/admin/v1/backup", ""), http.StatusForbidden, CodeForbidden, "admin socket")
	s.wantError(s.send("POST", "/admin/v1/backup", "{}"), http.StatusMethodNotAllowed, CodeMethodNotAllowed, "GET")
	if got := s.fromSocket("HEAD", "/admin/v1/backup"); got.StatusCode != http.StatusOK || len(got.body) != 0 {
		t.Errorf("HEAD: %d, %d bytes", got.StatusCode, len(got.body))
	}
	if got := s.fromSocket("GET", "/admin/v1/backup"); got.StatusCode != http.StatusOK {
		t.Errorf("GET: %d", got.StatusCode)
	}
}

// brokenExport fails after so many records.
type brokenExport struct {
	storage.Store
	after int
}

func (s brokenExport) Export(context.Context) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		for i := range s.after {
			if !yield(storage.Record{Client: &storage.Client{ID: fmt.Sprint("client-", i)}}, nil) {
				return
			}
		}
		yield(storage.Record{}, errDisk)
	}
}

func TestAStoreThatFailsAtTheBeginningIs503AndLaterLeavesABackupWithoutEnd(t *testing.T) {
	s := newServer(t, brokenExport{memory.New(), 0})
	s.wantError(s.fromSocket("GET", "/admin/v1/backup"), http.StatusServiceUnavailable, CodeUnavailable, "store")

	s = newServer(t, brokenExport{memory.New(), 5000})
	got := s.fromSocket("GET", "/admin/v1/backup")
	if _, _, err := backup.Verify(bytes.NewReader(got.body)); !errors.Is(err, backup.ErrDamaged) || len(got.body) == 0 {
		t.Errorf("%d bytes: %v", len(got.body), err)
	}
	if strings.Contains(string(got.body), errDisk.Error()) || !strings.Contains(s.log.String(), errDisk.Error()) {
		t.Error("the reason belongs into the log, and only there")
	}
}

// exported tells when an export has come to its end.
type exported struct {
	storage.Store
	ended bool
}

func (e *exported) Export(ctx context.Context) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		defer func() { e.ended = true }()
		e.Store.Export(ctx)(yield)
	}
}

// watched is an answer that looks at each piece before it goes out.
type watched struct {
	*httptest.ResponseRecorder
	before func()
}

func (w watched) Write(p []byte) (int, error) {
	w.before()
	return w.ResponseRecorder.Write(p)
}

// A reader may stop in the middle of a backup for as long as they like. A snapshot of bolt that waits for them would stop
// every writer whose data no longer fits into the mapped part of the file.
func TestTheStoreIsReadWholeBeforeABackupIsSentBySpool(t *testing.T) {
	store := &exported{Store: memory.New()}
	for i := range 2000 {
		if err := store.CreateUser(t.Context(), storage.User{ID: fmt.Sprint(i), Username: fmt.Sprint("user", i)}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	s := newServer(t, store)
	handler := New(Config{Store: store, Hasher: s.hasher, SpoolDir: dir})
	r := httptest.NewRequest(http.MethodGet, "/admin/v1/backup", http.NoBody)
	r.RemoteAddr = "@"
	rec, early := httptest.NewRecorder(), false
	handler.ServeHTTP(watched{rec, func() { early = early || !store.ended }}, r)
	if _, tally, err := backup.Verify(rec.Body); err != nil || tally.Counts.Users != 2000 {
		t.Errorf("%+v, %v", tally, err)
	}
	if early {
		t.Error("something was sent while the store was being read")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	handler = New(Config{Store: store, Hasher: s.hasher, SpoolDir: dir + "/not there"})
	rec = httptest.NewRecorder()
	if handler.ServeHTTP(rec, r); rec.Code != http.StatusServiceUnavailable {
		t.Errorf("without a place for the spool: %d %s", rec.Code, rec.Body)
	}
}
