package oidc

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

var alice = storage.User{ID: "usr_1", Username: "alice", Claims: map[string]any{
	"name": "Alice Liddell", "email": "alice@example.test", "email_verified": true, "groups": []any{"staff"},
	"salary": 1, "iss": "https://evil.example.test", "sub": "usr_2", "nonce": "n", "sid": "s",
}}

func idTokens() IDTokens {
	return IDTokens{
		Issuer: issuer, Lifetime: time.Minute, Keys: plainSigner{}, Subjects: Subjects{Keys: secrets{"new", "old"}},
	}
}

// tokenClaims are the claims of an ID token for g.
func tokenClaims(t *testing.T, g storage.Grant, c storage.Client, nonce string) map[string]any {
	t.Helper()
	born := time.Unix(1_700_000_000, 0)
	g.ID, g.ClientID, g.AuthTime, g.ACR, g.AMR = "g", c.ID, born, "1", []string{"pwd"}
	token, err := idTokens().IDToken(t.Context(), g, alice, c, nonce, "access", born.Add(time.Hour))
	must(t, err)
	return payload(t, "JWT", token)
}

// payload reads what plainSigner has made.
func payload(t *testing.T, typ, token string) map[string]any {
	t.Helper()
	if len(token) < len(typ)+1 || token[:len(typ)+1] != typ+" " {
		t.Fatalf("%.20q is not of type %s", token, typ)
	}
	var claims map[string]any
	must(t, json.Unmarshal([]byte(token[len(typ)+1:]), &claims))
	return claims
}

func claimsOf(t *testing.T, scopes ...string) map[string]any {
	t.Helper()
	return tokenClaims(t, storage.Grant{Scopes: scopes}, storage.Client{ID: "web"}, "")
}

var always = []string{"acr", "amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "sid", "sub"}

func wantNames(t *testing.T, what any, claims map[string]any, more ...string) {
	t.Helper()
	got, want := slices.Sorted(maps.Keys(claims)), append(slices.Clone(always), more...)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%v: got %v, want %v", what, got, want)
	}
}

// OIDC Core §5.4: scopes ask for claims.
func TestScopesDecideWhichFactsAnIDTokenOfAPasswordGrantTells(t *testing.T) {
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
		wantNames(t, c.scopes, claimsOf(t, c.scopes...), c.more...)
	}
}

// OIDC Core §5.4, §5.5: with a userinfo endpoint, only what was asked for the ID token by name is in it.
func TestAnIDTokenOfTheCodeFlowHasRegisteredClaimsAndThoseAskedForByName(t *testing.T) {
	g := storage.Grant{RedirectURI: "https://app.example.test/cb", SessionID: "ses_1", Scopes: []string{"openid", "profile", "email", "groups"}}
	wantNames(t, "scopes only", tokenClaims(t, g, storage.Client{ID: "web"}, ""))
	wantNames(t, "with a nonce", tokenClaims(t, g, storage.Client{ID: "web"}, "n-1"), "nonce")
	g.IDTokenClaims = []string{"email", "salary", "phone_number", "preferred_username", "iss", "sub", "sid", "nonce", "exp"}
	claims := tokenClaims(t, g, storage.Client{ID: "web", Scopes: []string{"openid", "profile", "email", "salary"}}, "")
	wantNames(t, "by name", claims, "email", "preferred_username")
	// A18: what the client is no longer registered for is gone, though the grant still has the name.
	wantNames(t, "no longer", tokenClaims(t, g, storage.Client{ID: "web", Scopes: []string{"openid", "email"}}, ""), "email")
	if claims["iss"] != issuer || claims["sub"] != "usr_1" || claims["preferred_username"] != "alice" {
		t.Errorf("got %v", claims)
	}
}

func TestSidIsTheSessionForTheClientAndForPasswordGrantsTheGrant(t *testing.T) {
	web, spa := storage.Client{ID: "web"}, storage.Client{ID: "spa"}
	code := storage.Grant{RedirectURI: "https://app.example.test/cb", SessionID: "ses_1"}
	sid := tokenClaims(t, code, web, "")["sid"]
	if sid != idTokens().Subjects.SID("ses_1", "web") || sid == tokenClaims(t, code, spa, "")["sid"] || sid == "ses_1" {
		t.Errorf("sid is %v", sid)
	}
	if sid := tokenClaims(t, storage.Grant{}, web, "")["sid"]; sid != "g" {
		t.Errorf("sid of a password grant is %v", sid)
	}
}

// OIDC Core §8.1
func TestAPairwiseClientGetsItsOwnSub(t *testing.T) {
	c := storage.Client{ID: "web", Pairwise: true, Sector: "example.test"}
	if sub := tokenClaims(t, storage.Grant{}, c, "")["sub"]; sub != idTokens().Subjects.Subject(c, "usr_1") || sub == "usr_1" {
		t.Errorf("sub is %v", sub)
	}
}

func TestFactsAboutAUserNeverReplaceTheTokensOwnClaims(t *testing.T) {
	claims := claimsOf(t, "openid", "profile", "email", "groups", "address", "phone")
	if claims["iss"] != issuer || claims["sub"] != "usr_1" {
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
	_, err := IDTokens{Keys: plainSigner{err: broken}}.IDToken(
		t.Context(), storage.Grant{}, alice, storage.Client{}, "", "", time.Time{})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}
