package authserver_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/authserver/outbound"
	"github.com/ingam/ingam/storage"
)

// seedLogout makes client ours hear of logouts by all three ways.
func (r *rig) seedLogout(backchannel string) {
	r.t.Helper()
	c, err := r.store.Client(r.t.Context(), "ours")
	must(r.t, err)
	c.PostLogoutRedirectURIs = []string{"https://ours.example.test/bye"}
	c.BackchannelLogoutURI = backchannel
	must(r.t, r.store.ReplaceClient(r.t.Context(), c))
}

// OIDC RP-Initiated Logout §2, §3; L15.
func TestAClientWithTheIDTokenSignsThePersonOut(t *testing.T) {
	r := newRig(t).seedSignIn()
	r.seedLogout("")
	p := r.person()
	hint := r.redeem("ours", "ours-secret", oursURI, p.code(request("ours", oursURI))).str("id_token")
	pg := p.open("/oauth2/logout?" + url.Values{
		"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://ours.example.test/bye"}, "state": {"s"},
	}.Encode())
	if pg.at != "https://ours.example.test/bye?state=s" {
		t.Fatalf("the browser is at %s (%d): %s", pg.at, pg.StatusCode, pg.raw)
	}
	if pg := p.authorize(request("ours", oursURI)); !pg.has("/login") {
		t.Errorf("still signed in: %s", pg.at)
	}
	// The cookie of before is worth nothing, wherever it comes from (L3).
	sessions, err := storage.Sessions{Entries: r.store}.Of(t.Context(), "usr_alice", 10)
	must(t, err)
	if len(sessions) != 0 {
		t.Errorf("%d sessions are left", len(sessions))
	}
}

// L15: without proof that it comes from a client of this very session the person is asked, and nothing foreign is gone to.
func TestALogoutThatAnybodyCouldSendIsAQuestion(t *testing.T) {
	r := newRig(t).seedSignIn()
	r.seedLogout("")
	p, bob := r.person(), r.person()
	hint := r.redeem("ours", "ours-secret", oursURI, p.code(request("ours", oursURI))).str("id_token")
	bob.signInAt(bob.authorize(request("ours", oursURI)), "bob", "builder")
	const bye = "https://ours.example.test/bye"
	for name, q := range map[string]url.Values{
		"nothing":           {},
		"client_id":         {"client_id": {"ours"}, "post_logout_redirect_uri": {bye}},
		"another's hint":    {"id_token_hint": {hint}, "post_logout_redirect_uri": {bye}},
		"an unsigned hint":  {"id_token_hint": {"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJpc3MiOiJodHRwOi8vbG9jYWxob3N0OjgwODAiLCJhdWQiOiJvdXJzIn0."}, "post_logout_redirect_uri": {bye}},
		"no client, an URI": {"post_logout_redirect_uri": {bye}},
		"another URI":       {"client_id": {"ours"}, "post_logout_redirect_uri": {"https://evil.example.test"}},
	} {
		pg := bob.open("/oauth2/logout?" + q.Encode())
		if strings.HasPrefix(pg.at, "https://") {
			t.Errorf("%s: the browser was sent to %s", name, pg.at)
		}
		if pg := bob.authorize(request("ours", oursURI, "prompt", "none")); bob.atClient(pg, oursURI).Get("code") == "" {
			t.Errorf("%s: signed out without being asked", name)
		}
	}
	pg := bob.open("/oauth2/logout?" + url.Values{"client_id": {"ours"}, "post_logout_redirect_uri": {bye}, "state": {"x"}}.Encode())
	f := bob.form(pg, "/logout")
	stolen := p.submit(f)
	if strings.HasPrefix(stolen.at, "https://") {
		t.Errorf("the form works in another browser: %s", stolen.at)
	}
	done := bob.submit(f)
	if done.at != bye+"?state=x" {
		t.Errorf("after the question the browser is at %s (%d)", done.at, done.StatusCode)
	}
	if pg := bob.authorize(request("ours", oursURI)); !pg.has("/login") {
		t.Error("still signed in")
	}
	if pg := p.authorize(request("ours", oursURI, "prompt", "none")); p.atClient(pg, oursURI).Get("code") == "" {
		t.Error("the other person was signed out")
	}
}

// OIDC Back-Channel Logout §2.4 to §2.6: the client hears of it, from whichever node, and once.
func TestALogoutIsTheSameInAnotherLanguage(t *testing.T) {
	r := newRig(t).seedSignIn()
	r.seedLogout("")
	p := r.person()
	p.code(request("ours", oursURI))
	q := url.Values{"client_id": {"ours"}, "post_logout_redirect_uri": {"https://ours.example.test/bye"}, "state": {"s"}}
	pg := p.open("/oauth2/logout?" + q.Encode())
	pg = p.submit(p.form(pg, "/language"), "language", "ko")
	if pg.Header.Get("Content-Language") != "ko" || !strings.Contains(pg.text, "Ours") {
		t.Errorf("at %s in %s: %s", pg.at, pg.Header.Get("Content-Language"), pg.text)
	}
	pg = p.submit(p.form(pg, "/language"), "language", "en") // and back
	if pg = p.submit(p.form(pg, "/logout")); pg.at != "https://ours.example.test/bye?state=s" {
		t.Errorf("the browser is at %s (%d)", pg.at, pg.StatusCode)
	}
	// Once more, with nobody to ask: the ticket in the address asks for nothing that the request did not.
	if pg := p.open("/oauth2/logout?" + q.Encode()); pg.at != "https://ours.example.test/bye?state=s" {
		t.Errorf("the browser is at %s (%d)", pg.at, pg.StatusCode)
	}
}

func TestTheClientHearsOfALogoutByTheBackChannel(t *testing.T) {
	got := make(chan string, 10)
	rp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.PostFormValue("logout_token")
	}))
	defer rp.Close()
	out, err := outbound.New(outbound.Config{AllowLoopbackHTTP: true, AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	must(t, err)
	r := newRig(t, func(_ *authserver.Config, d *authserver.Dependencies) { d.Outbound = out }).seedSignIn()
	r.seedLogout(rp.URL + "/logout")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go r.Run(ctx)

	p := r.person()
	tokens := r.redeem("ours", "ours-secret", oursURI, p.code(request("ours", oursURI)))
	id := r.verify(tokens.str("id_token"))
	p.open("/oauth2/logout?id_token_hint=" + tokens.str("id_token"))
	select {
	case token := <-got:
		claims := r.verify(token)
		events, _ := claims.claims["events"].(map[string]any)
		if claims.header["typ"] != "logout+jwt" || claims.str("iss") != issuer || claims.str("aud") != "ours" || claims.str("sub") != "usr_alice" ||
			claims.str("sid") != id.str("sid") || claims.str("jti") == "" || claims.claims["nonce"] != nil || len(events) != 1 ||
			events["http://schemas.openid.net/event/backchannel-logout"] == nil || claims.num("exp") <= claims.num("iat") {
			t.Errorf("logout token %v %v", claims.header, claims.claims)
		}
		if pg := p.authorize(request("ours", oursURI, "id_token_hint", token, "prompt", "none")); p.atClient(pg, oursURI).Get("error") != "invalid_request" {
			t.Error("a logout token is taken for an ID token")
		}
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	for deadline := time.Now().Add(patience); ; {
		left, err := storage.Outbox{Entries: r.store}.All(t.Context(), 10)
		must(t, err)
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still in the outbox: %v", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if len(got) != 0 {
		t.Error("it came twice")
	}
}

// The refresh families that a session made end with it, for clients registered so (R10); see also code_test.go.
func TestAfterALogoutNoBoundRefreshSucceeds(t *testing.T) {
	r := newRig(t).seedSignIn()
	r.seedLogout("")
	p := r.person()
	tokens := r.redeem("ours", "ours-secret", oursURI, p.code(request("ours", oursURI)))
	p.open("/oauth2/logout?id_token_hint=" + tokens.str("id_token"))
	want(t, r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", tokens.str("refresh_token")), "ours", "ours-secret")),
		http.StatusBadRequest, "invalid_grant")
}

// RFC 9101, OIDC Core §6: signed request objects, with typed claims.
func TestASignedRequestObjectTakesThePlaceOfTheParameters(t *testing.T) {
	r := newRig(t).seedSignIn()
	r.seedSigning()
	const cb = "https://signs.example.test/cb"
	object := func(changes map[string]any) string {
		claims := map[string]any{
			"iss": "signs", "aud": issuer, "client_id": "signs", "redirect_uri": cb, "response_type": "code", "scope": "openid profile",
			"state": "signed", "nonce": "signed", "max_age": 300, "code_challenge": challenge(verifier), "code_challenge_method": "S256",
			"claims": map[string]any{"userinfo": map[string]any{"email": nil}},
		}
		for name, value := range changes {
			claims[name] = value
		}
		return r.sign(claims)
	}
	p := r.person()
	pg := p.authorize(url.Values{"client_id": {"signs"}, "response_type": {"code"}, "scope": {"openid"}, "request": {object(nil)}, "state": {"outer"}, "nonce": {"outer"}})
	q := p.atClient(p.signInAt(pg, "alice", "wonderland"), cb)
	if q.Get("state") != "signed" {
		t.Errorf("state %q", q.Get("state"))
	}
	res := r.do(r.asserted(form("/oauth2/token", "grant_type", "authorization_code", "code", q.Get("code"), "redirect_uri", cb, "code_verifier", verifier)))
	want(t, res, http.StatusOK, "")
	if id := r.verify(res.str("id_token")); id.str("nonce") != "signed" {
		t.Errorf("nonce %q", id.str("nonce"))
	}
	if info := r.userinfo(res.str("access_token")); info.str("email") == "" {
		t.Errorf("claims were not honoured: %s", info.raw)
	}
	// max_age is a number there, and counts.
	p.wantError(p.authorize(url.Values{"client_id": {"signs"}, "redirect_uri": {cb}, "request": {object(map[string]any{"max_age": 0, "prompt": "none"})}}), cb, "login_required")
	// Another's, changed, for somebody else.
	for name, bad := range map[string]string{
		"signature": object(nil)[:len(object(nil))-6] + "AAAAAA",
		"aud":       object(map[string]any{"aud": "https://other.example.test"}),
		"iss":       object(map[string]any{"iss": "rp"}),
		"client_id": object(map[string]any{"client_id": "rp"}),
	} {
		q := p.atClient(p.authorize(url.Values{"client_id": {"signs"}, "redirect_uri": {cb}, "response_type": {"code"}, "request": {bad}}), cb)
		if code := q.Get("error"); code != "invalid_request_object" && code != "invalid_request" {
			t.Errorf("%s: %v", name, q)
		}
	}
	// And pushed.
	pushed := r.do(r.asserted(form("/oauth2/par", "request", object(map[string]any{"state": "pushed"}))))
	want(t, pushed, http.StatusCreated, "")
	if q := p.atClient(p.open("/oauth2/auth?client_id=signs&request_uri="+pushed.str("request_uri")), cb); q.Get("state") != "pushed" || q.Get("code") == "" {
		t.Errorf("pushed: %v", q)
	}
}

// OIDC Core §8.1: clients of different sectors do not know the same sub, and everything about one client agrees.
func TestAPairwiseSubjectIsAnotherOneInEachSector(t *testing.T) {
	r := newRig(t).seedSignIn()
	for _, id := range []string{"ours", "modes"} {
		c, err := r.store.Client(t.Context(), id)
		must(t, err)
		c.Pairwise = true
		must(t, r.store.ReplaceClient(t.Context(), c))
	}
	p := r.person()
	subs := map[string]string{}
	for id, cb := range map[string]string{"ours": oursURI, "modes": "https://modes.example.test/cb"} {
		res := r.redeem(id, id+"-secret", cb, p.code(request(id, cb)))
		sub := r.verify(res.str("id_token")).str("sub")
		subs[id] = sub
		if access := r.verify(res.str("access_token")).str("sub"); access != sub {
			t.Errorf("%s: the access token says %s, the ID token %s", id, access, sub)
		}
		if info := r.userinfo(res.str("access_token")); info.str("sub") != sub {
			t.Errorf("%s: userinfo says %s, the ID token %s", id, info.raw, sub)
		}
		for _, token := range []string{res.str("access_token"), res.str("refresh_token")} {
			if got := r.introspect(id, id+"-secret", token).str("sub"); got != sub {
				t.Errorf("%s: introspection says %s, the ID token %s", id, got, sub)
			}
		}
		p.atClient(p.authorize(request(id, cb, "prompt", "none", "id_token_hint", res.str("id_token"))), cb)
	}
	if subs["ours"] == subs["modes"] || slices.Contains([]string{subs["ours"], subs["modes"]}, "usr_alice") {
		t.Errorf("subs %v", subs)
	}
}

// A15: browsers of registered public clients may call, and nobody else.
func TestOriginsOfPublicClientsMayCall(t *testing.T) {
	r := newRig(t).seedSignIn()
	for origin, ok := range map[string]bool{
		"https://spa.example.test": true, "https://rp.example.test": false, "https://evil.example.test": false, "null": false,
	} {
		for _, path := range []string{"/oauth2/token", "/oauth2/par", "/oauth2/revoke", "/userinfo"} {
			req := httptest.NewRequest(http.MethodOptions, path, nil)
			req.Header.Set("Origin", origin)
			res := r.do(req)
			if got := res.Header.Get("Access-Control-Allow-Origin") == origin; got != ok || res.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s at %s: allowed=%v", origin, path, got)
			}
		}
		req := get("/oauth2/auth?" + request("spa", spaURI).Encode())
		req.Header.Set("Origin", origin)
		if res := r.do(req); res.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may read the authorization endpoint", origin)
		}
	}
}

// Whoever is disabled, removed or given a new password by the operator is signed out everywhere, and clients are told.
func TestTheOperatorSignsPeopleOutEverywhere(t *testing.T) {
	for name, do := range map[string]*http.Request{
		"disabled":     httptest.NewRequest(http.MethodPost, "/admin/v1/users/alice/disable", strings.NewReader("{}")),
		"new password": httptest.NewRequest(http.MethodPut, "/admin/v1/users/alice/password", strings.NewReader(`{"password":"a longer one"}`)),
		"removed":      httptest.NewRequest(http.MethodDelete, "/admin/v1/users/alice", nil),
	} {
		r := newRig(t).seedSignIn()
		r.seedLogout("https://ours.example.test/logout")
		p := r.person()
		p.code(request("ours", oursURI))
		do.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		admin.New(admin.Config{Store: r.store, Hasher: testHasher(t), EndSessions: r.EndSessions}).ServeHTTP(rec, do)
		if rec.Code >= 300 {
			t.Fatalf("%s: %d %s", name, rec.Code, rec.Body)
		}
		p.wantError(p.authorize(request("ours", oursURI, "prompt", "none")), oursURI, "login_required")
		told, err := storage.Outbox{Entries: r.store}.All(t.Context(), 10)
		must(t, err)
		sessions, err := storage.Sessions{Entries: r.store}.Of(t.Context(), "usr_alice", 10)
		must(t, err)
		if len(told) != 1 || told[0].ClientID != "ours" || len(sessions) != 0 {
			t.Errorf("%s: outbox %v, sessions %v", name, told, sessions)
		}
	}
}

// The contract: GET /consent is a page for people.
func TestWhoOpensTheAddressOfConsentSeesTheirAccount(t *testing.T) {
	r := newRig(t)
	res := r.do(get("/consent"))
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/account" {
		t.Errorf("got %d %s", res.StatusCode, res.Header.Get("Location"))
	}
	// A10, A16: it has the headers of every answer of a page.
	if res.Header.Get("Cache-Control") != "no-store" || !strings.Contains(res.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'") ||
		res.Header.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("headers %v", res.Header)
	}
	if res := r.do(httptest.NewRequest(http.MethodPut, "/consent", nil)); res.StatusCode < 400 {
		t.Errorf("PUT: %d", res.StatusCode)
	}
}

// People type the address of the server alone.
func TestTheRootLeadsPeopleToTheirAccountAndProgramsNowhere(t *testing.T) {
	r := newRig(t)
	req := get("/")
	if res := r.do(req); res.StatusCode != http.StatusNotFound {
		t.Errorf("a program: %d", res.StatusCode)
	}
	req = get("/")
	req.Header.Set("Accept", "text/html,*/*")
	if res := r.do(req); res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/account" {
		t.Errorf("a browser: %d %s", res.StatusCode, res.Header.Get("Location"))
	}
}
