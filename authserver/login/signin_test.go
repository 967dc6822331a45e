package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

func TestThePageOfARequestSignsInAndLeadsBackToItWithAProof(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	page := b.get(request)
	wantStatus(t, page, http.StatusOK)
	wantText(t, page, "The App", "app.example", `autocomplete="username"`, `autocomplete="current-password"`, `name="remember"`, `lang="en"`)
	form := page.fields(t, "/login")
	form.Set("username", "alice")
	form.Set("password", alicePassword)
	res := b.post("/login", form)
	wantRedirect(t, res, request+"&ingam_proof=in.")
	if got := b.get(res.Header.Get("Location")); got.text != "signed in as alice" {
		t.Fatalf("after the redirect: %s", got.text)
	}
	s := b.session()
	_, proof, _ := strings.Cut(res.Header.Get("Location"), "&ingam_proof=")
	if p := r.pages.Proven(s, request, proof); !p.SignedIn || !p.Chosen || p.Mark == "" || time.Until(p.Until) > proofLifetime {
		t.Errorf("proven: %+v", p)
	}
	if s.AuthTime.Nanosecond() != 0 || s.ACR != "1" || len(s.AMR) != 1 || s.AMR[0] != "pwd" || s.Address != "192.0.2.1" {
		t.Errorf("session: %+v", s)
	}
	for _, want := range []string{`"event":"signin.succeeded"`, `"sub":"usr_alice"`, `"address":"192.0.2.1"`} {
		if !strings.Contains(r.audit.String(), want) {
			t.Errorf("the audit lacks %s: %s", want, r.audit)
		}
	}
}

func TestSigningInWithoutARequestLeadsToTheAccountPage(t *testing.T) {
	b := newRig(t).browser()
	wantRedirect(t, b.signIn("alice", alicePassword), "/account")
	wantRedirect(t, b.get("/login"), "/account")
	wantText(t, b.get("/account"), "Alice Liddell", "alice@example.com", "Firefox on Linux")
}

// L1
func TestEverySignInMakesANewSecretAndTheOldCookieIsDead(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	before, cookie := b.session(), b.cookie(sessionCookie)
	if err := r.pages.Join(requestOfBrowser(b), before, "app"); err != nil {
		t.Fatal(err)
	}
	b.mustSignIn("alice", alicePassword)
	after := b.session()
	if after.ID != before.ID || b.cookie(sessionCookie) == cookie {
		t.Fatalf("the same user in the same browser: session %s then %s", before.ID, after.ID)
	}
	if len(after.Clients) != 1 || after.Clients[0] != "app" {
		t.Errorf("its clients are lost: %v", after.Clients)
	}
	thief := r.browser()
	thief.setCookie(sessionCookie, cookie)
	if who := thief.who(); who != "" {
		t.Errorf("the cookie of before is still %s", who)
	}
	if b.who() != "alice" {
		t.Error("the new one is nobody")
	}
}

// L1: a session that somebody else has planted in the browser is not the one that signs in.
func TestASignInAsAnotherUserIsAnotherSessionAndEndsTheFirst(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("bob", "builder")
	planted, cookie := b.session(), b.cookie(sessionCookie)
	b.mustSignIn("alice", alicePassword)
	if s := b.session(); s.ID == planted.ID || s.UserID != "usr_alice" {
		t.Fatalf("session %+v", s)
	}
	if len(r.ended) != 1 || r.ended[0].ID != planted.ID {
		t.Errorf("ended: %v", r.ended)
	}
	other := r.browser()
	other.setCookie(sessionCookie, cookie)
	if who := other.who(); who != "" {
		t.Errorf("the first session still lives: %s", who)
	}
}

// L2
func TestTheSessionCookieIsForThisHostAndTheStoreHasOnlyItsHash(t *testing.T) {
	for _, tt := range []struct {
		issuer, name string
		secure       bool
	}{
		{"https://login.example", "__Host-ingam", true},
		{"https://login.example/auth", "__Host-ingam", true},
		{"http://localhost:8080", "ingam", false},
	} {
		t.Run(tt.issuer, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Issuer = tt.issuer })
			b := r.browser()
			res := b.signIn("alice", alicePassword)
			var c *http.Cookie
			for _, sent := range res.Cookies() {
				if sent.Name == tt.name {
					c = sent
				}
			}
			if c == nil {
				t.Fatalf("no cookie %s in %v", tt.name, res.Cookies())
			}
			if c.Secure != tt.secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 {
				t.Errorf("cookie %+v", c)
			}
			id, secret, ok := parseSessionCookie(c.Value)
			if !ok || len(secret) != 32 || len(c.Raw) > 4096 {
				t.Fatalf("value %q", c.Value)
			}
			e, err := r.store.Entry(t.Context(), storage.KindSession, id)
			if err != nil {
				t.Fatal(err)
			}
			_, encoded, _ := strings.Cut(c.Value, ".")
			if strings.Contains(string(e.Data), encoded) {
				t.Error("the store has the secret")
			}
		})
	}
}

// L2: what is not exactly the cookie is nobody.
func TestAnAlteredCookieIsNobody(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	good := b.cookie(sessionCookie)
	id, secret, _ := strings.Cut(good, ".")
	other := r.browser()
	other.mustSignIn("bob", "builder")
	otherID, _, _ := strings.Cut(other.cookie(sessionCookie), ".")
	for _, bad := range []string{
		"", ".", id, id + ".", "." + secret, id + "." + secret[1:], id + "." + strings.Repeat("A", 43), otherID + "." + secret,
		id + "." + secret + "=", id + "." + secret + ".x", strings.ToLower(id) + "." + secret, strings.Repeat("a", 5000) + "." + secret,
	} {
		b.setCookie(sessionCookie, bad)
		if who := b.who(); who != "" {
			t.Errorf("cookie %.80q is %s", bad, who)
		}
	}
	b.setCookie(sessionCookie, good)
	if b.who() != "alice" {
		t.Error("the good cookie is nobody")
	}
}

// L10
func TestEveryRefusedSignInLooksTheSame(t *testing.T) {
	r := newRig(t)
	if err := r.store.CreateUser(t.Context(), storage.User{ID: "usr_gone", Username: "gone", Disabled: true}); err != nil {
		t.Fatal(err)
	}
	r.passwords.known["gone"] = "secret of gone"
	var first string
	for _, tt := range []struct{ name, username, password string }{
		{"wrong password", "alice", "wrong"},
		{"no such user", "nobody", "wrong"},
		{"disabled", "gone", "secret of gone"},
		{"empty password", "alice", ""},
	} {
		b := r.browser()
		b.headers["X-Case"] = tt.name
		page := b.get(request)
		form := page.fields(t, "/login")
		form.Set("username", tt.username)
		form.Set("password", tt.password)
		b.setCookie(browserCookie, b.cookie(browserCookie))
		res := b.post("/login", form)
		wantStatus(t, res, http.StatusUnauthorized)
		wantText(t, res, "The username or the password is wrong.", `value="`+tt.username+`"`, `id="error"`)
		same := strings.NewReplacer(tt.username, "NAME", form.Get("csrf"), "CSRF").Replace(res.text)
		same += fmt.Sprint(res.Header.Get("WWW-Authenticate"), res.Header.Get("Content-Security-Policy"), len(res.Cookies()))
		if first == "" {
			first = same
		}
		if same != first {
			t.Errorf("%s differs:\n%s\nfrom\n%s", tt.name, same, first)
		}
		if tt.password != "" && strings.Contains(res.text, tt.password) && tt.password != "wrong" {
			t.Errorf("%s: the password is on the page", tt.name)
		}
	}
	if strings.Contains(r.audit.String(), "alice") {
		t.Errorf("the audit has what was typed: %s", r.audit)
	}
}

func TestTheFormComesAgainWithWhatItWasAboutAndWithoutThePassword(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	form := b.get(request).fields(t, "/login")
	form.Set("username", `"><b>alice`)
	form.Set("password", "hunter-2-canary")
	form.Set("remember", "1")
	res := b.post("/login", form)
	wantStatus(t, res, http.StatusUnauthorized)
	wantText(t, res, "The App", "app.example", `name="remember" value="1" checked`, `role="alert"`)
	if strings.Contains(res.text, "hunter-2-canary") || strings.Contains(res.text, `"><b>`) {
		t.Errorf("the page has the password or markup of a field:\n%s", res.text)
	}
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://app.example;") {
		t.Errorf("the redirect after the second try would be stopped: %s", csp)
	}
	if res.fields(t, "/login").Get("continue") != request {
		t.Errorf("continue is %q", res.fields(t, "/login").Get("continue"))
	}
	if strings.Contains(r.log.String()+r.audit.String(), "hunter-2-canary") {
		t.Error("the password is in a log")
	}
}

func TestThrottledBusyAndBrokenHaveTheirOwnAnswers(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		retry  string
		text   string
	}{
		{&credential.ThrottledError{RetryAfter: 61500 * time.Millisecond}, 429, "62", "Try again in 62 seconds."},
		{&credential.ThrottledError{RetryAfter: 10 * time.Minute}, 429, "600", "Try again in 10 minutes."},
		{fmt.Errorf("%w: full", credential.ErrBusy), 503, "2", "cannot check this at the moment"},
		{errors.New("store: connection refused"), 503, "2", "cannot check this at the moment"},
		{context.Canceled, 503, "2", "cannot check this at the moment"},
	} {
		r := newRig(t)
		b := r.browser()
		form := b.get(request).fields(t, "/login")
		form.Set("username", "alice")
		form.Set("password", alicePassword)
		r.passwords.fail(tt.err)
		res := b.post("/login", form)
		wantStatus(t, res, tt.status)
		wantText(t, res, tt.text, `value="alice"`)
		if got := res.Header.Get("Retry-After"); got != tt.retry {
			t.Errorf("%v: Retry-After %q", tt.err, got)
		}
		if strings.Contains(res.text, "connection refused") {
			t.Error("the page tells what broke inside")
		}
		if b.cookie(sessionCookie) != "" {
			t.Error("a session was made")
		}
	}
}

func TestAFailingStoreIs503AndNotNobody(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	page := b.get("/account")
	r.store.down(errors.New("store: connection refused"))
	for _, path := range []string{"/login", "/account", request} {
		wantStatus(t, b.get(path), http.StatusServiceUnavailable)
	}
	form := page.fields(t, "/account/password")
	wantStatus(t, b.post("/account/password", form), http.StatusServiceUnavailable)
	if strings.Contains(b.get("/account").text, "connection refused") {
		t.Error("the page tells what broke inside")
	}
	r.store.down(nil)
	if b.who() != "alice" {
		t.Error("the session is lost")
	}
}

// A3: nothing that a stranger puts into the field leads elsewhere.
func TestContinueLeadsNowhereButToARequestOrTheAccount(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct{ given, want string }{
		{"", "/account"},
		{"/account", "/account"},
		{"/account?done=password", "/account"},
		{request, request + "&ingam_proof=in."},
		{request + "&ingam_proof=old&ingam%5Fproof=older", request + "&ingam_proof=in."},
		{"/oauth2/auth?", "/oauth2/auth?&ingam_proof=in."},
		{"/oauth2/auth", "/account"},
		{"/oauth2/authx?a", "/account"},
		{"/oauth2/auth?a#b", "/account"},
		{"/oauth2/auth?a b", "/account"},
		{"/oauth2/auth?a\\b", "/account"},
		{"/oauth2/auth?a\r\nSet-Cookie: x=y", "/account"},
		{"/oauth2/auth?\x00", ""}, // no text: the form is refused
		{"/oauth2/auth?é", "/account"},
		{"//evil.example", "/account"},
		{"///evil.example/oauth2/auth?", "/account"},
		{"https://evil.example/oauth2/auth?", "/account"},
		{"/\\evil.example", "/account"},
		{"\\/evil.example", "/account"},
		{"/\tevil.example", "/account"},
		{" /oauth2/auth?a", "/account"},
		{"javascript:alert(1)//oauth2/auth?", "/account"},
		{"@evil.example/oauth2/auth?", "/account"},
		{".evil.example/oauth2/auth?", "/account"},
		{"/oauth2/auth/../../evil?", "/account"},
		{"/login", "/account"},
	} {
		b := r.browser()
		res := b.signIn("alice", alicePassword, "continue", tt.given)
		if tt.want == "" {
			wantStatus(t, res, http.StatusBadRequest)
			continue
		}
		wantStatus(t, res, http.StatusSeeOther)
		got := res.Header.Get("Location")
		if tt.want == "/account" && got != "/account" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("continue %q leads to %q, want %q", tt.given, got, tt.want)
		}
		if strings.Count(got, "ingam_proof")+strings.Count(got, "ingam%5Fproof") > 1 {
			t.Errorf("two proofs in %q", got)
		}
	}
}

func TestTheIssuersPathGoesBeforeEveryAddress(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Issuer = "https://host.example/auth" })
	b := r.browser()
	b.handler = r.handler
	page := b.get("/auth/login")
	wantStatus(t, page, http.StatusOK)
	for _, attribute := range []string{`href="/`, `src="/`, `action="/`} {
		for _, part := range strings.Split(page.text, attribute)[1:] {
			if !strings.HasPrefix(part, "auth/") {
				t.Errorf("%s%.40s is not below the issuer", attribute, part)
			}
		}
	}
	form := page.fields(t, "/auth/login")
	form.Set("username", "alice")
	form.Set("password", alicePassword)
	form.Set("continue", request)
	wantRedirect(t, b.post("/auth/login", form), "/auth/oauth2/auth?client_id=app")
	wantText(t, b.get("/auth/account"), `action="/auth/account/password"`, `href="/auth/logout"`)
}

func TestTheHintAndTheUserWhoMustSignInAgainFillTheField(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	r.ask = func(w http.ResponseWriter, req *http.Request) {
		r.pages.SignIn(w, req, Ask{Client: testClient(), Continue: request, RedirectURI: redirectURI, LoginHint: `bob"<x>`})
	}
	wantText(t, b.get(request), `value="bob&#34;&lt;x&gt;"`)
	r.ask = func(w http.ResponseWriter, req *http.Request) {
		u, _ := r.store.User(req.Context(), "usr_alice")
		r.pages.SignIn(w, req, Ask{
			Client: testClient(), Continue: request, RedirectURI: redirectURI, LoginHint: "bob", User: u, Again: true,
		})
	}
	page := b.get(request)
	wantText(t, page, `value="alice"`, "Confirm that it is you", "signed in as Alice Liddell")
	form := page.fields(t, "/login")
	form.Set("username", "alice")
	form.Set("password", "wrong")
	wantText(t, b.post("/login", form), "Confirm that it is you", "signed in as Alice Liddell")
}

func TestConfirmingASignInDoesNotMakeTheBrowserForgetIt(t *testing.T) {
	r := newRig(t)
	const box = `name="remember" value="1" checked`
	for remember, checked := range map[string]bool{"": false, "1": true} {
		b := r.browser()
		b.mustSignIn("alice", alicePassword, "remember", remember)
		r.ask = func(w http.ResponseWriter, req *http.Request) {
			_, u, _ := r.pages.SignedIn(req)
			r.pages.SignIn(w, req, Ask{Client: testClient(), Continue: request, RedirectURI: redirectURI, User: u, Again: true})
		}
		if page := b.get(request); strings.Contains(page.text, box) != checked {
			t.Errorf("signed in with remember=%q: %s", remember, page.text)
		}
	}
	// It is the box of this browser, and a new one starts without.
	if page := r.browser().get(request); strings.Contains(page.text, box) {
		t.Error("a stranger's box is checked")
	}
}

func TestDevelopmentModeSaysSo(t *testing.T) {
	for _, dev := range []bool{true, false} {
		b := newRig(t, func(c *Config) { c.DevMode = dev }).browser()
		page := b.get("/login")
		if got := strings.Contains(page.text, "wonderland") && strings.Contains(page.text, "Development mode"); got != dev {
			t.Errorf("DevMode %v: says so: %v", dev, got)
		}
	}
}

// The account in "choose" is the one that was shown: if somebody else has signed in since, it is no choice.
func TestTheChoiceGoesOnAsWhoWasShownOrShowsTheForm(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	r.ask = func(w http.ResponseWriter, req *http.Request) {
		_, u, _ := r.pages.SignedIn(req)
		r.pages.Choose(w, req, Ask{Client: testClient(), Continue: request, RedirectURI: redirectURI, User: u})
	}
	page := b.get(request)
	wantText(t, page, "Continue as Alice Liddell", "Use another account", "The App")
	form := page.fields(t, "/login/choose")
	form.Set("decision", "continue")
	res := b.post("/login/choose", form)
	wantRedirect(t, res, request+"&ingam_proof=chosen.")
	_, proof, _ := strings.Cut(res.Header.Get("Location"), "&ingam_proof=")
	if p := r.pages.Proven(b.session(), request, proof); p.SignedIn || !p.Chosen || p.Mark == "" {
		t.Errorf("proven %+v", p)
	}
	form.Set("decision", "other")
	other := b.post("/login/choose", form)
	wantStatus(t, other, http.StatusOK)
	wantText(t, other, "The App", `name="password"`)
	if b.who() != "alice" {
		t.Error("asking for another account has signed out")
	}
	b.mustSignIn("bob", "builder")
	form.Set("decision", "continue")
	wantText(t, b.post("/login/choose", form), `name="password"`)
}

func TestAnswersToOtherMethodsNameThoseThatAreRight(t *testing.T) {
	r := newRig(t)
	for path, allow := range map[string]string{
		"/login": "GET, HEAD, POST", "/login/choose": "POST", "/account": "GET, HEAD", "/account/password": "POST",
		"/account/sessions/end": "POST", "/account/sessions/end-others": "POST", "/account/apps/remove": "POST", "/language": "POST",
		"/assets/x/style.css": "GET, HEAD",
	} {
		res := r.browser().send(http.MethodDelete, path, nil)
		wantStatus(t, res, http.StatusMethodNotAllowed)
		if got := res.Header.Get("Allow"); got != allow {
			t.Errorf("%s allows %q, want %q", path, got, allow)
		}
	}
	wantStatus(t, r.browser().get("/account/nothing"), http.StatusNotFound)
	if res := r.browser().send(http.MethodHead, "/login", nil); res.StatusCode != http.StatusOK || res.text != "" {
		t.Errorf("HEAD /login: %d, %d bytes", res.StatusCode, len(res.text))
	}
}

func TestASignInThatCannotEndTheSessionOfBeforeIsNotDone(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("bob", "builder")
	cookie := b.cookie(sessionCookie)
	r.pages.end = func(context.Context, storage.Session) ([]string, error) {
		return nil, errors.New("store: connection refused")
	}
	res := b.signIn("alice", alicePassword)
	wantStatus(t, res, http.StatusServiceUnavailable)
	if b.cookie(sessionCookie) != cookie || b.who() != "bob" {
		t.Errorf("the browser is %q", b.who())
	}
}

// A sign-in page costs less than 2 ms of the server, the password hash apart.
func BenchmarkSignInPage(b *testing.B) {
	one := newRig(b).browser()
	for b.Loop() {
		one.get(request)
	}
}
