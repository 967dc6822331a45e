package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// server is the handler over a store in memory, with everything it logs.
type server struct {
	t       *testing.T
	handler http.Handler
	store   storage.Store
	hasher  *credential.Hasher
	log     *bytes.Buffer
}

// newServer serves the admin API over store, or over an empty one. Hashes are as cheap as argon2id can be.
func newServer(t *testing.T, store storage.Store) *server {
	t.Helper()
	if store == nil {
		store = memory.New()
	}
	hasher, err := credential.NewHasher(credential.HasherConfig{
		Params: credential.Params{MemoryKiB: 8, Time: 1, Parallelism: 1}, MaxHashes: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, store: store, hasher: hasher, log: &bytes.Buffer{}}
	log := slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.handler = New(Config{Store: store, Hasher: hasher, Audit: &audit.Recorder{Log: log}, Log: log})
	return s
}

// reply is what came back from a request.
type reply struct {
	*http.Response
	body []byte
}

// send makes one request; body is JSON text, or "" for none.
func (s *server) send(method, path, body string, headers ...string) reply {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, r)
	resp := rec.Result()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(data) > 0 && resp.Header.Get("Content-Type") != "application/json" {
		s.t.Errorf("%s %s: Content-Type %q", method, path, resp.Header.Get("Content-Type"))
	}
	return reply{resp, data}
}

// want checks the status and decodes the answer into out, if not nil.
func (s *server) want(r reply, status int, out any) {
	s.t.Helper()
	if r.StatusCode != status {
		s.t.Fatalf("status %d, want %d: %s", r.StatusCode, status, r.body)
	}
	if out == nil {
		return
	}
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(out); err != nil {
		s.t.Fatalf("answer %s: %v", r.body, err)
	}
}

// wantError checks the status, the code, and that the description says something.
func (s *server) wantError(r reply, status int, code, part string) {
	s.t.Helper()
	var e Error
	s.want(r, status, &e)
	if e.Code != code || !strings.Contains(e.Description, part) {
		s.t.Errorf("answer %q %q, want code %q and a description with %q", e.Code, e.Description, code, part)
	}
}

// user reads a user from the store.
func (s *server) user(name string) storage.User {
	s.t.Helper()
	u, err := s.store.UserByName(context.Background(), name)
	if err != nil {
		s.t.Fatalf("user %s: %v", name, err)
	}
	return u
}

// client reads a client from the store.
func (s *server) client(id string) storage.Client {
	s.t.Helper()
	c, err := s.store.Client(context.Background(), id)
	if err != nil {
		s.t.Fatalf("client %s: %v", id, err)
	}
	return c
}

// events are the names of the audit events so far, in order.
func (s *server) events() string {
	var names []string
	for line := range strings.Lines(s.log.String()) {
		var e struct{ Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatal(err)
		}
		if e.Event != "" {
			names = append(names, e.Event)
		}
	}
	return strings.Join(names, " ")
}

var errDisk = errors.New("disk on fire")

// brokenStore fails every verb of users and clients.
type brokenStore struct{ storage.Store }

func (brokenStore) Ping(context.Context) error { return errDisk }
func (brokenStore) Client(context.Context, string) (storage.Client, error) {
	return storage.Client{}, errDisk
}
func (brokenStore) CreateClient(context.Context, storage.Client) error { return errDisk }
func (brokenStore) User(context.Context, string) (storage.User, error) {
	return storage.User{}, errDisk
}

func (brokenStore) UserByName(context.Context, string) (storage.User, error) {
	return storage.User{}, errDisk
}

func (brokenStore) Users(context.Context, string, int) ([]storage.User, error) { return nil, errDisk }
func (brokenStore) CreateUser(context.Context, storage.User) error             { return errDisk }
func (brokenStore) Clients(context.Context, string, int) ([]storage.Client, error) {
	return nil, errDisk
}

// failingWrites reads well and fails to write.
type failingWrites struct{ storage.Store }

func (failingWrites) ReplaceUser(context.Context, storage.User) error     { return errDisk }
func (failingWrites) CreateUser(context.Context, storage.User) error      { return errDisk }
func (failingWrites) DeleteUser(context.Context, string) error            { return errDisk }
func (failingWrites) ReplaceClient(context.Context, storage.Client) error { return errDisk }
func (failingWrites) CreateClient(context.Context, storage.Client) error  { return errDisk }
func (failingWrites) DeleteClient(context.Context, string) error          { return errDisk }

// rivalStore lets somebody else change the record before each of the first so many replacements.
type rivalStore struct {
	storage.Store
	times int
}

func (s *rivalStore) ReplaceUser(ctx context.Context, u storage.User) error {
	if s.times > 0 {
		s.times--
		theirs, err := s.User(ctx, u.ID)
		if err != nil {
			return err
		}
		theirs.Claims = map[string]any{"nickname": "rival"}
		if err := s.Store.ReplaceUser(ctx, theirs); err != nil {
			return err
		}
	}
	return s.Store.ReplaceUser(ctx, u)
}

func (s *rivalStore) ReplaceClient(ctx context.Context, c storage.Client) error {
	if s.times > 0 {
		s.times--
		theirs, err := s.Client(ctx, c.ID)
		if err != nil {
			return err
		}
		theirs.Name = "rival"
		if err := s.Store.ReplaceClient(ctx, theirs); err != nil {
			return err
		}
	}
	return s.Store.ReplaceClient(ctx, c)
}

// fileStore has one user and one client that come from files.
type fileStore struct{ storage.Store }

const (
	userFile   = "/etc/ingam/users.d/team.yaml"
	clientFile = "/etc/ingam/clients.d/apps.yaml"
)

func (s fileStore) UserByName(ctx context.Context, name string) (storage.User, error) {
	if name == "filed" {
		return storage.User{ID: "usr_filed", Username: "filed", Source: userFile, Version: 1}, nil
	}
	return s.Store.UserByName(ctx, name)
}

func (s fileStore) Client(ctx context.Context, id string) (storage.Client, error) {
	if id == "filed" {
		return storage.Client{ID: "filed", Source: clientFile, Version: 1}, nil
	}
	return s.Store.Client(ctx, id)
}
