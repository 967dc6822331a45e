package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

const testResource = "https://api.example.com"

func withResource(cfg *Config) { cfg.Resource = testResource }

// protected is a handler behind v that answers with the subject.
func protected(v *Verifier, scopes ...string) http.Handler {
	return v.Require(scopes...)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t, ok := TokenFromContext(r.Context()); ok {
			_, _ = w.Write([]byte(t.Subject))
		}
	}))
}

// answered is a response read to its end.
type answered struct {
	StatusCode int
	Header     http.Header
	Body       *bytes.Buffer
}

func serve(h http.Handler, r *http.Request) answered {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	resp := w.Result()
	defer func() { _ = resp.Body.Close() }()
	return answered{resp.StatusCode, resp.Header, w.Body}
}

func TestEveryRequestGetsItsAnswer(t *testing.T) {
	const challenge = `Bearer realm="https://api.example.com"`
	const metadata = `, resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"`
	v := newTestVerifier(t, withResource)
	good := goodToken(t, nil)
	expired := goodToken(t, map[string]any{"exp": testNow.Unix() - 30})
	malformed := challenge + `, error="invalid_request", error_description="the Authorization header is not Bearer followed by one token"` + metadata
	for _, tt := range []struct {
		name      string
		header    []string
		scopes    []string
		status    int
		challenge string
		code      string
	}{
		{"a good token", []string{"Bearer " + good}, nil, 200, "", ""},
		{"scheme in lower case", []string{"bearer " + good}, nil, 200, "", ""},
		{"scheme in upper case", []string{"BEARER " + good}, nil, 200, "", ""},
		{"three spaces", []string{"Bearer   " + good}, nil, 200, "", ""},
		{"no header", nil, nil, 401, challenge + metadata, "unauthorized"},
		{"an empty header", []string{""}, nil, 401, challenge + metadata, "unauthorized"},
		{"another scheme", []string{"Basic YTpi"}, nil, 401, challenge + metadata, "unauthorized"},
		{"DPoP", []string{"DPoP " + good}, nil, 401, challenge + metadata, "unauthorized"},
		{"a scheme that begins like ours", []string{"BearerX " + good}, nil, 401, challenge + metadata, "unauthorized"},
		{"the token alone", []string{good}, nil, 401, challenge + metadata, "unauthorized"},
		{"the scheme alone", []string{"Bearer"}, nil, 400, malformed, "invalid_request"},
		{"the scheme and a space", []string{"Bearer "}, nil, 400, malformed, "invalid_request"},
		{"a tab after the scheme", []string{"Bearer\t" + good}, nil, 401, challenge + metadata, "unauthorized"},
		{"a comma after the token", []string{"Bearer " + good + ", Basic YTpi"}, nil, 400, malformed, "invalid_request"},
		{"a parameter", []string{`Bearer token="x"`}, nil, 400, malformed, "invalid_request"},
		{"nothing but =", []string{"Bearer =="}, nil, 400, malformed, "invalid_request"},
		{
			"two headers",
			[]string{"Bearer " + good, "Bearer " + good},
			nil, 400,
			challenge + `, error="invalid_request", error_description="more than one Authorization header"` + metadata, "invalid_request",
		},
		{
			"an expired token",
			[]string{"Bearer " + expired},
			nil, 401,
			challenge + `, error="invalid_token", error_description="the token has expired"` + metadata, "invalid_token",
		},
		{
			"an opaque token",
			[]string{"Bearer abc~+/="},
			nil, 401,
			challenge + `, error="invalid_token", error_description="the token is not a signed JWT in compact form"` + metadata, "invalid_token",
		},
		{"the scope it has", []string{"Bearer " + good}, []string{"notes.read"}, 200, "", ""},
		{"two scopes it has", []string{"Bearer " + good}, []string{"notes.read", "openid"}, 200, "", ""},
		{
			"a scope it has and one it lacks",
			[]string{"Bearer " + good},
			[]string{"notes.read", "notes.write"},
			403,
			challenge + `, error="insufficient_scope", error_description="the token lacks a scope that this request needs"` +
				`, scope="notes.read notes.write"` + metadata, "insufficient_scope",
		},
		{
			"an expired token without the scope",
			[]string{"Bearer " + expired},
			[]string{"notes.write"},
			401,
			challenge + `, error="invalid_token", error_description="the token has expired"` + metadata, "invalid_token",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["Authorization"] = tt.header
			resp := serve(protected(v, tt.scopes...), r)
			if resp.StatusCode != tt.status {
				t.Errorf("got status %d, want %d", resp.StatusCode, tt.status)
			}
			if got := resp.Header.Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("got challenge\n%s\nwant\n%s", got, tt.challenge)
			}
			if tt.status != http.StatusOK {
				wantErrorBody(t, resp, tt.code)
			}
		})
	}
}

func wantErrorBody(t *testing.T, resp answered, code string) {
	t.Helper()
	var body map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if body["error"] != code || body["error_description"] == "" || len(body) != 2 {
		t.Errorf("got body %v, want error %q with a description", body, code)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("got Content-Type %q", got)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("got Cache-Control %q, want no-store", got)
	}
}

func TestATokenOutsideTheHeaderIsNoToken(t *testing.T) {
	v := newTestVerifier(t, nil)
	good := goodToken(t, nil)
	form := url.Values{"access_token": {good}}.Encode()
	query := httptest.NewRequest(http.MethodGet, "/?"+form, nil)
	body := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form))
	body.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	cookie := httptest.NewRequest(http.MethodGet, "/", nil)
	cookie.AddCookie(&http.Cookie{Name: "access_token", Value: good})
	for name, r := range map[string]*http.Request{"query": query, "form": body, "cookie": cookie} {
		if resp := serve(protected(v), r); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: got status %d, want 401", name, resp.StatusCode)
		}
	}
}

func TestWithoutKeysTheAnswerIsToComeBackLater(t *testing.T) {
	v := newTestVerifier(t, func(cfg *Config) {
		cfg.Keys = keySetFunc(func(string) (*jose.JSONWebKey, error) { return nil, errors.New("secret cause") })
	})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+goodToken(t, nil))
	resp := serve(protected(v), r)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") != "2" {
		t.Errorf("got status %d, Retry-After %q; want 503 and 2", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	if got := resp.Header.Get("WWW-Authenticate"); got != "" {
		t.Errorf("got challenge %q, want none", got)
	}
	wantErrorBody(t, resp, "temporarily_unavailable")
}

func TestAChallengeWithoutAResourceHasNoMetadata(t *testing.T) {
	v := newTestVerifier(t, func(cfg *Config) { cfg.Realm = `say "hi" \ there` })
	resp := serve(protected(v), httptest.NewRequest(http.MethodGet, "/", nil))
	if got, want := resp.Header.Get("WWW-Authenticate"), `Bearer realm="say \"hi\" \\ there"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := quote("a\r\nSet-Cookie: b\x00é"), `"a  Set-Cookie: b   "`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAScopeThatCannotBeGrantedPanicsAtWiring(t *testing.T) {
	v := newTestVerifier(t, nil)
	for _, scope := range []string{"", "a b", `a"b`, "a\\b", "ä"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q: no panic", scope)
				}
			}()
			v.Require(scope)
		}()
	}
}

func TestAContextWithoutATokenSaysSo(t *testing.T) {
	if got, ok := TokenFromContext(t.Context()); ok || got != nil {
		t.Errorf("got %v, %v; want none", got, ok)
	}
	if _, ok := TokenFromContext(ContextWithToken(t.Context(), nil)); ok {
		t.Error("a nil token counts as one")
	}
	want := &AccessToken{Subject: "u"}
	if got, ok := TokenFromContext(ContextWithToken(t.Context(), want)); !ok || got != want {
		t.Errorf("got %v, %v; want the token", got, ok)
	}
}
