package resource

import (
	"encoding/base64"
	"slices"
	"strings"
)

const (
	// MaxTokenSize is the length in bytes beyond which a token is refused
	// before anything of it is looked at.
	MaxTokenSize = 8 << 10

	// maxHeaderSize bounds the encoded header. The three names that are
	// allowed, with the longest kid, need less than half of it.
	maxHeaderSize = 512
)

// strictBase64 is base64url without padding that refuses trailing bits. It
// still skips line breaks, which decode therefore refuses itself.
var strictBase64 = base64.RawURLEncoding.Strict()

// compactJWS is a JWS in compact form (RFC 7515 §7.1), taken apart.
type compactJWS struct {
	header  jwsHeader
	signed  string // header.payload, what the signature covers
	payload string // still encoded
	sig     []byte
}

// jwsHeader is all that a header may say.
type jwsHeader struct{ alg, typ, kid string }

// parseCompact takes a token apart and checks everything about it that needs no
// key: form, canonical base64url, and the header against algorithms.
func parseCompact(token string, algorithms []string) (compactJWS, error) {
	// RFC 7515 §7.1: exactly three parts. Five would be a JWE, and the JSON
	// serialization begins with a brace.
	header, rest, ok := strings.Cut(token, ".")
	if !ok {
		return compactJWS{}, errNotCompact
	}
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || header == "" || payload == "" || signature == "" || strings.IndexByte(signature, '.') >= 0 {
		return compactJWS{}, errNotCompact
	}
	if len(header) > maxHeaderSize {
		return compactJWS{}, errHeaderName
	}
	text, ok := decode(header)
	if !ok {
		return compactJWS{}, errBase64
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return compactJWS{}, err
	}
	if err := h.check(algorithms); err != nil {
		return compactJWS{}, err
	}
	sig, ok := decode(signature)
	if !ok {
		return compactJWS{}, errBase64
	}
	return compactJWS{
		header:  h,
		signed:  token[:len(header)+1+len(payload)],
		payload: payload,
		sig:     sig,
	}, nil
}

// decode reads base64url without padding (RFC 7515 §2). For each byte string
// it accepts exactly one encoding, so that one token has one spelling.
func decode(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	out, err := strictBase64.DecodeString(s)
	return out, err == nil
}

// parseHeader reads the header's three names and refuses any other: a key or
// the address of one (jwk, jku, x5u, x5c), and whatever would change how the rest
// is read (crit, b64, zip, cty).
func parseHeader(text string) (jwsHeader, error) {
	var buf [4]member
	members, fault := parseObject(text, buf[:0])
	switch fault {
	case jsonMalformed:
		return jwsHeader{}, errHeaderJSON
	case jsonRepeatedName:
		// RFC 7515 §4: the names within the header are unique.
		return jwsHeader{}, errHeaderRepeated
	case jsonOK:
	}
	var h jwsHeader
	for _, m := range members {
		var field *string
		switch m.name {
		case "alg":
			field = &h.alg
		case "typ":
			field = &h.typ
		case "kid":
			field = &h.kid
		default:
			return jwsHeader{}, errHeaderName
		}
		value, ok := stringOf(m.raw)
		if !ok {
			return jwsHeader{}, errHeaderJSON
		}
		*field = value
	}
	return h, nil
}

// check compares the header with what this server accepts.
func (h jwsHeader) check(algorithms []string) error {
	// RFC 8725 §3.1: the list of algorithms is the caller's, never the token's.
	if !slices.Contains(algorithms, h.alg) {
		return errAlgorithm
	}
	// RFC 9068 §4: at+jwt or application/at+jwt, else it may be an ID token.
	// Media types have no case (RFC 7515 §4.1.9).
	if !strings.EqualFold(h.typ, "at+jwt") && !strings.EqualFold(h.typ, "application/at+jwt") {
		return errType
	}
	if !validKeyID(h.kid) {
		return errKeyID
	}
	return nil
}

// validKeyID reports whether kid is of the form [A-Za-z0-9._-]{1,64}. A kid
// of another form belongs to none of our keys, and asking for it costs nothing.
func validKeyID(kid string) bool {
	if kid == "" || len(kid) > 64 {
		return false
	}
	for i := range len(kid) {
		c := kid[i]
		if !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
