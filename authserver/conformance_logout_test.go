package authserver_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/outbound"
	"github.com/ingam/ingam/storage"
)

// endState has every kind of character that state may have (RFC 6749 appendix A.5), but for those that the suite leaves out
// because other servers do not bring them back.
const endState = "abcXYZ0189!\"#$%&'()*,-./:<=>?@[\\]^_`{|}~" + "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789"

// endSession is a logout request with all parameters; pairs replace some, "" removes one.
func endSession(hint string, pairs ...string) string {
	q := url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {suiteBye}, "state": {endState}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return "/oauth2/logout?" + q.Encode()
}

// loggedIn is a suite whose person has signed in, and what they got.
func loggedIn(t testing.TB, options ...option) (*suite, flow) {
	t.Helper()
	s := newSuite(t, "query", options...)
	return s, s.complete(s.request("state", strings.Repeat("s", 128)))
}

// wantLoggedOut fails unless prompt=none is an error now.
func (s *suite) wantLoggedOut() {
	s.t.Helper()
	s.refused(s.request("prompt", "none"), interaction...)
}

// wantBye fails unless the browser came back to the client, with nothing but the state if there is one.
func (s *suite) wantBye(at, state string) {
	s.t.Helper()
	u, err := url.Parse(at)
	must(s.t, err)
	want := url.Values{}
	if state != "" {
		want.Set("state", state)
	}
	if got := u.Query(); !strings.HasPrefix(at, suiteBye) || u.Path != "/post_logout_redirect" || got.Encode() != want.Encode() {
		s.t.Errorf("the browser is at %s", at)
	}
}

// oidcc-rp-initiated-logout, oidcc-rp-initiated-logout-no-state.
func TestConformanceALogoutLeadsBackToTheClient(t *testing.T) {
	for module, state := range map[string]string{"oidcc-rp-initiated-logout": endState, "oidcc-rp-initiated-logout-no-state": ""} {
		t.Run(module, func(t *testing.T) {
			s, f := loggedIn(t)
			pg := s.open(endSession(f.idToken, "state", state))
			s.wantBye(pg.at, state)
			s.wantLoggedOut()
		})
	}
}

// oidcc-rp-initiated-logout-bad-id-token-hint, -modified-id-token-hint, -no-id-token-hint, -bad-post-logout-redirect-uri,
// -query-added-to-post-logout-redirect-uri: a page, and the client's address is not gone to, not even by a person who says yes.
func TestConformanceALogoutThatProvesNothingStaysHere(t *testing.T) {
	other := func(name, value string) func(flow) []string {
		return func(flow) []string { return []string{name, value} }
	}
	for module, change := range map[string]func(f flow) []string{
		"oidcc-rp-initiated-logout-bad-id-token-hint":                       forged(t, bySecret),
		"oidcc-rp-initiated-logout-modified-id-token-hint":                  forged(t, unsigned),
		"oidcc-rp-initiated-logout-no-id-token-hint":                        other("id_token_hint", ""),
		"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri":            other("post_logout_redirect_uri", "https://suite.example.test/bad"),
		"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri": other("post_logout_redirect_uri", suiteBye+"?foo=bar"),
	} {
		t.Run(module, func(t *testing.T) {
			s, f := loggedIn(t)
			pg := s.open(endSession(f.idToken, change(f)...))
			wantPageHere(t, pg)
			if pg.has("/logout") {
				wantPageHere(t, s.submit(s.form(pg, "/logout")))
				s.wantLoggedOut()
				return
			}
			if pg.StatusCode != http.StatusBadRequest || !strings.Contains(pg.text, "post_logout_redirect_uri") {
				t.Errorf("got %d: %s", pg.StatusCode, pg.text)
			}
		})
	}
}

// forged puts another token with the same claims in the place of the hint.
func forged(t testing.TB, by func(t testing.TB, claims map[string]any) string) func(flow) []string {
	return func(f flow) []string { return []string{"id_token_hint", by(t, f.id.claims)} }
}

// wantPageHere fails unless the browser shows a page of this server that leads nowhere by itself.
func wantPageHere(t testing.TB, pg page) {
	t.Helper()
	if !strings.HasPrefix(pg.at, "/") || !strings.HasPrefix(pg.Header.Get("Content-Type"), "text/html") || pg.Header.Get("Location") != "" ||
		strings.Contains(pg.raw, `http-equiv="refresh"`) || strings.Contains(pg.raw, "data-go-on") {
		t.Errorf("got %d at %s: %s", pg.StatusCode, pg.at, pg.raw)
	}
}

// bySecret is a token with these claims that the client has signed itself.
func bySecret(t testing.TB, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	must(t, err)
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	mac := hmac.New(sha256.New, []byte("suite-secret"))
	_, _ = mac.Write([]byte(signed)) // never fails
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// oidcc-rp-initiated-logout-no-params, -only-state, -no-post-logout-redirect-uri: the person is logged out and told so; without
// an ID token they are asked before.
func TestConformanceALogoutWithoutAnAddressEndsOnAPage(t *testing.T) {
	for module, pairs := range map[string][]string{
		"oidcc-rp-initiated-logout-no-params":                   {"id_token_hint", "", "post_logout_redirect_uri", "", "state", ""},
		"oidcc-rp-initiated-logout-only-state":                  {"id_token_hint", "", "post_logout_redirect_uri", ""},
		"oidcc-rp-initiated-logout-no-post-logout-redirect-uri": {"post_logout_redirect_uri", ""},
	} {
		t.Run(module, func(t *testing.T) {
			s, f := loggedIn(t)
			pg := s.open(endSession(f.idToken, pairs...))
			if pairs[0] == "id_token_hint" {
				wantPageHere(t, pg)
				pg = s.submit(s.form(pg, "/logout"))
			}
			wantPageHere(t, pg)
			if pg.StatusCode != http.StatusOK || pg.has("/logout") {
				t.Errorf("got %d: %s", pg.StatusCode, pg.text)
			}
			s.wantLoggedOut()
		})
	}
}

// oidcc-backchannel-rp-initiated-logout.
func TestConformanceABackChannelLogout(t *testing.T) {
	got := make(chan *http.Request, 10)
	rp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.Header().Set("Cache-Control", "no-store")
		got <- r
	}))
	defer rp.Close()
	out, err := outbound.New(outbound.Config{AllowLoopbackHTTP: true, AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	must(t, err)
	s, f := loggedIn(t, func(_ *authserver.Config, d *authserver.Dependencies) { d.Outbound = out })
	s.changeClient("suite", func(c *storage.Client) { c.BackchannelLogoutURI = rp.URL + "/backchannel_logout" })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go s.Run(ctx)
	s.wantBye(s.open(endSession(f.idToken)).at, endState)
	var req *http.Request
	select {
	case req = <-got:
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	// OIDC Back-Channel Logout §2.5: a POST of the token and nothing else.
	contentType := req.Header.Get("Content-Type")
	if req.Method != http.MethodPost || !strings.HasPrefix(contentType, "application/x-www-form-urlencoded") || len(req.Form) != 1 {
		t.Errorf("%s %v: %v", req.Method, req.Header, req.Form)
	}
	token := s.verify(req.PostForm.Get("logout_token"))
	// §2.4
	now := float64(time.Now().Unix())
	if token.header["typ"] != "logout+jwt" || token.header["alg"] != f.id.header["alg"] || token.str("iss") != issuer ||
		token.claims["aud"] != "suite" || token.str("sub") != f.id.str("sub") || token.str("sid") != f.id.str("sid") ||
		token.str("jti") == "" || token.num("iat") < now-60 || token.num("iat") > now || token.num("exp") <= now {
		t.Errorf("header %v, claims %v", token.header, token.claims)
	}
	events, _ := token.claims["events"].(map[string]any)
	event, isObject := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
	if _, there := token.claims["nonce"]; there || len(events) != 1 || !isObject || len(event) != 0 {
		t.Errorf("claims %v", token.claims)
	}
	s.wantLoggedOut()
}

// oidcc-frontchannel-rp-initiated-logout: the browser loads the client's address with iss and sid, and then comes back.
func TestConformanceAFrontChannelLogout(t *testing.T) {
	const address = "https://suite.example.test/frontchannel_logout"
	s, f := loggedIn(t)
	s.changeClient("suite", func(c *storage.Client) { c.FrontchannelLogoutURI = address })
	pg := s.open(endSession(f.idToken))
	frame, err := url.Parse(attribute(t, pg, "iframe", "src"))
	must(t, err)
	want := url.Values{"iss": {issuer}, "sid": {f.id.str("sid")}}
	if base, _, _ := strings.Cut(frame.String(), "?"); base != address || frame.Query().Encode() != want.Encode() {
		t.Errorf("the frame is %s", frame)
	}
	if policy := pg.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-src https://suite.example.test;") {
		t.Errorf("the frame is not allowed: %s", policy)
	}
	s.wantBye(attribute(t, pg, "a", "href"), endState)
	if !strings.Contains(pg.raw, " data-go-on>") { // by the script; without one the person follows the link
		t.Errorf("the browser does not come back by itself: %s", pg.raw)
	}
	s.wantLoggedOut()
}

// attribute is the value of an attribute of the first element of that name.
func attribute(t testing.TB, pg page, element, name string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(pg.raw))
	must(t, err)
	for n := range doc.Descendants() {
		if n.Data != element {
			continue
		}
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
	}
	t.Fatalf("no %s on this page: %s", element, pg.raw)
	return ""
}
