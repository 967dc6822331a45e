package oauth

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

const (
	maxKeysInSet = 100
	// maxCandidates bounds how many keys are tried for a signature that names none.
	maxCandidates = 8
	minRSABits    = 2048 // RFC 7518 §3.3
	maxRSABits    = 8192 // verifying with a larger one costs more than it may
)

// clientKey is one key of a client and the algorithms it may be used with.
type clientKey struct {
	id     string
	algs   []string
	public crypto.PublicKey
}

// keySet is the keys of a client that are of use here.
type keySet []clientKey

// candidates answers the keys that may have made a signature. OIDC Core §10.1: a signature must name its key where there
// are several; where it names none, those that fit the algorithm are tried.
func (s keySet) candidates(kid, alg string) (found []crypto.PublicKey) {
	for _, k := range s {
		if (kid == "" || kid == k.id) && slices.Contains(k.algs, alg) && len(found) < maxCandidates {
			found = append(found, k.public)
		}
	}
	return found
}

// parseKeySet reads a JWK set (RFC 7517 §5). Keys are read one by one, and those of no use here are left out: a kind that is
// new to us must not cost the client the keys we know. A set without keys is one, too: its client has taken them all back.
func parseKeySet(data []byte) (keySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, errors.New("not a JWK set (RFC 7517 section 5): it is not a JSON object with a list of keys")
	}
	if document.Keys == nil {
		return nil, errors.New("not a JWK set (RFC 7517 section 5): it has no list of keys")
	}
	if len(document.Keys) > maxKeysInSet {
		return nil, fmt.Errorf("the JWK set has %d keys, more than %d", len(document.Keys), maxKeysInSet)
	}
	var set keySet
	exposed := make(map[string]bool)
	for _, raw := range document.Keys {
		key, usable, private := parseKey(raw)
		if private && key.id != "" {
			exposed[key.id] = true
		}
		if usable {
			set = append(set, key)
		}
	}
	// Whoever reads the set can sign with a key whose private half is in it: also its public half beside it is worth nothing.
	return slices.DeleteFunc(set, func(k clientKey) bool { return exposed[k.id] }), nil
}

// parseKey reads one key and holds it against the policy.
func parseKey(raw json.RawMessage) (key clientKey, usable, private bool) {
	var members map[string]json.RawMessage
	var about struct {
		ID         string   `json:"kid"`
		Use        string   `json:"use"`
		Operations []string `json:"key_ops"`
	}
	if json.Unmarshal(raw, &members) != nil || members == nil || json.Unmarshal(raw, &about) != nil {
		return clientKey{}, false, false
	}
	key.id = about.ID
	// RFC 7518 §6.2.2, §6.3.2, §6.4.1: the members that hold a private or a symmetric key.
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, has := members[name]; has {
			return key, false, true
		}
	}
	// RFC 7517 §4.2, §4.3: a key for encryption verifies nothing.
	if about.Use != "" && about.Use != "sig" || about.Operations != nil && !slices.Contains(about.Operations, "verify") {
		return key, false, false
	}
	var parsed jose.JSONWebKey
	if parsed.UnmarshalJSON(raw) != nil || !parsed.Valid() {
		return key, false, false
	}
	key.algs = algorithmsOf(parsed)
	key.public = parsed.Key
	return key, len(key.algs) > 0, false
}

// algorithmsOf answers the algorithms a key may be used with: the one it names (RFC 7517 §4.4), or all that fit its kind.
func algorithmsOf(key jose.JSONWebKey) []string {
	var fitting []string
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits >= minRSABits && bits <= maxRSABits && public.E >= 3 && public.E%2 == 1 {
			fitting = []string{"RS256", "PS256"}
		}
	case *ecdsa.PublicKey:
		if public.Curve == elliptic.P256() {
			fitting = []string{"ES256"}
		}
	case ed25519.PublicKey:
		fitting = []string{"EdDSA"}
		if key.Algorithm == "Ed25519" { // RFC 9864 §2.2: the newer name of the same
			key.Algorithm = "EdDSA"
		}
	}
	if key.Algorithm == "" {
		return fitting
	}
	return slices.DeleteFunc(fitting, func(alg string) bool { return alg != key.Algorithm })
}
