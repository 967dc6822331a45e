package apps

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
)

// op is a small OpenID provider and resource server that does as a test tells it.
type op struct {
	*httptest.Server
	t   *testing.T
	key *rsa.PrivateKey

	mu       sync.Mutex
	issuer   string
	nonce    string         // of the last authorization request
	idToken  map[string]any // claims that replace those of a good ID token
	life     int            // expires_in
	refresh  string         // the one refresh token that is good
	revoked  bool           // the sign-in has ended
	name     string
	requests []url.Values // of the token endpoint
	secrets  []string     // what was shown there as secret
	hosts    []string     // that were asked for
	noIss    bool         // the metadata does not promise iss
	sub      string       // of userinfo
}

func newOP(t *testing.T) *op {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	o := &op{t: t, key: key, life: 900, name: "Alice Liddell", sub: "usr_1"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", o.metadata)
	mux.HandleFunc("GET /jwks", o.jwks)
	mux.HandleFunc("POST /token", o.token)
	mux.HandleFunc("GET /userinfo", o.userinfo)
	mux.HandleFunc("GET /secure-data", o.data)
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.hosts = append(o.hosts, r.Host)
		mux.ServeHTTP(w, r)
	}))
	o.issuer = o.URL
	t.Cleanup(o.Close)
	return o
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (o *op) metadata(w http.ResponseWriter, _ *http.Request) {
	reply(w, 200, map[string]any{
		"issuer": o.issuer, "authorization_endpoint": o.issuer + "/auth", "token_endpoint": o.issuer + "/token",
		"jwks_uri": o.issuer + "/jwks", "userinfo_endpoint": o.issuer + "/userinfo", "end_session_endpoint": o.issuer + "/logout",
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"authorization_response_iss_parameter_supported": !o.noIss,
	})
}

func (o *op) jwks(w http.ResponseWriter, _ *http.Request) {
	b64 := base64.RawURLEncoding.EncodeToString
	reply(w, 200, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig",
		"n": b64(o.key.N.Bytes()), "e": b64(big.NewInt(int64(o.key.E)).Bytes()),
	}}})
}

// sign makes a JWT of claims.
func (o *op) sign(claims map[string]any) string {
	text, err := json.Marshal(claims)
	if err != nil {
		o.t.Fatal(err)
	}
	return oidctest.SignIDToken(o.key, "k1", "RS256", string(text))
}

func (o *op) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	_, secret, _ := r.BasicAuth()
	o.requests, o.secrets = append(o.requests, r.PostForm), append(o.secrets, secret)
	if o.revoked || r.PostForm.Get("grant_type") == "refresh_token" && r.PostForm.Get("refresh_token") != o.refresh {
		reply(w, 400, map[string]string{"error": "invalid_grant"})
		return
	}
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": o.issuer, "sub": "usr_1", "aud": "demo-web", "iat": now, "exp": now + 900, "auth_time": now, "sid": "sid-1", "nonce": o.nonce,
	}
	for name, value := range o.idToken {
		claims[name] = value
	}
	o.refresh = rand.Text()
	reply(w, 200, map[string]any{
		"access_token": "at-" + o.refresh, "token_type": "Bearer", "expires_in": o.life, "refresh_token": o.refresh, "id_token": o.sign(claims),
	})
}

func (o *op) bearer(w http.ResponseWriter, r *http.Request) bool {
	if o.revoked || r.Header.Get("Authorization") != "Bearer at-"+o.refresh {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		reply(w, 401, map[string]string{"error": "invalid_token"})
		return false
	}
	return true
}

func (o *op) userinfo(w http.ResponseWriter, r *http.Request) {
	if o.bearer(w, r) {
		reply(w, 200, map[string]string{"sub": o.sub, "name": o.name, "email": "alice@example.test"})
	}
}

func (o *op) data(w http.ResponseWriter, r *http.Request) {
	if o.bearer(w, r) {
		reply(w, 200, map[string]string{"message": "secret of the resource server"})
	}
}

// set changes the provider between requests.
func (o *op) set(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
}

// browser is a person's browser that does not follow redirects.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
}

// rig is the application at a provider, and a browser.
func rig(t *testing.T, o *op, more ...func(*WebConfig)) (*httptest.Server, browser) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	cfg := WebConfig{
		Issuer: o.issuer, ClientID: "demo-web", ClientSecret: "s3cret", BaseURL: "http://" + server.Listener.Addr().String(),
		ResourceURL: o.URL, OtherApp: "http://localhost:8083", Log: slog.New(slog.DiscardHandler),
	}
	for _, change := range more {
		change(&cfg)
	}
	handler, err := NewWeb(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(server.Close)
	return server, newBrowser(t, server.URL)
}

func newBrowser(t *testing.T, base string) browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return browser{t: t, base: base, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// answer is a response whose body was read.
type answer struct {
	status int
	header http.Header
}

func (b browser) do(method, path string, form url.Values, header ...string) (answer, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = response.Body.Close()
	return answer{response.StatusCode, response.Header}, string(body)
}

func (b browser) get(path string) (answer, string) {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

// begin opens /login and returns what the provider is asked.
func (b browser) begin(o *op) url.Values {
	b.t.Helper()
	answer, body := b.get("/login")
	at, err := url.Parse(answer.header.Get("Location"))
	if err != nil || answer.status != http.StatusSeeOther {
		b.t.Fatalf("/login: %d %s", answer.status, body)
	}
	if got := at.Scheme + "://" + at.Host + at.Path; got != o.issuer+"/auth" {
		b.t.Fatalf("/login leads to %s", got)
	}
	o.set(func() { o.nonce = at.Query().Get("nonce") })
	return at.Query()
}

// signIn goes the whole way.
func (b browser) signIn(o *op) {
	b.t.Helper()
	asked := b.begin(o)
	answer, body := b.get("/callback?" + url.Values{"code": {"c"}, "state": {asked.Get("state")}, "iss": {o.issuer}}.Encode())
	if answer.status != http.StatusSeeOther || answer.header.Get("Location") != "/" {
		b.t.Fatalf("/callback: %d %s", answer.status, body)
	}
}

// sees asserts what the front page says.
func (b browser) sees(want string) {
	b.t.Helper()
	if _, body := b.get("/"); !strings.Contains(body, want) {
		b.t.Errorf("the page does not say %q:\n%s", want, body)
	}
}

func setCookie(t *testing.T, a answer) *http.Cookie {
	t.Helper()
	cookie, err := http.ParseSetCookie(a.header.Get("Set-Cookie"))
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}
