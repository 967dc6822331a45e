package authserver_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/storage"
)

// The conformance_*_test.go files are the test plans of the OpenID Foundation's conformance suite for providers: Basic OP,
// Form Post Basic, Config, RP-Initiated, Back-Channel and Front-Channel Logout. Each test names its modules and asserts what
// they assert, and what they warn of as well. Left out are https in the addresses, which is the operator's, and the modules
// for clients that register themselves.

const (
	suiteCallback = "https://suite.example.test/callback"
	suiteBye      = "https://suite.example.test/post_logout_redirect"
)

// aliceClaims are all the claims of OIDC Core §5.1, with their JSON types.
func aliceClaims() map[string]any {
	return map[string]any{
		"name": "Alice Liddell", "given_name": "Alice", "family_name": "Liddell", "middle_name": "Pleasance", "nickname": "Al",
		"preferred_username": "alice", "profile": "https://people.example.test/alice", "picture": "https://people.example.test/alice.png",
		"website": "https://alice.example.test/", "gender": "female", "birthdate": "1990-05-04", "zoneinfo": "Asia/Seoul",
		"locale": "ko-KR", "updated_at": 940000000,
		"email": "alice@example.test", "email_verified": true, "phone_number": "+82 2 1234 5678", "phone_number_verified": false,
		"address": map[string]any{
			"formatted": "1 Sejong-daero\nSeoul", "street_address": "1 Sejong-daero", "locality": "Seoul", "region": "Seoul",
			"postal_code": "03000", "country": "KR",
		},
	}
}

// withAllClaims gives alice a value for each claim.
func withAllClaims(t testing.TB) option {
	return func(_ *authserver.Config, d *authserver.Dependencies) {
		t.Helper()
		hash, err := testHasher(t).Hash(context.Background(), "wonderland")
		must(t, err)
		must(t, d.Store.CreateUser(context.Background(), storage.User{
			ID: "usr_alice", Username: "alice", PasswordHash: hash, Claims: aliceClaims(),
		}))
	}
}

// suite is what runs a module: a client, and a person at a browser who does as asked. Clients suite and suite2 are
// confidential, of a third party, and do not use PKCE.
type suite struct {
	*person
	client, mode string
	metadata     map[string]any
}

func newSuite(t testing.TB, mode string, options ...option) *suite {
	t.Helper()
	r := newRig(t, append(options, withAllClaims(t))...)
	for _, id := range []string{"suite", "suite2"} {
		must(t, r.store.CreateClient(t.Context(), storage.Client{
			ID: id, Name: "Suite", Secrets: secret(id + "-secret"), GrantTypes: []string{"authorization_code", "refresh_token"},
			RedirectURIs: []string{suiteCallback}, PostLogoutRedirectURIs: []string{suiteBye}, Scopes: signInScopes,
			DefaultScopes: []string{"openid"}, Audience: []string{apiAud},
		}))
	}
	return &suite{person: r.person(), client: "suite", mode: mode, metadata: r.do(get(metadataPaths[0])).body}
}

// inBothModes runs a module of the Basic plan, and the same of the Form Post plan. The clock is virtual.
func inBothModes(t *testing.T, module func(t testing.TB, s *suite)) {
	t.Helper()
	testRing()
	for _, mode := range []string{"query", "form_post"} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { module(t, newSuite(t, mode)) })
		})
	}
}

// request is an authorization request; pairs replace parameters, "" removes one.
func (s *suite) request(pairs ...string) url.Values {
	q := url.Values{
		"client_id": {s.client}, "redirect_uri": {suiteCallback}, "response_type": {"code"}, "scope": {"openid"},
		"state": {rand.Text()}, "nonce": {rand.Text()},
	}
	if s.mode == "form_post" {
		q.Set("response_mode", "form_post")
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return q
}

// through does what pages ask for, until the browser is at the client, and answers what it brought.
func (s *suite) through(pg page, q url.Values) url.Values {
	s.t.Helper()
	if pg.has("/login") {
		pg = s.signInAt(pg, "alice", "wonderland")
	}
	if pg.has("/consent") {
		pg = s.allow(pg)
	}
	return s.callback(pg, q)
}

// callback reads the answer to a request and checks what holds for every one: how it came, state, iss, and that nothing else
// is in it.
func (s *suite) callback(pg page, q url.Values) url.Values {
	s.t.Helper()
	var answer url.Values
	if q.Get("response_mode") == "form_post" {
		// OAuth 2.0 Form Post Response Mode §2: by POST, urlencoded, and nothing in the address.
		f := s.form(pg, suiteCallback)
		if !strings.EqualFold(f.method, "post") || strings.Contains(pg.raw, "enctype") || strings.Contains(pg.at, "code=") {
			s.t.Errorf("the form posts by %q, from %s: %s", f.method, pg.at, pg.raw)
		}
		answer = f.fields
	} else {
		answer = s.atClient(pg, suiteCallback+"?")
	}
	want := []string{"code", "iss"}
	if answer.Has("error") {
		want = []string{"error", "error_description", "iss"}
	}
	if q.Get("state") != "" {
		want = append(want, "state")
	}
	if got := slices.Sorted(maps.Keys(answer)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		s.t.Errorf("the answer has %v, want %v", got, want)
	}
	if answer.Get("state") != q.Get("state") || answer.Get("iss") != issuer {
		s.t.Errorf("state %q, want %q; iss %q", answer.Get("state"), q.Get("state"), answer.Get("iss"))
	}
	// RFC 6749 §4.1.2.1
	for _, name := range []string{"error", "error_description"} {
		if strings.ContainsFunc(answer.Get(name), func(c rune) bool { return c < 0x20 || c > 0x7e || c == '"' || c == '\\' }) {
			s.t.Errorf("%s is %q", name, answer.Get(name))
		}
	}
	return answer
}

// refused makes a request that must come back with one of these errors.
func (s *suite) refused(q url.Values, codes ...string) {
	s.t.Helper()
	if answer := s.callback(s.authorize(q), q); !slices.Contains(codes, answer.Get("error")) {
		s.t.Errorf("got %v, want an error of %v", answer, codes)
	}
}

// flow is a request that came to tokens.
type flow struct {
	code, access, idToken string
	tokens                response
	id                    jws
}

// complete goes the whole way of a request, checks everything on it, and asks userinfo.
func (s *suite) complete(q url.Values, more ...string) flow {
	s.t.Helper()
	return s.finish(s.authorize(q), q, more...)
}

// finish is complete from the first page on.
func (s *suite) finish(pg page, q url.Values, more ...string) flow {
	s.t.Helper()
	code := s.through(pg, q).Get("code")
	if code == "" {
		s.t.Fatal("no code")
	}
	f := s.tokensOf(s.exchange(code, more...), q.Get("nonce"))
	f.code = code
	if info := s.userinfo(f.access); info.StatusCode != http.StatusOK || info.str("sub") != f.id.str("sub") {
		s.t.Errorf("userinfo: %d %s", info.StatusCode, info.raw)
	}
	return f
}

// exchange redeems a code by client_secret_basic.
func (s *suite) exchange(code string, more ...string) response {
	s.t.Helper()
	all := append([]string{"grant_type", "authorization_code", "code", code, "redirect_uri", suiteCallback}, more...)
	return s.do(basic(form("/oauth2/token", all...), s.client, s.client+"-secret"))
}

// vschars are those of RFC 6749 appendix A.
var vschars = regexp.MustCompile(`^[\x20-\x7e]+$`)

// tokensOf checks an answer of the token endpoint (RFC 6749 §5.1) and its ID token.
func (s *suite) tokensOf(res response, nonce string) flow {
	s.t.Helper()
	want(s.t, res, http.StatusOK, "")
	if h := res.Header; h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" {
		s.t.Errorf("token endpoint: headers %v", h)
	}
	seconds, isNumber := res.body["expires_in"].(float64)
	if !strings.EqualFold(res.str("token_type"), "bearer") || !isNumber || seconds <= 0 || seconds != math.Trunc(seconds) {
		s.t.Errorf("token_type %v, expires_in %v", res.body["token_type"], res.body["expires_in"])
	}
	for _, name := range []string{"access_token", "refresh_token"} {
		if token := res.str(name); !vschars.MatchString(token) || entropy(token) <= 96 {
			s.t.Errorf("%s is %q", name, token)
		}
	}
	f := flow{tokens: res, access: res.str("access_token"), idToken: res.str("id_token")}
	f.id = s.verify(f.idToken)
	s.checkIDToken(f.id, nonce, f.access)
	return f
}

// idTokenClaims may be in an ID token that was not asked for others (OIDC Core §2, §3.1.3.6; Front-Channel Logout §3).
var idTokenClaims = []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "sid"}

// checkIDToken checks what holds for every ID token of the suite (OIDC Core §2, §3.1.3.7).
func (s *suite) checkIDToken(id jws, nonce, access string) {
	s.t.Helper()
	now := float64(time.Now().Unix())
	if id.header["alg"] != "RS256" || id.header["kid"] == "" || id.str("iss") != issuer || id.claims["aud"] != s.client {
		s.t.Errorf("ID token: header %v, claims %v", id.header, id.claims)
	}
	if id.num("iat") < now-1 || id.num("iat") > now || id.num("exp") <= now || id.num("auth_time") > now || id.num("auth_time") < now-1e6 {
		s.t.Errorf("ID token: times %v, now %v", id.claims, now)
	}
	for _, name := range []string{"iat", "exp", "auth_time"} {
		if n := id.num(name); n != math.Trunc(n) {
			s.t.Errorf("ID token: %s is %v", name, n)
		}
	}
	// §2: sub has at most 255 ASCII characters.
	if sub := id.str("sub"); len(sub) > 255 || !vschars.MatchString(sub) {
		s.t.Errorf("ID token: sub %q", sub)
	}
	if _, there := id.claims["nonce"]; id.str("nonce") != nonce || there != (nonce != "") {
		s.t.Errorf("ID token: nonce %v, want %q", id.claims["nonce"], nonce)
	}
	if id.str("acr") == "" || id.str("sid") == "" {
		s.t.Errorf("ID token: acr %v, sid %v", id.claims["acr"], id.claims["sid"])
	}
	// §3.1.3.6
	digest := sha256.Sum256([]byte(access))
	if id.str("at_hash") != base64.RawURLEncoding.EncodeToString(digest[:16]) {
		s.t.Errorf("ID token: at_hash %v", id.claims["at_hash"])
	}
	for name, value := range id.claims {
		if value == nil || value == "" || !slices.Contains(idTokenClaims, name) || !slices.Contains(list(s.metadata, "claims_supported"), name) {
			s.t.Errorf("ID token: %s = %v was not asked for or not announced", name, value)
		}
	}
}

// entropy is what Shannon's formula makes of the characters of a text, in bits.
func entropy(text string) float64 {
	counts := map[rune]float64{}
	for _, c := range text {
		counts[c]++
	}
	bits := 0.0
	for _, n := range counts {
		bits -= n * math.Log2(n/float64(len(text)))
	}
	return bits
}

// unsigned is a JWT with alg none.
func unsigned(t testing.TB, claims map[string]any) string {
	t.Helper()
	text, err := json.Marshal(claims)
	must(t, err)
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(text) + "."
}
