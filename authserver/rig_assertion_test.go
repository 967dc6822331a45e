package authserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ingam/ingam/storage"
)

// assertionKey is the key of client "signs".
var assertionKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// seedSigning adds the client "signs", which authenticates by private_key_jwt and may send request objects.
func (r *rig) seedSigning() {
	r.t.Helper()
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: assertionKey().Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	must(r.t, err)
	ignoreExists(r.t, r.store.CreateClient(r.t.Context(), storage.Client{
		ID: "signs", AuthMethod: "private_key_jwt", JWKS: jwks, FirstParty: true, GrantTypes: []string{"authorization_code", "refresh_token"},
		RedirectURIs: []string{"https://signs.example.test/cb"}, Scopes: signInScopes, Audience: []string{apiAud},
	}))
}

// sign makes a JWT of that client.
func (r *rig) sign(claims map[string]any) string {
	r.t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: assertionKey(), KeyID: "k"}}, nil)
	must(r.t, err)
	payload, err := json.Marshal(claims)
	must(r.t, err)
	object, err := signer.Sign(payload)
	must(r.t, err)
	token, err := object.CompactSerialize()
	must(r.t, err)
	return token
}

// asserted authenticates a form request as the client "signs".
func (r *rig) asserted(req *http.Request) *http.Request {
	r.t.Helper()
	r.seedSigning()
	body, err := io.ReadAll(req.Body)
	must(r.t, err)
	more := url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion": {r.sign(map[string]any{
			"iss": "signs", "sub": "signs", "aud": issuer, "jti": rand.Text(), "exp": time.Now().Add(time.Minute).Unix(),
		})},
	}
	req.Body = io.NopCloser(strings.NewReader(string(body) + "&" + more.Encode()))
	return req
}
