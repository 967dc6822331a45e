package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// newTestVerifier returns a verifier that knows all test keys and stands at testNow.
func newTestVerifier(t testing.TB, change func(*Config)) *Verifier {
	t.Helper()
	keys, err := NewStaticKeySet(publicJWKS(t, allTestKids...), supportedAlgorithms...)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Issuer: testIssuer, Audience: []string{testAudience}, Keys: keys}
	if change != nil {
		change(&cfg)
	}
	v, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	v.now = func() time.Time { return testNow }
	return v
}

func goodToken(t testing.TB, set map[string]any) string {
	t.Helper()
	return signJWS(t, "rsa-1", "", goodHeader, claims(t, set))
}

func TestTheTokenSaysWhatWasSigned(t *testing.T) {
	v := newTestVerifier(t, nil)
	token := goodToken(t, map[string]any{"department": "R&D"})
	for _, round := range []string{"verified", "remembered"} {
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if got.Issuer != testIssuer || got.Subject != "u-7f3a" || got.ClientID != "demo-web" || got.Username != "alice" ||
			got.ID != "Xq2mS8" || got.SessionID != "s-91" || got.ACR != "1" ||
			!slices.Equal(got.Audience, []string{testAudience}) || !slices.Equal(got.AMR, []string{"pwd"}) ||
			!slices.Equal(got.Scopes, []string{"openid", "profile", "notes.read"}) ||
			!got.ExpiresAt.Equal(testNow.Add(14*time.Minute)) || !got.IssuedAt.Equal(testNow.Add(-time.Minute)) ||
			!got.AuthTime.Equal(testNow.Add(-61*time.Second)) {
			t.Errorf("%s: got %+v", round, got)
		}
		if !got.HasScope("notes.read") || got.HasScope("notes") || got.HasScope("") {
			t.Errorf("%s: HasScope is wrong", round)
		}
		var more struct {
			Department string `json:"department"`
		}
		if err := got.Claims(&more); err != nil || more.Department != "R&D" {
			t.Errorf("%s: got department %q, %v", round, more.Department, err)
		}
		if err := got.Claims(&struct{ Sub int }{}); err != nil {
			t.Errorf("%s: Claims matched Sub with sub: %v", round, err)
		}
		if err := got.Claims(&struct {
			Subject int `json:"sub"`
		}{}); err == nil {
			t.Errorf("%s: Claims read a string into an int", round)
		}
	}
}

func TestAClientIsToldFromAPerson(t *testing.T) {
	v := newTestVerifier(t, nil)
	for sub, want := range map[string]bool{"demo-web": true, "u-7f3a": false} {
		got, err := v.Verify(t.Context(), goodToken(t, map[string]any{"sub": sub}))
		if err != nil {
			t.Fatal(err)
		}
		if got.IsClient() != want {
			t.Errorf("sub %s: got IsClient %v, want %v", sub, got.IsClient(), want)
		}
	}
}

func TestWhatACallerChangesTheNextDoesNotSee(t *testing.T) {
	v := newTestVerifier(t, nil)
	token := goodToken(t, nil)
	for range 3 {
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if got.Subject != "u-7f3a" || got.Scopes[0] != "openid" || got.Audience[0] != testAudience || got.AMR[0] != "pwd" {
			t.Fatalf("got %+v, which an earlier caller changed", got)
		}
		// An append to one list must not run into the next.
		_ = append(got.Audience, "x")
		if got.Scopes[0] != "openid" {
			t.Fatal("the lists of one token share room")
		}
		got.Subject, got.Scopes[0], got.Audience[0], got.AMR[0] = "admin", "admin", "x", "x"
	}
}

// keySetFunc is a KeySet made of a function.
type keySetFunc func(kid string) (*jose.JSONWebKey, error)

func (f keySetFunc) Key(_ context.Context, kid string) (*jose.JSONWebKey, error) { return f(kid) }

func TestWhatAKeySetReturnsIsNotTrustedBlindly(t *testing.T) {
	outage := errors.New("database is down")
	public := func(kid, alg string) *jose.JSONWebKey {
		key := publicOf(testKeys(t)[kid])
		key.Algorithm = alg
		return &key
	}
	for _, tt := range []struct {
		name string
		key  *jose.JSONWebKey
		err  error
		want error
	}{
		{"the key", public("rsa-1", rs256), nil, nil},
		{"the key, without alg", public("rsa-1", ""), nil, nil},
		{"the key, for another alg", public("rsa-1", ps256), nil, errKeyMismatch},
		{"another key", public("rsa-2", rs256), nil, errSignature},
		{"a key of another type", public("ec-1", ""), nil, errKeyMismatch},
		{"a weak key", public("rsa-1024", rs256), nil, errKeyMismatch},
		{"a secret", &jose.JSONWebKey{Key: []byte("secret")}, nil, errKeyMismatch},
		{"no key and no error", nil, nil, ErrKeysUnavailable},
		{"unknown", nil, fmt.Errorf("here: %w", ErrUnknownKey), errUnknownKey},
		{"unavailable", nil, ErrKeysUnavailable, ErrKeysUnavailable},
		{"another error", nil, outage, ErrKeysUnavailable},
		{"another error keeps its cause", nil, outage, outage},
	} {
		v := newTestVerifier(t, func(cfg *Config) {
			cfg.Keys = keySetFunc(func(string) (*jose.JSONWebKey, error) { return tt.key, tt.err })
		})
		if _, err := v.Verify(t.Context(), goodToken(t, nil)); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestAVerifierNotMadeByNewRefusesEverything(t *testing.T) {
	for _, v := range []*Verifier{nil, {}} {
		if _, err := v.Verify(t.Context(), goodToken(t, nil)); !errors.Is(err, ErrKeysUnavailable) {
			t.Errorf("got %v, want ErrKeysUnavailable", err)
		}
		if err := v.Ready(); !errors.Is(err, ErrKeysUnavailable) {
			t.Errorf("got %v from Ready, want ErrKeysUnavailable", err)
		}
		if err := v.Close(); err != nil {
			t.Errorf("got %v from Close", err)
		}
		if got := statusOf(v, goodToken(t, nil)); got != http.StatusServiceUnavailable {
			t.Errorf("got status %d, want 503", got)
		}
	}
}

func TestEveryMistakeInAConfigurationIsNamedAtOnce(t *testing.T) {
	_, err := New(Config{
		Issuer:      "id.example.com",
		Audience:    []string{testAudience, ""},
		JWKSURL:     "http://id.example.com/jwks",
		Algorithms:  []string{rs256, "HS256"},
		Leeway:      time.Hour,
		MaxLifetime: -1,
		Resource:    "https://api.example.com?x",
		Realm:       "a\nb",
	})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"issuer", "audience", "JWKS URL", "HS256", "leeway", "max lifetime", "resource", "realm"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %s:\n%v", want, err)
		}
	}
}

func TestAConfigurationIsRefusedForEachMistakeAlone(t *testing.T) {
	keys := new(StaticKeySet)
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   bool
	}{
		{"the least there can be", func(*Config) {}, true},
		{"no issuer", func(c *Config) { c.Issuer = "" }, false},
		{"issuer with a query", func(c *Config) { c.Issuer += "?a" }, false},
		{"issuer with an empty query", func(c *Config) { c.Issuer += "?" }, false},
		{"issuer with an empty fragment", func(c *Config) { c.Issuer += "#" }, false},
		{"issuer with a password", func(c *Config) { c.Issuer = "https://a:b@id.example.com" }, false},
		{"issuer with a path", func(c *Config) { c.Issuer += "/realm" }, true},
		{"no audience", func(c *Config) { c.Audience = nil }, false},
		{"algorithm none", func(c *Config) { c.Algorithms = []string{"none"} }, false},
		{"every algorithm", func(c *Config) { c.Algorithms = supportedAlgorithms }, true},
		{"leeway of 5 minutes", func(c *Config) { c.Leeway = 5 * time.Minute }, true},
		{"leeway over 5 minutes", func(c *Config) { c.Leeway = 5*time.Minute + 1 }, false},
		{"negative leeway", func(c *Config) { c.Leeway = -1 }, false},
		{"keys and a JWKS URL", func(c *Config) { c.JWKSURL = "https://id.example.com/jwks" }, false},
		{"keys and a client", func(c *Config) { c.HTTPClient = new(http.Client) }, false},
		{"http to another machine", func(c *Config) { c.Keys, c.Issuer = nil, "http://id.example.com" }, false},
	} {
		cfg := Config{Issuer: testIssuer, Audience: []string{testAudience}, Keys: keys}
		tt.change(&cfg)
		v, err := New(cfg)
		if (err == nil) != tt.want {
			t.Errorf("%s: got %v, want ok %v", tt.name, err, tt.want)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTheKeysAreLookedForBesideTheIssuer(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://id.example.com":       "https://id.example.com/.well-known/jwks.json",
		"https://id.example.com/":      "https://id.example.com/.well-known/jwks.json",
		"https://id.example.com/realm": "https://id.example.com/realm/.well-known/jwks.json",
	} {
		cfg := Config{Issuer: issuer}
		cfg.setDefaults()
		if cfg.JWKSURL != want {
			t.Errorf("%s: got %s, want %s", issuer, cfg.JWKSURL, want)
		}
	}
}

func TestReasonsFitIntoAHeader(t *testing.T) {
	for _, err := range append(slices.Clone(reasonsAfterKey),
		errTooLong, errNotCompact, errBase64, errHeaderJSON, errHeaderRepeated, errHeaderName, errAlgorithm, errType, errKeyID) {
		// RFC 6750 §3: error_description has no quotes, no backslash and only ASCII.
		for _, c := range []byte(err.Reason) {
			if c < ' ' || c > '~' || c == '"' || c == '\\' {
				t.Errorf("%q has %q", err.Reason, c)
			}
		}
		if !strings.HasPrefix(err.Error(), "invalid token: ") {
			t.Errorf("got %q", err.Error())
		}
	}
}
