package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// zitadelShows is what the application below shows of a sign-in.
type zitadelShows struct {
	Tokens *oidc.Tokens[*oidc.IDTokenClaims]
	Info   *oidc.UserInfo
	State  string
}

// newZitadelApp is an application made of the handlers of github.com/zitadel/oidc: /login and /callback, with state and
// PKCE verifier in cookies.
func newZitadelApp(t *testing.T, facts devFacts, after string, options ...rp.Option) (rp.RelyingParty, *httptest.Server) {
	t.Helper()
	mux := http.NewServeMux()
	app := httptest.NewServer(mux)
	t.Cleanup(app.Close)
	secret := addClient(t, facts, "", "zitadel", "--kind", "web", "--redirect-uri", app.URL+"/callback", "--session-bound",
		"--post-logout-redirect-uri", after)
	cookies := httphelper.NewCookieHandler([]byte(strings.Repeat("h", 32)), []byte(strings.Repeat("e", 32)), httphelper.WithUnsecure())
	party, err := rp.NewRelyingPartyOIDC(t.Context(), facts.Issuer, "zitadel", secret, app.URL+"/callback",
		[]string{"openid", "profile", "email"}, append([]rp.Option{
			rp.WithCookieHandler(cookies), rp.WithPKCEFromDiscovery(cookies), rp.WithSigningAlgsFromDiscovery(),
			rp.WithAuthStyle(oauth2.AuthStyleInHeader),
		}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	if !party.IsPKCE() {
		t.Error("discovery does not tell it that there is PKCE")
	}
	mux.Handle("/login", rp.AuthURLHandler(func() string { return "state" }, party, rp.WithURLParam("nonce", "n")))
	mux.Handle("/callback", rp.CodeExchangeHandler(rp.UserinfoCallback(func(
		w http.ResponseWriter, _ *http.Request, tokens *oidc.Tokens[*oidc.IDTokenClaims], state string, _ rp.RelyingParty, info *oidc.UserInfo,
	) {
		_ = json.NewEncoder(w).Encode(zitadelShows{tokens, info, state}) // whoever asked may be gone
	}), party))
	return party, app
}

// signInNonce is in the context of requests that belong to a sign-in: a refreshed ID token need not have a nonce (OIDC
// Core §12.2), and this library compares it all the same.
func signInNonce(ctx context.Context) string {
	if ctx.Value(http.ServerContextKey) == nil {
		return ""
	}
	return "n"
}

func TestGoProgramsSignPeopleInWithZitadelOIDC(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, facts := spawnDev(t)
	const after = "http://localhost:9/bye"
	party, app := newZitadelApp(t, facts, after, rp.WithVerifierOpts(rp.WithNonce(signInNonce)))
	alice := mustVisitor(t, facts.Issuer, app.URL)
	l, err := alice.visit(ctx, app.URL+"/login")
	if err != nil {
		t.Fatal(err)
	}
	var got zitadelShows
	if err := json.Unmarshal([]byte(l.Page), &got); err != nil || l.Status != http.StatusOK {
		t.Fatalf("%v: %d %s", err, l.Status, l.Page)
	}
	if got.State != "state" || got.Info.PreferredUsername != "alice" || got.Info.Email != "alice@example.test" ||
		!bool(got.Info.EmailVerified) {
		t.Errorf("signed in as %+v", got.Info)
	}
	claims := got.Tokens.IDTokenClaims
	if claims.Subject != got.Info.Subject || claims.SessionID == "" || claims.AccessTokenHash == "" || claims.AuthTime.AsTime().IsZero() {
		t.Errorf("ID token: %+v", claims)
	}
	next, err := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, got.Tokens.RefreshToken, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if next.IDTokenClaims.Subject != claims.Subject || next.RefreshToken == got.Tokens.RefreshToken {
		t.Errorf("refreshed for %q", next.IDTokenClaims.Subject)
	}
	where, err := rp.EndSession(ctx, party, next.IDToken, after, "out", "", nil)
	if err != nil || where == nil {
		t.Fatalf("end session: %v, %v", where, err)
	}
	if back := alice.mustVisit(t, where.String(), after); back.Get("state") != "out" {
		t.Errorf("after signing out the client got %v", back)
	}
	if _, err := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, next.RefreshToken, "", ""); !saysInvalidGrant(err) {
		t.Errorf("refresh after signing out: %v", err)
	}
	if _, err := rp.Userinfo[*oidc.UserInfo](ctx, next.AccessToken, next.TokenType, claims.Subject, party); err == nil {
		t.Error("userinfo answers after signing out")
	}
}

func TestZitadelOIDCNoticesWhatDoesNotBelongTogether(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, facts := spawnDev(t)
	other := rp.WithNonce(func(context.Context) string { return "other" })
	party, app := newZitadelApp(t, facts, "http://localhost:9/bye", rp.WithVerifierOpts(other))
	// The server gives back the nonce of the request; this application has asked for another.
	alice := mustVisitor(t, facts.Issuer, app.URL)
	for path, about := range map[string]string{"/login": "nonce", "/callback?code=x&state=other": "failed to get state"} {
		l, err := alice.visit(ctx, app.URL+path)
		if err != nil || l.Status != http.StatusUnauthorized || !strings.Contains(l.Page, about) {
			t.Errorf("%s: %+v, %v", path, l, err)
		}
	}
	// Threat A6: a wrong verifier.
	outside := mustVisitor(t, facts.Issuer)
	challenge := rp.WithCodeChallenge(oidc.NewSHACodeChallenge(oauth2.GenerateVerifier()))
	back := outside.mustVisit(t, rp.AuthURL("s", party, challenge), app.URL+"/callback")
	_, err := rp.CodeExchange[*oidc.IDTokenClaims](ctx, back.Get("code"), party, rp.WithCodeVerifier(oauth2.GenerateVerifier()))
	if !saysInvalidGrant(err) {
		t.Errorf("a wrong verifier: %v", err)
	}
}

// saysInvalidGrant knows both errors of the library.
func saysInvalidGrant(err error) bool {
	var refused *oidc.Error
	return refusedWith(err, "invalid_grant") || errors.As(err, &refused) && refused.ErrorType == oidc.InvalidGrant
}
