package resource

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

func newTestHandler(t *testing.T, cfg HandlerConfig) http.Handler {
	t.Helper()
	if cfg.Verifier == nil {
		cfg.Verifier = newTestVerifier(t, withResource)
	}
	h, err := NewHandler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func bearerRequest(method, path, token string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func TestSecureDataSaysWhoIsCalling(t *testing.T) {
	h := newTestHandler(t, HandlerConfig{})
	for _, tt := range []struct {
		name string
		set  map[string]any
		want secureData
	}{
		{"a person", nil, secureData{
			Username: "alice", Subject: "u-7f3a", ClientID: "demo-web", Scope: "openid profile notes.read",
		}},
		{"a person whose name was not granted", map[string]any{"username": nil, "scope": nil}, secureData{
			Username: "u-7f3a", Subject: "u-7f3a", ClientID: "demo-web",
		}},
		{"a client", map[string]any{"sub": "demo-service", "client_id": "demo-service", "username": nil, "scope": "notes.read"}, secureData{
			Username: "demo-service", Subject: "demo-service", ClientID: "demo-service", Scope: "notes.read",
		}},
	} {
		resp := serve(h, bearerRequest(http.MethodGet, "/secure-data", goodToken(t, tt.set)))
		var got secureData
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
			t.Fatal(err)
		}
		tt.want.Expires = testNow.Unix() + 840
		tt.want.Message = "Hello " + tt.want.Username + ", your access token is good."
		if resp.StatusCode != http.StatusOK || got != tt.want {
			t.Errorf("%s: got %d %+v, want %+v", tt.name, resp.StatusCode, got, tt.want)
		}
		if got := resp.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: got Cache-Control %q, want no-store", tt.name, got)
		}
	}
}

func TestEveryAddressHasItsAnswer(t *testing.T) {
	good := goodToken(t, nil)
	for _, tt := range []struct {
		method, path, token string
		want                int
	}{
		{"GET", "/secure-data", good, 200},
		{"HEAD", "/secure-data", good, 200},
		{"GET", "/secure-data", "", 401},
		{"POST", "/secure-data", good, 405},
		{"OPTIONS", "/secure-data", "", 405},
		{"GET", "/secure-data/", good, 404},
		{"GET", "/healthz", "", 200},
		{"POST", "/healthz", "", 405},
		{"GET", "/readyz", "", 200},
		{"GET", "/.well-known/oauth-protected-resource", "", 200},
		{"DELETE", "/.well-known/oauth-protected-resource", "", 405},
		{"GET", "/", "", 404},
		{"GET", "/favicon.ico", "", 404},
	} {
		resp := serve(newTestHandler(t, HandlerConfig{}), bearerRequest(tt.method, tt.path, tt.token))
		if resp.StatusCode != tt.want {
			t.Errorf("%s %s: got %d, want %d", tt.method, tt.path, resp.StatusCode, tt.want)
		}
		if got := resp.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s %s: got Content-Type %q", tt.method, tt.path, got)
		}
		if allow := resp.Header.Get("Allow"); (tt.want == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s %s: got Allow %q", tt.method, tt.path, allow)
		}
	}
}

func TestTheHandlerCanAskForAScope(t *testing.T) {
	good := goodToken(t, nil)
	for scope, want := range map[string]int{"notes.read": 200, "notes.write": 403} {
		h := newTestHandler(t, HandlerConfig{Scopes: []string{scope}})
		if resp := serve(h, bearerRequest(http.MethodGet, "/secure-data", good)); resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d", scope, resp.StatusCode, want)
		}
	}
}

func TestAServerIsReadyOnceItHasKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, refuseConnection)
		v := newTestVerifier(t, func(cfg *Config) { cfg.Keys, cfg.Resource = keys, testResource })
		h := newTestHandler(t, HandlerConfig{Verifier: v})
		get := func(path string) int { return serve(h, bearerRequest(http.MethodGet, path, "")).StatusCode }
		if live, ready := get("/healthz"), get("/readyz"); live != 200 || ready != 503 {
			t.Errorf("without keys: got %d and %d, want 200 and 503", live, ready)
		}
		issuer.will(publish(t, "rsa-1"))
		wantKeyWithin(t, keys, "rsa-1")
		if live, ready := get("/healthz"), get("/readyz"); live != 200 || ready != 200 {
			t.Errorf("with keys: got %d and %d, want 200 and 200", live, ready)
		}
	})
}

func TestTheMetadataNameTheAuthorizationServer(t *testing.T) {
	for resource, path := range map[string]string{
		"https://api.example.com":        "/.well-known/oauth-protected-resource",
		"https://api.example.com/":       "/.well-known/oauth-protected-resource",
		"https://api.example.com/v1/api": "/.well-known/oauth-protected-resource/v1/api",
		"https://api.example.com/{a}":    "/.well-known/oauth-protected-resource/%7Ba%7D",
	} {
		v := newTestVerifier(t, func(cfg *Config) { cfg.Resource = resource })
		if got := MetadataPath(resource); got != path {
			t.Errorf("%s: got path %s, want %s", resource, got, path)
		}
		if got, want := v.challenge.metadata, "https://api.example.com"+path; got != want {
			t.Errorf("%s: the challenge points to %s, want %s", resource, got, want)
		}
		h := newTestHandler(t, HandlerConfig{Verifier: v, Scopes: []string{"notes.read"}})
		resp := serve(h, bearerRequest(http.MethodGet, path, ""))
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"resource":"` + resource + `","authorization_servers":["https://id.example.com"],` +
			`"scopes_supported":["notes.read"],"bearer_methods_supported":["header"]}` + "\n"
		if resp.StatusCode != http.StatusOK || string(body) != want {
			t.Errorf("%s: got %d %s, want %s", resource, resp.StatusCode, body, want)
		}
	}
}

func TestMetadataNeedAResource(t *testing.T) {
	if _, err := NewMetadataHandler(Metadata{}); err == nil {
		t.Error("no resource: got no error")
	}
	if _, err := NewMetadataHandler(Metadata{Resource: testResource}); err != nil {
		t.Error(err)
	}
	for _, v := range []*Verifier{nil, newTestVerifier(t, nil)} {
		if _, err := v.MetadataHandler(); err == nil {
			t.Error("a verifier without a resource: got no error")
		}
	}
}

func TestOnlyListedOriginsMayCall(t *testing.T) {
	h := newTestHandler(t, HandlerConfig{CORSOrigins: []string{"http://localhost:8083"}})
	for _, tt := range []struct {
		name, method, origin string
		status               int
		allowed              string
	}{
		{"a listed origin", "GET", "http://localhost:8083", 200, "http://localhost:8083"},
		{"its preflight", "OPTIONS", "http://localhost:8083", 204, "http://localhost:8083"},
		{"another port", "GET", "http://localhost:8084", 200, ""},
		{"the preflight of another port", "OPTIONS", "http://localhost:8084", 405, ""},
		{"null", "GET", "null", 200, ""},
		{"no origin", "GET", "", 200, ""},
	} {
		r := bearerRequest(tt.method, "/secure-data", goodToken(t, nil))
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		if tt.method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", "GET")
		}
		resp := serve(h, r)
		if resp.StatusCode != tt.status || resp.Header.Get("Access-Control-Allow-Origin") != tt.allowed {
			t.Errorf("%s: got %d, allowed %q; want %d, %q", tt.name, resp.StatusCode,
				resp.Header.Get("Access-Control-Allow-Origin"), tt.status, tt.allowed)
		}
		if resp.Header.Get("Vary") != "Origin" || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: got Vary %q and credentials %q", tt.name, resp.Header.Get("Vary"),
				resp.Header.Get("Access-Control-Allow-Credentials"))
		}
	}
}

func TestSecureDataIsNothingWithoutItsCheck(t *testing.T) {
	resp := serve(http.HandlerFunc(serveSecureData), bearerRequest(http.MethodGet, "/", goodToken(t, nil)))
	if resp.StatusCode != http.StatusInternalServerError {
		t.Errorf("got %d, want 500", resp.StatusCode)
	}
}

func TestEveryMistakeInAHandlerConfigurationIsNamedAtOnce(t *testing.T) {
	_, err := NewHandler(HandlerConfig{
		Verifier:    newTestVerifier(t, nil), // without a resource
		Scopes:      []string{"a b"},
		CORSOrigins: []string{"*", "https://app.example.com/", "app.example.com"},
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{`"a b"`, `"*"`, `"https://app.example.com/"`, `"app.example.com"`, "metadata"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %s:\n%v", want, err)
		}
	}
	if _, err := NewHandler(HandlerConfig{}); err == nil {
		t.Error("without a verifier: got no error")
	}
}
