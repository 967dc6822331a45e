package authserver_test

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/keys"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

const (
	issuer   = "http://localhost:8080"
	apiAud   = "http://localhost:8081"
	webPlain = "web-secret" // the secret of client "web"
	svcPlain = "service-secret"
)

// patience is how long anything may take before it counts as never happening, where the clock is real.
const patience = 60 * time.Second

// rig is a server on a memory store with the cast that most tests need:
//
//	users    alice/wonderland, bob/builder; dora/disabled is disabled, nora has no password
//	clients  cli (public; password, refresh_token; scopes openid profile email read write; default profile)
//	         web (confidential; password, refresh_token; the same scopes)
//	         service (confidential; client_credentials; scopes read write)
//	         other (confidential; refresh_token only)
//	         api (confidential; no grant; stands for the audience apiAud)
//	         strict (public; password, refresh_token; refresh_grace 0)
type rig struct {
	*authserver.Server
	t     testing.TB
	store storage.Store
	keys  *keys.Ring
	logs  *lockedBuffer
}

// option changes a rig before it is built.
type option func(*authserver.Config, *authserver.Dependencies)

func withStore(wrap func(storage.Store) storage.Store) option {
	return func(_ *authserver.Config, d *authserver.Dependencies) { d.Store = wrap(d.Store) }
}

func newRig(t testing.TB, options ...option) *rig {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { _ = store.Close() })
	return newRigOn(t, store, options...)
}

func newRigOn(t testing.TB, store storage.Store, options ...option) *rig {
	t.Helper()
	ctx := context.Background()
	logs := &lockedBuffer{}
	log := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	seedKeys(t, store)
	master, err := keys.ParseMasterKey(strings.Repeat("ab", 16) + strings.Repeat("cd", 16))
	must(t, err)
	ring, err := keys.Open(ctx, keys.Config{Store: store, Master: master})
	must(t, err)

	deps := authserver.Dependencies{Store: store, Keys: ring, Audit: &audit.Recorder{Log: log}, Log: log}
	cfg := authserver.Config{Issuer: issuer, FirstPartyClient: "cli"}
	for _, o := range options {
		o(&cfg, &deps)
	}
	if deps.Authenticator == nil {
		hasher := testHasher(t)
		deps.Authenticator = &credential.Authenticator{Users: deps.Store, Limits: deps.Store, Hasher: hasher, Log: log}
	}
	server, err := authserver.New(cfg, deps)
	must(t, err)
	seedCast(t, store)
	return &rig{Server: server, t: t, store: deps.Store, keys: ring, logs: logs}
}

// testHasher has cheap parameters.
func testHasher(t testing.TB) *credential.Hasher {
	t.Helper()
	hasher, err := credential.NewHasher(credential.HasherConfig{
		Params: credential.Params{MemoryKiB: 64, Time: 1, Parallelism: 1}, MaxWait: 30 * time.Second, MaxQueue: 10_000,
	})
	must(t, err)
	return hasher
}

// testRing is made once: RSA keys take long to make under the race detector.
var testRing = sync.OnceValue(func() storage.KeyRing {
	ctx := context.Background()
	store := memory.New()
	master, err := keys.ParseMasterKey(strings.Repeat("ab", 16) + strings.Repeat("cd", 16))
	if err != nil {
		panic(err)
	}
	if _, err := keys.Open(ctx, keys.Config{Store: store, Master: master}); err != nil {
		panic(err)
	}
	record, err := store.KeyRing(ctx)
	if err != nil {
		panic(err)
	}
	record.Version = 0
	return record
})

func seedKeys(t testing.TB, store storage.Store) {
	t.Helper()
	if _, err := store.KeyRing(context.Background()); err == nil {
		return
	}
	must(t, store.PutKeyRing(context.Background(), testRing()))
}

// seedCast creates the users and clients that are not there yet.
func seedCast(t testing.TB, store storage.Store) {
	t.Helper()
	ctx := context.Background()
	hasher := testHasher(t)
	for name, password := range map[string]string{"alice": "wonderland", "bob": "builder"} {
		hash, err := hasher.Hash(ctx, password)
		must(t, err)
		err = store.CreateUser(ctx, storage.User{
			ID: "usr_" + name, Username: name, PasswordHash: hash,
			Claims: map[string]any{"name": strings.ToUpper(name[:1]) + name[1:], "email": name + "@example.test"},
		})
		ignoreExists(t, err)
	}
	hash, err := hasher.Hash(ctx, "disabled")
	must(t, err)
	ignoreExists(t, store.CreateUser(ctx, storage.User{ID: "usr_dora", Username: "dora", PasswordHash: hash, Disabled: true}))
	ignoreExists(t, store.CreateUser(ctx, storage.User{ID: "usr_nora", Username: "nora"}))
	scopes := []string{"openid", "profile", "email", "read", "write"}
	zero := time.Duration(0)
	for _, c := range []storage.Client{
		{ID: "cli", Public: true, GrantTypes: []string{"password", "refresh_token"}, Scopes: scopes, DefaultScopes: []string{"profile"}, Audience: []string{apiAud}},
		{ID: "web", Secrets: secret(webPlain), GrantTypes: []string{"password", "refresh_token"}, Scopes: scopes, DefaultScopes: []string{"profile"}, Audience: []string{apiAud}},
		{ID: "service", Secrets: secret(svcPlain), GrantTypes: []string{"client_credentials"}, Scopes: []string{"read", "write"}, Audience: []string{apiAud, "https://second.example.test"}},
		{ID: "other", Secrets: secret("other-secret"), GrantTypes: []string{"refresh_token"}, Scopes: scopes},
		{ID: "api", Secrets: secret("api-secret"), Resources: []string{apiAud}},
		{ID: "strict", Public: true, GrantTypes: []string{"password", "refresh_token"}, Scopes: scopes, Audience: []string{apiAud}, RefreshGrace: &zero},
	} {
		ignoreExists(t, store.CreateClient(ctx, c))
	}
}

func secret(plain string) []storage.ClientSecret {
	digest := sha256.Sum256([]byte(plain))
	return []storage.ClientSecret{{Hash: digest[:]}}
}

func ignoreExists(t testing.TB, err error) {
	t.Helper()
	if err != nil && err != storage.ErrExists { //nolint:errorlint // seeds only
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
