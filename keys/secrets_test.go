package keys

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

func rsaDER(t testing.TB, private *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// weakRSA returns a secret prime of a key that is too small, and the key.
func weakRSA(t testing.TB) (prime, der []byte) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return private.Primes[0].Bytes(), rsaDER(t, private)
}

func ecDER(t testing.TB) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// secretsOf are all numbers of a ring that nobody else may know.
func secretsOf(t testing.TB, r *Ring, master MasterKey) map[string][]byte {
	t.Helper()
	secrets := map[string][]byte{"the master key": master.bytes()[:], "a derived secret": r.Derive("x")[0]}
	for id, k := range r.current().opened {
		if k.secret != nil {
			secrets["the secret "+id] = k.secret
			continue
		}
		private := k.signer.(*rsa.PrivateKey)
		secrets["d of "+id] = private.D.Bytes()
		secrets["p of "+id] = private.Primes[0].Bytes()
		secrets["q of "+id] = private.Primes[1].Bytes()
		secrets["dp of "+id] = private.Precomputed.Dp.Bytes()
	}
	if len(secrets) != 4+2*4 && len(secrets) != 3+4 {
		t.Fatalf("%d secrets: the search is incomplete", len(secrets))
	}
	return secrets
}

// K1: the scan that an auditor would make of the store's file.
func TestNothingInTheStoreIsAPrivateKeyInTheClear(t *testing.T) {
	store, master := &fakeStore{}, NewMasterKey()
	r := mustOpen(t, testConfig(t, store, master, 0))
	text := store.bytes()
	var ring storage.KeyRing
	if err := json.Unmarshal(text, &ring); err != nil {
		t.Fatal(err)
	}
	places := [][]byte{text}
	for _, k := range ring.Keys {
		places = append(places, k.Sealed)
	}
	for _, place := range places {
		for _, mark := range []string{"-----BEGIN", "PRIVATE", `"d":`, `"p":`, `"k":`, master.Text(), "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"} {
			if bytes.Contains(place, []byte(mark)) {
				t.Errorf("the store holds %q", mark)
			}
		}
		for name, secret := range secretsOf(t, r, master) {
			if leak := findSecret(place, secret); leak != "" {
				t.Errorf("the store holds %s as %s", name, leak)
			}
		}
	}
}

// G1: the ring and all around it, by every verb and handler.
func TestNothingThatPrintsShowsASecret(t *testing.T) {
	r, store := goldenRing(t)
	_, master := loadGolden(t)
	mustSign(t, r, "JWT", `{}`)
	type server struct {
		Ring   *Ring
		hidden *Ring
		config Config
	}
	s := server{r, r, Config{Store: store, Master: master}}
	var output bytes.Buffer
	level := &slog.HandlerOptions{Level: slog.LevelDebug}
	for _, h := range []slog.Handler{slog.NewTextHandler(&output, level), slog.NewJSONHandler(&output, level)} {
		slog.New(h).Debug("x", "ring", r, "server", s, "keys", r.Keys(), "jwks", r.JWKS())
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		fmt.Fprintf(&output, verb+verb+verb+verb+"\n", r, s, &s, []any{r, s, r.Keys(), r.JWKS()})
	}
	_, wrong := Open(context.Background(), Config{Store: store, Master: NewMasterKey()})
	store.change(t, func(k *storage.KeyRing) { k.Keys[0].Sealed[50] ^= 1 })
	damaged := r.Reload(context.Background())
	if wrong == nil || damaged == nil {
		t.Fatal("expected two errors to look at")
	}
	fmt.Fprintf(&output, "%+v %#v %+v %#v", wrong, wrong, damaged, damaged)
	text, err := json.Marshal([]any{r, &r})
	if err != nil {
		t.Fatal(err)
	}
	output.Write(text)
	if got := fmt.Sprintf("%v %+v %#v %s %d", r, r, r, r, r); got != strings.Repeat(" keys.Ring", 5)[1:] {
		t.Errorf("a ring prints as %s", got)
	}
	for name, secret := range secretsOf(t, r, master) {
		if leak := findSecret(output.Bytes(), secret); leak != "" {
			t.Errorf("%s is shown as %s", name, leak)
		}
	}
}
