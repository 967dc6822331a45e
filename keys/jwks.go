package keys

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Document is the JWKS (RFC 7517 §5) as bytes ready to be served. It is shared: do not modify Body.
type Document struct {
	Body []byte
	// ETag is a strong validator in its quotes (RFC 9110 §8.8.3). It follows from Body, so all nodes send the same.
	ETag string
	// MaxAge is for Cache-Control.
	MaxAge time.Duration
}

// JWKS returns the published keys. The document is made once for each change, not for each call.
func (r *Ring) JWKS() Document { return r.current().document }

// newDocument puts the published keys, whose JWKs were made and checked when they were opened, into one set.
func newDocument(published []*key, maxAge time.Duration) Document {
	parts := make([][]byte, 0, len(published))
	for _, k := range published {
		parts = append(parts, k.jwk)
	}
	body := slices.Concat([]byte(`{"keys":[`), bytes.Join(parts, []byte(",")), []byte(`]}`))
	sum := sha256.Sum256(body)
	return Document{
		Body:   body,
		ETag:   `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`,
		MaxAge: maxAge,
	}
}

// publicMembers are all members of a JWK that may leave the server (RFC 7518 §6.3.1). What is not here is private, or
// nothing we mean to say.
var publicMembers = []string{"kty", "use", "alg", "kid", "n", "e"}

// publicJWK writes a public key as JSON, and reads it again to be sure that it is one. go-jose writes private members
// as readily as public ones; one wrong argument here would hand the server's identity to everybody.
func publicJWK(jwk jose.JSONWebKey) (json.RawMessage, error) {
	if !jwk.IsPublic() {
		return nil, fmt.Errorf("keys: key %q: refusing to publish a key that is not public", jwk.KeyID)
	}
	text, err := json.Marshal(jwk)
	if err != nil {
		return nil, fmt.Errorf("keys: key %q: writing its JWK: %w", jwk.KeyID, err)
	}
	if err := checkPublic(text); err != nil {
		return nil, fmt.Errorf("keys: key %q: %w", jwk.KeyID, err)
	}
	return text, nil
}

// checkPublic refuses any member but the public ones, by name and never by value.
func checkPublic(text []byte) error {
	var members map[string]string
	if json.Unmarshal(text, &members) != nil {
		return errors.New("its JWK is not an object of strings")
	}
	for name := range members {
		if !slices.Contains(publicMembers, name) {
			return fmt.Errorf("refusing to publish the member %q", name)
		}
	}
	if len(members) != len(publicMembers) {
		return errors.New("its JWK lacks a member")
	}
	return nil
}
