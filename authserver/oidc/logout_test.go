package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// OIDC RP-Initiated Logout §2, §3: with an ID token of this session, nobody is asked; back goes state and nothing else.
func TestAClientThatShowsItsIDTokenSignsOutAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		state, want string
	}{
		"with state":    {"a b&c", afterLogout + "&state=a+b%26c"},
		"without state": {"", afterLogout},
	} {
		r := newLogoutRig(t)
		res := r.get("id_token_hint", r.idToken("web", "ses_1", nil), "post_logout_redirect_uri", afterLogout, "state", c.state, "foo", "bar")
		if res.Code != http.StatusSeeOther || res.Header().Get("Location") != c.want {
			t.Errorf("%s: %d %q, page %+v", name, res.Code, res.Header().Get("Location"), r.browser)
		}
		if r.alive("ses_1") || !r.browser.cleared || len(r.ended) != 1 || r.ended[0] != (SessionEnded{"usr_1", "ses_1"}) {
			t.Errorf("%s: alive %v, %+v, ended %v", name, r.alive("ses_1"), r.browser, r.ended)
		}
	}
}

func TestAClientThatNamesNoAddressGetsTheDonePage(t *testing.T) {
	r := newLogoutRig(t)
	r.get("id_token_hint", r.idToken("web", "ses_1", nil), "client_id", "web", "state", "x", "ui_locales", "ko en")
	if d := r.browser.done; d == nil || d.Continue != "" || d.Client.ID != "web" || !slices.Equal(d.Locales, []string{"ko", "en"}) || r.alive("ses_1") {
		t.Errorf("%+v", r.browser)
	}
}

// L15: without an ID token of this very session the person is asked, and nothing has happened yet.
func TestWhoeverShowsNoIDTokenOfThisSessionMakesAQuestion_L15(t *testing.T) {
	for name, c := range map[string]struct {
		params   func(r *logoutRig) []string
		redirect string // where the question may lead
	}{
		"nothing": {func(*logoutRig) []string { return nil }, ""},
		"a state": {func(*logoutRig) []string { return []string{"state", "x"} }, ""},
		"a client and its address": {func(*logoutRig) []string {
			return []string{"client_id", "web", "post_logout_redirect_uri", afterLogout}
		}, afterLogout},
		"an address and no client": {func(*logoutRig) []string { return []string{"post_logout_redirect_uri", afterLogout} }, ""},
		"an ID token of another session of the user": {func(r *logoutRig) []string {
			return []string{"id_token_hint", r.idToken("web", "ses_0", nil), "post_logout_redirect_uri", afterLogout}
		}, afterLogout},
		"an ID token of another user": {func(r *logoutRig) []string {
			return []string{"id_token_hint", r.idToken("web", "ses_1", func(c map[string]any) { c["sub"] = "usr_2" })}
		}, ""},
		"an ID token without sid": {func(r *logoutRig) []string {
			return []string{"id_token_hint", r.idToken("web", "ses_1", func(c map[string]any) { delete(c, "sid") })}
		}, ""},
		"the sid of another client": {func(r *logoutRig) []string {
			return []string{"id_token_hint", r.idToken("web", "ses_1", func(c map[string]any) { c["sid"] = r.Subjects.SID("ses_1", "spa") })}
		}, ""},
	} {
		r := newLogoutRig(t)
		res := r.get(c.params(r)...)
		if r.browser.asked == nil || r.browser.asked.RedirectURI != c.redirect || r.browser.asked.User.ID != "usr_1" || res.Header().Get("Location") != "" {
			t.Errorf("%s: %+v", name, r.browser)
			continue
		}
		if !r.alive("ses_1") || r.browser.cleared || len(outbox(t, r.store)) != 0 {
			t.Errorf("%s: it has ended without a question", name)
		}
		if form := ticketOf(t, r.browser.asked.Ticket); form.Subject != "" || form.SID != "" || form.SessionID != "ses_1" {
			t.Errorf("%s: the form is about more than the session: %+v", name, form)
		}
		res = r.answer(r.browser.asked.Ticket)
		if r.alive("ses_1") || res.Header().Get("Location") != c.redirect || (r.browser.done != nil) != (c.redirect == "") {
			t.Errorf("%s, after the answer: %q %+v", name, res.Header().Get("Location"), r.browser)
		}
	}
}

// L15: what is not an ID token of ours proves nothing. Nothing of such a request is followed.
func TestAForeignHintNeverRedirects_L15(t *testing.T) {
	for name, make := range map[string]func(r *logoutRig) string{
		"alg none": func(r *logoutRig) string {
			parts := strings.Split(r.idToken("web", "ses_1", nil), ".")
			return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + "."
		},
		"a changed payload": func(r *logoutRig) string {
			a, b := r.idToken("web", "ses_1", nil), r.idToken("web", "ses_0", nil)
			return a[:strings.Index(a, ".")] + b[strings.Index(b, "."):strings.LastIndex(b, ".")] + a[strings.LastIndex(a, "."):]
		},
		"another issuer": func(r *logoutRig) string {
			return r.idToken("web", "ses_1", func(c map[string]any) { c["iss"] = "https://evil.example" })
		},
		"a client that is none of ours": func(r *logoutRig) string {
			return r.idToken("web", "ses_1", func(c map[string]any) { c["aud"] = "gone" })
		},
		"signed userinfo": func(r *logoutRig) string {
			return r.idToken("web", "ses_1", func(c map[string]any) { delete(c, "exp") })
		},
		"no subject": func(r *logoutRig) string {
			return r.idToken("web", "ses_1", func(c map[string]any) { delete(c, "sub") })
		},
		"an access token": func(r *logoutRig) string {
			token, err := r.Keys.Sign(t.Context(), "at+jwt", []byte(`{"iss":"`+issuer+`","sub":"usr_1","aud":"web","exp":1}`))
			must(t, err)
			return token
		},
		"garbage": func(*logoutRig) string { return "x.y.z" },
	} {
		r := newLogoutRig(t)
		hint := make(r)
		for _, params := range [][]string{
			{"id_token_hint", hint, "post_logout_redirect_uri", afterLogout, "client_id", "web"},
			{"id_token_hint", hint, "post_logout_redirect_uri", afterLogout, "state", "x"},
		} {
			res := r.get(params...)
			if r.browser.refused != nil && r.browser.refused.Parameter == "id_token_hint" && r.alive("ses_1") && len(params) == 6 && params[4] == "client_id" {
				continue // the two name different clients: an error
			}
			if r.browser.asked == nil || r.browser.asked.RedirectURI != "" || r.browser.asked.Client.ID != "" || !r.alive("ses_1") || res.Header().Get("Location") != "" {
				t.Errorf("%s: %+v", name, r.browser)
			}
		}
		ticket := r.browser.asked.Ticket
		if res := r.answer(ticket); res.Header().Get("Location") != "" || r.browser.done == nil || r.browser.done.Continue != "" || r.alive("ses_1") {
			t.Errorf("%s, after the answer: %q %+v", name, res.Header().Get("Location"), r.browser)
		}
		r.browser.session = storage.Session{}
		if res := r.get("id_token_hint", hint, "post_logout_redirect_uri", afterLogout); res.Header().Get("Location") != "" || r.browser.done == nil {
			t.Errorf("%s, nobody signed in: %q %+v", name, res.Header().Get("Location"), r.browser)
		}
	}
}

// OIDC RP-Initiated Logout §3: exactly one that is registered, for this client.
func TestOnlyAnExactlyRegisteredAddressIsLedTo_L15(t *testing.T) {
	for name, uri := range map[string]string{
		"another":              "https://evil.example/",
		"another client's":     "https://other.example.test/",
		"a query added":        afterLogout + "&foo=bar",
		"a slash added":        "https://app.example.test/bye/",
		"upper case":           "https://APP.example.test/bye",
		"an escape":            "https://app.example.test/by%65",
		"a fragment":           "https://app.example.test/bye#x",
		"user information":     "https://app.example.test@evil.example/bye",
		"JavaScript":           "javascript:alert(1)",
		"a blank at the end":   "https://app.example.test/bye ",
		"a line break and all": "https://app.example.test/bye\r\nSet-Cookie: x=y",
	} {
		r := newLogoutRig(t)
		for _, params := range [][]string{
			{"id_token_hint", r.idToken("web", "ses_1", nil), "post_logout_redirect_uri", uri},
			{"client_id", "web", "post_logout_redirect_uri", uri},
		} {
			res := r.get(params...)
			refused := r.browser.refused
			if refused == nil || refused.Status != 400 || refused.Parameter != "post_logout_redirect_uri" || refused.Value != uri || refused.Client.ID != "web" {
				t.Errorf("%s: %+v", name, refused)
			}
			if res.Header().Get("Location") != "" || !r.alive("ses_1") {
				t.Errorf("%s: %q", name, res.Header().Get("Location"))
			}
		}
	}
	r := newLogoutRig(t)
	res := r.get("id_token_hint", r.idToken("spa", "ses_1", nil), "post_logout_redirect_uri", "com.example.spa:/bye", "state", "s")
	if res.Header().Get("Location") != "com.example.spa:/bye?state=s" {
		t.Errorf("an app's scheme: %q %+v", res.Header().Get("Location"), r.browser)
	}
}

// OIDC RP-Initiated Logout §2
func TestClientIDMustBeKnownAndAgreeWithTheHint(t *testing.T) {
	r := newLogoutRig(t)
	for name, c := range map[string]struct{ params, wrong []string }{
		// The client is known: only one that is not may be called so, and the hint is too long to be shown.
		"another client than the hint's": {
			[]string{"id_token_hint", r.idToken("web", "ses_1", nil), "client_id", "other"}, []string{"id_token_hint", ""},
		},
		"unknown": {[]string{"client_id", "nobody"}, []string{"client_id", "nobody"}},
	} {
		r.get(c.params...)
		refused := r.browser.refused
		if refused == nil || refused.Parameter != c.wrong[0] || refused.Value != c.wrong[1] || !r.alive("ses_1") {
			t.Errorf("%s: %+v", name, refused)
		}
	}
}

func TestLogoutParametersAreReadStrictly_L15(t *testing.T) {
	for name, c := range map[string]struct{ query, parameter string }{
		"twice":                  {"state=a&state=b", "state"},
		"a client twice":         {"client_id=web&client_id=other", "client_id"},
		"too long":               {"state=" + strings.Repeat("x", 2049), "state"},
		"a hint that is too big": {"id_token_hint=" + strings.Repeat("x", 8193), "id_token_hint"},
		"not UTF-8":              {"state=%ff", "state"},
		"a broken escape":        {"state=%zz", ""},
		"1 MiB":                  {"state=" + strings.Repeat("x", 1<<20), ""},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := newLogoutRig(t)
			req := httptest.NewRequest(method, "/oauth2/logout?"+c.query, nil)
			if method == http.MethodPost {
				req = httptest.NewRequest(method, "/oauth2/logout", strings.NewReader(c.query))
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			r.do(r.ServeEndSession, req)
			if refused := r.browser.refused; refused == nil || refused.Status < 400 || refused.Status > 413 || refused.Parameter != c.parameter || len(refused.Value) > 0 {
				t.Errorf("%s %s: %+v", method, name, refused)
			}
			if !r.alive("ses_1") {
				t.Errorf("%s %s: signed out", method, name)
			}
		}
	}
	r := newLogoutRig(t)
	r.get("state", strings.Repeat("x", 2048), "unknown", "a", "unknown", "b", "client_id", "")
	if r.browser.asked == nil {
		t.Errorf("what may be: %+v", r.browser)
	}
	for _, method := range []string{"HEAD", "PUT", "DELETE", "OPTIONS"} {
		for path, h := range map[string]http.HandlerFunc{"/oauth2/logout": r.ServeEndSession, "/logout": r.ServeLogout} {
			res := r.do(h, httptest.NewRequest(method, path+"?id_token_hint="+r.idToken("web", "ses_1", nil), nil))
			if r.browser.refused == nil || r.browser.refused.Status != 405 || res.Header().Get("Allow") != "GET, POST" || !r.alive("ses_1") {
				t.Errorf("%s %s: %+v", method, path, r.browser)
			}
		}
	}
	text := httptest.NewRequest(http.MethodPost, "/oauth2/logout", strings.NewReader("{}"))
	text.Header.Set("Content-Type", "application/json")
	if r.do(r.ServeEndSession, text); r.browser.refused == nil || r.browser.refused.Status != 415 {
		t.Errorf("JSON: %+v", r.browser.refused)
	}
}

// A form of another site comes without a SameSite cookie, so what it asks for goes on with a GET.
func TestALogoutRequestByPOSTIsTheSameAsByGET(t *testing.T) {
	r := newLogoutRig(t)
	signedIn := r.browser.session
	r.browser.session = storage.Session{} // the cookie was not sent
	req := postForm("/oauth2/logout?state=ignored", "id_token_hint", r.idToken("web", "ses_1", nil), "post_logout_redirect_uri", afterLogout, "state", "x")
	res := r.do(r.ServeEndSession, req)
	next, ok := strings.CutPrefix(res.Header().Get("Location"), issuer)
	if res.Code != http.StatusSeeOther || !ok || !strings.HasPrefix(next, "/logout?ticket=") || !r.alive("ses_1") {
		t.Fatalf("%d %q", res.Code, res.Header().Get("Location"))
	}
	r.browser.session = signedIn
	res = r.do(r.ServeLogout, httptest.NewRequest(http.MethodGet, next, nil))
	if res.Header().Get("Location") != afterLogout+"&state=x" || r.alive("ses_1") {
		t.Errorf("%q %+v", res.Header().Get("Location"), r.browser)
	}
	// By POST without a hint there is a question as well, and an error is an error.
	r.signIn("ses_2")
	res = r.do(r.ServeEndSession, postForm("/oauth2/logout", "client_id", "web"))
	r.do(r.ServeLogout, httptest.NewRequest(http.MethodGet, strings.TrimPrefix(res.Header().Get("Location"), issuer), nil))
	if r.browser.asked == nil || r.browser.asked.Client.ID != "web" || !r.alive("ses_2") {
		t.Errorf("%+v", r.browser)
	}
	if r.do(r.ServeEndSession, postForm("/oauth2/logout", "client_id", "nobody")); r.browser.refused == nil {
		t.Errorf("%+v", r.browser)
	}
}

func TestWithNobodySignedInThereIsNothingToAsk(t *testing.T) {
	r := newLogoutRig(t)
	r.browser.session, r.browser.user = storage.Session{}, storage.User{}
	if res := r.get("client_id", "web", "post_logout_redirect_uri", afterLogout, "state", "x"); res.Header().Get("Location") != afterLogout+"&state=x" {
		t.Errorf("with an address: %q %+v", res.Header().Get("Location"), r.browser)
	}
	if r.get(); r.browser.done == nil {
		t.Errorf("without: %+v", r.browser)
	}
	if r.do(r.ServeLogout, httptest.NewRequest(http.MethodGet, "/logout", nil)); r.browser.done == nil {
		t.Errorf("/logout: %+v", r.browser)
	}
}

// L15: only the form that this server has made for this session, and only from our own page.
func TestTheQuestionIsAnsweredByItsOwnFormOnly_L15(t *testing.T) {
	r := newLogoutRig(t)
	r.do(r.ServeLogout, httptest.NewRequest(http.MethodGet, "/logout", nil))
	ticket := r.browser.asked.Ticket

	r.browser.foreign = true
	if r.answer(ticket); r.browser.refused == nil || !r.alive("ses_1") {
		t.Errorf("a form of another site: %+v", r.browser)
	}
	r.browser.foreign = false

	forged, err := json.Marshal(ticketOf(t, ticket))
	must(t, err)
	for name, bad := range map[string]string{
		"none":      "",
		"no MAC":    strings.Split(ticket, ".")[0],
		"empty MAC": strings.Split(ticket, ".")[0] + ".",
		"changed":   base64.RawURLEncoding.EncodeToString(append(forged, ' ')) + "." + strings.Split(ticket, ".")[1],
		"garbage":   "%%%.%%%",
		"one of a request by POST, which is about no session": r.seal(ticketOfRequest()),
	} {
		if r.answer(bad); r.browser.refused == nil || r.browser.refused.Parameter != "ticket" || !r.alive("ses_1") {
			t.Errorf("%s: %+v", name, r.browser)
		}
	}
	// The ticket of a form is not a request with a hint: in an address it makes the question again.
	if r.do(r.ServeLogout, httptest.NewRequest(http.MethodGet, "/logout?ticket="+ticket, nil)); r.browser.asked == nil || !r.alive("ses_1") {
		t.Errorf("a form's ticket in an address: %+v", r.browser)
	}
	if r.answer(ticket); r.alive("ses_1") || r.browser.done == nil {
		t.Errorf("the form itself: %+v", r.browser)
	}
	// Sent once more, and after somebody has signed in anew: that session is another one.
	r.browser.session = storage.Session{}
	if r.answer(ticket); r.browser.done == nil {
		t.Errorf("once more: %+v", r.browser)
	}
	r.signIn("ses_2")
	if r.answer(ticket); r.browser.asked == nil || !r.alive("ses_2") {
		t.Errorf("another session: %+v", r.browser)
	}
}

func ticketOf(t *testing.T, sealed string) ticket {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(sealed, ".")[0])
	must(t, err)
	var opened ticket
	must(t, json.Unmarshal(payload, &opened))
	return opened
}

func ticketOfRequest() ticket {
	return ticket{ClientID: "web", Expires: time.Now().Add(time.Hour).Unix()}
}

func TestAQuestionThatWasOpenTooLongIsAskedAgain(t *testing.T) {
	r := newLogoutRig(t)
	r.get("client_id", "web", "post_logout_redirect_uri", afterLogout)
	old := ticketOf(t, r.browser.asked.Ticket)
	if left := time.Until(old.expiry()); left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("it lives for %s", left)
	}
	old.Expires = time.Now().Unix()
	if r.answer(r.seal(old)); r.browser.asked == nil || r.browser.asked.RedirectURI != afterLogout || !r.alive("ses_1") {
		t.Errorf("%+v", r.browser)
	}
	// A request that came by POST long ago proves nothing any more.
	stale := ticketOfRequest()
	stale.Subject, stale.SID, stale.Expires = "usr_1", r.Subjects.SID("ses_1", "web"), time.Now().Unix()
	if r.do(r.ServeLogout, httptest.NewRequest(http.MethodGet, "/logout?ticket="+r.seal(stale), nil)); r.browser.asked == nil || !r.alive("ses_1") {
		t.Errorf("%+v", r.browser)
	}
}

func TestAnAddressThatWasGivenUpInTheMeantimeIsNotLedTo(t *testing.T) {
	r := newLogoutRig(t)
	r.get("client_id", "web", "post_logout_redirect_uri", afterLogout)
	ticket := r.browser.asked.Ticket
	c, err := r.store.Client(t.Context(), "web")
	must(t, err)
	c.PostLogoutRedirectURIs = nil
	must(t, r.store.ReplaceClient(t.Context(), c))
	if res := r.answer(ticket); res.Header().Get("Location") != "" || r.browser.done == nil || r.alive("ses_1") {
		t.Errorf("%q %+v", res.Header().Get("Location"), r.browser)
	}
}

// OIDC RP-Initiated Logout §4: an ID token by a key that does not sign any more is still ours, until it is forgotten.
func TestAHintByARetiredKeyIsOurs(t *testing.T) {
	ring, master := ringFile(t)
	signing := 0
	for i := range ring.Keys {
		k := &ring.Keys[i]
		k.ActivateAt, k.RetireAt, k.ForgetAt = time.Time{}, time.Time{}, time.Time{}
		if k.Use == "sig" {
			if signing++; signing == 2 {
				k.ActivateAt = time.Now().Add(time.Hour) // its turn comes later
			}
		}
	}
	if signing != 2 {
		t.Fatalf("%d signing keys", signing)
	}
	store := memory.New()
	before := logoutRigWith(t, store, openRing(t, store, ring, master))
	token := before.idToken("web", "ses_1", nil)

	for _, c := range []struct {
		state string
		asked bool
	}{{"retired", false}, {"forgotten", true}} {
		past := time.Now().Add(-time.Hour)
		signing = 0
		for i := range ring.Keys {
			if k := &ring.Keys[i]; k.Use == "sig" {
				if signing++; signing == 2 {
					k.ActivateAt = time.Time{}
				} else {
					k.RetireAt = past
					if c.state == "forgotten" {
						k.ForgetAt = past
					}
				}
			}
		}
		store := memory.New()
		r := logoutRigWith(t, store, openRing(t, store, ring, master))
		r.get("id_token_hint", token)
		if (r.browser.asked != nil) != c.asked || r.alive("ses_1") != c.asked {
			t.Errorf("%s: %+v", c.state, r.browser)
		}
	}
}

// brokenStore fails the verbs that it is told to.
type brokenStore struct {
	storage.Store
	client, create, take bool
}

func (s *brokenStore) Client(ctx context.Context, id string) (storage.Client, error) {
	if s.client {
		return storage.Client{}, errDisk
	}
	return s.Store.Client(ctx, id)
}

func (s *brokenStore) CreateEntry(ctx context.Context, e storage.Entry) error {
	if s.create {
		return errDisk
	}
	return s.Store.CreateEntry(ctx, e)
}

func (s *brokenStore) TakeEntry(ctx context.Context, kind, id string) (storage.Entry, error) {
	if s.take {
		return storage.Entry{}, errDisk
	}
	return s.Store.TakeEntry(ctx, kind, id)
}

func TestAFailureOfTheStoreIs503AtLogoutAndNobodyIsSignedOut(t *testing.T) {
	for name, broken := range map[string]*brokenStore{
		"the client cannot be read":     {client: true},
		"the outbox cannot be written":  {create: true},
		"the session cannot be removed": {take: true},
		"the session cannot be read":    {},
	} {
		r := newLogoutRig(t)
		token := r.idToken("web", "ses_1", nil)
		broken.Store = r.store
		r.Store = broken
		if name == "the session cannot be read" {
			r.browser.err = errDisk
		}
		res := r.get("id_token_hint", token, "post_logout_redirect_uri", afterLogout)
		if refused := r.browser.refused; refused == nil || refused.Status != 503 || refused.RetryAfter == 0 || res.Header().Get("Location") != "" {
			t.Errorf("%s: %+v", name, r.browser)
		}
		if !r.alive("ses_1") || r.browser.cleared || len(r.ended) != 0 {
			t.Errorf("%s: signed out", name)
		}
		// The same request works once the store does, and the client hears of it once.
		r.Store, r.browser.err = r.store, nil
		r.get("id_token_hint", token)
		if r.alive("ses_1") || len(outbox(t, r.store)) != 1 {
			t.Errorf("%s, afterwards: %v", name, outbox(t, r.store))
		}
	}
}

func TestAnAddressKeepsEveryByteWhenAParameterIsAdded(t *testing.T) {
	for uri, want := range map[string]string{
		"https://a.test":         "https://a.test?k=v+w",
		"https://a.test/x?":      "https://a.test/x?k=v+w",
		"https://a.test/x?a=%20": "https://a.test/x?a=%20&k=v+w",
		"https://a.test/x?a&":    "https://a.test/x?a&k=v+w",
		"https://a.test/%7Ex#f":  "https://a.test/%7Ex?k=v+w#f",
		"com.example.app:/bye":   "com.example.app:/bye?k=v+w",
	} {
		got := withQuery(uri, "k", "v w")
		if u, err := url.Parse(got); got != want || err != nil || u.Query().Get("k") != "v w" {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}
