package login

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A13: a form counts only with the token of this browser.
func TestAFormOfAnotherBrowserOrWithoutATokenChangesNothing(t *testing.T) {
	r := newRig(t)
	b, attacker := r.browser(), r.browser()
	b.mustSignIn("alice", alicePassword)
	attacker.mustSignIn("bob", "builder")
	foreign := attacker.csrf()
	for _, token := range []string{"", "x", foreign, b.csrf()[:10], b.cookie(browserCookie), strings.ToUpper(b.csrf())} {
		for path, form := range map[string]url.Values{
			"/login":                       {"username": {"bob"}, "password": {"builder"}},
			"/login/choose":                {"decision": {"continue"}, "user": {"usr_alice"}, "continue": {request}},
			"/account/password":            {"current": {alicePassword}, "new": {"another good one"}, "repeat": {"another good one"}},
			"/account/sessions/end":        {"session": {b.session().ID}},
			"/account/sessions/end-others": {},
			"/account/apps/remove":         {"client_id": {"app"}},
			"/language":                    {"language": {"ko"}},
		} {
			form.Set("csrf", token)
			res := b.post(path, form)
			wantStatus(t, res, http.StatusForbidden)
			wantText(t, res, "This form is no longer valid", `">Go back</a>`)
			if b.who() != "alice" || len(r.ended) != 0 {
				t.Fatalf("%s with token %q has changed something: %q, %v", path, token, b.who(), r.ended)
			}
		}
	}
	// The same form with the right token does it, also where the key has moved on since the page was made.
	right := b.csrf()
	r.pages.keys = fakeKeys{older: true}
	wantRedirect(t, b.post("/account/sessions/end-others", url.Values{"csrf": {right}}), "/account?done=sessions")
	wantRedirect(t, b.post("/account/sessions/end-others", url.Values{"csrf": {b.csrf()}}), "/account?done=sessions")
}

// A13: login CSRF: a form that a stranger fetched signs nobody in elsewhere.
func TestASignInFormOfAStrangerSignsNobodyIn(t *testing.T) {
	r := newRig(t)
	attacker, victim := r.browser(), r.browser()
	form := attacker.get(request).fields(t, "/login")
	form.Set("username", "bob")
	form.Set("password", "builder")
	res := victim.post("/login", form)
	wantStatus(t, res, http.StatusForbidden)
	if victim.who() != "" || victim.cookie(sessionCookie) != "" {
		t.Error("the victim is signed in as the attacker")
	}
	wantText(t, res, `href="/oauth2/auth?client_id=app`)
	wantRedirect(t, attacker.post("/login", form), request)
}

func TestTwoCookiesOfOneNameAreNone(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Issuer = "http://localhost:8080" })
	b, attacker := r.browser(), r.browser()
	b.mustSignIn("alice", alicePassword)
	attacker.mustSignIn("bob", "builder")
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/account", nil)
	req.Header.Set("Cookie", "ingam="+attacker.cookie(sessionCookie)+"; ingam="+b.cookie(sessionCookie))
	if _, u, err := r.pages.SignedIn(req); u.ID != "" || err != nil {
		t.Errorf("it is %q, %v", u.ID, err)
	}
}

func TestAFormIsReadStrictly(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.get("/login")
	good := "csrf=" + b.csrf() + "&username=alice&password=" + alicePassword
	for _, tt := range []struct {
		name, contentType, body string
		status                  int
	}{
		{"good", "application/x-www-form-urlencoded", good, http.StatusSeeOther},
		{"charset", "application/x-www-form-urlencoded; charset=UTF-8", good, http.StatusSeeOther},
		{"no type", "", good, http.StatusBadRequest},
		{"multipart", "multipart/form-data; boundary=x", good, http.StatusBadRequest},
		{"JSON", "application/json", `{"username":"alice"}`, http.StatusBadRequest},
		{"repeated", "application/x-www-form-urlencoded", good + "&username=bob", http.StatusBadRequest},
		{"escapes", "application/x-www-form-urlencoded", good + "&x=%zz", http.StatusBadRequest},
		{"no UTF-8", "application/x-www-form-urlencoded", good + "&x=%ff", http.StatusBadRequest},
		{"NUL", "application/x-www-form-urlencoded", good + "&x=%00", http.StatusBadRequest},
		{"large", "application/x-www-form-urlencoded", good + "&x=" + strings.Repeat("a", maxForm), http.StatusRequestEntityTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := requestOfBrowser(b)
			req.Method, req.URL.Path = http.MethodPost, "/login"
			if tt.contentType != "" {
				req.Header.Set("Content-Type", tt.contentType)
			}
			req.Body = http.NoBody
			body := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", strings.NewReader(tt.body))
			req.Body = body.Body
			w := httptest.NewRecorder()
			r.handler.ServeHTTP(w, req)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d\n%s", w.Code, tt.status, w.Body)
			}
		})
	}
	// The query of the address is no form.
	res := b.post("/login?username=alice&password="+alicePassword, url.Values{"csrf": {b.csrf()}})
	wantStatus(t, res, http.StatusUnauthorized)
}

func TestWhatAFormIsAboutCannotBeMadeElsewhere(t *testing.T) {
	r := newRig(t)
	ask := Ask{Client: testClient(), Continue: request, RedirectURI: redirectURI, Locales: []string{"ko"}}
	sealed := r.pages.sealAbout(ask)
	got, err := r.pages.openAbout(t.Context(), sealed, request)
	if err != nil || got.Client.ID != "app" || got.RedirectURI != redirectURI || len(got.Locales) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	data, sum, _ := strings.Cut(sealed, ".")
	evil := encoding.EncodeToString([]byte(`{"c":"app","r":"https://evil.example/"}`))
	for name, tt := range map[string]struct{ sealed, request string }{
		"another request": {sealed, request + "&x=y"},
		"no MAC":          {data, request},
		"other data":      {evil + "." + sum, request},
		"other MAC":       {data + "." + encoding.EncodeToString(make([]byte, 32)), request},
		"nothing":         {"", request},
	} {
		if got, err := r.pages.openAbout(t.Context(), tt.sealed, tt.request); err != nil || got.Client.ID != "" || got.RedirectURI != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if err := r.store.DeleteClient(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	if got, err := r.pages.openAbout(t.Context(), sealed, request); err != nil || got.Client.ID != "" {
		t.Errorf("a client that is gone: %+v, %v", got, err)
	}
}
