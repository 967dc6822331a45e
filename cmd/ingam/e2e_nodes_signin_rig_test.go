//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Clients of the tests that sign people in at several nodes.
const (
	shopURI = "https://shop.example.test/callback"
	ownURI  = "https://own.example.test/callback"
)

// nodesBrowser is a person at a browser whose requests go to some of the nodes in turn, as a balancer sends them. What it
// is told to go to next, at the issuer, is at whichever node has its turn.
type nodesBrowser struct {
	client *http.Client // with the cookies; they count for all nodes, which have one address
	issuer string
	among  []*serverNode
	turn   *atomic.Uint64
	from   string // X-Forwarded-For, if it is not empty
}

// nodesPage is where a visit ends.
type nodesPage struct {
	answer
	at    string                // the address at the issuer, or all of it elsewhere
	forms map[string]url.Values // by action
}

// browser opens a browser with nothing in it.
func (c *nodes) browser(t testing.TB) *nodesBrowser {
	t.Helper()
	client := nodesClient(t)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var err error
	if client.Jar, err = cookiejar.New(nil); err != nil {
		t.Fatal(err)
	}
	return &nodesBrowser{client: client, issuer: c.issuer, among: c.all, turn: new(atomic.Uint64)}
}

// at is the same browser, sent to these nodes.
func (b *nodesBrowser) at(among ...*serverNode) *nodesBrowser {
	same := *b
	same.among = among
	return &same
}

// copied is another browser with the cookies that this one has now.
func (b *nodesBrowser) copied(t testing.TB, c *nodes) *nodesBrowser {
	t.Helper()
	other := c.browser(t)
	home, err := url.Parse(c.all[0].public)
	if err != nil {
		t.Fatal(err)
	}
	cookies := b.client.Jar.Cookies(home)
	for _, cookie := range cookies {
		cookie.Path = "/"
	}
	other.client.Jar.SetCookies(home, cookies)
	return other
}

// send makes one request.
func (b *nodesBrowser) send(method, address string, form url.Values) (answer, error) {
	n := b.among[b.turn.Add(1)%uint64(len(b.among))]
	headers := []string{"Accept", "text/html"}
	if method == http.MethodPost {
		headers = append(headers, "Content-Type", "application/x-www-form-urlencoded", "Origin", b.issuer, "Sec-Fetch-Site", "same-origin")
	}
	if b.from != "" {
		headers = append(headers, "X-Forwarded-For", b.from)
	}
	return ask(b.client, method, n.public+address, form.Encode(), headers...)
}

// open opens an address at the issuer and goes where that leads.
func (b *nodesBrowser) open(address string) (nodesPage, error) {
	return b.visit(http.MethodGet, address, nil)
}

// submit sends a form of a page with some fields filled in, and goes where that leads.
func (b *nodesBrowser) submit(pg nodesPage, action string, fields ...string) (nodesPage, error) {
	form, ok := pg.forms[action]
	if !ok {
		return pg, fmt.Errorf("no form to %s at %s: %v", action, pg.at, pg.answer)
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.visit(http.MethodPost, action, form)
}

func (b *nodesBrowser) visit(method, address string, form url.Values) (nodesPage, error) {
	for range 10 {
		a, err := b.send(method, address, form)
		if err != nil {
			return nodesPage{}, err
		}
		target := a.header.Get("Location")
		if target == "" {
			forms, err := formsOf(a.body)
			return nodesPage{a, address, forms}, err
		}
		inside := strings.TrimPrefix(target, b.issuer)
		if !strings.HasPrefix(inside, "/") {
			return nodesPage{a, target, nil}, nil
		}
		method, address, form = http.MethodGet, inside, nil
	}
	return nodesPage{}, fmt.Errorf("redirected in circles, now at %s", address)
}

// mustPage is for visits whose failure ends the test, in the goroutine of the test.
func mustPage(t *testing.T) func(nodesPage, error) nodesPage {
	t.Helper()
	return func(pg nodesPage, err error) nodesPage {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return pg
	}
}

// signInRequest is the address of an authorization request.
func signInRequest(clientID, redirect string, more ...string) string {
	return "/oauth2/auth?" + encode(append([]string{
		"client_id", clientID, "redirect_uri", redirect, "response_type", "code", "scope", "openid profile", "state", "s",
	}, more...)...)
}

// arrived answers a parameter that the browser brought to a client; "" if it is elsewhere.
func (pg nodesPage) arrived(redirect, name string) string {
	rest, ok := strings.CutPrefix(pg.at, redirect+"?")
	if !ok || pg.status != http.StatusSeeOther {
		return ""
	}
	q, _ := url.ParseQuery(rest)
	return q.Get(name)
}

// code goes all the way for carol: signs in where asked, allows where asked.
func (b *nodesBrowser) code(t *testing.T, address, redirect string) string {
	t.Helper()
	pg := mustPage(t)(b.open(address))
	if _, ok := pg.forms["/login"]; ok {
		pg = mustPage(t)(b.submit(pg, "/login", "username", "carol", "password", carolsPassword))
	}
	if _, ok := pg.forms["/consent"]; ok {
		pg = mustPage(t)(b.submit(pg, "/consent", "decision", "allow", "remember", "1"))
	}
	code := pg.arrived(redirect, "code")
	if code == "" {
		t.Fatalf("no code, but at %s: %v", pg.at, pg.answer)
	}
	return code
}

// webClient is a confidential client of these tests.
type webClient struct{ id, secret, redirect string }

func (n *serverNode) addWebClient(t *testing.T, id, redirect string, flags ...string) webClient {
	t.Helper()
	args := append([]string{
		"client", "add", id, "--kind", "web", "--redirect-uri", redirect, "--audience", apiAudience, "-o", "json",
	}, flags...)
	return webClient{id, secretOf(t, n.cli(t, "", args...)), redirect}
}

// redeem redeems a code at a node.
func (w webClient) redeem(client *http.Client, n *serverNode, code string) (answer, error) {
	return post(client, n.public+"/oauth2/token", "grant_type", "authorization_code", "code", code, "redirect_uri", w.redirect,
		"client_id", w.id, "client_secret", w.secret)
}

// refresh redeems a refresh token at a node.
func (w webClient) refresh(client *http.Client, n *serverNode, token string) (answer, error) {
	return post(client, n.public+"/oauth2/token", "grant_type", "refresh_token", "refresh_token", token,
		"client_id", w.id, "client_secret", w.secret)
}

// assertingClient authenticates by private_key_jwt (RFC 7523 §2.2).
type assertingClient struct {
	id     string
	issuer string
	signer jose.Signer
}

func (n *serverNode) addAssertingClient(t *testing.T, id, issuer string) assertingClient {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	n.cli(t, string(set), "client", "add", id, "--auth-method", "private_key_jwt", "--jwks-file", "-", "--grant-type", "client_credentials",
		"--scope", "reports.read", "--audience", apiAudience)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return assertingClient{id, issuer, signer}
}

// assertion makes a fresh one.
func (a assertingClient) assertion(t *testing.T) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{
		"iss": a.id, "sub": a.id, "aud": a.issuer, "jti": rand.Text(), "exp": time.Now().Add(time.Minute).Unix(),
	})
	if err != nil {
		t.Fatal(err)
	}
	object, err := a.signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// token asks for a token with an assertion.
func (assertingClient) token(client *http.Client, n *serverNode, assertion string) (answer, error) {
	return post(client, n.public+"/oauth2/token", "grant_type", "client_credentials", "client_assertion", assertion,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
}

// claimOf reads a claim of a JWT whose signature others have checked.
func claimOf(token, name string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims map[string]any
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	text, _ := claims[name].(string)
	return text
}

// userinfoAlive counts the nodes that still answer userinfo for an access token.
func (c *nodes) userinfoAlive(t *testing.T, client *http.Client, token string) (alive int) {
	t.Helper()
	for _, n := range c.all {
		a := must(t)(ask(client, http.MethodGet, n.public+"/userinfo", "", "Authorization", "Bearer "+token))
		if a.status != http.StatusUnauthorized {
			alive++
			t.Errorf("%s: userinfo: %v", n.name, a)
		}
	}
	return alive
}

// allAtOnce does something many times at the same moment and returns what came of it.
func allAtOnce[T any](times int, do func(i int) T) []T {
	results, begin := make([]T, times), make(chan struct{})
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			<-begin
			results[i] = do(i)
		})
	}
	close(begin)
	wg.Wait()
	return results
}
