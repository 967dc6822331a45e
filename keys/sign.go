package keys

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
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
	head, err := k.header(typ)
	if err != nil {
		return "", err
	}
	encoding := base64.RawURLEncoding
	size := len(head) + encoding.EncodedLen(len(payload)) + 1 + encoding.EncodedLen(k.public.Size())
	token := make([]byte, 0, size)
	token = append(token, head...)
	token = encoding.AppendEncode(token, payload)
	digest := sha256.Sum256(token)

	signature, err := r.signDigest(ctx, k, digest[:])
	if err != nil {
		return "", fmt.Errorf("keys: signing: %w", err)
	}
	token = append(token, '.')
	token = encoding.AppendEncode(token, signature)
	return string(token), nil
}

// signDigest waits for a slot and signs.
func (r *Ring) signDigest(ctx context.Context, k *key, digest []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil { // nobody waits for this signature any more
		return nil, err
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-r.slots }()
	return k.signer.Sign(rand.Reader, digest, crypto.SHA256)
}

// header is the encoded protected header for typ with the dot after it: always the same bytes, so made once. Its
// parts need no escaping, and their order is that of other JOSE libraries (sorted).
func (k *key) header(typ string) (string, error) {
	if head, ok := k.headers.get(typ); ok {
		return head, nil
	}
	if !nameable(typ, maxNameID, '+', '/') {
		return "", fmt.Errorf("keys: signing: %q cannot be the typ of a token", typ)
	}
	text := `{"alg":"` + k.algorithm + `","kid":"` + k.id + `","typ":"` + typ + `"}`
	return k.headers.put(typ, base64.RawURLEncoding.EncodeToString([]byte(text))+"."), nil
}
