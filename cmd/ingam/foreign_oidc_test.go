package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// goodbyes is a client's endpoint for OIDC Back-Channel Logout.
type goodbyes struct {
	*httptest.Server
	tokens chan string
}

func receiveGoodbyes(t *testing.T) goodbyes {
	t.Helper()
	g := goodbyes{tokens: make(chan string, 10)}
	g.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.tokens <- r.PostFormValue("logout_token")
	}))
	t.Cleanup(g.Close)
	return g
}

func (g goodbyes) next(t *testing.T) string {
	t.Helper()
	select {
	case token := <-g.tokens:
		return token
	case <-time.After(patience):
		t.Fatal("no logout token came")
		return ""
	}
}

// Threats A7, L15: what a program does that is written as the documentation of go-oidc says.
func TestGoProgramsSignPeopleInWithGoOIDCAndHearWhenTheySignOut(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, facts := spawnDev(t)
	bye := receiveGoodbyes(t)
	const redirect, after = "http://localhost:9/callback", "http://localhost:9/bye"
	secret := addClient(t, facts, "", "go", "--kind", "web", "--redirect-uri", redirect, "--session-bound",
		"--audience", devResourceID, "--post-logout-redirect-uri", after, "--backchannel-logout-uri", bye.URL)
	provider, err := oidc.NewProvider(ctx, facts.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	conf := oauth2.Config{
		ClientID: "go", ClientSecret: secret, Endpoint: provider.Endpoint(), RedirectURL: redirect,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
	}
	ids := provider.Verifier(&oidc.Config{ClientID: "go"})
	alice := mustVisitor(t, facts.Issuer)

	verifier := oauth2.GenerateVerifier()
	ask := func(more ...oauth2.AuthCodeOption) string {
		options := append([]oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier), oidc.Nonce("n")}, more...)
		back := alice.mustVisit(t, conf.AuthCodeURL("s", options...), redirect)
		if back.Get("state") != "s" || back.Get("iss") != facts.Issuer || back.Get("code") == "" {
			t.Fatalf("the client got %v", back)
		}
		return back.Get("code")
	}
	code := ask()
	token, err := conf.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	rawID, _ := token.Extra("id_token").(string)
	id, err := ids.Verify(ctx, rawID)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil || id.AccessTokenHash == "" || id.Nonce != "n" {
		t.Errorf("ID token: nonce %q, at_hash %q, %v", id.Nonce, id.AccessTokenHash, err)
	}
	if _, err := ids.VerifyLogout(ctx, rawID); err == nil {
		t.Error("the ID token passes for a logout token")
	}
	if _, err := ids.Verify(ctx, turnLast(t, rawID)); err == nil {
		t.Error("an ID token with another signature is taken")
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "demo-web"}).Verify(ctx, rawID); err == nil {
		t.Error("another client takes the ID token")
	}
	if _, err := ids.Verify(ctx, token.AccessToken); err == nil {
		t.Error("the access token passes for an ID token")
	}
	source := conf.TokenSource(ctx, token)
	info, err := provider.UserInfo(ctx, source)
	if err != nil || info.Subject != id.Subject || info.Email != "alice@example.test" || !info.EmailVerified {
		t.Errorf("userinfo: %+v, %v", info, err)
	}
	assertCaller(t, conf.Client(ctx, token), facts.Resource, "alice", "go")

	token.Expiry = time.Now().Add(-time.Minute) // so that the source has to refresh
	second, err := conf.TokenSource(ctx, token).Token()
	if err != nil || second.AccessToken == token.AccessToken || second.RefreshToken == token.RefreshToken {
		t.Fatalf("refresh: %v", err)
	}
	end := url.Values{"id_token_hint": {rawID}, "post_logout_redirect_uri": {after}, "state": {"out"}}
	if back := alice.mustVisit(t, facts.Issuer+"/oauth2/logout?"+end.Encode(), after); back.Get("state") != "out" {
		t.Errorf("after signing out the client got %v", back)
	}
	assertToldOfLogout(t, ids, id, bye.next(t))
	second.Expiry = time.Now().Add(-time.Minute)
	if _, err := conf.TokenSource(ctx, second).Token(); !refusedWith(err, "invalid_grant") {
		t.Errorf("refresh after signing out: %v", err)
	}
}

// assertToldOfLogout wants a logout token for the session of an ID token, and nothing else that passes for one.
func assertToldOfLogout(t *testing.T, ids *oidc.IDTokenVerifier, id *oidc.IDToken, raw string) {
	t.Helper()
	out, err := ids.VerifyLogout(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ SID string }
	if err := id.Claims(&claims); err != nil || claims.SID == "" {
		t.Fatal(claims, err)
	}
	if out.Subject != id.Subject || out.SessionID != claims.SID {
		t.Errorf("logout token for %q in session %q, want %q in %q", out.Subject, out.SessionID, id.Subject, claims.SID)
	}
	if _, err := ids.VerifyLogout(t.Context(), turnLast(t, raw)); err == nil {
		t.Error("a logout token with another signature is taken")
	}
	// OIDC Back-Channel Logout §2.4: the library does not look at typ, so it is the nonce that tells them apart.
	if passed, err := ids.Verify(t.Context(), raw); err == nil && passed.Nonce != "" {
		t.Error("a logout token has the nonce of an ID token")
	}
}

// refusedWith tells whether the server has refused with that error code.
func refusedWith(err error, code string) bool {
	var refused *oauth2.RetrieveError
	return errors.As(err, &refused) && refused.ErrorCode == code
}

// Threats A6, A8: what the code is bound to counts at the first try, and there is no second.
func TestGoProgramsAreRefusedACodeThatIsNotTheirsOrWasUsed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, facts := spawnDev(t)
	const redirect = "http://localhost:9/callback"
	endpoint := oauth2.Endpoint{
		AuthURL: facts.Issuer + "/oauth2/auth", TokenURL: facts.Issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader,
	}
	flags := []string{"--kind", "web", "--first-party", "--redirect-uri", redirect, "--redirect-uri", redirect + "2"}
	conf := oauth2.Config{
		ClientID: "mine", ClientSecret: addClient(t, facts, "", "mine", flags...), RedirectURL: redirect, Endpoint: endpoint,
		Scopes: []string{"openid"},
	}
	other := conf
	other.ClientID, other.ClientSecret = "other", addClient(t, facts, "", "other", flags...)
	elsewhere := conf
	elsewhere.RedirectURL += "2"
	alice := mustVisitor(t, facts.Issuer)
	verifier := oauth2.GenerateVerifier()
	code := func() string {
		return alice.mustVisit(t, conf.AuthCodeURL("s", oauth2.S256ChallengeOption(verifier)), redirect).Get("code")
	}
	for name, try := range map[string]func(code string) (*oauth2.Token, error){
		"a wrong verifier": func(code string) (*oauth2.Token, error) {
			return conf.Exchange(ctx, code, oauth2.VerifierOption(oauth2.GenerateVerifier()))
		},
		"no verifier": func(code string) (*oauth2.Token, error) { return conf.Exchange(ctx, code) },
		"another client": func(code string) (*oauth2.Token, error) {
			return other.Exchange(ctx, code, oauth2.VerifierOption(verifier))
		},
		"another redirect URI": func(code string) (*oauth2.Token, error) {
			return elsewhere.Exchange(ctx, code, oauth2.VerifierOption(verifier))
		},
	} {
		if _, err := try(code()); !refusedWith(err, "invalid_grant") {
			t.Errorf("%s: %v, want invalid_grant", name, err)
		}
	}
	used := code()
	token, err := conf.Exchange(ctx, used, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conf.Exchange(ctx, used, oauth2.VerifierOption(verifier)); !refusedWith(err, "invalid_grant") {
		t.Errorf("a code that was used: %v, want invalid_grant", err)
	}
	token.Expiry = time.Now().Add(-time.Minute)
	if _, err := conf.TokenSource(ctx, token).Token(); !refusedWith(err, "invalid_grant") {
		t.Errorf("refresh after the code came twice: %v, want invalid_grant", err)
	}
}
