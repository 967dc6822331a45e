package login

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// fakeKeys derives one fixed secret for each purpose, and may have older ones.
type fakeKeys struct{ older bool }

func (k fakeKeys) Derive(purpose string) [][]byte {
	if k.older {
		return [][]byte{[]byte("newer secret for " + purpose), []byte("a fixed secret for " + purpose)}
	}
	return [][]byte{[]byte("a fixed secret for " + purpose)}
}

// fakePasswords knows passwords in clear, and fails as it is told.
type fakePasswords struct {
	mu    sync.Mutex
	store storage.Store
	known map[string]string // username → password
	fails error
	seen  []credential.Attempt
}

func (f *fakePasswords) Authenticate(ctx context.Context, at credential.Attempt) (storage.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, at)
	if f.fails != nil {
		return storage.User{}, f.fails
	}
	name, _ := credential.CanonicalUsername(at.Username)
	u, err := f.store.UserByName(ctx, name)
	if storage.IsFailure(err) {
		return storage.User{}, err
	}
	if err != nil || u.Disabled || at.Password == "" || f.known[name] != at.Password {
		return storage.User{}, credential.ErrInvalidCredentials
	}
	return u, nil
}

func (f *fakePasswords) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = err
}

// brokenStore fails on demand.
type brokenStore struct {
	storage.Store
	mu    sync.Mutex
	fails error
	// recalled, if set, is what RecallUser answers.
	recalled *storage.User
}

func (b *brokenStore) down(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails = err
}

func (b *brokenStore) state() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fails
}

func (b *brokenStore) Entry(ctx context.Context, kind, id string) (storage.Entry, error) {
	if err := b.state(); err != nil {
		return storage.Entry{}, err
	}
	return b.Store.Entry(ctx, kind, id)
}

func (b *brokenStore) CreateEntry(ctx context.Context, e storage.Entry) error {
	if err := b.state(); err != nil {
		return err
	}
	return b.Store.CreateEntry(ctx, e)
}

func (b *brokenStore) RecallUser(ctx context.Context, id string) (storage.User, error) {
	if b.recalled != nil {
		return *b.recalled, nil
	}
	return b.Store.RecallUser(ctx, id)
}

// rig is a server of pages with what stands behind it.
type rig struct {
	t         testing.TB
	pages     *Pages
	store     *brokenStore
	passwords *fakePasswords
	audit     *bytes.Buffer
	log       *bytes.Buffer
	ended     []storage.Session // by EndSession
	handler   http.Handler
	// ask is what /oauth2/auth shows: it stands in for the engine.
	ask func(w http.ResponseWriter, r *http.Request)
}

const (
	alicePassword = "wonderland"
	request       = "/oauth2/auth?client_id=app&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&state=x%2By"
	redirectURI   = "https://app.example/cb"
)

func testClient() storage.Client {
	return storage.Client{
		ID: "app", Name: "The App", URI: "https://app.example/", LogoURI: "https://img.example:8443/logo.png", Accent: "#FF8800",
		RedirectURIs: []string{redirectURI}, GrantTypes: []string{"authorization_code"},
	}
}

func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	cfg := Config{Issuer: "https://login.example"}
	for _, c := range change {
		c(&cfg)
	}
	inner := memory.New()
	r := &rig{t: t, store: &brokenStore{Store: inner}, audit: &bytes.Buffer{}, log: &bytes.Buffer{}}
	r.passwords = &fakePasswords{store: inner, known: map[string]string{"alice": alicePassword, "bob": "builder"}}
	hasher, err := credential.NewHasher(credential.HasherConfig{
		Params: credential.Params{MemoryKiB: 64, Time: 1, Parallelism: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []storage.User{
		{ID: "usr_alice", Username: "alice", Epoch: 1, Claims: map[string]any{"name": "Alice Liddell", "email": "alice@example.com"}},
		{ID: "usr_bob", Username: "bob", Epoch: 1},
	} {
		if err := inner.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	if err := inner.CreateClient(t.Context(), testClient()); err != nil {
		t.Fatal(err)
	}
	r.pages, err = New(cfg, Dependencies{
		Store: r.store, Keys: fakeKeys{}, Passwords: r.passwords, Hasher: hasher,
		Audit: &audit.Recorder{Log: slog.New(slog.NewJSONHandler(r.audit, nil))}, Log: slog.New(slog.NewJSONHandler(r.log, nil)),
		RequestID: func(context.Context) string { return "REQ-1" },
		EndSession: func(ctx context.Context, s storage.Session) ([]string, error) {
			r.ended = append(r.ended, s)
			_, err := r.pages.sessions.End(ctx, s.ID)
			if storage.IsFailure(err) {
				return nil, err
			}
			return []string{"https://app.example/out?iss=x"}, nil
		},
		EndOthers: func(ctx context.Context, userID, exceptID string) error {
			list, err := r.pages.sessions.Of(ctx, userID, maxListed)
			for _, s := range list {
				if s.ID != exceptID {
					_, failed := r.pages.end(ctx, s)
					err = errors.Join(err, failed)
				}
			}
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.handler = r.routes()
	return r
}

// routes are the addresses as the root wires them.
func (r *rig) routes() http.Handler {
	p := r.pages
	r.ask = func(w http.ResponseWriter, req *http.Request) {
		s, u, err := p.SignedIn(req)
		if err != nil {
			p.Refuse(w, req, Refusal{Status: http.StatusServiceUnavailable, Code: "temporarily_unavailable"})
			return
		}
		ask := Ask{Client: testClient(), Continue: req.URL.RequestURI(), RedirectURI: redirectURI, User: u}
		if s.ID == "" {
			p.SignIn(w, req, ask)
			return
		}
		_, _ = io.WriteString(w, "signed in as "+u.Username)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth2/auth", func(w http.ResponseWriter, req *http.Request) { r.ask(w, req) })
	mux.HandleFunc("/login", p.ServeSignIn)
	mux.HandleFunc("/login/choose", p.ServeChoose)
	mux.HandleFunc("/account", p.ServeAccount)
	mux.HandleFunc("/account/", p.ServeAccount)
	mux.HandleFunc("/language", p.ServeLanguage)
	mux.HandleFunc("/assets/", p.ServeAsset)
	if p.base == "" {
		return mux
	}
	return http.StripPrefix(p.base, mux)
}

// browser is one browser: a cookie jar, and what it says of itself.
type browser struct {
	*rig
	jar       http.CookieJar
	userAgent string
	headers   map[string]string
}

func (r *rig) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return &browser{
		rig: r, jar: jar,
		userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", headers: map[string]string{},
	}
}

// answer is a response that was read.
type answer struct {
	*http.Response
	text string
}

func (b *browser) send(method, path string, form url.Values) answer {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req := httptest.NewRequestWithContext(b.t.Context(), method, b.pages.origin+path, body)
	req.Header.Set("User-Agent", b.userAgent)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range b.headers {
		req.Header.Set(name, value)
	}
	for _, c := range b.jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, req)
	res := w.Result()
	b.jar.SetCookies(req.URL, res.Cookies())
	return answer{res, w.Body.String()}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	return b.send(http.MethodGet, path, nil)
}

func (b *browser) post(path string, form url.Values) answer {
	b.t.Helper()
	return b.send(http.MethodPost, path, form)
}

// cookie answers the value of a cookie that the browser has now, "" for none.
func (b *browser) cookie(name string) string {
	u, _ := url.Parse(b.pages.origin)
	for _, c := range b.jar.Cookies(u) {
		if c.Name == b.pages.cookieName(name) {
			return c.Value
		}
	}
	return ""
}

// setCookie puts a cookie into the browser.
func (b *browser) setCookie(name, value string) {
	u, _ := url.Parse(b.pages.origin)
	b.jar.SetCookies(u, []*http.Cookie{{Name: b.pages.cookieName(name), Value: value, Path: "/", Secure: b.pages.secure}})
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// fields answers the hidden fields of the form that goes to action.
func (a answer) fields(t testing.TB, action string) url.Values {
	t.Helper()
	_, form, found := strings.Cut(a.text, `action="`+action+`"`)
	if !found {
		t.Fatalf("the page has no form for %s:\n%s", action, a.text)
	}
	form, _, _ = strings.Cut(form, "</form>")
	values := url.Values{}
	for _, m := range hiddenField.FindAllStringSubmatch(form, -1) {
		values.Set(m[1], unescape(m[2]))
	}
	return values
}

func unescape(s string) string {
	return strings.NewReplacer("&amp;", "&", "&#43;", "+", "&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">").Replace(s)
}

// signIn signs in from the page of a request and answers the redirect.
func (b *browser) signIn(username, password string, more ...string) answer {
	b.t.Helper()
	page := b.get(b.pages.base + "/login")
	if page.StatusCode == http.StatusSeeOther { // somebody is signed in: the form comes by the choice of another account
		page = b.post(b.pages.base+"/login/choose", url.Values{"csrf": {b.csrf()}, "decision": {"other"}, "continue": {account}})
	}
	form := page.fields(b.t, b.pages.base+"/login")
	form.Set("username", username)
	form.Set("password", password)
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return b.post(b.pages.base+"/login", form)
}

// csrf answers the token of this browser, as a page of ours would have it.
func (b *browser) csrf() string {
	return encoding.EncodeToString(mac(b.pages.keys.Derive("csrf")[0], b.cookie(browserCookie)))
}

// mustSignIn is signIn that has to succeed.
func (b *browser) mustSignIn(username, password string, more ...string) {
	b.t.Helper()
	if res := b.signIn(username, password, more...); res.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("sign-in of %s: %d\n%s", username, res.StatusCode, res.text)
	}
}

// who answers who is signed in at this browser, "" for nobody.
func (b *browser) who() string {
	b.t.Helper()
	req := httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, b.pages.origin+"/", nil)
	for _, c := range b.jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	s, u, err := b.pages.SignedIn(req)
	if err != nil {
		b.t.Fatal(err)
	}
	if (s.ID == "") != (u.ID == "") {
		b.t.Fatalf("session %q of user %q", s.ID, u.ID)
	}
	return u.Username
}

// session answers the session of this browser.
func (b *browser) session() storage.Session {
	b.t.Helper()
	id, _, ok := parseSessionCookie(b.cookie(sessionCookie))
	if !ok {
		b.t.Fatalf("no session cookie: %q", b.cookie(sessionCookie))
	}
	s, err := b.pages.sessions.Session(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func wantStatus(t testing.TB, a answer, want int) {
	t.Helper()
	if a.StatusCode != want {
		t.Fatalf("status %d, want %d\n%s", a.StatusCode, want, a.text)
	}
}

func wantText(t testing.TB, a answer, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(a.text, text) {
			t.Errorf("the page lacks %q:\n%s", text, a.text)
		}
	}
}

func wantRedirect(t *testing.T, a answer, prefix string) {
	t.Helper()
	wantStatus(t, a, http.StatusSeeOther)
	if got := a.Header.Get("Location"); !strings.HasPrefix(got, prefix) {
		t.Fatalf("redirect to %q, want %q…", got, prefix)
	}
}

// now is a time as records keep it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// requestOfBrowser is a request with the browser's cookies.
func requestOfBrowser(b *browser) *http.Request {
	req := httptest.NewRequestWithContext(b.t.Context(), http.MethodGet, b.pages.origin+"/", nil)
	req.Header.Set("User-Agent", b.userAgent)
	for _, c := range b.jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	return req
}
