package resource

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// BenchmarkVerify compares a token seen before, a token seen for the first time, the RSA
// verification alone (which is the floor of the second), and what go-jose takes.
func BenchmarkVerify(b *testing.B) {
	token := goodToken(b, nil)
	cached := newTestVerifier(b, nil)
	uncached := newTestVerifier(b, func(cfg *Config) { cfg.CacheSize = -1 })
	ctx := context.Background()
	verify := func(b *testing.B, v *Verifier) {
		b.Helper()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(ctx, token); err != nil {
				b.Fatal(err)
			}
		}
	}
	parallel := func(b *testing.B, v *Verifier) {
		b.Helper()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := v.Verify(ctx, token); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.Run("cached", func(b *testing.B) { verify(b, cached) })
	b.Run("cached-parallel", func(b *testing.B) { parallel(b, cached) })
	b.Run("uncached", func(b *testing.B) { verify(b, uncached) })
	b.Run("uncached-parallel", func(b *testing.B) { parallel(b, uncached) })
	b.Run("rsa-alone", func(b *testing.B) { benchmarkRSA(b, token) })
	b.Run("go-jose", func(b *testing.B) { benchmarkGoJose(b, token) })
	b.Run("all-but-rsa", func(b *testing.B) { benchmarkAllButRSA(b, uncached, token) })
}

func benchmarkRSA(b *testing.B, token string) {
	b.Helper()
	i := strings.LastIndexByte(token, '.')
	sig, ok := decode(token[i+1:])
	if !ok {
		b.Fatal("bad signature")
	}
	pub := publicOf(testKeys(b)["rsa-1"]).Key.(*rsa.PublicKey)
	signed := []byte(token[:i])
	b.ReportAllocs()
	for b.Loop() {
		digest := sha256.Sum256(signed)
		if err := rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmarkGoJose(b *testing.B, token string) {
	b.Helper()
	pub := publicOf(testKeys(b)["rsa-1"]).Key
	b.ReportAllocs()
	for b.Loop() {
		parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			b.Fatal(err)
		}
		var c jwt.Claims
		if err := parsed.Claims(pub, &c); err != nil {
			b.Fatal(err)
		}
	}
}

// benchmarkAllButRSA takes the steps of Verify without the signature.
func benchmarkAllButRSA(b *testing.B, v *Verifier, token string) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		_ = tokenID(token)
		jws, err := parseCompact(token, v.algorithms)
		if err != nil {
			b.Fatal(err)
		}
		t, notBefore, err := parseClaims(jws.payload)
		if err != nil {
			b.Fatal(err)
		}
		if err := v.rules.check(t, notBefore, testNow); err != nil {
			b.Fatal(err)
		}
		_ = t.clone()
	}
}

// BenchmarkSecureData is /secure-data on loopback with 32 workers on kept-alive connections: as it
// is, with 1 and with 10,000 tokens, and without the check.
func BenchmarkSecureData(b *testing.B) {
	v := newTestVerifier(b, withResource)
	h, err := NewHandler(HandlerConfig{Verifier: v})
	if err != nil {
		b.Fatal(err)
	}
	tokens := []string{goodToken(b, nil)}
	t, err := v.Verify(context.Background(), tokens[0])
	if err != nil {
		b.Fatal(err)
	}
	open := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serveSecureData(w, r.WithContext(ContextWithToken(r.Context(), t)))
	})
	b.Run("unchecked", func(b *testing.B) { benchmarkLoopback(b, open, tokens) })
	b.Run("checked", func(b *testing.B) { benchmarkLoopback(b, h, tokens) })
	b.Run("checked-10000-tokens", func(b *testing.B) {
		many := manyTokens(b)
		for _, token := range many { // so that all have been seen
			if _, err := v.Verify(context.Background(), token); err != nil {
				b.Fatal(err)
			}
		}
		benchmarkLoopback(b, h, many)
	})
}

var manyTokensOnce []string

// manyTokens signs 10,000 tokens, once for all rounds: some ten seconds.
func manyTokens(b *testing.B) []string {
	b.Helper()
	for i := len(manyTokensOnce); i < 10_000; i++ {
		manyTokensOnce = append(manyTokensOnce, goodToken(b, map[string]any{"jti": fmt.Sprint("t-", i)}))
	}
	return manyTokensOnce
}

func benchmarkLoopback(b *testing.B, h http.Handler, tokens []string) {
	b.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(16) // 32 workers on 2 cores
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequest(http.MethodGet, server.URL+"/secure-data", nil)
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Authorization", "Bearer "+tokens[next.Add(1)%int64(len(tokens))])
			resp, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Errorf("status %d", resp.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
