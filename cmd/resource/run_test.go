package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// syncBuffer is what a program writes to while the test reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// program is a running resource server.
type program struct {
	url    string
	stderr *syncBuffer
	stop   func() int // stops it and returns its exit status
}

// patience is how long anything may take before it counts as never happening.
const patience = 60 * time.Second

var listening = regexp.MustCompile(`"msg":"listening","address":"([^"]+)"`)

// start runs the program until the test ends, and waits until it listens.
func start(t *testing.T, getenv func(string) string, args ...string) program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stderr := new(syncBuffer)
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, append([]string{"--listen", "127.0.0.1:0"}, args...), getenv, io.Discard, stderr)
	}()
	stop := sync.OnceValue(func() int { cancel(); return <-status })
	t.Cleanup(func() { stop() })
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if m := listening.FindStringSubmatch(stderr.String()); m != nil {
			return program{url: "http://" + m[1], stderr: stderr, stop: stop}
		}
	}
	t.Fatalf("the program does not listen:\n%s", stderr)
	return program{}
}

// issuer is a small authorization server.
type issuer struct {
	*httptest.Server
	key *rsa.PrivateKey
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	jwks := fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"k1","alg":"RS256","use":"sig","n":%q,"e":%q}]}`,
		b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/jwks.json" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, jwks)
	}))
	t.Cleanup(server.Close)
	return issuer{server, key}
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func (i issuer) token(t *testing.T, audience, scope string) string {
	t.Helper()
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{
		"iss": i.URL, "sub": "u-1", "aud": audience, "client_id": "demo-cli", "jti": "j-1",
		"iat": now, "exp": now + 900, "scope": scope, "username": "alice",
	})
	if err != nil {
		t.Fatal(err)
	}
	signed := b64([]byte(`{"alg":"RS256","typ":"at+jwt","kid":"k1"}`)) + "." + b64(claims)
	digest := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(nil, i.key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(sig)
}

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestTheServerAnswersTheHoldersOfTokensUntilItIsStopped(t *testing.T) {
	const api = "https://api.example.com"
	as := newIssuer(t)
	p := start(t, env("INGAM_RESOURCE_ISSUER", as.URL, "INGAM_RESOURCE_LOG_LEVEL", "debug"),
		"--resource-url", api, "--scope", "notes.read")
	good := as.token(t, api, "openid notes.read")
	for _, tt := range []struct {
		name, path, token string
		want              int
		contains          string
	}{
		{"a good token", "/secure-data", good, 200, `"username":"alice","sub":"u-1","client_id":"demo-cli","scope":"openid notes.read"`},
		{"no token", "/secure-data", "", 401, `"error"`},
		{"a token in the query", "/secure-data?access_token=" + good, "", 401, `"error"`},
		{"a token without the scope", "/secure-data", as.token(t, api, "openid"), 403, "insufficient_scope"},
		{"a token for another server", "/secure-data", as.token(t, as.URL, "notes.read"), 401, "another audience"},
		{"healthz", "/healthz", "", 200, "ok"},
		{"readyz", "/readyz", "", 200, "ready"},
		{"metadata", "/.well-known/oauth-protected-resource", "", 200, `"authorization_servers":["` + as.URL + `"]`},
		{"elsewhere", "/", "", 404, "not_found"},
	} {
		if status, body := get(t, p.url+tt.path, tt.token); status != tt.want || !strings.Contains(body, tt.contains) {
			t.Errorf("%s: got %d %s, want %d with %s", tt.name, status, body, tt.want, tt.contains)
		}
	}
	if status := run(t.Context(), []string{"healthcheck", "--url", p.url + "/healthz"}, env(), io.Discard, io.Discard); status != 0 {
		t.Errorf("healthcheck: got status %d, want 0", status)
	}
	if status := p.stop(); status != statusDone {
		t.Errorf("stopped: got status %d, want 0", status)
	}
	logs := p.stderr.String()
	for _, want := range []string{"JWK set loaded", "shutting down", "stopped", `"path":"/secure-data","status":401`} {
		if !strings.Contains(logs, want) {
			t.Errorf("the log does not say %s:\n%s", want, logs)
		}
	}
	if strings.Contains(logs, good) || strings.Contains(logs, good[len(good)-40:]) || strings.Contains(logs, "access_token") {
		t.Errorf("the log has a token:\n%s", logs)
	}
	for line := range strings.Lines(logs) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a log line is not JSON: %s", line)
		}
	}
	if status := run(t.Context(), []string{"healthcheck", "--url", p.url + "/healthz"}, env(), io.Discard, io.Discard); status != 1 {
		t.Errorf("healthcheck of a stopped server: got status %d, want 1", status)
	}
}

func TestTheServerLivesBeforeItsIssuerDoes(t *testing.T) {
	p := start(t, env(), "--issuer", "http://127.0.0.1:1", "--resource-url", "https://api.example.com")
	if status, _ := get(t, p.url+"/healthz", ""); status != 200 {
		t.Errorf("healthz: got %d, want 200", status)
	}
	if status, _ := get(t, p.url+"/readyz", ""); status != 503 {
		t.Errorf("readyz: got %d, want 503", status)
	}
	as := newIssuer(t)
	if status, _ := get(t, p.url+"/secure-data", as.token(t, "x", "")); status != 503 {
		t.Errorf("secure-data: got %d, want 503", status)
	}
}

func TestEveryMistakeIsListedBeforeAPortOpens(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	var stderr syncBuffer
	status := run(t.Context(), []string{
		"--listen", taken.Addr().String(), "--bogus", "x", "--issuer", "foo", "--resource-url", "bar", "--scope", `a"b`,
		"--algorithms", "none", "--cors-origins", "*,https://a.example/", "--jwks-url", "http://other.example/jwks", "--odd",
	}, env("INGAM_RESOURCE_LOG_LEVEL", "loud", "INGAM_RESOURCE_INSECURE_ALLOW_HTTP", "maybe"), io.Discard, &stderr)
	if status != statusUsage {
		t.Errorf("got status %d, want 2", status)
	}
	for _, want := range []string{
		"-bogus", "-odd", `"foo"`, `"bar"`, `"a\"b"`, `"none"`, `"*"`, `"https://a.example/"`, "http://other.example/jwks",
		`INGAM_RESOURCE_LOG_LEVEL: "loud"`, `INGAM_RESOURCE_INSECURE_ALLOW_HTTP: "maybe"`,
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("the message does not mention %s:\n%s", want, &stderr)
		}
	}
}

func TestExitStatusesTellUsageFromFailure(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	good := []string{"--issuer", "http://127.0.0.1:1", "--resource-url", "https://api.example.com"}
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{"help", []string{"--help"}, 0},
		{"help after other flags", append(good, "-h"), 0},
		{"nothing set", nil, 2},
		{"an audience that is no URL, and no resource URL", []string{"--issuer", "http://127.0.0.1:1", "--audience", "x"}, 2},
		{"an unknown flag", append(good, "--bogus"), 2},
		{"an argument", append(good, "serve"), 2},
		{"a flag without its value", append(good, "--listen"), 2},
		{"a bad address", append(good, "--listen", "8081"), 2},
		{"a port in use", append(good, "--listen", taken.Addr().String()), 1},
		{"healthcheck help", []string{"healthcheck", "--help"}, 0},
		{"healthcheck of nobody", []string{"healthcheck", "--url", "http://127.0.0.1:1/healthz"}, 1},
		{"healthcheck with an argument", []string{"healthcheck", "now"}, 2},
		{"healthcheck with an unknown flag", []string{"healthcheck", "--bogus"}, 2},
		{"healthcheck of no URL", []string{"healthcheck", "--url", "://"}, 2},
	} {
		if got := run(t.Context(), tt.args, env(), io.Discard, io.Discard); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestAServerThatAnswersOtherwiseIsNotHealthy(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	if got := run(t.Context(), []string{"healthcheck", "--url", server.URL}, env(), io.Discard, io.Discard); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
}
