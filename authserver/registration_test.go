package authserver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// A client that is removed and registered anew under the same id, by whoever, is another client.
func TestTokensOfARemovedClientStayDeadWhenItsIDIsRegisteredAgain(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	old, err := r.store.Client(ctx, "web")
	must(t, err)
	ask := func(refresh string) response {
		return r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", refresh), "web", webPlain))
	}
	before := r.webSignIn("read")
	want(t, before, http.StatusOK, "")

	must(t, r.store.DeleteClient(ctx, "web"))
	anew := old
	anew.CreatedAt = time.Now()
	must(t, r.store.CreateClient(ctx, anew))

	want(t, ask(before.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
	for _, name := range []string{"access_token", "refresh_token"} {
		if got := r.introspect("web", webPlain, before.str(name)); got.body["active"] != false {
			t.Errorf("%s of the removed client: %s", name, got.raw)
		}
	}
	after := r.webSignIn("read")
	if got := r.introspect("web", webPlain, after.str("access_token")); got.body["active"] != true {
		t.Errorf("a token of the new client: %s", got.raw)
	}
	want(t, ask(after.str("refresh_token")), http.StatusOK, "")
}

// What CheckIssuer lets through can be served: http.ServeMux panics at some paths.
func TestAnIssuerWithAPathThatHasTwoSpellingsIsRefused(t *testing.T) {
	r := newRig(t)
	deps := authserver.Dependencies{
		Store: r.store, Keys: r.keys, Authenticator: &credential.Authenticator{Users: r.store, Limits: r.store, Hasher: testHasher(t)},
	}
	const base = "https://id.example.com/"
	for _, path := range []string{"{", "{x}", "{x...}", "a b", "a%20b", "a%2Fb", `a"b`, "인감"} {
		if _, err := authserver.New(authserver.Config{Issuer: base + path}, deps); err == nil || !strings.Contains(err.Error(), "escapes") {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, path := range []string{"a", "realms/main", "a-b._~c", "a:b@c", "a+b=c"} {
		if _, err := authserver.New(authserver.Config{Issuer: base + path}, deps); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, issuer := range []string{"https://:8080", "https://id.example.com:"} {
		if err := authserver.CheckIssuer(issuer); err == nil {
			t.Errorf("%q is accepted", issuer)
		}
	}
}

// The text of a 5xx answer sends people to the log with the request's id.
func TestALineAboutAFailureHasTheIDOfItsRequest(t *testing.T) {
	r, store := tapped(t)
	store.before = failing("Client")
	got := r.signIn("alice", "wonderland")
	want(t, got, http.StatusServiceUnavailable, "temporarily_unavailable")
	store.before = nil
	fine := r.signIn("alice", "wonderland")
	want(t, fine, http.StatusOK, "")
	for _, c := range []struct{ message, id string }{
		{"request failed", got.Header.Get("X-Request-Id")},
		{"request", got.Header.Get("X-Request-Id")},
		{"audit", fine.Header.Get("X-Request-Id")},
	} {
		found := false
		for line := range strings.Lines(r.logs.String()) {
			found = found || strings.Contains(line, `"msg":"`+c.message+`"`) && strings.Contains(line, `"request_id":"`+c.id+`"`)
		}
		if !found || c.id == "" {
			t.Errorf("no line %q of request %q in:\n%s", c.message, c.id, r.logs)
		}
	}
}

// A front end that signs people in anew at each visit must not leave a month of records behind.
func TestASignInWithoutARefreshTokenIsKeptOnlyAsLongAsItsAccessToken(t *testing.T) {
	r := newRig(t)
	r.changeClient("web", func(c *storage.Client) { c.GrantTypes = []string{"password"} })
	for _, c := range []struct {
		res  response
		kept time.Duration
	}{{r.webSignIn("read"), 15 * time.Minute}, {r.signIn("alice", "wonderland"), 30 * 24 * time.Hour}} {
		grant, err := r.store.Grant(context.Background(), r.verify(c.res.str("access_token")).str("sid"))
		must(t, err)
		if got := grant.Expiry().Sub(grant.BornAt); got != c.kept {
			t.Errorf("kept for %v, want %v", got, c.kept)
		}
	}
}

// A18 for audiences: what the client is no longer registered for is not in new tokens of old sign-ins.
func TestARefreshKeepsToTheAudiencesTheClientIsRegisteredForNow(t *testing.T) {
	r := newRig(t)
	second := "https://second.example.test"
	r.changeClient("cli", func(c *storage.Client) { c.Audience = []string{apiAud, second} })
	token := r.signIn("alice", "wonderland").str("refresh_token")

	r.changeClient("cli", func(c *storage.Client) { c.Audience = []string{second} })
	res := r.refresh(token)
	want(t, res, http.StatusOK, "")
	if aud := r.verify(res.str("access_token")).claims["aud"]; aud != second {
		t.Errorf("aud is %v, want %s", aud, second)
	}
	r.changeClient("cli", func(c *storage.Client) { c.Audience = []string{"https://third.example.test"} })
	want(t, r.refresh(res.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
}
