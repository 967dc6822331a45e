package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/keys"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

const issuer = "https://id.example.test"

var errDisk = errors.New("disk on fire")

// secrets derives without keys: one secret for each of its names, the active one first.
type secrets []string

func (s secrets) Derive(purpose string) [][]byte {
	list := make([][]byte, 0, len(s))
	for _, name := range s {
		list = append(list, []byte(purpose+" "+name))
	}
	return list
}

// plainSigner "signs" by answering the payload.
type plainSigner struct{ err error }

func (p plainSigner) Sign(_ context.Context, typ string, payload []byte) (string, error) {
	return typ + " " + string(payload), p.err
}

// ringFile is a ring that package keys keeps for its tests, with two signing keys and two secrets.
func ringFile(t *testing.T) (storage.KeyRing, keys.MasterKey) {
	t.Helper()
	text, err := os.ReadFile("../../keys/testdata/ring-v1.json")
	must(t, err)
	var file struct {
		Master string          `json:"master"`
		Ring   storage.KeyRing `json:"ring"`
	}
	must(t, json.Unmarshal(text, &file))
	master, err := keys.ParseMasterKey(file.Master)
	must(t, err)
	return file.Ring, master
}

// openRing stores a ring and opens it.
func openRing(t *testing.T, store storage.KeyRings, ring storage.KeyRing, master keys.MasterKey) *keys.Ring {
	t.Helper()
	ring.Version = 0
	must(t, store.PutKeyRing(t.Context(), ring))
	opened, err := keys.Open(t.Context(), keys.Config{Store: store, Master: master})
	must(t, err)
	return opened
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// browser is pages for people that write down what they were asked to show, and one browser that may be signed in.
type browser struct {
	session storage.Session
	user    storage.User
	err     error
	foreign bool // the form comes from elsewhere
	cleared bool
	asked   *LogoutAsk
	done    *LoggedOut
	refused *Refusal
}

func (b *browser) SignedIn(*http.Request) (storage.Session, storage.User, error) {
	return b.session, b.user, b.err
}
func (b *browser) ClearCookie(http.ResponseWriter, *http.Request) { b.cleared = true }

func (b *browser) CheckForm(_ http.ResponseWriter, r *http.Request) (url.Values, bool) {
	if b.foreign {
		b.refused = &Refusal{Status: http.StatusForbidden}
		return nil, false
	}
	return r.PostForm, r.ParseForm() == nil
}

func (b *browser) AskLogout(_ http.ResponseWriter, _ *http.Request, ask LogoutAsk) { b.asked = &ask }

func (b *browser) ShowLoggedOut(_ http.ResponseWriter, _ *http.Request, done LoggedOut) {
	b.done = &done
}

func (b *browser) Leave(w http.ResponseWriter, _ *http.Request, _ storage.Client, _ []string, target string) {
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusSeeOther)
}

func (b *browser) Refuse(_ http.ResponseWriter, _ *http.Request, refusal Refusal) {
	b.refused = &refusal
}

// logoutRig is logout over a store in memory, with alice signed in at two clients.
type logoutRig struct {
	*Logout
	t       *testing.T
	store   storage.Store
	browser *browser
	ended   []SessionEnded
}

const (
	afterLogout = "https://app.example.test/bye?x=1"
	backURI     = "https://app.example.test/backchannel"
	frontURI    = "https://spa.example.test/front?a=b"
)

func newLogoutRig(t *testing.T) *logoutRig {
	t.Helper()
	store := memory.New()
	ring, master := ringFile(t)
	return logoutRigWith(t, store, openRing(t, store, ring, master))
}

func logoutRigWith(t *testing.T, store storage.Store, ring Keys) *logoutRig {
	t.Helper()
	r := &logoutRig{t: t, store: store, browser: &browser{}}
	subjects := Subjects{Keys: ring}
	r.Logout = &Logout{
		Issuer: issuer, Store: store, Keys: ring, Subjects: subjects, Pages: r.browser,
		Audit: func(_ context.Context, ended SessionEnded) { r.ended = append(r.ended, ended) },
	}
	for _, c := range []storage.Client{
		{ID: "web", Name: "Web", PostLogoutRedirectURIs: []string{afterLogout, "https://app.example.test/bye"}, BackchannelLogoutURI: backURI},
		{ID: "spa", Pairwise: true, RedirectURIs: []string{"https://spa.example.test/cb"}, PostLogoutRedirectURIs: []string{"com.example.spa:/bye"}},
		{ID: "other", PostLogoutRedirectURIs: []string{"https://other.example.test/"}},
	} {
		must(t, store.CreateClient(t.Context(), c))
	}
	r.signIn("ses_1")
	return r
}

// signIn makes a session of alice and puts it into the browser.
func (r *logoutRig) signIn(id string) {
	r.t.Helper()
	now := time.Now()
	s := storage.Session{
		ID: id, UserID: alice.ID, AuthTime: now, IdleExpiresAt: now.Add(time.Hour), ExpiresAt: now.Add(time.Hour),
		Clients: []string{"web", "spa", "gone"},
	}
	must(r.t, storage.Sessions{Entries: r.store}.Create(r.t.Context(), s))
	s, err := storage.Sessions{Entries: r.store}.Session(r.t.Context(), id)
	must(r.t, err)
	r.browser.session, r.browser.user = s, alice
}

// idToken is one of the session at the client, changed by change.
func (r *logoutRig) idToken(clientID, sessionID string, change func(claims map[string]any)) string {
	r.t.Helper()
	c, err := r.store.Client(r.t.Context(), clientID)
	must(r.t, err)
	claims := map[string]any{
		"iss": issuer, "sub": r.Subjects.Subject(c, alice.ID), "aud": clientID, "sid": r.Subjects.SID(sessionID, clientID),
		"exp": time.Now().Add(-time.Hour).Unix(), // a hint may have expired
	}
	if change != nil {
		change(claims)
	}
	token, err := signJSON(r.t.Context(), r.Keys, "JWT", claims)
	must(r.t, err)
	return token
}

// get asks /oauth2/logout with these parameters.
func (r *logoutRig) get(params ...string) *httptest.ResponseRecorder {
	r.t.Helper()
	return r.do(r.ServeEndSession, httptest.NewRequest(http.MethodGet, "/oauth2/logout?"+encode(params...), nil))
}

func (r *logoutRig) do(h http.HandlerFunc, req *http.Request) *httptest.ResponseRecorder {
	b := r.browser
	b.cleared, b.asked, b.done, b.refused = false, nil, nil, nil
	rec := httptest.NewRecorder()
	h(rec, req)
	return rec
}

// answer posts the form of the question.
func (r *logoutRig) answer(ticket string) *httptest.ResponseRecorder {
	return r.do(r.ServeLogout, postForm("/logout", "ticket", ticket))
}

// alive tells whether the session is still there.
func (r *logoutRig) alive(id string) bool {
	r.t.Helper()
	_, err := storage.Sessions{Entries: r.store}.Session(r.t.Context(), id)
	if storage.IsFailure(err) {
		r.t.Fatal(err)
	}
	return err == nil
}

// outbox is what waits in it.
func outbox(t *testing.T, store storage.Store) []storage.Delivery {
	t.Helper()
	all, err := storage.Outbox{Entries: store}.All(t.Context(), 100)
	must(t, err)
	return all
}

func encode(params ...string) string {
	form := url.Values{}
	for i := 0; i < len(params); i += 2 {
		form.Add(params[i], params[i+1])
	}
	return form.Encode()
}

func postForm(path string, params ...string) *http.Request {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(encode(params...)))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}
