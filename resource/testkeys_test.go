package resource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The keys in testdata/test-only-keys.json are public. They sign nothing but the
// tokens of these tests.
const testKeysFile = "testdata/test-only-keys.json"

// loadKeys reads the test keys, by kid. They are parsed once, since RSA keys are slow to check.
var loadKeys = sync.OnceValues(func() (map[string]jose.JSONWebKey, error) {
	data, err := os.ReadFile(testKeysFile)
	if err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, err
	}
	keys := make(map[string]jose.JSONWebKey)
	for _, key := range set.Keys {
		keys[key.KeyID] = key
	}
	return keys, nil
})

func testKeys(t testing.TB) map[string]jose.JSONWebKey {
	t.Helper()
	keys, err := loadKeys()
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) == 0 {
		t.Fatal("no keys in " + testKeysFile)
	}
	return keys
}

// publicJWKS returns the JWK set that publishes the keys named by kids.
func publicJWKS(t testing.TB, kids ...string) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, kid := range kids {
		key, ok := testKeys(t)[kid]
		if !ok {
			t.Fatalf("no test key %q", kid)
		}
		set.Keys = append(set.Keys, key.Public())
	}
	data, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// allTestKids are the keys that the issuer of the vectors publishes.
var allTestKids = []string{"rsa-1", "rsa-2", "ps-1", "ec-1", "ed-1"}

// newTestKeys makes fresh test keys; only -update of a missing file comes here.
func newTestKeys(t testing.TB) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	add := func(kid, alg string, key any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: kid, Algorithm: alg, Use: "sig", Key: key})
	}
	for _, k := range []struct {
		kid, alg string
		bits     int
	}{{"rsa-1", rs256, 2048}, {"rsa-2", rs256, 2048}, {"ps-1", ps256, 2048}, {"rsa-1024", rs256, 1024}, {"stranger", rs256, 2048}} {
		key, err := rsa.GenerateKey(rand.Reader, k.bits)
		add(k.kid, k.alg, key, err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	add("ec-1", es256, ec, err)
	ec, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	add("ec-384", "ES384", ec, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	add("ed-1", eddsa, ed, err)
	data, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// signJWS makes a token of the given header and payload, whatever they say. The key
// is a test key's kid; the algorithm is the key's own, unless alg says otherwise.
func signJWS(t testing.TB, kid, alg, header, payload string) string {
	t.Helper()
	signed := b64(header) + "." + b64(payload)
	return signed + "." + b64(string(signature(t, kid, alg, signed)))
}

func signature(t testing.TB, kid, alg, signed string) []byte {
	t.Helper()
	key, ok := testKeys(t)[kid]
	if !ok {
		t.Fatalf("no test key %q", kid)
	}
	if alg == "" {
		alg = key.Algorithm
	}
	digest := sha256.Sum256([]byte(signed))
	var sig []byte
	var err error
	switch k := key.Key.(type) {
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = crypto.SHA256
		if alg == ps256 {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		}
		sig, err = k.Sign(rand.Reader, digest[:], opts)
	case *ecdsa.PrivateKey:
		r, s, signErr := ecdsa.Sign(rand.Reader, k, digest[:])
		if err = signErr; err == nil {
			size := (k.Params().BitSize + 7) / 8
			sig = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	case ed25519.PrivateKey:
		sig = ed25519.Sign(k, []byte(signed))
	default:
		t.Fatalf("cannot sign with %T", k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// hmacJWS signs with HMAC-SHA256 (RFC 7515 §A.1).
func hmacJWS(secret []byte, header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + b64(string(mac.Sum(nil)))
}

func publicOf(key jose.JSONWebKey) jose.JSONWebKey { return key.Public() }
