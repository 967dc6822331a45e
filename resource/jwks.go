package resource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// maxKeys bounds how many keys a set may publish. Rings have two or three.
const maxKeys = 100

// errNoUsableKeys is what an empty set, null and an HTML page have in common: they
// must not replace a set that works.
var errNoUsableKeys = errors.New("JWK set has no key that can be used here")

// parseJWKS reads a JWK set (RFC 7517 §5) and returns the keys that can verify
// signatures of the given algorithms, by kid. Keys are read one by one, and
// those of no use are left out: a kind that is new to us must not cost the
// keys we know. It fails when none is left.
func parseJWKS(data []byte, algorithms []string) (map[string]*jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("JWK set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("JWK set has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	keys := make(map[string]*jose.JSONWebKey, len(set.Keys))
	refused := make(map[string]bool)
	for _, raw := range set.Keys {
		key, verdict := parseJWK(raw, algorithms)
		switch {
		case verdict == jwkForeign:
			continue
		case verdict == jwkCompromised:
			refused[key.KeyID] = true
		case keys[key.KeyID] != nil && !sameKey(keys[key.KeyID], key):
			// Two keys of one name: whichever we chose, somebody would choose
			// the other (RFC 7517 §4.5).
			refused[key.KeyID] = true
		default:
			keys[key.KeyID] = key
		}
	}
	for kid := range refused {
		delete(keys, kid)
	}
	if len(keys) == 0 {
		return nil, errNoUsableKeys
	}
	return keys, nil
}

// jwkVerdict says what to do with one key of a set.
type jwkVerdict int

const (
	jwkUsable      jwkVerdict = iota
	jwkForeign                // not for us: leave it out
	jwkCompromised            // its private part is public: nobody may use the name
)

// parseJWK reads one key and holds it against the policy.
func parseJWK(raw json.RawMessage, algorithms []string) (*jose.JSONWebKey, jwkVerdict) {
	var names map[string]json.RawMessage
	if json.Unmarshal(raw, &names) != nil || names == nil {
		return nil, jwkForeign
	}
	var about struct {
		KeyID      string   `json:"kid"`
		Operations []string `json:"key_ops"`
	}
	if json.Unmarshal(raw, &about) != nil || !validKeyID(about.KeyID) {
		return nil, jwkForeign
	}
	// RFC 7518 §6.2.2, §6.3.2, §6.4.1: the members that hold a private or secret
	// key. Whoever reads the set can sign with it.
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, private := names[name]; private {
			return &jose.JSONWebKey{KeyID: about.KeyID}, jwkCompromised
		}
	}
	key := new(jose.JSONWebKey)
	if key.UnmarshalJSON(raw) != nil || !key.Valid() {
		return nil, jwkForeign
	}
	// RFC 7517 §4.2 and §4.3: a key for encryption verifies nothing.
	if key.Use != "" && key.Use != "sig" ||
		about.Operations != nil && !slices.Contains(about.Operations, "verify") {
		return nil, jwkForeign
	}
	alg, ok := algorithmFor(key, algorithms)
	if !ok {
		return nil, jwkForeign
	}
	key.Algorithm = alg
	return key, jwkUsable
}

// algorithmFor returns the one algorithm that key is for: the one it names, or, if
// it names none (RFC 7517 §4.4), the only configured one that fits its type.
func algorithmFor(key *jose.JSONWebKey, algorithms []string) (string, bool) {
	var fitting []string
	switch pub := key.Key.(type) {
	case *rsa.PublicKey:
		// RFC 7518 §3.3: 2048 bits or larger. E is odd and at least 3.
		if bits := pub.N.BitLen(); bits < minRSABits || bits > maxRSABits || pub.E < 3 || pub.E%2 == 0 {
			return "", false
		}
		fitting = []string{rs256, ps256}
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P256() {
			return "", false
		}
		fitting = []string{es256}
	case ed25519.PublicKey:
		fitting = []string{eddsa}
	default:
		return "", false
	}
	fitting = slices.DeleteFunc(fitting, func(alg string) bool {
		return !slices.Contains(algorithms, alg)
	})
	if key.Algorithm != "" {
		return key.Algorithm, slices.Contains(fitting, key.Algorithm)
	}
	if len(fitting) != 1 {
		return "", false
	}
	return fitting[0], true
}

// sameKey reports whether two keys are the same for our purposes.
func sameKey(a, b *jose.JSONWebKey) bool {
	pub, ok := a.Key.(interface {
		Equal(other crypto.PublicKey) bool
	})
	return ok && a.Algorithm == b.Algorithm && pub.Equal(b.Key)
}
