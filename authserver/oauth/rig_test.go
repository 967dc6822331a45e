package oauth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

var errBroken = errors.New("broken")

// fakeKeys signs with HMAC, which costs nothing. fail makes signing fail; sign is called before each signature.
type fakeKeys struct {
	mu      sync.Mutex
	secrets [][]byte
	fail    atomic.Bool
	sign    func()
	signed  atomic.Int64
}

func (k *fakeKeys) mac(input string) string {
	h := hmac.New(sha256.New, []byte("signing"))
	h.Write([]byte(input))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func (k *fakeKeys) Sign(_ context.Context, typ string, payload []byte) (string, error) {
	if k.sign != nil {
		k.sign()
	}
	if k.fail.Load() {
		return "", errBroken
	}
	k.signed.Add(1)
	input := typ + "." + base64.RawURLEncoding.EncodeToString(payload)
	return input + "." + k.mac(input), nil
}

func (k *fakeKeys) Verify(token string, typs ...string) ([]byte, error) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 || k.mac(token[:i]) != token[i+1:] {
		return nil, errBroken
	}
	typ, payload, _ := strings.Cut(token[:i], ".")
	if !slices.Contains(typs, typ) {
		return nil, errBroken
	}
	return base64.RawURLEncoding.DecodeString(payload)
}

func (k *fakeKeys) Derive(string) [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.secrets
}

func (k *fakeKeys) setSecrets(secrets ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secrets = nil
	for _, s := range secrets {
		k.secrets = append(k.secrets, []byte(s))
	}
}

// fakeIDTokens makes ID tokens, or fails.
type fakeIDTokens struct{ fail atomic.Bool }

func (f *fakeIDTokens) IDToken(
	_ context.Context, g storage.Grant, _ storage.User, _ storage.Client, _, _ string, _ time.Time,
) (string, error) {
	if f.fail.Load() {
		return "", errBroken
	}
	return "id-token-of-" + g.ClientID, nil
}

// plainSubjects tells every client the id of the user.
type plainSubjects struct{}

func (plainSubjects) Subject(_ storage.Client, userID string) string { return userID }

// fakePasswords lets alice in with any password, unless it has something else to answer.
type fakePasswords struct{ err error }

func (f *fakePasswords) Authenticate(context.Context, credential.Attempt) (storage.User, error) {
	return storage.User{ID: "usr_alice", Username: "alice"}, f.err
}

// watched is a memory store that notes its verbs and can fail one. What a test puts into the other fields it answers in
// place of the store, as one whose memory is old or whose users change all the time.
type watched struct {
	*memory.Store
	mu      sync.Mutex
	verbs   []string
	failing string

	recalledGrant *storage.Grant
	recalledUser  *storage.User
	outcomes      []storage.Outcome  // of the next rotations, which then do not reach the store; 0 is one that does
	rotations     []storage.Rotation // all that were asked for
}

func (w *watched) note(verb string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verbs = append(w.verbs, verb)
	if w.failing == verb {
		return errBroken
	}
	return nil
}

func (w *watched) reset(failing string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verbs, w.failing, w.rotations = nil, failing, nil
}

func (w *watched) Grant(ctx context.Context, id string) (storage.Grant, error) {
	if err := w.note("Grant"); err != nil {
		return storage.Grant{}, err
	}
	return w.Store.Grant(ctx, id)
}

func (w *watched) RecallGrant(ctx context.Context, id string) (storage.Grant, error) {
	if err := w.note("RecallGrant"); err != nil {
		return storage.Grant{}, err
	}
	if w.recalledGrant != nil {
		return *w.recalledGrant, nil
	}
	return w.Store.RecallGrant(ctx, id)
}

func (w *watched) User(ctx context.Context, id string) (storage.User, error) {
	if err := w.note("User"); err != nil {
		return storage.User{}, err
	}
	return w.Store.User(ctx, id)
}

func (w *watched) RecallUser(ctx context.Context, id string) (storage.User, error) {
	if err := w.note("RecallUser"); err != nil {
		return storage.User{}, err
	}
	switch old := w.recalledUser; {
	case old != nil && old.ID == "":
		return storage.User{}, storage.ErrNotFound // nobody had that id then
	case old != nil:
		return *old, nil
	}
	return w.Store.RecallUser(ctx, id)
}

func (w *watched) CreateGrant(ctx context.Context, g storage.Grant) error {
	if err := w.note("CreateGrant"); err != nil {
		return err
	}
	return w.Store.CreateGrant(ctx, g)
}

func (w *watched) Rotate(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	if err := w.note("Rotate"); err != nil {
		return 0, storage.Grant{}, err
	}
	w.mu.Lock()
	w.rotations = append(w.rotations, r)
	var outcome storage.Outcome
	if len(w.outcomes) > 0 {
		outcome, w.outcomes = w.outcomes[0], w.outcomes[1:]
	}
	w.mu.Unlock()
	if outcome != 0 {
		g, err := w.Store.Grant(ctx, r.GrantID)
		return outcome, g, err
	}
	return w.Store.Rotate(ctx, r)
}

func (w *watched) RevokeGrant(ctx context.Context, id, reason string) error {
	if err := w.note("RevokeGrant"); err != nil {
		return err
	}
	return w.Store.RevokeGrant(ctx, id, reason)
}

// rig is an engine among fakes, with the client cli and, for strict rotation, the client strict; both are public.
type rig struct {
	*Engine
	t         testing.TB
	keys      *fakeKeys
	idTokens  *fakeIDTokens
	passwords *fakePasswords
	store     *watched
	logs      *bytes.Buffer // of audit events
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, keys: &fakeKeys{}, idTokens: &fakeIDTokens{}, passwords: &fakePasswords{}, store: &watched{Store: memory.New()}, logs: &bytes.Buffer{}}
	r.keys.setSecrets("secret")
	r.Engine = New(Config{
		Issuer: "https://id.example.test", FirstPartyClient: "cli", DefaultAudience: []string{"https://id.example.test"},
		AccessTokenLifetime: 15 * time.Minute, RefreshIdleLifetime: time.Hour, RefreshAbsoluteLifetime: 24 * time.Hour,
		RefreshGrace: 10 * time.Second,
	}, Dependencies{
		Store: r.store, Keys: r.keys, IDTokens: r.idTokens, Subjects: plainSubjects{}, Passwords: r.passwords, Log: slog.New(slog.DiscardHandler),
		Audit: &audit.Recorder{Log: slog.New(slog.NewTextHandler(r.logs, nil))}, // its handler locks
	})
	must(t, r.store.CreateUser(context.Background(), storage.User{ID: "usr_alice", Username: "alice"}))
	zero := time.Duration(0)
	for _, c := range []storage.Client{{ID: "cli"}, {ID: "strict", RefreshGrace: &zero}} {
		c.Public, c.GrantTypes, c.Scopes = true, []string{"password", "refresh_token"}, []string{"openid", "profile"}
		must(t, r.store.CreateClient(context.Background(), c))
	}
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	*http.Response
	body map[string]any
}

func (a answer) str(name string) string { s, _ := a.body[name].(string); return s }

func (r *rig) token(pairs ...string) answer {
	r.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	req := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	r.ServeToken(rec, req)
	a := answer{Response: rec.Result()}
	must(r.t, json.NewDecoder(a.Body).Decode(&a.body))
	return a
}

func (r *rig) signIn(client string) answer {
	r.t.Helper()
	return r.token("grant_type", "password", "client_id", client, "username", "alice", "password", "x", "scope", "openid profile")
}

func (r *rig) refresh(client, token string) answer {
	r.t.Helper()
	return r.token("grant_type", "refresh_token", "client_id", client, "refresh_token", token)
}

func want(t testing.TB, a answer, status int, code string) answer {
	t.Helper()
	if a.StatusCode != status || a.str("error") != code {
		t.Fatalf("got %d %v, want %d %q", a.StatusCode, a.body, status, code)
	}
	return a
}
