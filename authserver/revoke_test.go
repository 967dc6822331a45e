package authserver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// RFC 7009 §2.1; 1B-6: whatever the generation, the whole sign-in ends.
func TestRevokingAnyTokenOfASignInEndsIt(t *testing.T) {
	which := map[string]func(r *rig, first, second response) string{
		"current refresh token": func(_ *rig, _, second response) string { return second.str("refresh_token") },
		"used refresh token":    func(_ *rig, first, _ response) string { return first.str("refresh_token") },
		"access token":          func(_ *rig, _, second response) string { return second.str("access_token") },
		"older access token":    func(_ *rig, first, _ response) string { return first.str("access_token") },
	}
	for name, pick := range which {
		t.Run(name, func(t *testing.T) {
			onRefresh(t, func(t testing.TB, r *rig) {
				web := func(pairs ...string) response { return r.do(basic(form("/oauth2/token", pairs...), "web", webPlain)) }
				signIn := func() response {
					return web("grant_type", "password", "username", "alice", "password", "wonderland")
				}
				refresh := func(token string) response {
					return web("grant_type", "refresh_token", "refresh_token", token)
				}
				other := signIn()
				first := signIn()
				second := refresh(first.str("refresh_token"))
				want(t, second, http.StatusOK, "")
				time.Sleep(time.Minute)
				res := r.revoke("web", webPlain, pick(r, first, second))
				if want(t, res, http.StatusOK, ""); res.raw != "" {
					t.Errorf("the answer has a body: %q", res.raw)
				}
				want(t, refresh(second.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
				for _, token := range []string{first.str("access_token"), second.str("access_token"), second.str("refresh_token")} {
					wantInactive(t, r.introspect("web", webPlain, token))
				}
				want(t, refresh(other.str("refresh_token")), http.StatusOK, "")
				want(t, r.revoke("web", webPlain, pick(r, first, second)), http.StatusOK, "") // again: no error
				r.wantEvent("token.revoked")
			})
		})
	}
}

// RFC 7009 §2.2: a token that means nothing here is no error. Nothing changes.
func TestRevokingWhatIsNotATokenIs200AndChangesNothing(t *testing.T) {
	r := newRig(t)
	res := r.signIn("alice", "wonderland", "scope", "openid")
	access := strings.Split(res.str("access_token"), ".")
	for _, token := range []string{
		"unknown", "rt_unknown.1.xyz", "a.b.c", "..", res.str("id_token"), access[0] + "." + access[1] + ".", access[0] + "." + access[1],
		"eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + access[1] + ".", res.str("refresh_token") + "x",
	} {
		want(t, r.revoke("cli", "", token), http.StatusOK, "")
	}
	if strings.Contains(r.logs.String(), "token.revoked") {
		t.Error("there is an event of a revocation")
	}
	r.wantLive(res.str("refresh_token"))
}

// RFC 7009 §2.1: the server verifies that the token was issued to the client that asks.
func TestAClientCannotRevokeTheTokensOfAnother(t *testing.T) {
	r := newRig(t)
	res := r.signIn("alice", "wonderland")
	for _, token := range []string{res.str("refresh_token"), res.str("access_token")} {
		wantDocument(t, r.revoke("web", webPlain, token), http.StatusBadRequest)
		wantDocument(t, r.revoke("api", "api-secret", token), http.StatusBadRequest) // may introspect it, and no more
		wantDocument(t, r.revoke("strict", "", token), http.StatusBadRequest)
	}
	r.wantLive(res.str("refresh_token"))
}

func TestRevocationWantsATokenAndAClient(t *testing.T) {
	r := newRig(t)
	token := r.signIn("alice", "wonderland").str("refresh_token")
	want(t, r.do(form("/oauth2/revoke", "client_id", "cli")), http.StatusBadRequest, "invalid_request")
	want(t, r.do(form("/oauth2/revoke", "client_id", "cli", "token", "")), http.StatusBadRequest, "invalid_request")
	want(t, r.do(form("/oauth2/revoke", "token", token)), http.StatusUnauthorized, "invalid_client")
	want(t, r.do(form("/oauth2/revoke", "token", token, "client_id", "nobody")), http.StatusUnauthorized, "invalid_client")
	want(t, r.do(form("/oauth2/revoke", "token", token, "client_id", "web")), http.StatusUnauthorized, "invalid_client")
	r.wantLive(token)
}

// RFC 7009 §2.1: the hint is a hint.
func TestAWrongHintDoesNotHinderRevocation(t *testing.T) {
	for _, hint := range []string{"refresh_token", "access_token", "nonsense", ""} {
		r := newRig(t)
		token := r.signIn("alice", "wonderland").str("refresh_token")
		want(t, r.do(form("/oauth2/revoke", "client_id", "cli", "token", token, "token_type_hint", hint)), http.StatusOK, "")
		r.wantDead(token)
	}
}

// An access token without a sign-in is remembered as revoked, by itself.
func TestATokenOfAClientThatActsForItselfIsRevokedAlone(t *testing.T) {
	inBubbles(t, func(t testing.TB, store storage.Store) {
		r := newRigOn(t, store)
		issue := func() string {
			return r.do(basic(form("/oauth2/token", "grant_type", "client_credentials"), "service", svcPlain)).str("access_token")
		}
		one, two := issue(), issue()
		want(t, r.revoke("service", svcPlain, one), http.StatusOK, "")
		wantInactive(t, r.introspect("service", svcPlain, one))
		wantInactive(t, newRigOn(t, store).introspect("service", svcPlain, one))
		if r.introspect("service", svcPlain, two).body["active"] != true {
			t.Error("the other token ended too")
		}
		time.Sleep(15*time.Minute - time.Millisecond)
		wantInactive(t, r.introspect("service", svcPlain, one))
	})
}

// RFC 7009 §2.2.1; 1B-6: a store that fails is 503, never 200.
func TestARevocationThatFailedIsNotAnsweredWith200(t *testing.T) {
	r, store := tapped(t)
	res := r.signIn("alice", "wonderland")
	service := r.do(basic(form("/oauth2/token", "grant_type", "client_credentials"), "service", svcPlain)).str("access_token")
	for _, verb := range []string{"Client", "Grant", "RevokeGrant"} {
		store.before = failing(verb)
		got := r.revoke("cli", "", res.str("refresh_token"))
		wantDocument(t, got, http.StatusServiceUnavailable)
		if got.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	store.before = failing("Remember")
	wantDocument(t, r.revoke("service", svcPlain, service), http.StatusServiceUnavailable)
	store.before = nil
	if r.introspect("service", svcPlain, service).body["active"] != true {
		t.Error("it was revoked after all")
	}
	r.wantLive(res.str("refresh_token"))
}

// An end that the server did not see itself: the record is gone.
func TestRevokingAfterTheUserIsGoneIsNoError(t *testing.T) {
	r := newRig(t)
	res := r.signIn("alice", "wonderland")
	must(t, r.store.DeleteUser(context.Background(), "usr_alice"))
	want(t, r.revoke("cli", "", res.str("refresh_token")), http.StatusOK, "")
	want(t, r.revoke("cli", "", res.str("access_token")), http.StatusOK, "")
}
