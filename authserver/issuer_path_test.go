package authserver_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/storage"
)

// An issuer may have a path: https://id.example.test/auth. Everything is below it then, and nothing beside it.
const (
	pathHost   = "https://id.example.test"
	pathPrefix = "/auth"
	pathIssuer = pathHost + pathPrefix
)

// guest is a person at a browser of a server below a path. Addresses are those of the host, as a browser sees them.
type guest struct {
	*person
	home *url.URL
}

func newGuest(t *testing.T) *guest {
	t.Helper()
	r := newRig(t, func(c *authserver.Config, _ *authserver.Dependencies) { c.Issuer = pathIssuer }).seedSignIn()
	r.changeClient("ours", func(c *storage.Client) {
		c.PostLogoutRedirectURIs = []string{"https://ours.example.test/bye"}
		c.FrontchannelLogoutURI = "https://ours.example.test/front"
	})
	jar, err := cookiejar.New(nil)
	must(t, err)
	where, err := url.Parse(pathHost)
	must(t, err)
	return &guest{person: &person{rig: r, t: t, jar: jar}, home: where}
}

// send makes one request, with and for the cookies of the browser. Every cookie is one of the whole host.
func (g *guest) send(req *http.Request) response {
	g.t.Helper()
	for _, c := range g.jar.Cookies(g.home) {
		req.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	g.ServeHTTP(rec, req)
	for _, c := range rec.Result().Cookies() {
		// RFC 6265bis §4.1.3.2: a browser takes __Host- only so.
		if !strings.HasPrefix(c.Name, "__Host-") || c.Path != "/" || c.Domain != "" || !c.Secure || !c.HttpOnly {
			g.t.Errorf("%s: the cookie %v", req.URL, c)
		}
	}
	g.jar.SetCookies(g.home, rec.Result().Cookies())
	return read(g.t, rec.Result())
}

// open follows redirects as long as they stay below the path; one to elsewhere on the host is a mistake.
func (g *guest) open(address string) page { return g.arrive(address, g.send(get(address))) }

func (g *guest) arrive(at string, res response) page {
	g.t.Helper()
	for range 10 {
		target := res.Header.Get("Location")
		if target == "" {
			pg := g.parse(at, res)
			g.wantLinksBelow(pg)
			return pg
		}
		target = strings.TrimPrefix(target, pathHost)
		if !strings.HasPrefix(target, "/") {
			return page{response: res, at: target}
		}
		if !strings.HasPrefix(target, pathPrefix+"/") {
			g.t.Fatalf("%s leads to %s, which is not below the issuer", at, target)
		}
		at, res = target, g.send(get(target))
	}
	g.t.Fatal("redirected in circles")
	return page{}
}

func (g *guest) submit(f webForm, pairs ...string) page {
	g.t.Helper()
	req := g.post(f, pairs...)
	req.Header.Set("Origin", pathHost)
	return g.arrive(f.action, g.send(req))
}

func (g *guest) authorize(pairs ...string) page {
	return g.open(pathPrefix + "/oauth2/auth?" + request("ours", oursURI, pairs...).Encode())
}

var linkPattern = regexp.MustCompile(`(?:href|src|action)="(/[^"]*)"`)

// wantLinksBelow follows what a page loads and looks at where it leads.
func (g *guest) wantLinksBelow(pg page) {
	g.t.Helper()
	for _, m := range linkPattern.FindAllStringSubmatch(pg.raw, -1) {
		if !strings.HasPrefix(m[1], pathPrefix+"/") {
			g.t.Errorf("the page at %s has the link %s", pg.at, m[1])
		}
		if strings.HasPrefix(m[1], pathPrefix+"/assets/") {
			if res := g.do(get(m[1])); res.StatusCode != http.StatusOK {
				g.t.Errorf("%s: %d", m[1], res.StatusCode)
			}
		}
	}
}

// code signs alice in where she is asked, and answers the code.
func (g *guest) code(pairs ...string) string {
	g.t.Helper()
	pg := g.authorize(pairs...)
	if pg.has(pathPrefix + "/login") {
		pg = g.submit(g.form(pg, pathPrefix+"/login"), "username", "alice", "password", "wonderland")
	}
	at, err := url.Parse(pg.at)
	must(g.t, err)
	if q := at.Query(); !strings.HasPrefix(pg.at, oursURI) || q.Get("code") == "" || q.Get("iss") != pathIssuer {
		g.t.Fatalf("the browser is at %s: %s", pg.at, pg.raw)
	}
	return at.Query().Get("code")
}

// at puts an endpoint's form below the path.
func at(path string, pairs ...string) *http.Request { return form(pathPrefix+path, pairs...) }

func (g *guest) redeemed(code string) response {
	g.t.Helper()
	return g.do(basic(at("/oauth2/token", "grant_type", "authorization_code", "code", code, "redirect_uri", oursURI,
		"code_verifier", verifier), "ours", "ours-secret"))
}

func TestAWholeSignInWorksBelowThePathOfTheIssuer(t *testing.T) {
	g := newGuest(t)
	pg := g.authorize("prompt", "login consent")
	wrong := g.submit(g.form(pg, pathPrefix+"/login"), "username", "alice", "password", "wrong")
	if got := wrong.Header.Get("WWW-Authenticate"); wrong.StatusCode != http.StatusUnauthorized || !strings.Contains(got, `form-action="/auth/login"`) {
		t.Errorf("a wrong password: %d, %s", wrong.StatusCode, got)
	}
	// The language changes on the way, and the request stays what it was.
	pg = g.submit(g.form(wrong, pathPrefix+"/language"), "language", "ko")
	if pg.Header.Get("Content-Language") != "ko" || !strings.HasPrefix(pg.at, pathPrefix+"/oauth2/auth?") {
		t.Errorf("after the choice of a language: %s in %s", pg.at, pg.Header.Get("Content-Language"))
	}
	pg = g.submit(g.form(pg, pathPrefix+"/login"), "username", "alice", "password", "wonderland")
	pg = g.submit(g.form(pg, pathPrefix+"/consent"), "decision", "allow", "remember", "1")
	arrived, err := url.Parse(pg.at)
	must(t, err)
	tokens := g.redeemed(arrived.Query().Get("code"))
	if tokens.StatusCode != http.StatusOK || arrived.Query().Get("iss") != pathIssuer {
		t.Fatalf("%s, then %d %s", pg.at, tokens.StatusCode, tokens.raw)
	}
	who := get(pathPrefix + "/userinfo")
	who.Header.Set("Authorization", "Bearer "+tokens.str("access_token"))
	if res := g.do(who); res.StatusCode != http.StatusOK || res.str("sub") != "usr_alice" {
		t.Errorf("userinfo: %d %s", res.StatusCode, res.raw)
	}
	// One sign-in for all: silent now, and the choice of an account leads back as well.
	g.code("prompt", "none")
	pg = g.authorize("prompt", "select_account")
	pg = g.submit(g.form(pg, pathPrefix+"/login/choose"), "decision", "continue")
	if !strings.HasPrefix(pg.at, oursURI+"?code=") {
		t.Errorf("after the choice of an account: %s", pg.at)
	}
	pushed := g.do(basic(at("/oauth2/par", "response_type", "code", "redirect_uri", oursURI, "scope", "openid",
		"code_challenge", challenge(verifier), "code_challenge_method", "S256"), "ours", "ours-secret"))
	pg = g.open(pathPrefix + "/oauth2/auth?" + url.Values{"client_id": {"ours"}, "request_uri": {pushed.str("request_uri")}}.Encode())
	if !strings.HasPrefix(pg.at, oursURI+"?code=") {
		t.Errorf("a pushed request (%d): %s", pushed.StatusCode, pg.at)
	}
	if pg := g.open(pathPrefix + "/oauth2/auth?client_id=nobody"); pg.StatusCode != http.StatusBadRequest || !strings.Contains(pg.raw, "nobody") {
		t.Errorf("an unknown client: %d", pg.StatusCode)
	}
}

func TestTheAccountPageAndSigningOutWorkBelowThePathOfTheIssuer(t *testing.T) {
	g := newGuest(t)
	g.code()
	pg := g.open(pathPrefix + "/account")
	pg = g.submit(g.form(pg, pathPrefix+"/account/password"), "current", "wonderland",
		"new", "through the looking glass", "repeat", "through the looking glass", "end_others", "1")
	if pg.StatusCode != http.StatusOK || pg.at != pathPrefix+"/account?done=password" {
		t.Fatalf("after the new password: %d at %s", pg.StatusCode, pg.at)
	}
	// The grant of before has ended with the password: a new one for the list.
	hint := g.redeemed(g.code()).str("id_token")
	pg = g.open(pathPrefix + "/account")
	if pg = g.submit(g.form(pg, pathPrefix+"/account/apps/remove")); pg.at != pathPrefix+"/account?done=app" {
		t.Errorf("after the removal of an app: %s", pg.at)
	}
	// By POST from another site, and so without cookies first (SameSite).
	foreign := httptest.NewRequest(http.MethodPost, pathPrefix+"/oauth2/logout", strings.NewReader(url.Values{
		"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://ours.example.test/bye"}, "state": {"s"},
	}.Encode()))
	foreign.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	foreign.Header.Set("Origin", "https://ours.example.test")
	rec := httptest.NewRecorder()
	g.ServeHTTP(rec, foreign)
	pg = g.arrive(pathPrefix+"/oauth2/logout", read(t, rec.Result()))
	frame := `src="https://ours.example.test/front?iss=` + url.QueryEscape(pathIssuer)
	if pg.StatusCode != http.StatusOK || !strings.Contains(pg.raw, frame) || !strings.Contains(pg.raw, "https://ours.example.test/bye?state=s") {
		t.Errorf("signed out: %d at %s: %s", pg.StatusCode, pg.at, pg.raw)
	}
	if pg := g.open(pathPrefix + "/account"); pg.at != pathPrefix+"/login" {
		t.Errorf("the account page afterwards is at %s", pg.at)
	}
	if pg := g.authorize("prompt", "none"); !strings.Contains(pg.at, "error=login_required") {
		t.Errorf("still signed in: %s", pg.at)
	}
	// And the question, for whom no hint speaks.
	pg = g.open(pathPrefix + "/login")
	g.submit(g.form(pg, pathPrefix+"/login"), "username", "alice", "password", "through the looking glass")
	pg = g.open(pathPrefix + "/logout")
	if pg = g.submit(g.form(pg, pathPrefix+"/logout")); pg.StatusCode != http.StatusOK || pg.at != pathPrefix+"/logout" {
		t.Errorf("after the answer: %d at %s", pg.StatusCode, pg.at)
	}
}

// RFC 8414 §3.1, OIDC Discovery §4.1.
func TestTheMetadataOfAnIssuerWithAPathIsWhereBothSpecificationsLookForIt(t *testing.T) {
	g := newGuest(t)
	for _, address := range []string{
		pathPrefix + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + pathPrefix,
	} {
		res := g.do(get(address))
		if res.StatusCode != http.StatusOK || res.str("issuer") != pathIssuer {
			t.Errorf("%s: %d %s", address, res.StatusCode, res.raw)
		}
		for name, value := range res.body {
			text, isText := value.(string)
			if isText && strings.HasPrefix(text, pathHost) && name != "issuer" && !strings.HasPrefix(text, pathIssuer+"/") {
				t.Errorf("%s is %s", name, text)
			}
			if !isText || !strings.HasPrefix(text, pathIssuer+"/") {
				continue
			}
			if res := g.do(get(strings.TrimPrefix(text, pathHost))); res.StatusCode == http.StatusNotFound {
				t.Errorf("%s: nothing is at %s", name, text)
			}
		}
	}
	for _, address := range []string{
		"/", pathPrefix, "/login", "/account", "/authx/login", "/oauth2/token", "/userinfo", "/auth/auth/login", "//auth/login",
		"/auth//login", "/auth/../account",
	} {
		if res := g.do(get("https://id.example.test" + address)); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", address, res.StatusCode)
		}
	}
}
