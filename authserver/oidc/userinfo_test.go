package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

// knownTokens knows one token, "good", and what it is.
type knownTokens struct {
	grant  storage.Grant
	client storage.Client
	scopes []string
	err    error
}

func (k knownTokens) Identify(_ context.Context, token string) (storage.Grant, storage.User, storage.Client, []string, error) {
	if k.err != nil {
		return storage.Grant{}, storage.User{}, storage.Client{}, nil, k.err
	}
	if token != "good" {
		return storage.Grant{}, storage.User{}, storage.Client{}, nil, storage.ErrNotFound
	}
	return k.grant, alice, k.client, k.scopes, nil
}

func goodTokens(scopes ...string) knownTokens {
	return knownTokens{grant: storage.Grant{UserID: alice.ID}, client: storage.Client{ID: "web"}, scopes: scopes}
}

func userInfo(tokens Tokens) UserInfo {
	return UserInfo{Issuer: issuer, Tokens: tokens, Keys: plainSigner{}, Subjects: Subjects{Keys: secrets{"only"}}}
}

func serveUserInfo(i UserInfo, req *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	i.ServeUserInfo(rec, req)
	return rec
}

func withBearer(req *http.Request, token string) *http.Request {
	req.Header.Set("Authorization", "Bearer "+token)
	return req
}

func getUserInfo(query string) *http.Request {
	return httptest.NewRequest(http.MethodGet, "/userinfo"+query, nil)
}

// OIDC Core §5.3.1, RFC 6750 §2
func TestUserInfoTakesTheTokenInThreeWaysAndOneAtATime(t *testing.T) {
	text := httptest.NewRequest(http.MethodPost, "/userinfo", strings.NewReader("access_token=good"))
	text.Header.Set("Content-Type", "text/plain")
	two := withBearer(getUserInfo(""), "good")
	two.Header.Add("Authorization", "Bearer good")
	lower := getUserInfo("")
	lower.Header.Set("Authorization", "bearer good")
	basic := getUserInfo("")
	basic.SetBasicAuth("web", "good")
	const invalid, token = "invalid_request", "invalid_token"
	for name, c := range map[string]struct {
		req    *http.Request
		status int
		code   string // in the challenge
	}{
		"GET with the header":             {withBearer(getUserInfo(""), "good"), 200, ""},
		"HEAD with the header":            {withBearer(httptest.NewRequest(http.MethodHead, "/userinfo", nil), "good"), 200, ""},
		"POST with the header":            {withBearer(postForm("/userinfo"), "good"), 200, ""},
		"POST with the header and fields": {withBearer(postForm("/userinfo", "x", "y"), "good"), 200, ""},
		"POST with the body":              {postForm("/userinfo", "access_token", "good"), 200, ""},
		"the scheme in lower case":        {lower, 200, ""},
		"unknown parameters":              {withBearer(getUserInfo("?x=y"), "good"), 200, ""},

		"in the address":                {getUserInfo("?access_token=good"), 400, invalid},
		"in the address of a POST":      {postForm("/userinfo?access_token=good"), 400, invalid},
		"in the address and the header": {withBearer(getUserInfo("?access_token=good"), "good"), 400, invalid},
		"an address beyond parsing":     {withBearer(getUserInfo("?%zz"), "good"), 400, invalid},
		"in the header and the body":    {withBearer(postForm("/userinfo", "access_token", "good"), "good"), 400, invalid},
		"twice in the body":             {postForm("/userinfo", "access_token", "good", "access_token", "good"), 400, invalid},
		"two headers":                   {two, 400, invalid},
		"an empty token":                {withBearer(getUserInfo(""), ""), 400, invalid},
		"a token with a space":          {withBearer(getUserInfo(""), "go od"), 400, invalid},
		"a token with a quote":          {withBearer(getUserInfo(""), `go"od`), 400, invalid},
		"a body without end":            {postForm("/userinfo", "access_token", strings.Repeat("x", 70<<10)), 400, invalid},

		"nothing":                   {getUserInfo(""), 401, ""},
		"an empty form":             {postForm("/userinfo"), 401, ""},
		"a body that is not a form": {text, 401, ""},
		"another scheme":            {basic, 401, ""},
		"another token":             {withBearer(getUserInfo(""), "bad"), 401, token},
		"another token in the body": {postForm("/userinfo", "access_token", "bad"), 401, token},
	} {
		res := serveUserInfo(userInfo(goodTokens("openid")), c.req)
		if res.Code != c.status {
			t.Errorf("%s: %d %s", name, res.Code, res.Body)
		}
		challenge := res.Header().Get("WWW-Authenticate")
		if (challenge != "") != (c.status != 200) || strings.Contains(challenge, "error=") != (c.code != "") || !strings.Contains(challenge, c.code) {
			t.Errorf("%s: challenge %q", name, challenge)
		}
		if res.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control %q", name, res.Header().Get("Cache-Control"))
		}
		if res.Code == 200 && c.req.Method != http.MethodHead && res.Body.String() != `{"sub":"usr_1"}` {
			t.Errorf("%s: %s", name, res.Body)
		}
	}
}

func TestUserInfoNeedsTheScopeOpenid(t *testing.T) {
	res := serveUserInfo(userInfo(goodTokens("profile")), withBearer(getUserInfo(""), "good"))
	challenge := res.Header().Get("WWW-Authenticate")
	if res.Code != http.StatusForbidden || !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, `scope="openid"`) {
		t.Errorf("%d %q", res.Code, challenge)
	}
}

func TestUserInfoTakesGETAndPOSTOnly(t *testing.T) {
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} {
		res := serveUserInfo(userInfo(goodTokens("openid")), withBearer(httptest.NewRequest(method, "/userinfo", nil), "good"))
		if res.Code != http.StatusMethodNotAllowed || res.Header().Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: %d", method, res.Code)
		}
	}
}

// OIDC Core §5.4, §5.5
func TestUserInfoTellsWhatScopesAndTheClaimsParameterAskFor(t *testing.T) {
	all := []string{"openid", "profile", "email", "phone", "salary"}
	for name, c := range map[string]struct {
		scopes, claims, registered, want []string
	}{
		"openid":  {[]string{"openid"}, nil, all, []string{"sub"}},
		"profile": {[]string{"openid", "profile"}, nil, all, []string{"name", "preferred_username", "sub"}},
		"by name": {[]string{"openid"}, []string{"email", "phone_number", "sub", "iss"}, all, []string{"email", "sub"}},
		"both":    {[]string{"openid", "email"}, []string{"name", "email"}, all, []string{"email", "email_verified", "name", "sub"}},
		// Not understood, whatever is stored and registered.
		"salary": {[]string{"openid", "salary"}, []string{"salary"}, all, []string{"sub"}},
		// A18: registered for less today.
		"no longer": {[]string{"openid"}, []string{"email", "name"}, []string{"openid", "profile"}, []string{"name", "sub"}},
	} {
		tokens := goodTokens(c.scopes...)
		tokens.client.Scopes = c.registered
		tokens.grant.UserInfoClaims = c.claims
		var claims map[string]any
		res := serveUserInfo(userInfo(tokens), withBearer(getUserInfo(""), "good"))
		must(t, json.Unmarshal(res.Body.Bytes(), &claims))
		if got := slices.Sorted(maps.Keys(claims)); !slices.Equal(got, c.want) || claims["sub"] != "usr_1" {
			t.Errorf("%s: %s", name, res.Body)
		}
	}
}

// OIDC Core §5.3.2
func TestUserInfoIsSignedForClientsThatRegisterForIt(t *testing.T) {
	tokens := goodTokens("openid", "email")
	tokens.client = storage.Client{ID: "web", UserInfoAlg: "RS256", Pairwise: true, Sector: "app.example.test"}
	i := userInfo(tokens)
	res := serveUserInfo(i, withBearer(getUserInfo(""), "good"))
	claims := payload(t, "JWT", res.Body.String())
	if res.Header().Get("Content-Type") != "application/jwt" || claims["iss"] != issuer || claims["aud"] != "web" {
		t.Errorf("%v %v", res.Header(), claims)
	}
	if claims["sub"] != i.Subjects.Subject(tokens.client, "usr_1") || claims["email"] != "alice@example.test" {
		t.Errorf("%v", claims)
	}
	tokens.client.UserInfoAlg = ""
	if res := serveUserInfo(userInfo(tokens), withBearer(getUserInfo(""), "good")); res.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%v", res.Header())
	}
}

func TestAFailureOfTheStoreIs503AtUserInfoAndNeverABadToken(t *testing.T) {
	var log bytes.Buffer
	for name, c := range map[string]struct {
		tokens knownTokens
		signer plainSigner
		status int
	}{
		"the store fails":  {knownTokens{err: errDisk}, plainSigner{}, 503},
		"the signer fails": {knownTokens{client: storage.Client{UserInfoAlg: "RS256"}, grant: storage.Grant{UserID: "usr_1"}, scopes: []string{"openid"}}, plainSigner{err: errDisk}, 503},
		"no such token":    {knownTokens{err: storage.ErrNotFound}, plainSigner{}, 401},
	} {
		i := userInfo(c.tokens)
		i.Keys, i.Log = c.signer, slog.New(slog.NewTextHandler(&log, nil))
		res := serveUserInfo(i, withBearer(getUserInfo(""), "good"))
		if res.Code != c.status || (res.Header().Get("WWW-Authenticate") != "") != (c.status == 401) || strings.Contains(res.Body.String(), "disk") {
			t.Errorf("%s: %d %v %s", name, res.Code, res.Header(), res.Body)
		}
	}
	if strings.Count(log.String(), "disk on fire") != 2 || strings.Contains(log.String(), "good") {
		t.Errorf("log %s", log.String())
	}
}

func TestABodyThatBreaksOffIsRefused(t *testing.T) {
	req := httptest.NewRequest(http.MethodPost, "/userinfo", io.MultiReader(strings.NewReader("access_token=good"), brokenReader{}))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res := serveUserInfo(userInfo(goodTokens("openid")), req); res.Code != http.StatusBadRequest {
		t.Errorf("%d %s", res.Code, res.Body)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("gone") }
