package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
)

// testIssuer publishes a key and signs whatever it is told to.
type testIssuer struct {
	*httptest.Server
	key *rsa.PrivateKey
}

func newTestIssuer(t *testing.T) testIssuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set := fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"k1","alg":"RS256","use":"sig","n":%q,"e":%q}]}`,
		b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, set) }))
	t.Cleanup(server.Close)
	return testIssuer{server, key}
}

// sign makes an access token (RFC 9068 §2); a claim that is nil is left out.
func (i testIssuer) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	for name, value := range claims {
		if value == nil {
			delete(claims, name)
		}
	}
	signed := part(t, map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": "k1"}) + "." + part(t, claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, i.key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(signature)
}
