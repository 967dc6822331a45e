package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

const testIssuer = "https://id.example.test"

// testKeys are private keys of clients, by the name that is also their kid.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	made := make(map[string]crypto.Signer)
	for name, bits := range map[string]int{"rsa": 2048, "rsa-2": 2048, "rsa-small": 1024} {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		made[name] = key
	}
	for name, curve := range map[string]elliptic.Curve{"ec": elliptic.P256(), "ec-2": elliptic.P256(), "ec-384": elliptic.P384()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		made[name] = key
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	made["ed"] = ed
	return made
})

// object is JSON in the making. A member that is set to nil is taken out.
type object map[string]any

func (o object) with(changes object) object {
	changed := maps.Clone(o)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, v any) bool { return v == nil })
	return changed
}

func (o object) json(t testing.TB) string {
	t.Helper()
	data, err := json.Marshal(o)
	must(t, err)
	return string(data)
}

// publicJWK is the public half of a key as a JWK, with members changed.
func publicJWK(t testing.TB, name string, changes object) string {
	t.Helper()
	data, err := jose.JSONWebKey{Key: testKeys()[name].Public(), KeyID: name}.MarshalJSON()
	must(t, err)
	var members object
	must(t, json.Unmarshal(data, &members))
	return members.with(changes).json(t)
}

// jwks is a set of keys: of names, or of JWKs as they are.
func jwks(t testing.TB, keys ...string) json.RawMessage {
	t.Helper()
	list := []json.RawMessage{}
	for _, key := range keys {
		if _, has := testKeys()[key]; has {
			key = publicJWK(t, key, nil)
		}
		list = append(list, json.RawMessage(key))
	}
	data, err := json.Marshal(map[string]any{"keys": list})
	must(t, err)
	return data
}

// signJWS signs a payload as header and key say, whatever they say.
func signJWS(t testing.TB, header object, key, payload string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(header.json(t))) + "." + encode([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	var signature []byte
	var err error
	switch alg, _ := header["alg"].(string); alg {
	case "RS256", "RS384":
		signature, err = testKeys()[key].Sign(rand.Reader, digest[:], crypto.SHA256)
	case "PS256":
		signature, err = testKeys()[key].Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	case "ES256":
		r, s, failed := ecdsa.Sign(rand.Reader, testKeys()[key].(*ecdsa.PrivateKey), digest[:])
		must(t, failed)
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "EdDSA":
		signature, err = testKeys()[key].Sign(rand.Reader, []byte(input), crypto.Hash(0))
	case "HS256": // the public key as a secret
		der, failed := x509.MarshalPKIXPublicKey(testKeys()[key].Public())
		must(t, failed)
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	}
	must(t, err)
	return input + "." + encode(signature)
}

// keyServer is where a client publishes its keys.
type keyServer struct {
	mu     sync.Mutex
	calls  map[string]int
	body   []byte
	header http.Header
	err    error
	delay  time.Duration
}

func (s *keyServer) Get(ctx context.Context, address string, _ int64) ([]byte, http.Header, error) {
	s.mu.Lock()
	if s.calls == nil {
		s.calls = make(map[string]int)
	}
	s.calls[address]++
	body, header, err, delay := s.body, s.header, s.err, s.delay
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	return body, header, err
}

func (s *keyServer) publish(body []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.err = body, err
}

// count is how often it was asked, for any address.
func (s *keyServer) count() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, calls := range s.calls {
		n += calls
	}
	return n
}

// newKeyEngine is an engine on that store, for clients with keys; log receives audit events.
func newKeyEngine(store storage.Store, fetcher Fetcher, log *slog.Logger) *Engine {
	keys := &fakeKeys{}
	keys.setSecrets("secret")
	return New(Config{Issuer: testIssuer, DefaultAudience: []string{testIssuer}, AccessTokenLifetime: time.Minute}, Dependencies{
		Store: store, Keys: keys, IDTokens: &fakeIDTokens{}, Subjects: plainSubjects{}, Passwords: &fakePasswords{}, Outbound: fetcher,
		Log: slog.New(slog.DiscardHandler), Audit: &audit.Recorder{Log: log},
	})
}

// keyClient is a client with those keys, inline.
func keyClient(t testing.TB, keys ...string) storage.Client {
	t.Helper()
	return storage.Client{
		ID: "app", AuthMethod: privateKeyJWT, JWKS: jwks(t, keys...), GrantTypes: []string{"client_credentials"}, Scopes: []string{"read"},
	}
}

func newKeyStore(t testing.TB, clients ...storage.Client) *watched {
	t.Helper()
	store := &watched{Store: memory.New()}
	for _, c := range clients {
		must(t, store.CreateClient(context.Background(), c))
	}
	return store
}
