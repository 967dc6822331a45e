package authserver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/keys"
	"github.com/ingam/ingam/storage/memory"
)

// G4: nothing is there that nobody put there: no key, no user, no client.
func TestAServerWithoutUsersAndClientsLetsNobodyIn(t *testing.T) {
	store := memory.New()
	defer store.Close()
	ring, err := keys.Open(context.Background(), keys.Config{Store: store, Master: keys.NewMasterKey()})
	must(t, err)
	auth := &credential.Authenticator{Users: store, Limits: store, Hasher: testHasher(t)}
	server, err := authserver.New(authserver.Config{Issuer: issuer}, authserver.Dependencies{Store: store, Keys: ring, Authenticator: auth})
	must(t, err)
	r := &rig{Server: server, t: t, store: store, keys: ring, logs: &lockedBuffer{}}
	for _, id := range []string{"", "admin", "cli", "demo-cli", "demo-web", "test", "client", "ingam"} {
		for _, plain := range []string{"", "admin", "secret", "password", "demo-web-secret-for-local-use-only", "changeme"} {
			wantDocument(t, r.do(basic(unknownToken(), id, plain)), http.StatusUnauthorized)
			wantDocument(t, r.token("grant_type", "client_credentials", "client_id", id, "client_secret", plain), http.StatusUnauthorized)
		}
	}
	wantDocument(t, r.login("admin", "admin"), http.StatusNotFound)
	if _, err := keys.Open(context.Background(), keys.Config{Store: memory.New()}); err == nil {
		t.Error("a ring opens without a master key")
	}
	other := keys.NewMasterKey()
	if _, err := keys.Open(context.Background(), keys.Config{Store: store, Master: other}); err == nil {
		t.Error("a ring opens with another master key")
	}
}

// G4: the zero Config is refused, and every problem is named at once.
func TestAConfigThatCannotBeRightIsRefusedWithEveryProblem(t *testing.T) {
	r := newRig(t)
	deps := authserver.Dependencies{Store: r.store, Keys: r.keys, Authenticator: &credential.Authenticator{Users: r.store, Limits: r.store, Hasher: testHasher(t)}}
	if _, err := authserver.New(authserver.Config{}, deps); err == nil || !strings.Contains(err.Error(), "issuer") {
		t.Errorf("the zero Config: %v", err)
	}
	if _, err := authserver.New(authserver.Config{Issuer: issuer}, deps); err != nil {
		t.Error(err)
	}
	for name, incomplete := range map[string]authserver.Dependencies{
		"nothing": {}, "no store": {Keys: deps.Keys, Authenticator: deps.Authenticator},
		"no keys": {Store: deps.Store, Authenticator: deps.Authenticator}, "no authenticator": {Store: deps.Store, Keys: deps.Keys},
	} {
		if _, err := authserver.New(authserver.Config{Issuer: issuer}, incomplete); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	grace := -time.Second
	_, err := authserver.New(authserver.Config{
		Issuer: "ftp://x", AccessTokenLifetime: -1, IDTokenLifetime: 48 * time.Hour, RefreshIdleLifetime: time.Millisecond,
		RefreshAbsoluteLifetime: 100 * 365 * 24 * time.Hour, RefreshGrace: &grace,
	}, deps)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, problem := range []string{"issuer", "access token lifetime", "ID token lifetime", "refresh idle", "refresh absolute", "refresh grace"} {
		if !strings.Contains(err.Error(), problem) {
			t.Errorf("%q is not named in:\n%v", problem, err)
		}
	}
}

// RFC 8414 §2
func TestAnIssuerIsAURLWithoutQueryFragmentOrTrailingSlash(t *testing.T) {
	for _, fine := range []string{"https://id.example.com", "http://localhost:8080", "https://id.example.com/tenant", "https://[2001:db8::1]:8443"} {
		if err := authserver.CheckIssuer(fine); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
	for _, wrong := range []string{
		"", "id.example.com", "https://", "https:///x", "https://id.example.com/", "https://id.example.com?x", "https://id.example.com?", "https://id.example.com#",
		"https://id.example.com#x", "https://user@id.example.com", "ftp://id.example.com", "//id.example.com", "https://id.example.com/tenant/",
		"https://id.example.com/%zz", " https://id.example.com", "https://id.example.com\n", "javascript:alert(1)",
		"https://id.example.com/a//b", "https://id.example.com/../x", "https://id.example.com/./x",
	} {
		if err := authserver.CheckIssuer(wrong); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}
