package bolt

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "bench.db"), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// benchGrant is as large as grants are in practice.
func benchGrant(id string) storage.Grant {
	now := time.Now().UTC()
	return storage.Grant{
		ID: id, ClientID: "demo-web", UserID: "u-6f1c2a3b4d5e6f70", UserEpoch: 3,
		Scopes: []string{"openid", "profile", "offline_access"}, Audience: []string{"https://api.example.com"},
		Nonce: make([]byte, 16), AuthTime: now, AMR: []string{"pwd"}, Generation: 1, RotatedAt: now,
		Attempt: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", BornAt: now,
		IdleExpiresAt: now.Add(24 * time.Hour), ExpiresAt: now.Add(720 * time.Hour),
	}
}

func fill(b *testing.B, s *Store, n int) {
	b.Helper()
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- s.CreateGrant(b.Context(), benchGrant(fmt.Sprint("grant-", i))) }()
	}
	for range n {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
}

// rotateChain redeems one generation after the other of one grant.
func rotateChain(b *testing.B, s *Store, id string, next func() bool) {
	b.Helper()
	for g := uint64(1); next(); g++ {
		outcome, _, err := s.Rotate(b.Context(), storage.Rotation{
			GrantID: id, Generation: g, Attempt: "attempt", Grace: 10 * time.Second, IdleLifetime: 24 * time.Hour,
		})
		if err != nil || outcome != storage.Rotated {
			b.Errorf("rotate: %v, %v", outcome, err)
			return
		}
	}
}

// inParallel runs f in that many goroutines whatever GOMAXPROCS is.
func inParallel(b *testing.B, workers int, f func(worker int, next func() bool)) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	b.ReportAllocs()
	b.ResetTimer()
	for w := range workers {
		go func() {
			defer func() { done <- struct{}{} }()
			f(w, func() bool { return left.Add(-1) >= 0 })
		}()
	}
	for range workers {
		<-done
	}
}

func BenchmarkRotate(b *testing.B) {
	for _, workers := range []int{1, 32} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s := benchStore(b)
			fill(b, s, 1000)
			inParallel(b, workers, func(w int, next func() bool) { rotateChain(b, s, fmt.Sprint("grant-", w*31), next) })
		})
	}
}

func BenchmarkSpend(b *testing.B) {
	for _, workers := range []int{1, 32} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s := benchStore(b)
			inParallel(b, workers, func(w int, next func() bool) {
				budget := storage.Budget{Key: fmt.Sprint("user ", w), Burst: 1 << 30, Every: time.Nanosecond}
				for next() {
					if wait, err := s.Spend(b.Context(), budget); wait != 0 || err != nil {
						b.Errorf("spend: %v, %v", wait, err)
						return
					}
				}
			})
		})
	}
	b.Run("empty", func(b *testing.B) {
		s := benchStore(b)
		budget := storage.Budget{Key: "guesser", Burst: 1, Every: time.Hour}
		_, _ = s.Spend(b.Context(), budget)
		b.ReportAllocs()
		for b.Loop() {
			if wait, err := s.Spend(b.Context(), budget); wait == 0 || err != nil {
				b.Fatal(wait, err)
			}
		}
	})
}

func BenchmarkCreateGrant(b *testing.B) {
	for _, workers := range []int{1, 32} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s := benchStore(b)
			inParallel(b, workers, func(w int, next func() bool) {
				for i := 0; next(); i++ {
					if err := s.CreateGrant(b.Context(), benchGrant(fmt.Sprint(w, "-", i))); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkGrant(b *testing.B) {
	s := benchStore(b)
	fill(b, s, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Grant(b.Context(), "grant-500"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGrantCodec(b *testing.B) {
	g := benchGrant("grant")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeGrant(encodeGrant(g)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClient(b *testing.B) {
	s := benchStore(b)
	err := s.CreateClient(b.Context(), storage.Client{
		ID: "demo-web", Name: "Demo", Secrets: []storage.ClientSecret{{Hash: make([]byte, 32), CreatedAt: time.Now()}},
		GrantTypes: []string{"authorization_code", "refresh_token", "password"}, RedirectURIs: []string{"http://localhost:8082/callback"},
		Scopes: []string{"openid", "profile", "offline_access"}, Audience: []string{"https://api.example.com"}, CreatedAt: time.Now(),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Client(b.Context(), "demo-web"); err != nil {
			b.Fatal(err)
		}
	}
}
