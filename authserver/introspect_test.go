package authserver_test

import (
	"context"
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

// wantInactive fails unless the answer says that, and nothing else (RFC 7662 §2.2).
func wantInactive(t testing.TB, res response) {
	t.Helper()
	if res.StatusCode != http.StatusOK || res.raw != `{"active":false}` {
		t.Fatalf(`got %d %s, want {"active":false}`, res.StatusCode, res.raw)
	}
}

// webSignIn signs alice in at the confidential client web.
func (r *rig) webSignIn(scope string) response {
	r.t.Helper()
	req := form("/oauth2/token", "grant_type", "password", "username", "alice", "password", "wonderland", "scope", scope)
	res := r.do(basic(req, "web", webPlain))
	want(r.t, res, http.StatusOK, "")
	return res
}

// RFC 7662 §2.2
func TestALiveTokenIsDescribedToItsClient(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		start := float64(time.Now().Unix())
		res := r.webSignIn("profile read")
		got := r.introspect("web", webPlain, res.str("access_token"))
		claims := r.verify(res.str("access_token")).claims
		wanted := map[string]any{
			"active": true, "scope": "profile read", "client_id": "web", "username": "alice", "sub": "usr_alice", "aud": apiAud,
			"iss": issuer, "iat": start, "exp": start + 900, "jti": claims["jti"], "auth_time": start, "acr": "1", "sid": claims["sid"],
		}
		for name, value := range wanted {
			if got.body[name] != value {
				t.Errorf("%s is %v, want %v", name, got.body[name], value)
			}
		}
		if kind := got.str("token_type"); !strings.EqualFold(kind, "Bearer") {
			t.Errorf("token_type is %q", kind)
		}
		if again := r.introspect("web", webPlain, res.str("access_token")); again.raw != got.raw {
			t.Error("asked twice, the answers differ (1B-5d)")
		}
		if got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers: %v", got.Header)
		}
		// 1B-5d: a refresh token has an expiry of its own and is no Bearer token.
		refresh := r.introspect("web", webPlain, res.str("refresh_token"))
		if refresh.body["active"] != true || refresh.body["exp"] != start+30*24*3600 || refresh.body["token_type"] != nil {
			t.Errorf("got %s", refresh.raw)
		}
	})
}

// The username is told under the same scope as in the token (CONTRACT: username with profile).
func TestIntrospectionTellsTheUsernameOnlyWithScopeProfile(t *testing.T) {
	r := newRig(t)
	both := r.webSignIn("profile read")
	for scope, told := range map[string]any{"profile": "alice", "read": nil} {
		req := form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", both.str("refresh_token"), "scope", scope)
		narrowed := r.do(basic(req, "web", webPlain))
		want(t, narrowed, http.StatusOK, "")
		if got := r.introspect("web", webPlain, narrowed.str("access_token")); got.body["active"] != true || got.body["username"] != told {
			t.Errorf("scope %s: %s", scope, got.raw)
		}
	}
}

// G6: who may ask, and about what.
func TestATokenIsShownToItsClientAndItsResourceServersOnly(t *testing.T) {
	r := newRig(t)
	must(t, r.store.CreateClient(context.Background(), storage.Client{ID: "api2", Secrets: secret("s"), Resources: []string{"https://second.example.test"}}))
	must(t, r.store.CreateClient(context.Background(), storage.Client{ID: apiAud, Secrets: secret("s")}))
	res := r.webSignIn("read")
	access, refresh := res.str("access_token"), res.str("refresh_token")
	active := func(id, plain, token string) bool { return r.introspect(id, plain, token).body["active"] == true }
	for _, may := range [][2]string{{"web", webPlain}, {"api", "api-secret"}, {apiAud, "s"}} {
		if !active(may[0], may[1], access) {
			t.Errorf("%s cannot see the access token", may[0])
		}
	}
	for _, id := range []string{"other", "service", "api2"} {
		plain := map[string]string{"other": "other-secret", "service": svcPlain, "api2": "s"}[id]
		wantInactive(t, r.introspect(id, plain, access))
		wantInactive(t, r.introspect(id, plain, refresh))
	}
	if !active("web", webPlain, refresh) {
		t.Error("web cannot see its refresh token")
	}
	wantInactive(t, r.introspect("api", "api-secret", refresh)) // refresh tokens concern nobody else
	wantInactive(t, r.introspect(apiAud, "s", refresh))
}

// G6; 1B-5a, 1B-5b: a token is no authentication, a public client has none, and both methods of a client work.
func TestOnlyConfidentialClientsMayIntrospect(t *testing.T) {
	r := newRig(t)
	access := r.webSignIn("read").str("access_token")
	bearer := form("/oauth2/introspect", "token", access)
	bearer.Header.Set("Authorization", "Bearer "+access)
	refused := map[string]*http.Request{
		"bearer":                  bearer,
		"nobody":                  form("/oauth2/introspect", "token", access),
		"access_token in form":    form("/oauth2/introspect", "token", access, "access_token", access),
		"public":                  form("/oauth2/introspect", "token", access, "client_id", "cli"),
		"wrong secret":            basic(form("/oauth2/introspect", "token", access), "web", "x"),
		"confidential, no secret": form("/oauth2/introspect", "token", access, "client_id", "web"),
	}
	for name, req := range refused {
		res := r.do(req)
		wantDocument(t, res, http.StatusUnauthorized)
		if res.str("error") != "invalid_client" {
			t.Errorf("%s: %s", name, res.raw)
		}
	}
	own := r.signIn("alice", "wonderland").str("access_token") // issued to the public client itself
	wantDocument(t, r.do(form("/oauth2/introspect", "token", own, "client_id", "cli")), http.StatusUnauthorized)
	post := form("/oauth2/introspect", "token", access, "client_id", "web", "client_secret", webPlain)
	if r.do(post).body["active"] != true {
		t.Error("client_secret_post does not work")
	}
	want(t, r.do(basic(form("/oauth2/introspect"), "web", webPlain)), http.StatusBadRequest, "invalid_request")
}

// What has ended is inactive.
func TestATokenIsInactiveOnceItHasEnded(t *testing.T) {
	ctx := context.Background()
	ends := map[string]func(r *rig, res response){
		"access token expired": func(*rig, response) { time.Sleep(15 * time.Minute) },
		"user disabled":        func(r *rig, _ response) { r.changeUser("usr_alice", func(u *storage.User) { u.Disabled = true }) },
		"new password":         func(r *rig, _ response) { r.changeUser("usr_alice", func(u *storage.User) { u.Epoch++ }) },
		"user deleted":         func(r *rig, _ response) { must(r.t, r.store.DeleteUser(ctx, "usr_alice")) },
		"client deleted":       func(r *rig, _ response) { must(r.t, r.store.DeleteClient(ctx, "web")) },
		"revoked":              func(r *rig, res response) { r.revoke("web", webPlain, res.str("refresh_token")) },
		"reused": func(r *rig, res response) {
			refresh := func(token string) response {
				return r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", token), "web", webPlain))
			}
			refresh(refresh(res.str("refresh_token")).str("refresh_token"))
			want(r.t, refresh(res.str("refresh_token")), http.StatusBadRequest, "invalid_grant")
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			onRefresh(t, func(t testing.TB, r *rig) {
				res := r.webSignIn("read")
				if r.introspect("api", "api-secret", res.str("access_token")).body["active"] != true {
					t.Fatal("it was never active")
				}
				end(r, res)
				wantInactive(t, r.introspect("api", "api-secret", res.str("access_token")))
			})
		})
	}
}

// A used refresh token, and one that has expired, is inactive; its successor is not.
func TestOnlyTheCurrentRefreshTokenIsActive(t *testing.T) {
	onRefresh(t, func(t testing.TB, r *rig) {
		first := r.webSignIn("read").str("refresh_token")
		second := r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", first), "web", webPlain)).str("refresh_token")
		wantInactive(t, r.introspect("web", webPlain, first))
		if r.introspect("web", webPlain, second).body["active"] != true {
			t.Error("the successor is inactive")
		}
		time.Sleep(time.Hour)
		wantInactive(t, r.introspect("web", webPlain, second))
	}, lifetimes(time.Hour, 2*time.Hour))
}

// 1B-22: nothing but an access token of this issuer passes for one.
func TestOtherTokensAreInactive(t *testing.T) {
	r := newRig(t)
	res := r.webSignIn("openid read")
	parts := strings.Split(res.str("access_token"), ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	claims := strings.Replace(string(bytesOf(t, parts[1])), "usr_alice", "usr_bob", 1)
	forged := base64.RawURLEncoding.EncodeToString([]byte(claims))
	elsewhere := newRigOn(t, r.store, func(c *authserver.Config, _ *authserver.Dependencies) { c.Issuer = "http://localhost:9999" })
	tokens := []string{
		res.str("id_token"), none + "." + parts[1] + ".", none + "." + parts[1] + "." + parts[2], parts[0] + "." + forged + "." + parts[2],
		parts[0] + "." + parts[1] + ".", parts[0] + "." + parts[1], res.str("access_token") + ".", "unknown", "rt_x.1.y", "..", "a.b.c.d.e",
		elsewhere.webSignIn("read").str("access_token"), res.str("access_token") + "A",
	}
	for _, token := range tokens {
		wantInactive(t, r.introspect("web", webPlain, token))
	}
	if r.introspect("web", webPlain, res.str("access_token")).body["active"] != true {
		t.Error("and the right one is inactive too")
	}
}

// 1B-5c: a store that fails is 503, never active:false.
func TestAnIntrospectionThatFailedIsNotActiveFalse(t *testing.T) {
	r, store := tapped(t)
	res := r.webSignIn("read")
	service := r.do(basic(form("/oauth2/token", "grant_type", "client_credentials"), "service", svcPlain)).str("access_token")
	asked := map[string]bool{}
	store.before = func(verb string) error { asked[verb] = true; return nil }
	r.introspect("web", webPlain, res.str("access_token"))
	r.introspect("service", svcPlain, service)
	if got := slices.Sorted(maps.Keys(asked)); len(got) < 3 {
		t.Fatalf("the store is asked for %v only", got)
	}
	for verb := range asked {
		store.before = failing(verb)
		answers := []response{
			r.introspect("web", webPlain, res.str("access_token")), r.introspect("web", webPlain, res.str("refresh_token")),
			r.introspect("service", svcPlain, service),
		}
		failed := 0
		for _, got := range answers {
			switch {
			case got.StatusCode == http.StatusServiceUnavailable:
				failed++
			case got.body["active"] != true:
				t.Errorf("%s fails: %d %s", verb, got.StatusCode, got.raw)
			}
		}
		if failed == 0 {
			t.Errorf("%s fails and nobody hears of it", verb)
		}
	}
}
