package keys

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
)

// benchPayload has the size of the claims of an access token.
var benchPayload = []byte(`{"iss":"https://login.example.org","sub":"` + strings.Repeat("s", 26) + `","pad":"` + strings.Repeat("p", 320) + `"}`)

// BenchmarkRawSignature is the limit for BenchmarkSign: what is above it is ours.
func BenchmarkRawSignature(b *testing.B) {
	private := testRSA(b, 0)
	digest := sha256.Sum256(benchPayload)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	r, _ := goldenRing(b)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Sign(ctx, "at+jwt", benchPayload); err != nil {
			b.Fatal(err)
		}
	}
}

// freeSigner answers at once.
type freeSigner struct {
	crypto.Signer
	signature []byte
}

func (s freeSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return s.signature, nil
}

// BenchmarkSignOverhead is Sign with a signer that costs nothing.
func BenchmarkSignOverhead(b *testing.B) {
	r, _ := goldenRing(b)
	k := r.current().signing
	k.signer = freeSigner{k.signer, make([]byte, 256)}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Sign(ctx, "at+jwt", benchPayload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSignCrowd has 32 callers for each processor wait for their turn.
func BenchmarkSignCrowd(b *testing.B) {
	r, _ := goldenRing(b)
	ctx := context.Background()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := r.Sign(ctx, "at+jwt", benchPayload); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	r, _ := goldenRing(b)
	token := mustSign(b, r, "at+jwt", string(benchPayload))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Verify(token, "at+jwt"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJWKS(b *testing.B) {
	r, _ := goldenRing(b)
	b.ReportAllocs()
	for b.Loop() {
		if len(r.JWKS().Body) == 0 {
			b.Fatal("empty")
		}
	}
}

func BenchmarkDerive(b *testing.B) {
	r, _ := goldenRing(b)
	b.ReportAllocs()
	for b.Loop() {
		if len(r.Derive("refresh token")) != 2 {
			b.Fatal("incomplete")
		}
	}
}

// BenchmarkOpen opens a ring of two RSA keys and two secrets that is in the store.
func BenchmarkOpen(b *testing.B) {
	g, master := loadGolden(b)
	store := storeWith(b, g.Ring)
	b.ReportAllocs()
	for b.Loop() {
		mustOpen(b, Config{Store: store, Master: master})
	}
}
