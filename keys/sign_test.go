package keys

import (
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ingam/ingam/storage"
)

func TestASignatureIsByteForByteThatOfGoJose(t *testing.T) {
	r, _ := goldenRing(t)
	k := r.current().signing
	for _, payload := range []string{`{}`, ``, `{"sub":"Ünïcode <&>"}`, strings.Repeat("x", 1), strings.Repeat("y", 4097)} {
		for _, typ := range []string{"JWT", "at+jwt", "application/at+jwt", "logout+jwt"} {
			signer, err := jose.NewSigner(
				jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.signer, KeyID: k.id}},
				(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
			if err != nil {
				t.Fatal(err)
			}
			jws, err := signer.Sign([]byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			want, err := jws.CompactSerialize()
			if err != nil {
				t.Fatal(err)
			}
			if got := mustSign(t, r, typ, payload); got != want {
				t.Errorf("typ %s, payload %.20q:\n%s\nwant\n%s", typ, payload, got, want)
			}
		}
	}
}

func TestATokenVerifiesWithGoJoseFromThePublishedKeys(t *testing.T) {
	r, _ := goldenRing(t)
	token := mustSign(t, r, "at+jwt", `{"sub":"alice"}`)
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	set := parseJWKS(t, r.JWKS().Body)
	found := set.Key(jws.Signatures[0].Header.KeyID)
	if len(found) != 1 {
		t.Fatalf("%d published keys with the token's kid", len(found))
	}
	payload, err := jws.Verify(found[0])
	if err != nil || string(payload) != `{"sub":"alice"}` {
		t.Errorf("%s, %v", payload, err)
	}
}

func TestTheProtectedHeaderIsAlgKidTypAndNothingElse(t *testing.T) {
	r, _ := goldenRing(t)
	head, _, _ := strings.Cut(mustSign(t, r, "at+jwt", `{}`), ".")
	got, err := base64.RawURLEncoding.DecodeString(head)
	want := `{"alg":"RS256","kid":"` + r.current().signing.id + `","typ":"at+jwt"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestATypThatWouldBreakTheHeaderIsRefused(t *testing.T) {
	r, _ := goldenRing(t)
	for _, typ := range []string{"", `JWT","alg":"none`, "at jwt", "at\x00jwt", "ät", strings.Repeat("a", 65)} {
		if token, err := r.Sign(context.Background(), typ, []byte(`{}`)); err == nil {
			t.Errorf("typ %q: %s", typ, token)
		}
	}
	mustSign(t, r, strings.Repeat("a", 64), `{}`)
}

// The tokens of the golden ring are out there: the same ring must go on making and taking them.
func TestTheGoldenRingStillMeansWhatItMeant(t *testing.T) {
	g, _ := loadGolden(t)
	r, _ := goldenRing(t)
	if got := mustSign(t, r, g.Type, g.Payload); got != g.Token {
		t.Errorf("signed %s\nwant   %s", got, g.Token)
	}
	if got := r.JWKS(); string(got.Body) != g.JWKS || got.ETag != g.ETag {
		t.Errorf("published %s %s\nwant      %s %s", got.ETag, got.Body, g.ETag, g.JWKS)
	}
}

// slowSigner counts how many signatures are computed at once.
type slowSigner struct {
	crypto.Signer
	now, most, calls atomic.Int32
}

func (s *slowSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.calls.Add(1)
	n := s.now.Add(1)
	defer s.now.Add(-1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	time.Sleep(time.Second)
	return s.Signer.Sign(r, digest, opts)
}

// slowRing must be opened inside of the bubble that waits for it.
func slowRing(t *testing.T) (*Ring, *slowSigner) {
	t.Helper()
	r, _ := goldenRing(t)
	k := r.current().signing
	slow := &slowSigner{Signer: k.signer}
	k.signer = slow
	return r, slow
}

func TestAtMostGOMAXPROCSSignaturesAreComputedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, slow := slowRing(t)
		procs := runtime.GOMAXPROCS(0)
		start := time.Now()
		var wg sync.WaitGroup
		for range 3 * procs {
			wg.Go(func() { mustSign(t, r, "JWT", `{}`) })
		}
		wg.Wait()
		if most := int(slow.most.Load()); most != procs {
			t.Errorf("%d at once, GOMAXPROCS is %d", most, procs)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("three rounds of a second took %v", took)
		}
	})
}

func TestWaitingForASignatureEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, slow := slowRing(t)
		var wg sync.WaitGroup
		for range cap(r.slots) {
			wg.Go(func() { mustSign(t, r, "JWT", `{}`) })
		}
		synctest.Wait() // all slots are taken
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := r.Sign(ctx, "JWT", []byte(`{}`)); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(start) != time.Millisecond {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		wg.Wait()
		before := slow.calls.Load()
		for range 20 { // with slots free, too: nobody waits for the signature any more
			if _, err := r.Sign(ctx, "JWT", []byte(`{}`)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a dead context and free slots: %v", err)
			}
		}
		if slow.calls.Load() != before {
			t.Error("signatures were made for nobody")
		}
		mustSign(t, r, "JWT", `{}`) // whoever gave up left no slot behind
	})
}

// brokenSigner stands for a hardware module that is away.
type brokenSigner struct{ crypto.Signer }

func (brokenSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("module is away")
}

func TestAFailingSignerIsAnErrorAndFreesItsSlot(t *testing.T) {
	r, _ := goldenRing(t)
	k := r.current().signing
	k.signer = brokenSigner{k.signer}
	for range 2*cap(r.slots) + 1 {
		if token, err := r.Sign(t.Context(), "JWT", []byte(`{}`)); err == nil || token != "" {
			t.Fatalf("%q, %v", token, err)
		}
	}
}

// K3, K4: under -race; each token is made by some ring and verifies by any later one.
func TestSigningGoesOnWhileTheRingIsReloaded(t *testing.T) {
	r, store := goldenRing(t)
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				token, err := r.Sign(context.Background(), "JWT", []byte(`{"n":1}`))
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := r.Verify(token, "JWT"); err != nil {
					t.Error(err)
					return
				}
				if len(r.Derive("a purpose")) != 2 || len(r.JWKS().Body) == 0 || len(r.Keys()) != 4 {
					t.Error("half a ring")
					return
				}
			}
		})
	}
	wg.Go(func() {
		defer stop.Store(true)
		for n := range 50 {
			store.change(t, func(k *storage.KeyRing) {
				// The two keys take turns, and the clock is about to change something, too.
				k.Keys[n%2].RetireAt = time.Now().Add(time.Millisecond)
				k.Keys[(n+1)%2].RetireAt = time.Time{}
			})
			if err := r.Reload(context.Background()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
}
