package authserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/storage"
)

// RFC 6749 §5.1
func TestASuccessfulAnswerHasTheMembersAndHeadersOfTheRFC(t *testing.T) {
	r := newRig(t)
	res := r.signIn("alice", "wonderland", "scope", "openid profile")
	want(t, res, http.StatusOK, "")
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff",
	} {
		if got := res.Header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	got := slices.Sorted(maps.Keys(res.body))
	if all := []string{"access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"}; !slices.Equal(got, all) {
		t.Errorf("members are %v", got)
	}
	if !strings.EqualFold(res.str("token_type"), "bearer") || res.body["expires_in"] != 900.0 || res.str("scope") != "openid profile" {
		t.Errorf("got %s", res.raw)
	}
}

// RFC 9068 §2.1, §2.2
func TestAccessTokensAreThoseOfRFC9068(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		start := time.Now().Unix()
		res := r.signIn("alice", "wonderland", "scope", "profile read")
		token := r.verify(res.str("access_token"))
		if len(token.header) != 3 || token.header["typ"] != "at+jwt" || token.header["alg"] != "RS256" || token.header["kid"] == "" {
			t.Errorf("header: %v", token.header)
		}
		for name, value := range map[string]any{
			"iss": issuer, "sub": "usr_alice", "aud": apiAud, "client_id": "cli", "scope": "profile read", "username": "alice",
			"iat": float64(start), "exp": float64(start + 900), "auth_time": float64(start), "acr": "1",
		} {
			if token.claims[name] != value {
				t.Errorf("%s is %v, want %v", name, token.claims[name], value)
			}
		}
		if token.str("jti") == "" || token.str("sid") == "" {
			t.Errorf("no jti or no sid: %v", token.claims)
		}
		if amr, _ := token.claims["amr"].([]any); len(amr) != 1 || amr[0] != "pwd" {
			t.Errorf("amr: %v", token.claims["amr"])
		}
		if plain := r.verify(r.signIn("alice", "wonderland", "scope", "read").str("access_token")); plain.claims["username"] != nil {
			t.Error("without scope profile the token tells the username")
		}
	})
}

// RFC 9068 §2.2: iat and jti are those of this token, also after a refresh; auth_time stays (OIDC Core §12.2).
func TestAfterARefreshTheTokensAreFreshAndTheSignInIsNot(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		start := time.Now()
		first := r.signIn("alice", "wonderland", "scope", "openid profile email")
		before, idBefore := r.verify(first.str("access_token")), r.verify(first.str("id_token"))
		time.Sleep(17 * time.Second)
		second := r.refresh(first.str("refresh_token"))
		after, idAfter := r.verify(second.str("access_token")), r.verify(second.str("id_token"))

		if after.num("iat") != before.num("iat")+17 || after.num("exp") != before.num("exp")+17 || idAfter.num("iat") != idBefore.num("iat")+17 {
			t.Errorf("iat or exp is not fresh: %v, %v, %v", before.claims, after.claims, idAfter.claims)
		}
		if after.str("jti") == before.str("jti") {
			t.Error("the jti was used again")
		}
		for _, tok := range []jws{after, idAfter} {
			if tok.num("auth_time") != float64(start.Unix()) || tok.str("sid") != before.str("sid") || tok.str("sub") != "usr_alice" {
				t.Errorf("auth_time, sid or sub changed: %v", tok.claims)
			}
		}
		if after.str("scope") != before.str("scope") || after.claims["aud"] != before.claims["aud"] {
			t.Errorf("scope or aud changed: %v", after.claims)
		}
	})
}

// OIDC Core §2, §3.1.3.6
func TestAnIDTokenComesWithOpenIDAndOnlyThen(t *testing.T) {
	r := newRig(t)
	res := r.signIn("alice", "wonderland", "scope", "openid email")
	id := r.verify(res.str("id_token"))
	if id.header["typ"] == "at+jwt" || id.str("iss") != issuer || id.str("aud") != "cli" || id.str("sub") != "usr_alice" {
		t.Errorf("got %v %v", id.header, id.claims)
	}
	digest := sha256.Sum256([]byte(res.str("access_token")))
	if id.str("at_hash") != base64.RawURLEncoding.EncodeToString(digest[:16]) {
		t.Errorf("at_hash is %q", id.str("at_hash"))
	}
	if id.str("email") != "alice@example.test" || id.claims["name"] != nil || id.claims["preferred_username"] != nil {
		t.Errorf("scope email has the claims %v", id.claims)
	}
	for _, without := range []string{"profile", "email"} {
		if res := r.signIn("alice", "wonderland", "scope", without); res.body["id_token"] != nil {
			t.Errorf("scope %q: %s", without, res.raw)
		}
	}
	// 1B-19: the names of scopes are case-sensitive (RFC 6749 §3.3).
	want(t, r.signIn("alice", "wonderland", "scope", "OPENID"), http.StatusBadRequest, "invalid_scope")
	narrowed := r.refresh(res.str("refresh_token"), "scope", "email")
	if narrowed.body["id_token"] != nil {
		t.Error("a refresh that gave openid up got an ID token")
	}
	narrowed = r.refresh(narrowed.str("refresh_token"), "scope", "openid")
	if claims := r.verify(narrowed.str("id_token")).claims; claims["email"] != nil {
		t.Errorf("a refresh that gave email up got %v", claims)
	}
}

// RFC 6749 §3.3
func TestScopesOutsideTheRegistrationAreInvalid(t *testing.T) {
	r := newRig(t)
	for _, fine := range []string{"read", "read write", "openid profile email read write", "read read"} {
		res := r.signIn("alice", "wonderland", "scope", fine)
		want(t, res, http.StatusOK, "")
		if granted := r.verify(res.str("access_token")).str("scope"); granted != res.str("scope") || strings.Count(granted, "read") > 1 {
			t.Errorf("%q: granted %q, answered %q", fine, granted, res.str("scope"))
		}
	}
	for _, wrong := range []string{"admin", "read admin", "rea", "read*", "*", "read\\", "\"read\"", "read,write", "Read", "réad", "read.write"} {
		res := r.signIn("alice", "wonderland", "scope", wrong)
		wantDocument(t, res, http.StatusBadRequest)
		want(t, res, http.StatusBadRequest, "invalid_scope")
	}
	if res := r.signIn("alice", "wonderland"); res.str("scope") != "profile" {
		t.Errorf("without scope: %q, want the client's default", res.raw)
	}
	service := func(scope string) response {
		return r.do(basic(form("/oauth2/token", "grant_type", "client_credentials", "scope", scope), "service", svcPlain))
	}
	want(t, service("read"), http.StatusOK, "")
	want(t, service("profile"), http.StatusBadRequest, "invalid_scope")
}

// RFC 6749 §4.4.3, RFC 9068 §2.2
func TestAClientThatActsForItselfIsTheSubjectAndGetsNoRefreshToken(t *testing.T) {
	r := newRig(t)
	res := r.do(basic(form("/oauth2/token", "grant_type", "client_credentials", "scope", "read"), "service", svcPlain))
	want(t, res, http.StatusOK, "")
	if res.body["refresh_token"] != nil || res.body["id_token"] != nil {
		t.Errorf("got %s", res.raw)
	}
	token := r.verify(res.str("access_token"))
	if token.str("sub") != "service" || token.str("client_id") != "service" || token.claims["sid"] != nil || token.claims["auth_time"] != nil {
		t.Errorf("claims: %v", token.claims)
	}
	if aud, _ := token.claims["aud"].([]any); len(aud) != 2 {
		t.Errorf("aud: %v", token.claims["aud"])
	}
	// There is no user whose identity openid could tell.
	r.changeClient("service", func(c *storage.Client) { c.Scopes = []string{"openid", "read"} })
	res = r.do(basic(form("/oauth2/token", "grant_type", "client_credentials", "scope", "openid read"), "service", svcPlain))
	if res.str("scope") != "read" || res.body["id_token"] != nil || r.verify(res.str("access_token")).str("scope") != "read" {
		t.Errorf("with openid: %s", res.raw)
	}
	// RFC 6749 §5.1: an answer without scope would say that all was granted.
	req := form("/oauth2/token", "grant_type", "client_credentials", "scope", "openid")
	want(t, r.do(basic(req, "service", svcPlain)), http.StatusBadRequest, "invalid_scope")
}

// RFC 6749 §3.2: unrecognized parameters are ignored, whatever is in them; known ones are not.
func TestAnUnknownParameterIsIgnoredWhateverItHolds(t *testing.T) {
	r := newRig(t)
	want(t, r.signIn("alice", "wonderland", "tracking", "\x00\xff"+strings.Repeat("x", 5000)), http.StatusOK, "")
	want(t, r.signIn("alice", "wonderland", "scope", "profile\x00"), http.StatusBadRequest, "invalid_request")
}

// RFC 8707 §2
func TestResourceNarrowsTheAudienceAndNeverWidensIt(t *testing.T) {
	r := newRig(t)
	second := "https://second.example.test"
	r.changeClient("cli", func(c *storage.Client) { c.Audience = []string{apiAud, second} })
	audience := func(res response) any {
		t.Helper()
		want(t, res, http.StatusOK, "")
		return r.verify(res.str("access_token")).claims["aud"]
	}

	both := r.signIn("alice", "wonderland")
	if aud, _ := audience(both).([]any); len(aud) != 2 {
		t.Errorf("aud: %v", aud)
	}
	narrowed := r.refresh(both.str("refresh_token"), "resource", second)
	if aud := audience(narrowed); aud != second {
		t.Errorf("aud: %v", aud)
	}
	one := r.signIn("alice", "wonderland", "resource", second)
	if aud := audience(one); aud != second {
		t.Errorf("aud: %v", aud)
	}
	res := r.refresh(one.str("refresh_token"), "resource", apiAud)
	want(t, res, http.StatusBadRequest, "invalid_target")
	r.wantLive(one.str("refresh_token"))
	want(t, r.signIn("alice", "wonderland", "resource", apiAud+"/"), http.StatusBadRequest, "invalid_target")
	want(t, r.signIn("alice", "wonderland", "audience", "https://evil.example"), http.StatusBadRequest, "invalid_target")
}

// RFC 6749 §5.2
func TestAGrantTypeThatIsNotRegisteredIsUnauthorized(t *testing.T) {
	r := newRig(t)
	want(t, r.do(basic(form("/oauth2/token", "grant_type", "client_credentials"), "service", svcPlain)), http.StatusOK, "")
	for _, c := range []struct{ grant, id, secret string }{
		{"client_credentials", "web", webPlain},
		{"password", "service", svcPlain},
		{"password", "other", "other-secret"},
		{"refresh_token", "service", svcPlain},
		{"refresh_token", "api", "api-secret"},
	} {
		req := form("/oauth2/token", "grant_type", c.grant, "username", "alice", "password", "wonderland", "refresh_token", "x")
		want(t, r.do(basic(req, c.id, c.secret)), http.StatusBadRequest, "unauthorized_client")
	}
}

// RFC 9068 §3: aud is never empty.
func TestAClientWithoutAnAudienceGetsTheServersDefault(t *testing.T) {
	bare := func(c *storage.Client) { c.Audience = nil }
	r := newRig(t)
	r.changeClient("cli", bare)
	if aud := r.verify(r.signIn("alice", "wonderland").str("access_token")).claims["aud"]; aud != issuer {
		t.Errorf("aud: %v", aud)
	}
	r = newRig(t, func(c *authserver.Config, _ *authserver.Dependencies) {
		c.DefaultAudience = []string{"https://api.example.test"}
	})
	r.changeClient("cli", bare)
	if aud := r.verify(r.signIn("alice", "wonderland").str("access_token")).claims["aud"]; aud != "https://api.example.test" {
		t.Errorf("aud: %v", aud)
	}
}
