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

func TestTheRightPasswordSignsInOnBothPathsAndTheWrongOneOnNone(t *testing.T) {
	r := newRig(t)
	want(t, r.signIn("alice", "wonderland"), http.StatusOK, "")
	want(t, r.login("alice", "wonderland"), http.StatusOK, "")
	for _, wrong := range []string{"Wonderland", "wonderland ", " wonderland", "wonderlan", "builder", "\x00wonderland", "alice"} {
		res := r.signIn("alice", wrong)
		wantDocument(t, res, http.StatusBadRequest)
		want(t, res, http.StatusBadRequest, "invalid_grant")
		r.wantSignedIn("alice", "wonderland") // gives the guess back
	}
	res := r.login("alice", "builder")
	wantDocument(t, res, http.StatusUnauthorized)
	want(t, res, http.StatusUnauthorized, "invalid_grant")
	// RFC 9110 §15.5.2. Basic would open the browser's own dialog.
	if challenge := res.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer") {
		t.Errorf("challenge: %q", challenge)
	}
}

func (r *rig) wantSignedIn(username, password string) {
	r.t.Helper()
	want(r.t, r.signIn(username, password), http.StatusOK, "")
}

func TestUsernameAndPasswordAreRequired(t *testing.T) {
	r := newRig(t)
	for _, pairs := range [][]string{
		{"username", "alice"}, {"password", "wonderland"}, {"username", "alice", "password", ""}, {"username", "", "password", "wonderland"}, {},
	} {
		res := r.token(append([]string{"grant_type", "password", "client_id", "cli"}, pairs...)...)
		want(t, res, http.StatusBadRequest, "invalid_request")
	}
	for _, body := range []string{`{"username":"alice"}`, `{"password":"wonderland"}`, `{"username":"","password":"x"}`, `{"username":"a","password":""}`, `{}`} {
		want(t, r.do(jsonLogin(body)), http.StatusBadRequest, "invalid_request")
	}
}

// P1, P3, P7 for the JSON form.
func TestLoginTakesOneObjectOfStringsWithEachNameOnce(t *testing.T) {
	r := newRig(t)
	for _, fine := range []string{
		`{"username":"alice","password":"wonderland"}`, ` {"password":"wonderland" ,"username":"\u0061lice"} ` + "\n",
		`{"username":"alice","password":"wonderland","remember":true,"more":[1,{"username":"x"}],"n":null}`,
		`{"username":"alice","password":"wonderland","scope":"openid"}`, `{"username":"alice","password":"wonderland","Username":"bob"}`,
	} {
		want(t, r.do(jsonLogin(fine)), http.StatusOK, "")
	}
	for _, wrong := range []string{
		"", "null", "[]", `"alice"`, "{", `{"username":"alice","password":"wonderland"`, `{"username":"alice","password":"wonderland"}{}`,
		`{"username":"alice","password":"wonderland"} x`, `[{"username":"alice","password":"wonderland"}]`,
		`{"username":"bob","username":"alice","password":"wonderland"}`, `{"username":"alice","password":"wonderland","password":"x"}`,
		`{"username":"alice","user\u006eame":"bob","password":"wonderland"}`, `{"username":"alice","password":"wonderland","x":1,"x":1}`,
		`{"username":["alice"],"password":"wonderland"}`, `{"username":"alice","password":null}`, `{"username":1,"password":"wonderland"}`,
		`{"username":"alice","password":"wonderland","scope":["openid"]}`, `{"username":"alice","password":"wonderland",}`,
		`{'username':'alice','password':'wonderland'}`, "\xef\xbb\xbf" + `{"username":"alice","password":"wonderland"}`,
		strings.Repeat("[", 60_000), `{"a":` + strings.Repeat(`{"a":`, 12_000),
	} {
		res := r.do(jsonLogin(wrong))
		wantDocument(t, res, http.StatusBadRequest)
		if res.str("error") != "invalid_request" {
			t.Errorf("%.80q: %s", wrong, res.raw)
		}
	}
	want(t, r.do(jsonLogin(`{"username":"alice","password":"wonderland","scope":"admin"}`)), http.StatusBadRequest, "invalid_scope")
	for _, wrong := range [][]string{nil, {"text/plain"}, {"multipart/form-data"}, {"application/json", "text/plain"}, {"application/jsonp"}} {
		req := jsonLogin(`{"username":"alice","password":"wonderland"}`)
		req.Header["Content-Type"] = wrong
		wantDocument(t, r.do(req), http.StatusUnsupportedMediaType)
	}
}

// The contract: POST /login is the password grant for first_party_client, and off where none is named.
func TestLoginSignsInForTheFirstPartyClientAndIsOffWithoutOne(t *testing.T) {
	r := newRig(t)
	res := r.login("alice", "wonderland")
	if id := r.verify(res.str("access_token")).str("client_id"); id != "cli" {
		t.Errorf("client_id is %q", id)
	}
	r.wantLive(res.str("refresh_token"))

	off := newRig(t, func(c *authserver.Config, _ *authserver.Dependencies) { c.FirstPartyClient = "" })
	wantDocument(t, off.login("alice", "wonderland"), http.StatusNotFound)
	want(t, off.signIn("alice", "wonderland"), http.StatusOK, "")

	gone := newRig(t, func(c *authserver.Config, _ *authserver.Dependencies) { c.FirstPartyClient = "nobody" })
	wantDocument(t, gone.login("alice", "wonderland"), http.StatusNotFound)

	// It may be a confidential one: the server signs in for itself, and a page needs no secret.
	web := newRig(t, func(c *authserver.Config, _ *authserver.Dependencies) { c.FirstPartyClient = "web" })
	if id := web.verify(web.login("alice", "wonderland").str("access_token")).str("client_id"); id != "web" {
		t.Errorf("client_id is %q", id)
	}
	wantDocument(t, web.token("grant_type", "password", "client_id", "web", "username", "alice", "password", "wonderland"), http.StatusUnauthorized)

	r.changeClient("cli", func(c *storage.Client) { c.GrantTypes = []string{"refresh_token"} })
	want(t, r.login("alice", "wonderland"), http.StatusBadRequest, "unauthorized_client")
}

// 1B-20: fosite gives a refresh token to every client that may use the password grant.
func TestOnlyClientsRegisteredForRefreshingGetARefreshToken(t *testing.T) {
	r := newRig(t)
	if r.signIn("alice", "wonderland").body["refresh_token"] == nil {
		t.Error("no refresh token")
	}
	r.changeClient("cli", func(c *storage.Client) { c.GrantTypes = []string{"password"} })
	if res := r.signIn("alice", "wonderland"); res.StatusCode != http.StatusOK || res.body["refresh_token"] != nil {
		t.Errorf("got %s", res.raw)
	}
}

// P7: any bytes make a password; only its length is bounded (ASVS 6.2.8, 6.2.9).
func TestAPasswordMayHaveAnyBytes(t *testing.T) {
	r := newRig(t)
	hasher := testHasher(t)
	for i, password := range []string{"p\x00\x01\n\xff\xfe", " leading and trailing ", "pässwörd 🔑 日本", strings.Repeat("x", 1024), "+%26&=;"} {
		id := string(rune('k' + i))
		hash, err := hasher.Hash(context.Background(), password)
		must(t, err)
		must(t, r.store.CreateUser(context.Background(), storage.User{ID: id, Username: id, PasswordHash: hash}))
		r.wantSignedIn(id, password)
		want(t, r.signIn(id, password+"x"), http.StatusBadRequest, "invalid_grant")
		want(t, r.signIn(id, password[1:]), http.StatusBadRequest, "invalid_grant")
	}
	want(t, r.signIn("alice", strings.Repeat("x", 4096)), http.StatusBadRequest, "invalid_grant")
	want(t, r.signIn("alice", strings.Repeat("x", 4097)), http.StatusBadRequest, "invalid_request")
}

// L12: the hash is renewed, and the sign-ins of the user live on.
func TestAHashOfYesterdayIsReplacedAtSignIn(t *testing.T) {
	r := newRig(t)
	before := r.signIn("alice", "wonderland")
	old, err := r.store.User(context.Background(), "usr_alice")
	must(t, err)

	stronger, err := credential.NewHasher(credential.HasherConfig{Params: credential.Params{MemoryKiB: 128, Time: 1, Parallelism: 1}})
	must(t, err)
	next := newRigOn(t, r.store, func(_ *authserver.Config, d *authserver.Dependencies) {
		d.Authenticator = &credential.Authenticator{Users: r.store, Limits: r.store, Hasher: stronger}
	})
	want(t, next.signIn("alice", "not hers"), http.StatusBadRequest, "invalid_grant")
	if u, _ := r.store.User(context.Background(), "usr_alice"); u.PasswordHash != old.PasswordHash {
		t.Error("a wrong password changed the hash")
	}
	next.wantSignedIn("alice", "wonderland")
	if u, _ := r.store.User(context.Background(), "usr_alice"); u.PasswordHash == old.PasswordHash || !strings.Contains(u.PasswordHash, "m=128") {
		t.Errorf("the hash is %q", u.PasswordHash)
	}
	next.wantSignedIn("alice", "wonderland")
	next.wantLive(before.str("refresh_token"))
}

// R14: what ends all sign-ins ends those made by POST /login too.
func TestANewEpochEndsSignInsOfBothPaths(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		a, b := r.signIn("alice", "wonderland").str("refresh_token"), r.login("alice", "wonderland").str("refresh_token")
		other := r.signIn("bob", "builder").str("refresh_token")
		r.changeUser("usr_alice", func(u *storage.User) { u.Epoch++ })
		r.wantDead(a)
		r.wantDead(b)
		r.wantLive(other)
		r.wantLive(r.signIn("alice", "wonderland").str("refresh_token"))
		time.Sleep(time.Minute)
	})
}
