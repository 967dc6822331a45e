package keys

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// signatureAlgorithms is all that Verify lets the parser look at: no "none", no symmetric algorithm (RFC 8725 §3.1).
var signatureAlgorithms = []jose.SignatureAlgorithm{jose.RS256}

// maxHeaderSize bounds the encoded header. Ours take less than half of it, and go-jose reads a header before the signature
// is checked: deep nesting in a large one costs milliseconds (threats J18).
const maxHeaderSize = 512

// Verify returns the payload of a token that [Ring.Sign] made with a key that is still published, and whose typ is
// one of typs; without any typs it accepts nothing. It answers for the origin of the payload only: times, issuer and
// audience are the caller's to check. Every refusal is [ErrInvalidToken].
//
// The form is strict: each token has one spelling, so that no second one slips past a list of revoked tokens.
func (r *Ring) Verify(token string, typs ...string) ([]byte, error) {
	if !strictCompact(token) {
		return nil, invalid("not in the compact form of a JWS")
	}
	if strings.IndexByte(token, '.') > maxHeaderSize {
		return nil, invalid("its header is too long")
	}
	jws, err := jose.ParseSignedCompact(token, signatureAlgorithms)
	if err != nil {
		return nil, invalid("its header or its algorithm")
	}
	header := jws.Signatures[0].Protected
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	if typ == "" || !slices.Contains(typs, typ) {
		return nil, invalid("its typ is not the one expected here")
	}
	// The key is the one we published under that id, with the algorithm we published it for; whatever else the header
	// may offer (jwk, jku, x5c) is not looked at (RFC 8725 §3.10).
	k := r.current().published[header.KeyID]
	if k == nil || header.Algorithm != k.algorithm {
		return nil, invalid("no published key has its kid and alg")
	}
	payload, err := jws.Verify(k.public)
	if err != nil {
		return nil, invalid("its signature")
	}
	return payload, nil
}

func invalid(why string) error { return fmt.Errorf("keys: %w: %s", ErrInvalidToken, why) }

// strictCompact tells whether token is three non-empty parts of base64url as an encoder writes it. Go's decoder, and
// so go-jose, also takes line breaks and any value of the last character's unused bits.
func strictCompact(token string) bool {
	if strings.Count(token, ".") != 2 {
		return false
	}
	for part := range strings.SplitSeq(token, ".") {
		if !canonicalBase64(part) {
			return false
		}
	}
	return true
}

// canonicalBase64 checks one part. (Decoding with base64's Strict would do the same, with an allocation.)
func canonicalBase64(part string) bool {
	var last byte
	for i := range len(part) {
		switch c := part[i]; {
		case c >= 'A' && c <= 'Z':
			last = c - 'A'
		case c >= 'a' && c <= 'z':
			last = c - 'a' + 26
		case c >= '0' && c <= '9':
			last = c - '0' + 52
		case c == '-':
			last = 62
		case c == '_':
			last = 63
		default:
			return false
		}
	}
	switch len(part) % 4 {
	case 0:
		return part != ""
	case 2:
		return last&0b1111 == 0
	case 3:
		return last&0b11 == 0
	default:
		return false
	}
}
