package oauth

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// These benchmarks have a signer that costs nothing and a store in memory: they measure everything of a request that
// is neither the RSA signature nor the disk. The budget is 15 % of a signature (keys.BenchmarkSign), about 150 µs.

// post answers a token request, with what net/http needs to make one.
func post(b *testing.B, r *rig, body string) string {
	b.Helper()
	req := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	r.ServeToken(rec, req)
	if rec.Code != http.StatusOK {
		b.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// benchRig is a rig whose store does not take notes.
func benchRig(b *testing.B) *rig {
	b.Helper()
	r := newRig(b)
	r.Engine.store = r.store.Store
	return r
}

func BenchmarkRefreshWithoutSignature(b *testing.B) {
	r := benchRig(b)
	token := r.token("grant_type", "password", "client_id", "cli", "username", "alice", "password", "x").str("refresh_token")
	b.ReportAllocs()
	for b.Loop() {
		_, rest, _ := strings.Cut(post(b, r, "grant_type=refresh_token&client_id=cli&refresh_token="+token), `"refresh_token":"`)
		token, _, _ = strings.Cut(rest, `"`)
	}
}

func BenchmarkClientCredentialsWithoutSignature(b *testing.B) {
	r := benchRig(b)
	digest := sha256.Sum256([]byte("s"))
	must(b, r.store.CreateClient(context.Background(), storage.Client{
		ID: "svc", GrantTypes: []string{grantClientCredentials}, Secrets: []storage.ClientSecret{{Hash: digest[:]}},
	}))
	b.ReportAllocs()
	for b.Loop() {
		post(b, r, "grant_type=client_credentials&client_id=svc&client_secret=s")
	}
}

// writeCounter fails the test when a verb that writes is called.
type writeCounter struct {
	*memory.Store
	tb testing.TB
}

func (w writeCounter) CreateGrant(context.Context, storage.Grant) error {
	w.tb.Error("client_credentials wrote a grant")
	return nil
}

// A token for a client itself costs one signature and no write.
func TestClientCredentialsWritesNothing(t *testing.T) {
	r := newRig(t)
	digest := sha256.Sum256([]byte("s"))
	must(t, r.store.CreateClient(context.Background(), storage.Client{
		ID: "svc", GrantTypes: []string{grantClientCredentials}, Secrets: []storage.ClientSecret{{Hash: digest[:]}},
	}))
	r.Engine.store = writeCounter{Store: r.store.Store, tb: t}
	want(t, r.token("grant_type", "client_credentials", "client_id", "svc", "client_secret", "s"), http.StatusOK, "")
	if n := r.keys.signed.Load(); n != 1 {
		t.Errorf("%d signatures, want 1", n)
	}
}

// A refresh without openid costs one signature, two looks at what the node may remember, and one transaction.
func TestARefreshCostsOneSignatureAndOneTransaction(t *testing.T) {
	r := newRig(t)
	token := r.token("grant_type", "password", "client_id", "cli", "username", "alice", "password", "x").str("refresh_token")
	r.keys.signed.Store(0)
	r.store.reset("")
	want(t, r.refresh("cli", token), http.StatusOK, "")
	if n := r.keys.signed.Load(); n != 1 {
		t.Errorf("%d signatures, want 1", n)
	}
	if got, asked := strings.Join(r.store.verbs, " "), "RecallGrant RecallUser Rotate"; got != asked {
		t.Errorf("the store was asked %q, want %q", got, asked)
	}
}
