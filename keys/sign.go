package keys

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Sign returns payload, the JSON of some claims, as a compact JWS (RFC 7515 §7.1) by the active key. The protected
// header is exactly alg, kid and typ. typ says what kind of token it is ("at+jwt", "JWT" …) and must be one of the
// program's own few constants: it is what keeps one kind from being taken for another (RFC 8725 §3.11).
//
// At most GOMAXPROCS signatures are computed at once, first come first served: a signature is nothing but a processor
// at work, and more of them at a time only make all of them late. Waiting ends when ctx does.
func (r *Ring) Sign(ctx context.Context, typ string, payload []byte) (string, error) {
	k := r.current().signing
	if k == nil {
		return "", fmt.Errorf("keys: signing: %w", ErrNoActiveKey)
	}
	signer, err := k.signerFor(typ)
	if err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil { // nobody waits for this signature any more
		return "", fmt.Errorf("keys: signing: %w", err)
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return "", fmt.Errorf("keys: signing: %w", ctx.Err())
	}
	jws, err := func() (*jose.JSONWebSignature, error) {
		defer func() { <-r.slots }() // also when the signer panics
		return signer.Sign(payload)
	}()
	if err != nil {
		return "", fmt.Errorf("keys: signing: %w", err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("keys: signing: %w", err)
	}
	return token, nil
}

// signerFor is go-jose's signer for tokens of that typ, made once.
func (k *key) signerFor(typ string) (jose.Signer, error) {
	if signer, ok := k.signers.get(typ); ok {
		return signer, nil
	}
	if !nameable(typ, maxNameID, '+', '/') {
		return nil, fmt.Errorf("keys: signing: %q cannot be the typ of a token", typ)
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.algorithm), Key: opaqueSigner{k}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return nil, fmt.Errorf("keys: signing: %w", err)
	}
	return k.signers.put(typ, signer), nil
}

// opaqueSigner shows a key to go-jose without its private part: whatever implements crypto.Signer can sign.
type opaqueSigner struct{ key *key }

var _ jose.OpaqueSigner = opaqueSigner{}

// Public answers the public key, whose id go-jose writes into the header.
func (o opaqueSigner) Public() *jose.JSONWebKey {
	return &jose.JSONWebKey{Key: o.key.public, KeyID: o.key.id, Algorithm: o.key.algorithm, Use: useSign}
}

// Algs answers the one algorithm of the key.
func (o opaqueSigner) Algs() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.SignatureAlgorithm(o.key.algorithm)}
}

// SignPayload signs the signing input of a JWS (RFC 7515 §5.1); RS256 is RSASSA-PKCS1-v1_5 over SHA-256 (RFC 7518 §3.3).
func (o opaqueSigner) SignPayload(input []byte, _ jose.SignatureAlgorithm) ([]byte, error) {
	digest := sha256.Sum256(input)
	return o.key.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
}
