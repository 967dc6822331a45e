package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

func TestClientsOfFilesHaveTheFieldsOfTheAdminAPI(t *testing.T) {
	clients, found := loadClients("testdata/config/records_good/clients.d")
	if len(found) > 0 {
		t.Fatal(found)
	}
	if len(clients) != 5 {
		t.Fatalf("%d clients", len(clients))
	}
	checkFullClients(t, clients[3], clients[4])
	app, backend, legacy := clients[0], clients[1], clients[2]
	if !app.Public || app.RefreshGrace == nil || *app.RefreshGrace != 0 || filepath.Base(app.Source) != "a.yaml" ||
		!reflect.DeepEqual(app.GrantTypes, []string{"password"}) ||
		!reflect.DeepEqual(app.Scopes, []string{"openid", "profile"}) || !reflect.DeepEqual(app.DefaultScopes, []string{"profile"}) {
		t.Errorf("app: %+v", app)
	}
	// A final line end belongs to the file, not to the secret.
	want := sha256.Sum256([]byte("a secret of 43 characters, from a generator"))
	if backend.Public || len(backend.Secrets) != 1 || string(backend.Secrets[0].Hash) != string(want[:]) {
		t.Errorf("backend: %+v", backend)
	}
	if len(legacy.Secrets) != 2 || hex.EncodeToString(legacy.Secrets[1].Hash)[:8] != "0b18af98" {
		t.Errorf("legacy: %+v", legacy)
	}
}

// checkFullClients: one file writes keys as YAML and seconds as a number, the other as JSON text and as a duration.
func checkFullClients(t *testing.T, full, text storage.Client) {
	t.Helper()
	age := int64(3600)
	want := storage.Client{
		ID: "full", AuthMethod: "private_key_jwt", GrantTypes: []string{"authorization_code"},
		RedirectURIs: []string{"https://a.example.com/cb", "https://b.example.com/cb"}, ResponseModes: []string{"query", "form_post"},
		RequirePKCE: true, RequirePAR: true, RequireSignedRequest: true, RequestObjectAlg: "ES256", DefaultMaxAge: &age,
		FirstParty: true, SessionBound: true, UserInfoAlg: "RS256", Pairwise: true, Sector: "example.com",
		PostLogoutRedirectURIs: []string{"https://a.example.com/"}, BackchannelLogoutURI: "https://a.example.com/back",
		FrontchannelLogoutURI: "https://b.example.com/front", AllowedOrigins: []string{"https://c.example.com"},
		URI: "https://a.example.com/", LogoURI: "https://a.example.com/logo.svg", Accent: "#0b57d0",
		JWKS: full.JWKS, Source: full.Source,
	}
	if !reflect.DeepEqual(full, want) {
		t.Errorf("full: %+v", full)
	}
	var a, b any
	if json.Unmarshal(full.JWKS, &a) != nil || json.Unmarshal(text.JWKS, &b) != nil || !reflect.DeepEqual(a, b) || a == nil {
		t.Errorf("keys %s and %s", full.JWKS, text.JWKS)
	}
	if text.DefaultMaxAge == nil || *text.DefaultMaxAge != 3600 {
		t.Errorf("text: %+v", text)
	}
}

func TestUsersOfFilesHaveAStableIDAndNestedClaims(t *testing.T) {
	users, found := loadUsers("testdata/config/records_good/users.d")
	if len(found) > 0 || len(users) != 1 {
		t.Fatal(users, found)
	}
	u := users[0]
	if u.Username != "carol" || !u.Disabled || u.ID != "usr_52aohoigzuitewykhriwehfw" {
		t.Errorf("%s %s %v: the id must never change, it is the sub of tokens", u.ID, u.Username, u.Disabled)
	}
	want := map[string]any{
		"email": "carol@example.com", "address": map[string]any{"country": "KR"}, "roles": []any{"a", "b"},
		"updated_at": 1700000000.0, "nickname": "1",
	}
	if !reflect.DeepEqual(u.Claims, want) {
		t.Errorf("%#v", u.Claims)
	}
}

func TestOnlyYAMLFilesOfTheFolderAreRead(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.yaml.bak", ".hidden.yaml", "README.md", "a.yaml~"} {
		writeFile(t, filepath.Join(dir, name), "not: a client")
	}
	if err := os.Mkdir(filepath.Join(dir, "sub.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	if clients, found := loadClients(dir); len(clients) != 0 || len(found) != 0 {
		t.Error(clients, found)
	}
	writeFile(t, filepath.Join(dir, "b.yml"), "not: a client")
	if _, found := loadClients(dir); len(found) == 0 || !strings.Contains(found.Error(), "b.yml:1:1: not: is not a field") {
		t.Error(found)
	}
}

func TestThePrintedPasswordsAndSecretsAreThoseOfTheDemoFiles(t *testing.T) {
	demo, err := demoRecords()
	if err != nil {
		t.Fatal(err)
	}
	if len(demo.users) != len(demoPasswords) || len(demo.clients) != 4 {
		t.Fatalf("%d users, %d clients", len(demo.users), len(demo.clients))
	}
	hasher, err := credential.NewHasher(credential.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i, u := range demo.users {
		match, outdated, err := hasher.Verify(context.Background(), u.PasswordHash, demoPasswords[i].Password)
		if err != nil || !match || outdated || u.Username != demoPasswords[i].Username {
			t.Errorf("%s: match %v, outdated %v, %v", u.Username, match, outdated, err)
		}
	}
	for _, c := range demo.clients {
		secret := demoSecrets[c.ID]
		sum := sha256.Sum256([]byte(secret))
		if c.Public != (secret == "") || !c.Public && string(c.Secrets[0].Hash) != string(sum[:]) {
			t.Errorf("%s: secret %q does not fit", c.ID, secret)
		}
	}
}
