package authserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/ingam/ingam/storage"
)

// A person at a browser, without scripts: cookies, pages, forms.

const (
	rpRedirect = "https://rp.example.test/callback"
	spaURI     = "https://spa.example.test/callback"
	appURI     = "http://127.0.0.1/callback"
	verifier   = "a-verifier-of-at-least-forty-three-characters-0123"
)

// challenge is the S256 challenge of a verifier.
func challenge(verifier string) string {
	digest := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// signInScopes are what the clients below may ask for.
var signInScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access", "read"}

// seedSignIn adds the clients that sign people in:
//
//	rp      confidential, authorization_code + refresh_token, rpRedirect (also with a query of its own)
//	spa     public, the same, spaURI
//	app     public, the same, appURI: any port
//	ours    confidential, first party, its grants end with the session
//	modes   confidential, all response modes
//	plain   confidential, no refresh_token
func (r *rig) seedSignIn() *rig {
	r.t.Helper()
	code := []string{"authorization_code", "refresh_token"}
	for _, c := range []storage.Client{
		{ID: "rp", Name: "Relying Party", Secrets: secret("rp-secret"), RedirectURIs: []string{rpRedirect, rpRedirect + "?own=1"}},
		{ID: "spa", Name: "Single Page", Public: true, RedirectURIs: []string{spaURI}},
		{ID: "app", Name: "App", Public: true, RedirectURIs: []string{appURI}},
		{ID: "ours", Name: "Ours", Secrets: secret("ours-secret"), RedirectURIs: []string{"https://ours.example.test/cb"}, FirstParty: true, SessionBound: true},
		{ID: "modes", Name: "Modes", Secrets: secret("modes-secret"), RedirectURIs: []string{"https://modes.example.test/cb"}, FirstParty: true, ResponseModes: []string{"query", "form_post", "fragment"}},
		{ID: "plain", Name: "Plain", Secrets: secret("plain-secret"), RedirectURIs: []string{"https://plain.example.test/cb"}, FirstParty: true, GrantTypes: []string{"authorization_code"}},
	} {
		if c.GrantTypes == nil {
			c.GrantTypes = code
		}
		c.Scopes, c.DefaultScopes, c.Audience = signInScopes, []string{"openid"}, []string{apiAud}
		ignoreExists(r.t, r.store.CreateClient(r.t.Context(), c))
	}
	return r
}

// request is an authorization request of a client as it would be; pairs replace parameters, "" removes one.
func request(client, redirect string, pairs ...string) url.Values {
	q := url.Values{
		"client_id": {client}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid profile"},
		"state": {"st"}, "nonce": {"no"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return q
}

// person is somebody at a browser.
type person struct {
	*rig
	t   testing.TB
	jar *cookiejar.Jar
}

func (r *rig) person() *person {
	jar, err := cookiejar.New(nil)
	must(r.t, err)
	return &person{rig: r, t: r.t, jar: jar}
}

var home, _ = url.Parse(issuer)

// send makes one request with the cookies of the browser.
func (p *person) send(req *http.Request) response {
	p.t.Helper()
	for _, c := range p.jar.Cookies(home) {
		req.AddCookie(c)
	}
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, req)
	p.jar.SetCookies(home, rec.Result().Cookies())
	return read(p.t, rec.Result())
}

// page is a document, where it is, and its forms.
type page struct {
	response
	at    string
	forms []webForm
	text  string
}

type webForm struct {
	action, method string
	fields         url.Values
}

// open opens an address of this server and follows redirects that stay here.
func (p *person) open(address string) page {
	p.t.Helper()
	return p.follow(address, p.send(get(address)))
}

func (p *person) follow(at string, res response) page {
	p.t.Helper()
	for range 10 {
		target := res.Header.Get("Location")
		if target == "" {
			return p.parse(at, res)
		}
		if res.StatusCode != http.StatusSeeOther {
			p.t.Errorf("A12: redirected with %d", res.StatusCode)
		}
		inside, ok := strings.CutPrefix(target, issuer)
		if !ok {
			if !strings.HasPrefix(target, "/") {
				return page{response: res, at: target}
			}
			inside = target
		}
		at = inside
		res = p.send(get(inside))
	}
	p.t.Fatal("redirected in circles")
	return page{}
}

func (p *person) parse(at string, res response) page {
	p.t.Helper()
	out := page{response: res, at: at}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		return out
	}
	doc, err := html.Parse(strings.NewReader(res.raw))
	must(p.t, err)
	var current *webForm
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		attr := func(name string) string {
			for _, a := range n.Attr {
				if a.Key == name {
					return a.Val
				}
			}
			return ""
		}
		if n.Type == html.TextNode {
			out.text += n.Data + " "
		}
		if n.Type == html.ElementNode {
			switch n.Data {
			case "form":
				out.forms = append(out.forms, webForm{action: attr("action"), method: attr("method"), fields: url.Values{}})
				current = &out.forms[len(out.forms)-1]
				for c := range n.ChildNodes() {
					walk(c)
				}
				current = nil
				return
			case "input":
				if current != nil && attr("name") != "" && attr("type") != "checkbox" && attr("type") != "submit" {
					current.fields.Add(attr("name"), attr("value"))
				}
			}
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	walk(doc)
	return out
}

// form is the one whose action is that path.
func (p *person) form(pg page, action string) webForm {
	p.t.Helper()
	for _, f := range pg.forms {
		if f.action == action {
			return f
		}
	}
	p.t.Fatalf("no form to %s on this page (%d at %s): %s", action, pg.StatusCode, pg.at, pg.raw)
	return webForm{}
}

// submit posts a form with some fields filled in, and goes where that leads.
func (p *person) submit(f webForm, pairs ...string) page {
	p.t.Helper()
	return p.follow(f.action, p.send(p.post(f, pairs...)))
}

func (p *person) post(f webForm, pairs ...string) *http.Request {
	fields := url.Values{}
	for name, values := range f.fields {
		fields[name] = values
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields.Set(pairs[i], pairs[i+1])
	}
	req := httptest.NewRequest(http.MethodPost, f.action, strings.NewReader(fields.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Origin", issuer)
	return req
}

// authorize opens an authorization request.
func (p *person) authorize(q url.Values) page {
	p.t.Helper()
	return p.open("/oauth2/auth?" + q.Encode())
}

// signInAt fills in the sign-in form of a page.
func (p *person) signInAt(pg page, username, password string) page {
	p.t.Helper()
	return p.submit(p.form(pg, "/login"), "username", username, "password", password)
}

// allow allows what a consent page asks, and has it remembered.
func (p *person) allow(pg page) page {
	p.t.Helper()
	return p.submit(p.form(pg, "/consent"), "decision", "allow", "remember", "1")
}

// atClient reads what the browser brought to the client: it must be there.
func (p *person) atClient(pg page, redirect string) url.Values {
	p.t.Helper()
	rest, ok := strings.CutPrefix(pg.at, redirect)
	if !ok || pg.StatusCode != http.StatusSeeOther {
		p.t.Fatalf("the browser is at %s (%d), not at the client: %s", pg.at, pg.StatusCode, pg.raw)
	}
	q, err := url.ParseQuery(strings.TrimLeft(rest, "?#&"))
	must(p.t, err)
	if q.Get("iss") != issuer {
		p.t.Errorf("A7: iss is %q (RFC 9207 §2)", q.Get("iss"))
	}
	return q
}

// wantError fails unless the client got that error.
func (p *person) wantError(pg page, redirect, code string) url.Values {
	p.t.Helper()
	q := p.atClient(pg, redirect)
	if q.Get("error") != code || q.Has("code") {
		p.t.Fatalf("got %v, want error %s", q, code)
	}
	return q
}

// code goes all the way for alice: signs in where asked, allows where asked.
func (p *person) code(q url.Values) string {
	p.t.Helper()
	pg := p.authorize(q)
	if pg.has("/login") {
		pg = p.signInAt(pg, "alice", "wonderland")
	}
	if pg.has("/consent") {
		pg = p.allow(pg)
	}
	code := p.atClient(pg, q.Get("redirect_uri")).Get("code")
	if code == "" {
		p.t.Fatalf("no code: %s", pg.at)
	}
	return code
}

func (pg page) has(action string) bool {
	for _, f := range pg.forms {
		if f.action == action {
			return true
		}
	}
	return false
}

// redeem redeems a code as a client with a secret, or without one if it is "".
func (r *rig) redeem(client, secret, redirect, code string, pairs ...string) response {
	r.t.Helper()
	all := append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", redirect}, pairs...)
	if len(pairs) == 0 {
		all = append(all, "code_verifier", verifier)
	}
	if secret == "" {
		return r.token(append(all, "client_id", client)...)
	}
	return r.do(basic(form("/oauth2/token", all...), client, secret))
}

// userinfo asks for the claims of the user.
func (r *rig) userinfo(token string) response {
	r.t.Helper()
	req := get("/userinfo")
	req.Header.Set("Authorization", "Bearer "+token)
	return r.do(req)
}
