package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// OIDC Core §3.1: the whole way of the authorization code flow.
func TestAPersonSignsInOnceAndTheClientGetsTokens(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	q := request("rp", rpRedirect, "scope", "openid profile email")

	pg := p.authorize(q)
	pg = p.signInAt(pg, "alice", "wonderland")
	if !strings.Contains(pg.text, "Relying Party") {
		t.Errorf("the consent page does not say who asks: %s", pg.text)
	}
	answer := p.atClient(p.allow(pg), rpRedirect)
	if answer.Get("state") != "st" {
		t.Errorf("state is %q", answer.Get("state"))
	}
	res := r.redeem("rp", "rp-secret", rpRedirect, answer.Get("code"))
	want(t, res, http.StatusOK, "")
	id := r.verify(res.str("id_token"))
	if id.str("iss") != issuer || id.str("aud") != "rp" || id.str("sub") != "usr_alice" || id.str("nonce") != "no" ||
		id.str("acr") != "1" || id.str("sid") == "" || id.str("at_hash") == "" || id.num("auth_time") == 0 {
		t.Errorf("ID token: %v", id.claims)
	}
	for _, name := range []string{"name", "email", "preferred_username", "rat"} {
		if _, ok := id.claims[name]; ok {
			t.Errorf("the ID token tells %s (OIDC Core §5.4: userinfo does)", name)
		}
	}
	info := r.userinfo(res.str("access_token"))
	if info.str("sub") != "usr_alice" || info.str("name") != "Alice" || info.str("email") != "alice@example.test" {
		t.Errorf("userinfo: %s", info.raw)
	}
	// OIDC Core §12.2: the same iss, sub, aud and auth_time after a refresh.
	again := r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", res.str("refresh_token")), "rp", "rp-secret"))
	want(t, again, http.StatusOK, "")
	after := r.verify(again.str("id_token"))
	for _, name := range []string{"iss", "sub", "aud", "auth_time", "sid"} {
		if after.claims[name] != id.claims[name] {
			t.Errorf("%s is %v after the refresh, was %v", name, after.claims[name], id.claims[name])
		}
	}
	// Single sign-on: another client, no password.
	pg = p.authorize(request("spa", spaURI))
	if pg.has("/login") || !pg.has("/consent") {
		t.Fatalf("the second client: %s", pg.raw)
	}
	if code := p.atClient(p.allow(pg), spaURI).Get("code"); code == "" {
		t.Error("no code at the second client")
	}
}

// A1: the redirect URI is compared character by character, and an error about it is a page.
func TestAnotherRedirectURIIsAPageAndNeverARedirect(t *testing.T) {
	r := newRig(t).seedSignIn()
	for _, uri := range []string{
		"", rpRedirect + "/", rpRedirect + "?x=1", "https://rp.example.test/Callback", "https://rp.example.test/a/..%2fcallback",
		"https://rp.example.test/callback#f", "https://user@rp.example.test/callback", "https:\\\\rp.example.test/callback",
		"http://rp.example.test/callback", "https://rp.example.test:443/callback", "https://rp.example.test.evil.test/callback",
		"javascript:alert(1)", "data:text/html,x", "//rp.example.test/callback", " " + rpRedirect,
	} {
		res := r.do(get("/oauth2/auth?" + request("rp", rpRedirect, "redirect_uri", uri).Encode()))
		if res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" ||
			!strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || !strings.Contains(res.raw, "redirect_uri") {
			t.Errorf("%q: %d to %q: %s", uri, res.StatusCode, res.Header.Get("Location"), res.raw)
		}
	}
	for uri, ok := range map[string]bool{
		"http://127.0.0.1:51004/callback": true, "http://127.0.0.1/callback": true, "http://127.0.0.1:1/callback": true,
		"http://127.0.0.1:0/callback": false, "http://127.0.0.1:99999/callback": false, "http://127.0.0.1:080/callback": false,
		"http://127.0.0.1:51004/other": false, "https://127.0.0.1:51004/callback": false, "http://user:pw@127.0.0.1:9/callback": false,
		"http://localhost:51004/callback": false, "http://[::1]:51004/callback": false, "http://127.0.0.1:/callback": false,
		"http://127.0.0.2:51004/callback": false, "http://127.0.0.1:51004/callback?x": false,
	} {
		res := r.do(get("/oauth2/auth?" + request("app", uri).Encode()))
		if got := res.StatusCode == http.StatusOK; got != ok { // the sign-in page
			t.Errorf("RFC 8252 §7.3: %q: %d, want accepted=%v", uri, res.StatusCode, ok)
		}
	}
}

// A3: unknown clients and broken requests are pages; nothing a stranger chose is gone to.
func TestAnUnknownClientIsAPageThatNamesIt(t *testing.T) {
	r := newRig(t).seedSignIn()
	for name, query := range map[string]string{
		"client_id":    request("ghost", "https://evil.example.test/cb").Encode(),
		"client_id ":   request("", rpRedirect).Encode(),
		"client_id  ":  request("rp", rpRedirect).Encode() + "&client_id=spa",
		"redirect_uri": request("rp", rpRedirect).Encode() + "&redirect_uri=https://evil.example.test/cb",
		"request_uri":  request("rp", rpRedirect, "request_uri", "https://evil.example.test/request.jwt").Encode(),
		"request_uri ": request("rp", rpRedirect, "request_uri", "urn:ietf:params:oauth:request_uri:unknown").Encode(),
		"%":            "client_id=%zz",
	} {
		res := r.do(get("/oauth2/auth?" + query))
		if res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" ||
			!strings.Contains(res.raw, strings.TrimSpace(name)) || strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
			t.Errorf("%q: %d %q: %s", name, res.StatusCode, res.Header.Get("Location"), res.raw)
		}
	}
}

// A4, A7, A14 and RFC 6749 §4.1.2.1: every other error goes to the client, with iss and the state, in allowed characters.
func TestErrorsGoToTheClientByRedirect(t *testing.T) {
	r := newRig(t).seedSignIn()
	for _, c := range []struct {
		code  string
		pairs []string
	}{
		{"invalid_request", []string{"response_type", ""}},
		{"unsupported_response_type", []string{"response_type", "token"}},
		{"unsupported_response_type", []string{"response_type", "code id_token"}},
		{"invalid_request", []string{"code_challenge_method", "plain"}},
		{"invalid_request", []string{"code_challenge_method", ""}},
		{"invalid_request", []string{"code_challenge", "short"}},
		{"invalid_request", []string{"code_challenge", ""}},
		{"invalid_request", []string{"prompt", "none login"}},
		{"invalid_request", []string{"prompt", "wave"}},
		{"invalid_request", []string{"max_age", "-1"}},
		{"invalid_request", []string{"max_age", "soon"}},
		{"invalid_request", []string{"claims", "{"}},
		{"invalid_request", []string{"claims", "[]"}},
		{"invalid_request", []string{"response_mode", "telepathy"}},
		{"invalid_request", []string{"response_mode", "fragment"}},
		{"invalid_request", []string{"id_token_hint", "e30.e30.e30"}},
		{"invalid_request", []string{"nonce", "a\x00b"}},
		{"invalid_scope", []string{"scope", "sudo"}},
		{"invalid_scope", []string{"scope", "a\"b"}},
		{"invalid_target", []string{"resource", "https://elsewhere.example.test"}},
		{"request_not_supported", []string{"request", "eyJhbGciOiJub25lIn0.e30."}},
		{"registration_not_supported", []string{"registration", "{}"}},
		{"login_required", []string{"prompt", "none"}},
	} {
		p := r.person()
		q := p.wantError(p.authorize(request("spa", spaURI, c.pairs...)), spaURI, c.code)
		if q.Get("state") != "st" {
			t.Errorf("%v: state is %q", c.pairs, q.Get("state"))
		}
		text := q.Get("error_description")
		if text == "" || strings.ContainsFunc(text, func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
			t.Errorf("%v: error_description is %q", c.pairs, text)
		}
	}
	p := r.person()
	for _, name := range []string{"nonce", "response_type", "scope", "request", "response_mode", "state"} {
		again := "&" + name + "=2&" + name + "=3"
		q := p.wantError(p.open("/oauth2/auth?"+request("spa", spaURI, name, "").Encode()+again), spaURI, "invalid_request")
		if !strings.Contains(q.Get("error_description"), "'"+name+"' is repeated") || q.Has("state") == (name == "state") {
			t.Errorf("%s twice: %v", name, q)
		}
	}
}

// RFC 6749 §4.1.1: state is the client's business. None in, none out; a short one is served; a very long one is refused, and so is
// one with control characters (appendix A.5): by redirect, and without it.
func TestStateComesBackExactlyAsItWasSent(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	p.code(request("ours", "https://ours.example.test/cb"))
	for _, state := range []string{"", "x", "a b&c=d%20\"<>'\\~é상태", strings.Repeat("s", 8000)} {
		q := p.atClient(p.authorize(request("ours", "https://ours.example.test/cb", "state", state)), "https://ours.example.test/cb")
		if q.Get("state") != state || q.Has("state") != (state != "") || q.Get("code") == "" {
			t.Errorf("state %.20q: got %v", state, q)
		}
	}
	q := p.wantError(p.authorize(request("ours", "https://ours.example.test/cb", "state", strings.Repeat("s", 9000))), "https://ours.example.test/cb", "invalid_request")
	if q.Has("state") {
		t.Error("the long state came back")
	}
	for _, state := range []string{"a\nb", "a\x00", "\x7f", "\u0085", "\xff"} {
		q := p.wantError(p.authorize(request("ours", "https://ours.example.test/cb", "state", state)), "https://ours.example.test/cb", "invalid_request")
		if q.Has("state") || !strings.Contains(q.Get("error_description"), "state") {
			t.Errorf("state %q: %v", state, q)
		}
	}
	// Where neither client nor redirect URI is right it is a page (A3).
	for _, q := range []url.Values{request("ghost", spaURI, "state", "\n"), request("spa", "https://evil.example.test", "state", "\n")} {
		if res := r.do(get("/oauth2/auth?" + q.Encode() + "&state=2")); res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" {
			t.Errorf("%v: %d to %q", q, res.StatusCode, res.Header.Get("Location"))
		}
	}
	// 1 MiB: by GET it never gets here (net/http); by POST it is too large.
	req := form("/oauth2/auth", "client_id", "ours", "state", strings.Repeat("s", 1<<20))
	if res := r.do(req); res.StatusCode != http.StatusRequestEntityTooLarge || res.Header.Get("Location") != "" {
		t.Errorf("1 MiB: %d", res.StatusCode)
	}
}

// A7 and OAuth 2.0 Form Post Response Mode §2.
func TestEachResponseModeCarriesTheSameAnswer(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	const cb = "https://modes.example.test/cb"
	p.code(request("modes", cb))
	for _, pairs := range [][]string{{}, {"prompt", "none", "max_age", "0"}} {
		wantCode := len(pairs) == 0
		q := p.authorize(request("modes", cb, append(pairs, "response_mode", "query")...))
		if !strings.HasPrefix(q.at, cb+"?") || p.atClient(q, cb).Has("code") != wantCode {
			t.Errorf("query: %s", q.at)
		}
		f := p.authorize(request("modes", cb, append(pairs, "response_mode", "fragment")...))
		if !strings.HasPrefix(f.at, cb+"#") || p.atClient(f, cb).Has("code") != wantCode {
			t.Errorf("fragment: %s", f.at)
		}
		post := p.authorize(request("modes", cb, append(pairs, "response_mode", "form_post")...))
		fields := p.form(post, cb).fields
		if fields.Has("code") != wantCode || fields.Get("state") != "st" || fields.Get("iss") != issuer {
			t.Errorf("form_post: %v", fields)
		}
		if csp := post.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "https://modes.example.test") || strings.Contains(csp, "unsafe") {
			t.Errorf("form_post: CSP %q", csp)
		}
	}
	// Also what is refused before anything else is looked at.
	r.changeClient("modes", func(c *storage.Client) { c.RequirePAR = true })
	early := p.authorize(request("modes", cb, "response_mode", "form_post"))
	if fields := p.form(early, cb).fields; fields.Get("error") != "invalid_request" || fields.Get("state") != "st" || fields.Get("iss") != issuer {
		t.Errorf("form_post: %v", fields)
	}
	// A registered query stays (RFC 6749 §3.1.2).
	got := p.code(request("rp", rpRedirect+"?own=1"))
	if got == "" {
		t.Error("no code behind the client's own query")
	}
}

// OIDC Core §3.1.2.1: GET and POST mean the same. A15: neither is for scripts of other origins.
func TestAPostedRequestIsServedAsTheSameRequest(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	q := request("rp", rpRedirect)
	req := httptest.NewRequest(http.MethodPost, "/oauth2/auth", strings.NewReader(q.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "https://rp.example.test")
	res := p.send(req)
	if res.StatusCode != http.StatusSeeOther || res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Fatalf("got %d, CORS %q", res.StatusCode, res.Header.Get("Access-Control-Allow-Origin"))
	}
	if pg := p.follow("", res); !pg.has("/login") {
		t.Errorf("no sign-in page: %s", pg.raw)
	}
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodOptions} {
		if res := r.do(httptest.NewRequest(method, "/oauth2/auth", nil)); res.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, res.StatusCode)
		}
	}
}

// OIDC Core §3.1.2.1: prompt and max_age.
func TestPromptDecidesWhatThePersonIsAsked(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	const cb = "https://ours.example.test/cb"
	first := r.verify(r.redeem("ours", "ours-secret", cb, p.code(request("ours", cb))).str("id_token"))

	// none is silent, with the same user and time.
	silent := r.verify(r.redeem("ours", "ours-secret", cb, p.atClient(p.authorize(request("ours", cb, "prompt", "none")), cb).Get("code")).str("id_token"))
	if silent.str("sub") != first.str("sub") || silent.num("auth_time") != first.num("auth_time") || silent.str("sid") != first.str("sid") {
		t.Errorf("prompt=none: %v, before %v", silent.claims, first.claims)
	}
	// A client that has no consent yet.
	p.wantError(p.authorize(request("rp", rpRedirect, "prompt", "none")), rpRedirect, "consent_required")
	// max_age that is not reached asks nothing.
	p.atClient(p.authorize(request("ours", cb, "max_age", "10000")), cb)

	time.Sleep(1100 * time.Millisecond) // auth_time has whole seconds
	for _, pairs := range [][]string{{"prompt", "login"}, {"max_age", "0"}, {"max_age", "1"}} {
		time.Sleep(1100 * time.Millisecond)
		p.wantError(p.authorize(request("ours", cb, "prompt", "none", "max_age", "0")), cb, "login_required")
		q := request("ours", cb, pairs...)
		pg := p.authorize(q)
		if !pg.has("/login") {
			t.Fatalf("%v: nobody is asked: %s", pairs, pg.at)
		}
		pg = p.signInAt(pg, "alice", "wonderland")
		id := r.verify(r.redeem("ours", "ours-secret", cb, p.atClient(pg, cb).Get("code")).str("id_token"))
		if id.num("auth_time") <= first.num("auth_time") {
			t.Errorf("%v: auth_time did not move on", pairs)
		}
		if pairs[1] != "1" && !p.authorize(q).has("/login") {
			t.Errorf("%v: the same address loaded again asks nothing", pairs)
		}
	}
	if pg := p.authorize(request("ours", cb, "prompt", "select_account")); !pg.has("/login/choose") {
		t.Errorf("select_account: %s", pg.raw)
	}
	if pg := p.authorize(request("ours", cb, "prompt", "consent")); !pg.has("/consent") {
		t.Errorf("prompt=consent of a first-party client: %s", pg.raw)
	}
}

// A proof of a sign-in counts once, and for its request only.
func TestTheProofOfASignInCountsOnce(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	const cb = "https://ours.example.test/cb"
	p.code(request("ours", cb))
	pg := p.authorize(request("ours", cb, "prompt", "login"))
	res := p.send(p.post(p.form(pg, "/login"), "username", "alice", "password", "wonderland"))
	proven := strings.TrimPrefix(res.Header.Get("Location"), issuer)
	if !strings.Contains(proven, "ingam_proof=") {
		t.Fatalf("no proof in %s", proven)
	}
	other := strings.Replace(proven, "state=st", "state=other", 1)
	if pg := p.open(other); !pg.has("/login") {
		t.Error("the proof counts for another request")
	}
	if pg := r.person().open(proven); !pg.has("/login") {
		t.Error("A17: the proof counts in another browser")
	}
	p.atClient(p.open(proven), cb)
	if pg := p.open(proven); !pg.has("/login") {
		t.Error("the proof counts twice")
	}
}

// OIDC Core §3.1.2.1, §5.5.1: the client may say whom it means.
func TestAHintOfAnotherUserIsNotAnsweredWithThisOne(t *testing.T) {
	r := newRig(t).seedSignIn()
	p, bob := r.person(), r.person()
	const cb = "https://ours.example.test/cb"
	hint := r.redeem("ours", "ours-secret", cb, p.code(request("ours", cb))).str("id_token")
	p.atClient(p.authorize(request("ours", cb, "prompt", "none", "id_token_hint", hint)), cb)
	p.atClient(p.authorize(request("ours", cb, "prompt", "none", "claims", `{"id_token":{"sub":{"value":"usr_alice"}}}`)), cb)

	bob.signInAt(bob.authorize(request("ours", cb)), "bob", "builder")
	bob.wantError(bob.authorize(request("ours", cb, "prompt", "none", "id_token_hint", hint)), cb, "login_required")
	bob.wantError(bob.authorize(request("ours", cb, "prompt", "none", "claims", `{"id_token":{"sub":{"value":"usr_alice"}}}`)), cb, "login_required")
	pg := bob.authorize(request("ours", cb, "id_token_hint", hint))
	if !pg.has("/login") {
		t.Fatalf("bob is taken for alice: %s", pg.at)
	}
	bob.wantError(bob.signInAt(pg, "bob", "builder"), cb, "login_required")
	// An ID token of another client, and one that is no ID token.
	p.wantError(p.authorize(request("modes", "https://modes.example.test/cb", "id_token_hint", hint)), "https://modes.example.test/cb", "invalid_request")
	access := r.redeem("ours", "ours-secret", cb, p.code(request("ours", cb))).str("access_token")
	c, err := r.store.Client(t.Context(), "ours")
	must(t, err)
	c.UserInfoAlg = "RS256"
	must(t, r.store.ReplaceClient(t.Context(), c))
	p.wantError(p.authorize(request("ours", cb, "id_token_hint", r.userinfo(access).raw)), cb, "invalid_request")
	p.wantError(p.authorize(request("ours", cb, "id_token_hint", access)), cb, "invalid_request")
}

// OIDC Core §5.5: claims asked for one by one, and §5.5.1.1: an acr that cannot be met.
func TestTheClaimsParameterIsAnswered(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	const cb = "https://ours.example.test/cb"
	claims := `{"userinfo":{"email":{"essential":true},"salary":null},"id_token":{"name":null,"acr":{"essential":true,"values":["1","9"]}}}`
	res := r.redeem("ours", "ours-secret", cb, p.code(request("ours", cb, "scope", "openid", "claims", claims)))
	if id := r.verify(res.str("id_token")); id.str("name") != "Alice" || id.claims["email"] != nil || id.str("acr") != "1" {
		t.Errorf("ID token: %v", id.claims)
	}
	if info := r.userinfo(res.str("access_token")); info.str("email") != "alice@example.test" || info.body["name"] != nil {
		t.Errorf("userinfo: %s", info.raw)
	}
	p.wantError(p.authorize(request("ours", cb, "claims", `{"id_token":{"acr":{"essential":true,"value":"9"}}}`)), cb, "unmet_authentication_requirements")
	// A voluntary one is answered with what there is.
	p.atClient(p.authorize(request("ours", cb, "claims", `{"id_token":{"acr":{"value":"9"}}}`)), cb)
	p.atClient(p.authorize(request("ours", cb, "acr_values", "9 1", "display", "popup", "ui_locales", "xx", "claims_locales", "ko", "unknown", "1")), cb)
}

// A18: a user cannot allow a client what the operator did not.
func TestNobodyGetsScopesBeyondTheRegistration(t *testing.T) {
	r := newRig(t).seedSignIn()
	c, err := r.store.Client(t.Context(), "rp")
	must(t, err)
	c.Scopes = []string{"openid", "read"}
	must(t, r.store.ReplaceClient(t.Context(), c))
	p := r.person()
	res := r.redeem("rp", "rp-secret", rpRedirect, p.code(request("rp", rpRedirect, "scope", "openid read email admin offline_access",
		"claims", `{"userinfo":{"email":{"essential":true},"phone_number":null}}`)))
	if got := strings.Fields(res.str("scope")); !slices.Equal(got, []string{"openid", "read"}) {
		t.Errorf("scope %v", got)
	}
	if info := r.userinfo(res.str("access_token")); info.body["email"] != nil {
		t.Errorf("userinfo: %s", info.raw)
	}
	// And what is taken from the registration between code and redemption is gone.
	code := p.code(request("rp", rpRedirect, "scope", "openid read"))
	c, err = r.store.Client(t.Context(), "rp")
	must(t, err)
	c.Scopes = []string{"openid"}
	must(t, r.store.ReplaceClient(t.Context(), c))
	if res := r.redeem("rp", "rp-secret", rpRedirect, code); res.str("scope") != "openid" {
		t.Errorf("scope %q", res.str("scope"))
	}
}

// A13, A17: the consent form is bound to the person, the session, the request and what it showed, and counts once.
func TestAConsentFormIsGoodOnceAndForWhatItShowed(t *testing.T) {
	r := newRig(t).seedSignIn()
	p, other := r.person(), r.person()
	q := request("rp", rpRedirect)
	pg := p.signInAt(p.authorize(q), "alice", "wonderland")
	f := p.form(pg, "/consent")
	otherPage := other.signInAt(other.authorize(q), "bob", "builder")
	swap := func(pairs ...string) page { return p.submit(f, append([]string{"decision", "allow"}, pairs...)...) }
	for name, got := range map[string]page{
		"another client":     swap("continue", "/oauth2/auth?"+request("spa", spaURI).Encode()),
		"more scopes":        swap("continue", "/oauth2/auth?"+request("rp", rpRedirect, "scope", "openid profile email").Encode()),
		"no token":           swap("consent_token", ""),
		"a changed token":    swap("consent_token", f.fields.Get("consent_token")+"A"),
		"another's token":    swap("consent_token", other.form(otherPage, "/consent").fields.Get("consent_token")),
		"no anti-forgery":    swap("csrf", ""),
		"another's field":    swap("csrf", other.form(otherPage, "/consent").fields.Get("csrf")),
		"an address outside": swap("continue", "https://evil.example.test/oauth2/auth?x=1"),
	} {
		if got.StatusCode < 400 || strings.HasPrefix(got.at, "https://") {
			t.Errorf("%s: %d at %s", name, got.StatusCode, got.at)
		}
	}
	foreign := p.post(f, "decision", "allow")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	foreign.Header.Set("Origin", "https://evil.example.test")
	if res := p.send(foreign); res.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: %d", res.StatusCode)
	}
	// Nothing of that has decided anything: the form is good still, once.
	if code := p.atClient(p.submit(f, "decision", "allow"), rpRedirect).Get("code"); code == "" {
		t.Error("no code")
	}
	if again := p.submit(f, "decision", "allow"); !again.has("/consent") {
		t.Errorf("sent twice: %d at %s", again.StatusCode, again.at)
	}
	pg = p.authorize(q) // it was not remembered
	p.wantError(p.submit(p.form(pg, "/consent"), "decision", "deny"), rpRedirect, "access_denied")
}

// Consent is remembered for what was allowed, and asked for what is new.
func TestRememberedConsentIsAskedForAgainOnlyWhenThereIsMore(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	p.code(request("rp", rpRedirect, "scope", "openid profile"))
	p.atClient(p.authorize(request("rp", rpRedirect, "scope", "openid")), rpRedirect)
	p.atClient(p.authorize(request("rp", rpRedirect, "prompt", "none")), rpRedirect)
	p.wantError(p.authorize(request("rp", rpRedirect, "scope", "openid email", "prompt", "none")), rpRedirect, "consent_required")
	pg := p.authorize(request("rp", rpRedirect, "scope", "openid email"))
	p.atClient(p.allow(pg), rpRedirect)
	p.atClient(p.authorize(request("rp", rpRedirect, "scope", "openid profile email", "prompt", "none")), rpRedirect)
	if pg := p.authorize(request("rp", rpRedirect, "prompt", "consent")); !pg.has("/consent") {
		t.Errorf("prompt=consent: %s", pg.at)
	}
}

// PKCE is for public clients; a confidential one may do without unless it is registered so.
func TestAConfidentialClientMayDoWithoutPKCE(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	none := []string{"code_challenge", "", "code_challenge_method", ""}
	code := p.code(request("rp", rpRedirect, none...))
	want(t, r.redeem("rp", "rp-secret", rpRedirect, code, "x", "y"), http.StatusOK, "")
	// A5
	code = p.code(request("rp", rpRedirect, none...))
	want(t, r.redeem("rp", "rp-secret", rpRedirect, code), http.StatusBadRequest, "invalid_grant")
	want(t, r.redeem("rp", "rp-secret", rpRedirect, code, "x", "y"), http.StatusBadRequest, "invalid_grant")
	c, err := r.store.Client(t.Context(), "rp")
	must(t, err)
	c.RequirePKCE = true
	must(t, r.store.ReplaceClient(t.Context(), c))
	p.wantError(p.authorize(request("rp", rpRedirect, none...)), rpRedirect, "invalid_request")
}

// Who looks with HEAD whether an address is there uses up nothing.
func TestAHeadRequestMakesNoCode(t *testing.T) {
	r, store := tapped(t)
	r.seedSignIn()
	p := r.person()
	q := request("rp", rpRedirect)
	p.code(q)
	asked := store.record()
	res := p.send(httptest.NewRequest(http.MethodHead, "/oauth2/auth?"+q.Encode(), nil))
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, POST" || res.Header.Get("Location") != "" || len(*asked) > 0 {
		t.Errorf("%d, Allow %q, to %q, store %v", res.StatusCode, res.Header.Get("Allow"), res.Header.Get("Location"), *asked)
	}
	p.atClient(p.authorize(q), rpRedirect)
}

// A18: what a user allowed a client that is gone is not allowed to the next one of the same id.
func TestConsentToAnEarlierClientOfTheSameIDIsNotInherited(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	more := request("rp", rpRedirect, "scope", "openid profile email phone")
	p.code(more)
	c, err := r.store.Client(t.Context(), "rp")
	must(t, err)
	must(t, r.store.DeleteClient(t.Context(), "rp"))
	time.Sleep(2 * time.Millisecond)
	c.CreatedAt = time.Now()
	must(t, r.store.CreateClient(t.Context(), c))
	time.Sleep(2 * time.Millisecond)

	less := request("rp", rpRedirect, "scope", "openid")
	pg := p.authorize(less)
	if !pg.has("/consent") {
		t.Fatalf("the new client is not asked about: %s", pg.at)
	}
	p.atClient(p.allow(pg), rpRedirect)
	p.atClient(p.authorize(less), rpRedirect)
	if pg := p.authorize(more); !pg.has("/consent") {
		t.Errorf("the new client got what only the old one was allowed: %s", pg.at)
	}
}

// A12: taking response_mode out of a request does not move the code to where the client does not want it.
func TestAClientWithoutQueryNamesItsResponseMode(t *testing.T) {
	r := newRig(t).seedSignIn()
	const uri = "https://modes.example.test/cb"
	c, err := r.store.Client(t.Context(), "modes")
	must(t, err)
	c.ResponseModes = []string{"form_post"}
	must(t, r.store.ReplaceClient(t.Context(), c))
	p := r.person()
	pg := p.signInAt(p.authorize(request("modes", uri, "response_mode", "form_post")), "alice", "wonderland")
	if code := p.form(pg, uri).fields.Get("code"); code == "" {
		t.Errorf("no code: %s", pg.raw)
	}
	p.wantError(p.authorize(request("modes", uri)), uri, "invalid_request")
	p.wantError(p.authorize(request("modes", uri, "response_mode", "query")), uri, "invalid_request")
}

// A17: a sign-in that answered max_age once does not answer it again when it has grown too old.
func TestAProofForMaxAgeCountsOnce(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		r.seedSignIn()
		p := r.person()
		const uri = "https://ours.example.test/cb"
		pg := p.authorize(request("ours", uri, "max_age", "60"))
		res := p.send(p.post(p.form(pg, "/login"), "username", "alice", "password", "wonderland"))
		back := strings.TrimPrefix(res.Header.Get("Location"), issuer)
		p.atClient(p.open(back), uri)
		p.atClient(p.open(back), uri) // young enough without a proof
		time.Sleep(5 * time.Minute)
		if pg := p.open(back); !pg.has("/login") {
			t.Errorf("a sign-in of five minutes ago: %s", pg.at)
		}
	})
}

// A16: a long request does not make a page many times as long.
func TestManyLocalesDoNotBlowUpThePage(t *testing.T) {
	r := newRig(t).seedSignIn()
	q := request("rp", rpRedirect, "ui_locales", "ko "+strings.Repeat("a ", 7000))
	res := r.do(get("/oauth2/auth?" + q.Encode()))
	if res.StatusCode != http.StatusOK || !strings.Contains(res.raw, `lang="ko"`) || len(res.raw) > 7*len(q.Encode()) {
		t.Errorf("%d, %d bytes for a request of %d", res.StatusCode, len(res.raw), len(q.Encode()))
	}
}

// RFC 8252 §8.6: on a device any program can take a loopback port or the scheme of an app, so what was allowed before does
// not answer for the person.
func TestARequestOfAnAppOnADeviceIsNeverAnsweredWithoutThePerson(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	const uri = "http://127.0.0.1:5000/callback"
	p.code(request("app", uri))
	p.wantError(p.authorize(request("app", uri, "prompt", "none")), uri, "consent_required")
	if pg := p.authorize(request("app", uri)); !pg.has("/consent") {
		t.Errorf("nobody is asked: %s", pg.at)
	}
	p.code(request("spa", spaURI)) // its redirect URI is proof enough
	p.atClient(p.authorize(request("spa", spaURI, "prompt", "none")), spaURI)
	// This server is on the same device, as a developer's: an app that is developed at http://localhost is as good as anywhere.
	r.changeClient("app", func(c *storage.Client) { c.RedirectURIs = append(c.RedirectURIs, localURI, schemeURI) })
	p.atClient(p.authorize(request("app", localURI, "prompt", "none")), localURI)
	p.wantError(p.authorize(request("app", schemeURI, "prompt", "none")), schemeURI, "consent_required")
	r.changeClient("app", func(c *storage.Client) { c.FirstParty = true })
	for _, uri := range []string{uri, localURI, schemeURI} {
		p.atClient(p.authorize(request("app", uri, "prompt", "none")), uri)
	}
}

// Redirect URIs of public clients beside http://127.0.0.1.
const (
	localURI  = "http://localhost:8083/callback"
	schemeURI = "com.example.app:/callback"
)

// RFC 8252 §8.6, as above, where the server is not on the device: http://localhost is a port there like any other, and of a
// client that is not asked for consent the person sees that it asks.
func TestARequestOfAnAppOnAnotherDeviceIsNeverAnsweredWithoutThePerson(t *testing.T) {
	g := newGuest(t)
	g.code()
	open := func(client, uri string, pairs ...string) page {
		return g.open(pathPrefix + "/oauth2/auth?" + request(client, uri, pairs...).Encode())
	}
	wantCode := func(pg page, uri string, ok bool) {
		t.Helper()
		if got := strings.HasPrefix(pg.at, uri) && strings.Contains(pg.at, "code="); got != ok {
			t.Errorf("%s: code=%v at %s", uri, got, pg.at)
		}
	}
	uris := []string{"http://127.0.0.1:5000/callback", localURI, schemeURI}
	g.changeClient("app", func(c *storage.Client) { c.RedirectURIs = append(c.RedirectURIs, localURI, schemeURI) })
	g.changeClient("spa", func(c *storage.Client) { c.FirstParty = true })
	g.changeClient("ours", func(c *storage.Client) { c.RedirectURIs = append(c.RedirectURIs, localURI) })
	wantCode(open("spa", spaURI, "prompt", "none"), spaURI, true)
	wantCode(open("ours", localURI, "prompt", "none"), localURI, true) // it proves who it is
	for _, uri := range uris {
		pg := open("app", uri)
		wantCode(g.submit(g.form(pg, pathPrefix+"/consent"), "decision", "allow", "remember", "1"), uri, true)
		if pg := open("app", uri, "prompt", "none"); !strings.Contains(pg.at, "error=consent_required") {
			t.Errorf("%s: silent: %s", uri, pg.at)
		}
	}
	g.changeClient("app", func(c *storage.Client) { c.FirstParty = true })
	for _, uri := range uris {
		if pg := open("app", uri, "prompt", "none"); !strings.Contains(pg.at, "error=interaction_required") {
			t.Errorf("%s, first party: silent: %s", uri, pg.at)
		}
		req := g.post(g.form(open("app", uri), pathPrefix+"/login/choose"), "decision", "continue")
		req.Header.Set("Origin", pathHost)
		back := strings.TrimPrefix(g.send(req).Header.Get("Location"), pathHost)
		wantCode(g.open(back), uri, true)
		for _, again := range []page{g.open(back), open("app", uri)} { // the answer of before is none
			if !again.has(pathPrefix + "/login/choose") {
				t.Errorf("%s, again: %d at %s", uri, again.StatusCode, again.at)
			}
		}
		pg := open("app", uri, "prompt", "consent") // which shows the same
		wantCode(g.submit(g.form(pg, pathPrefix+"/consent"), "decision", "allow"), uri, true)
		pg = open("app", uri, "prompt", "login") // signing in is being there
		wantCode(g.submit(g.form(pg, pathPrefix+"/login"), "username", "alice", "password", "wonderland"), uri, true)
	}
}

// What is kept of a request is bounded.
func TestALongNonceAndOddNamesOfClaimsAreNotKept(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	p.wantError(p.authorize(request("rp", rpRedirect, "nonce", strings.Repeat("n", 1025))), rpRedirect, "invalid_request")
	p.code(request("rp", rpRedirect, "nonce", strings.Repeat("n", 1024), "claims", `{"userinfo":{"`+strings.Repeat("c", 65)+`":null,"email":null}}`))
	c, err := storage.Consents{Entries: r.store}.Consent(t.Context(), "usr_alice", "rp")
	must(t, err)
	if !slices.Equal(c.Claims, []string{"email"}) {
		t.Errorf("kept %v", c.Claims)
	}
}
