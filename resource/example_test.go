package resource_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/ingam/ingam/resource"
)

// An API that needs a token for everything and a scope for writing.
func ExampleVerifier_Require() {
	verifier, err := resource.New(resource.Config{
		Issuer:   "https://id.example.com",
		Audience: []string{"https://api.example.com"},
		Resource: "https://api.example.com",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = verifier.Close() }()

	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := resource.TokenFromContext(r.Context())
		fmt.Fprintf(w, "Hello %s!\n", token.Username)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /notes", verifier.Require()(hello))
	mux.Handle("POST /notes", verifier.Require("notes.write")(hello))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/notes", nil))
	fmt.Println(w.Code)
	fmt.Println(w.Header().Get("WWW-Authenticate"))
	// Output:
	// 401
	// Bearer realm="https://api.example.com", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"
}

// Verify is for servers that do not speak net/http. Here the issuer is in the same
// program, and its key is known beforehand.
func ExampleVerifier_Verify() {
	issuer := newExampleIssuer()
	keys, err := resource.NewStaticKeySet(issuer.jwks, "ES256")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := resource.New(resource.Config{
		Issuer:     "https://id.example.com",
		Audience:   []string{"https://api.example.com"},
		Algorithms: []string{"ES256"},
		Keys:       keys,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, lifetime := range []time.Duration{time.Minute, -time.Minute} {
		token, err := verifier.Verify(context.Background(), issuer.sign("alice", lifetime))
		switch {
		case errors.Is(err, resource.ErrKeysUnavailable):
			fmt.Println("come back later:", err)
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println(token.Username, token.Scopes, token.IsClient())
		}
	}
	// Output:
	// alice [notes.read] false
	// invalid token: the token has expired
}

// Handlers behind Require can be tested without any token.
func ExampleContextWithToken() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		token, _ := resource.TokenFromContext(r.Context())
		fmt.Println(token.Subject, token.HasScope("notes.read"))
	}
	r := httptest.NewRequest(http.MethodGet, "/notes", nil)
	ctx := resource.ContextWithToken(r.Context(), &resource.AccessToken{Subject: "u-1", Scopes: []string{"notes.read"}})
	handler(httptest.NewRecorder(), r.WithContext(ctx))
	// Output: u-1 true
}

// A whole resource server, as cmd/resource runs it.
func ExampleNewHandler() {
	keys, err := resource.NewStaticKeySet(newExampleIssuer().jwks, "ES256")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := resource.New(resource.Config{
		Issuer:     "https://id.example.com",
		Audience:   []string{"https://api.example.com"},
		Algorithms: []string{"ES256"},
		Keys:       keys,
		Resource:   "https://api.example.com",
	})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := resource.NewHandler(resource.HandlerConfig{Verifier: verifier})
	if err != nil {
		log.Fatal(err)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/oauth-protected-resource", nil))
	fmt.Print(w.Body)
	// Output: {"resource":"https://api.example.com","authorization_servers":["https://id.example.com"],"bearer_methods_supported":["header"]}
}

// exampleIssuer signs tokens as an authorization server would.
type exampleIssuer struct {
	signer jose.Signer
	jwks   []byte
}

func newExampleIssuer() exampleIssuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	private := jose.JSONWebKey{Key: key, KeyID: "k1", Algorithm: "ES256", Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private},
		new(jose.SignerOptions).WithType("at+jwt"))
	if err != nil {
		log.Fatal(err)
	}
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	if err != nil {
		log.Fatal(err)
	}
	return exampleIssuer{signer, jwks}
}

func (i exampleIssuer) sign(username string, lifetime time.Duration) string {
	now := time.Now()
	token, err := jwt.Signed(i.signer).Claims(map[string]any{
		"iss": "https://id.example.com", "aud": "https://api.example.com",
		"sub": "u-1", "client_id": "demo-web", "jti": rand.Text(),
		"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(lifetime).Unix(),
		"scope": "notes.read", "username": username,
	}).Serialize()
	if err != nil {
		log.Fatal(err)
	}
	return token
}
