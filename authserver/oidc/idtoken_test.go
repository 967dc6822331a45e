package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// plainSigner "signs" by answering the payload.
type plainSigner struct{ err error }

func (p plainSigner) Sign(_ context.Context, typ string, payload []byte) (string, error) {
	return typ + " " + string(payload), p.err
}

var alice = storage.User{ID: "usr_1", Username: "alice", Claims: map[string]any{
	"name": "Alice Liddell", "email": "alice@example.test", "email_verified": true, "groups": []any{"staff"},
	"salary": 1, "iss": "https://evil.example.test", "sub": "usr_2",
}}

func claimsOf(t *testing.T, scopes ...string) map[string]any {
	t.Helper()
	born := time.Unix(1_700_000_000, 0)
	token, err := IDTokens{Issuer: "https://id.example.test", Lifetime: time.Minute, Keys: plainSigner{}}.IDToken(
		t.Context(),
		storage.Grant{ID: "g", ClientID: "web", Scopes: scopes, AuthTime: born, ACR: "1", AMR: []string{"pwd"}},
		alice, "access", born.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal([]byte(token[len("JWT "):]), &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// OIDC Core §5.4: scopes ask for claims.
func TestScopesDecideWhichFactsAnIDTokenTells(t *testing.T) {
	always := []string{"acr", "amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "sid", "sub"}
	for _, c := range []struct {
		scopes []string
		more   []string
	}{
		{scopes: []string{"openid"}},
		{scopes: []string{"openid", "profile"}, more: []string{"name", "preferred_username"}},
		{scopes: []string{"openid", "email"}, more: []string{"email", "email_verified"}},
		{scopes: []string{"openid", "groups"}, more: []string{"groups"}},
		{scopes: []string{"openid", "salary"}},
	} {
		got := slices.Sorted(maps.Keys(claimsOf(t, c.scopes...)))
		want := append(slices.Clone(always), c.more...)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("scopes %v: got %v, want %v", c.scopes, got, want)
		}
	}
}

func TestFactsAboutAUserNeverReplaceTheTokensOwnClaims(t *testing.T) {
	claims := claimsOf(t, "openid", "profile", "email", "groups", "address", "phone")
	if claims["iss"] != "https://id.example.test" || claims["sub"] != "usr_1" {
		t.Errorf("iss %v, sub %v", claims["iss"], claims["sub"])
	}
}

// OIDC Core §12.2: at a refresh iat is new and auth_time stays.
func TestIssuedAtIsNowAndAuthTimeIsTheSignIn(t *testing.T) {
	claims := claimsOf(t, "openid")
	if claims["auth_time"] != 1.7e9 || claims["iat"] != 1.7e9+3600 || claims["exp"] != 1.7e9+3660 {
		t.Errorf("auth_time %v, iat %v, exp %v", claims["auth_time"], claims["iat"], claims["exp"])
	}
}

// The example of OIDC Core, appendix A.4.
func TestAccessTokenHashIsThatOfTheSpecification(t *testing.T) {
	if got := accessTokenHash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"); got != "77QmUPtjPfzWtF2AnpK9RQ" {
		t.Errorf("got %s", got)
	}
}

func TestAFailingSignerIsAnError(t *testing.T) {
	broken := errors.New("broken")
	_, err := IDTokens{Keys: plainSigner{err: broken}}.IDToken(t.Context(), storage.Grant{}, alice, "", time.Time{})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
