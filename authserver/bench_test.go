package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/bolt"
)

// The benchmarks call the public handler on the embedded store, fsync included. What a request costs beside its RSA
// signature is the difference to BenchmarkSign; CPU is better measured than wall time:
//
//	go test -run '^$' -bench 'Sign|Grant' -benchmem ./authserver

// reportCPU adds the CPU time of the whole process, user and system, for each operation.
func reportCPU(b *testing.B) {
	b.Helper()
	b.ReportAllocs()
	start := cpuTime(b)
	b.Cleanup(func() {
		b.ReportMetric(float64((cpuTime(b)-start).Microseconds())/float64(b.N), "cpu-µs/op")
	})
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchRig(b *testing.B) *rig {
	b.Helper()
	store, err := bolt.Open(b.Context(), filepath.Join(b.TempDir(), "ingam.db"), bolt.Options{})
	must(b, err)
	b.Cleanup(func() { _ = store.Close() })
	return newRigOn(b, store)
}

// serve answers a request without the test helpers' own work.
func serve(b *testing.B, r *rig, body string) string {
	b.Helper()
	req := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK {
		b.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// member cuts a string member out of a JSON object of ours.
func member(body, name string) string {
	_, rest, _ := strings.Cut(body, `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// BenchmarkSign is the floor: one RS256 signature over claims of the usual size.
func BenchmarkSign(b *testing.B) {
	r := benchRig(b)
	payload := []byte(strings.Repeat("x", 400))
	reportCPU(b)
	for b.Loop() {
		if _, err := r.keys.Sign(b.Context(), "at+jwt", payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGrantRefresh is a refresh without openid: one signature, one store transaction.
func BenchmarkGrantRefresh(b *testing.B) {
	r := benchRig(b)
	first := r.signIn("alice", "wonderland")
	token := first.str("refresh_token")
	reportCPU(b)
	for b.Loop() {
		token = member(serve(b, r, "grant_type=refresh_token&client_id=cli&refresh_token="+token), "refresh_token")
	}
}

// BenchmarkGrantRefreshInMemory is the same without a disk: what it costs beyond BenchmarkSign is everything that is
// neither the signature nor the transaction.
func BenchmarkGrantRefreshInMemory(b *testing.B) {
	r := newRig(b)
	token := r.signIn("alice", "wonderland").str("refresh_token")
	reportCPU(b)
	for b.Loop() {
		token = member(serve(b, r, "grant_type=refresh_token&client_id=cli&refresh_token="+token), "refresh_token")
	}
}

// BenchmarkGrantRefreshOpenID has a second signature, for the ID token.
func BenchmarkGrantRefreshOpenID(b *testing.B) {
	r := benchRig(b)
	token := r.signIn("alice", "wonderland", "scope", "openid").str("refresh_token")
	reportCPU(b)
	for b.Loop() {
		token = member(serve(b, r, "grant_type=refresh_token&client_id=cli&refresh_token="+token), "refresh_token")
	}
}

// BenchmarkGrantClientCredentials writes nothing.
func BenchmarkGrantClientCredentials(b *testing.B) {
	r := benchRig(b)
	reportCPU(b)
	for b.Loop() {
		serve(b, r, "grant_type=client_credentials&client_id=service&client_secret="+svcPlain)
	}
}

// BenchmarkHashDefault is the floor of the password grant: argon2id with the default parameters.
func BenchmarkHashDefault(b *testing.B) {
	hasher := defaultHasher(b)
	phc, err := hasher.Hash(b.Context(), "wonderland")
	must(b, err)
	reportCPU(b)
	for b.Loop() {
		if ok, _, err := hasher.Verify(b.Context(), phc, "wonderland"); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkGrantPassword has the hash, a signature, and the writes for guesses and grant.
func BenchmarkGrantPassword(b *testing.B) {
	hasher := defaultHasher(b)
	store, err := bolt.Open(b.Context(), filepath.Join(b.TempDir(), "ingam.db"), bolt.Options{})
	must(b, err)
	b.Cleanup(func() { _ = store.Close() })
	phc, err := hasher.Hash(b.Context(), "wonderland")
	must(b, err)
	must(b, store.CreateUser(b.Context(), storage.User{ID: "usr_alice", Username: "alice", PasswordHash: phc}))
	r := newRigOn(b, store, func(_ *authserver.Config, d *authserver.Dependencies) {
		d.Authenticator = &credential.Authenticator{Users: store, Limits: store, Hasher: hasher}
	})
	reportCPU(b)
	for b.Loop() {
		serve(b, r, "grant_type=password&client_id=cli&username=alice&password=wonderland")
	}
}

// BenchmarkGrantPasswordCheapHash has a hash of 64 KiB in place of 19 MiB: what it costs beyond BenchmarkSign is what the
// password grant adds to the hash and the signature.
func BenchmarkGrantPasswordCheapHash(b *testing.B) {
	r := benchRig(b)
	reportCPU(b)
	for b.Loop() {
		serve(b, r, "grant_type=password&client_id=cli&username=alice&password=wonderland")
	}
}

func defaultHasher(b *testing.B) *credential.Hasher {
	b.Helper()
	hasher, err := credential.NewHasher(credential.HasherConfig{})
	must(b, err)
	return hasher
}
