package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/oauth2"
)

// person is somebody with a browser without scripts, who reads pages and sends their forms.
type person struct {
	t      *testing.T
	client *http.Client
	at     *url.URL
	status int
	page   string
}

func newPerson(t *testing.T) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &person{t: t, client: &http.Client{Jar: jar, Timeout: patience}}
}

func (p *person) open(address string) {
	p.t.Helper()
	answer, err := p.client.Get(address)
	p.read(answer, err)
}

func (p *person) read(answer *http.Response, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		p.t.Fatal(err)
	}
	p.at, p.status, p.page = answer.Request.URL, answer.StatusCode, string(body)
}

// send fills the form with that action and sends it.
func (p *person) send(action string, fill ...string) {
	p.t.Helper()
	root, err := html.Parse(strings.NewReader(p.page))
	if err != nil {
		p.t.Fatal(err)
	}
	values := url.Values{}
	found := false
	attr := func(n *html.Node, name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	for n := range root.Descendants() {
		if n.Data != "form" || attr(n, "action") != action {
			continue
		}
		found = true
		for field := range n.Descendants() {
			if field.Data == "input" && attr(field, "type") == "hidden" {
				values.Add(attr(field, "name"), attr(field, "value"))
			}
		}
	}
	if !found {
		p.t.Fatalf("%s has no form for %s:\n%s", p.at, action, p.page)
	}
	for i := 0; i+1 < len(fill); i += 2 {
		values.Set(fill[i], fill[i+1])
	}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.at.ResolveReference(&url.URL{Path: action}).String(),
		strings.NewReader(values.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", p.at.Scheme+"://"+p.at.Host)
	answer, err := p.client.Do(r)
	p.read(answer, err)
}

func (p *person) sees(want string) {
	p.t.Helper()
	if !strings.Contains(p.page, want) {
		p.t.Fatalf("%s (%d) does not say %q:\n%s", p.at.Path, p.status, want, p.page)
	}
}

const (
	nobodyHere = "Nobody is signed in here"
	aliceHere  = `Signed in as <strong id="name">Alice Liddell</strong>`
)

// spaTokens does in this browser what the page of the single-page application does when it is loaded: it asks without
// showing anything. The answer is nil if nobody is signed in.
func (p *person) spaTokens(facts devFacts) *oauth2.Token {
	p.t.Helper()
	config := oauth2.Config{
		ClientID: demoSPAClient, RedirectURL: facts.Apps.SPA + "/callback", Scopes: []string{"openid", "profile"},
		Endpoint: oauth2.Endpoint{AuthURL: facts.Issuer + "/oauth2/auth", TokenURL: facts.Issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	verifier := oauth2.GenerateVerifier()
	p.open(config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "none")))
	back := p.at.Query()
	if p.at.Path != "/callback" || back.Get("iss") != facts.Issuer || back.Get("state") != "state" {
		p.t.Fatalf("prompt=none ends at %s", p.at)
	}
	if back.Get("error") == "login_required" {
		return nil
	}
	token, err := config.Exchange(p.t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		p.t.Fatal(err)
	}
	return token
}

// The promise of the two applications: one sign-in for both, one sign-out for both.
func TestOneLoginServesBothDemoApplicationsAndOneLogoutEndsBoth(t *testing.T) {
	_, facts := startDev(t, filepath.Join(t.TempDir(), "dev"))
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	alice := newPerson(t)
	t.Cleanup(alice.client.CloseIdleConnections)
	alice.open(facts.Apps.Web + "/")
	alice.sees(nobodyHere)
	if alice.spaTokens(facts) != nil {
		t.Fatal("signed in before signing in")
	}
	alice.open(facts.Apps.Web + "/login")
	alice.send("/login", "username", "alice", "password", "wonderland")
	alice.send("/consent", "decision", "allow", "remember", "1") // demo-web is not the operator's own
	alice.sees(aliceHere)
	alice.sees("&#34;username&#34;: &#34;alice&#34;") // the answer of the resource server

	// The other application needs no form at all.
	spa := alice.spaTokens(facts)
	if spa == nil {
		t.Fatal("the other application does not know alice")
	}
	assertAlice(t, facts, spa.AccessToken)
	if status, _ := get(t, http.DefaultClient, facts.Issuer+"/userinfo", "Authorization", "Bearer "+spa.AccessToken); status != 200 {
		t.Errorf("userinfo: %d", status)
	}
	if bob := newPerson(t); bob.spaTokens(facts) != nil {
		t.Error("another browser is signed in")
	}

	alice.open(facts.Apps.Web + "/")
	alice.send("/logout")
	assertOut(t, alice, facts, spa)

	// And from the other side. Consent is remembered.
	alice.open(facts.Apps.Web + "/login")
	alice.send("/login", "username", "alice", "password", "wonderland")
	alice.sees(aliceHere)
	spa = alice.spaTokens(facts)
	id, ok := spa.Extra("id_token").(string)
	if !ok {
		t.Fatal("no ID token")
	}
	alice.open(facts.Issuer + "/oauth2/logout?" + url.Values{
		"id_token_hint": {id}, "post_logout_redirect_uri": {facts.Apps.SPA + "/"}, "state": {"s"},
	}.Encode())
	assertOut(t, alice, facts, spa)
}

// assertOut asserts that nobody is signed in any more, and that what the tokens allowed is over.
func assertOut(t *testing.T, p *person, facts devFacts, spa *oauth2.Token) {
	t.Helper()
	// The back channel may take a moment.
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if p.open(facts.Apps.Web + "/"); strings.Contains(p.page, nobodyHere) {
			break
		}
	}
	if p.open(facts.Apps.Web + "/"); !strings.Contains(p.page, nobodyHere) {
		t.Errorf("still signed in at the web application:\n%s", p.page)
	}
	if p.spaTokens(facts) != nil {
		t.Error("still signed in at the authorization server")
	}
	if status, _ := get(t, http.DefaultClient, facts.Issuer+"/userinfo", "Authorization", "Bearer "+spa.AccessToken); status != 401 {
		t.Errorf("userinfo after signing out: %d", status)
	}
	if status, got := askToken(t, facts.Issuer, "grant_type", "refresh_token", "client_id", demoSPAClient, "refresh_token", spa.RefreshToken); status != 400 || got.Error != "invalid_grant" {
		t.Errorf("refresh after signing out: %d %+v", status, got)
	}
}
