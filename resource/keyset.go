package resource

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// KeySet is where a [Verifier] finds the issuer's public keys.
//
// Key returns the key named kid. It returns an error that wraps [ErrUnknownKey] if
// the issuer has no such key, which is the token's fault; any other error means
// that it cannot tell, which is ours. It is called for every token, remembered
// ones included, so it should answer from memory. It must be safe for concurrent
// use.
//
// The key belongs to the set and must not be changed by anyone. A set returns the
// same pointer for as long as the key is the same: a verified token is remembered
// only while Key still returns the pointer that verified it.
type KeySet interface {
	Key(ctx context.Context, kid string) (*jose.JSONWebKey, error)
}

// StaticKeySet is a KeySet that never changes: for tests, and for issuers whose
// keys arrive by other ways than HTTP. Make it with [NewStaticKeySet].
type StaticKeySet struct {
	keys map[string]*jose.JSONWebKey
}

var _ KeySet = (*StaticKeySet)(nil)

// NewStaticKeySet reads a JWK set (RFC 7517 §5) and keeps the keys that can verify
// signatures of the given algorithms, RS256 if there are none. It fails
// when no key is left. The rules are those of [RemoteKeySet].
func NewStaticKeySet(jwks []byte, algorithms ...string) (*StaticKeySet, error) {
	algorithms, err := checkAlgorithms(algorithms)
	if err != nil {
		return nil, err
	}
	keys, err := parseJWKS(jwks, algorithms)
	if err != nil {
		return nil, err
	}
	return &StaticKeySet{keys: keys}, nil
}

// Key returns the key named kid, or an error that wraps ErrUnknownKey. The zero
// StaticKeySet knows no key.
func (s *StaticKeySet) Key(_ context.Context, kid string) (*jose.JSONWebKey, error) {
	if key := s.keys[kid]; key != nil {
		return key, nil
	}
	return nil, ErrUnknownKey
}

// checkAlgorithms returns the list, or RS256 for an empty one.
func checkAlgorithms(list []string) ([]string, error) {
	if len(list) == 0 {
		return []string{rs256}, nil
	}
	for _, alg := range list {
		if !slices.Contains(supportedAlgorithms, alg) {
			return nil, fmt.Errorf("algorithms: %q is not one of %v", alg, supportedAlgorithms)
		}
	}
	return slices.Clone(list), nil
}
