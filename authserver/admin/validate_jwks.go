package admin

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/ingam/ingam/storage"
)

const (
	maxJWKS    = 64 << 10
	maxKeys    = 20
	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 8192 // what one check may cost
)

// signingAlgs are the algorithms of assertions and request objects, with the kind of key that each needs.
var signingAlgs = []struct{ alg, kind string }{{"RS256", "RSA"}, {"PS256", "RSA"}, {"ES256", "P-256"}, {"EdDSA", "Ed25519"}}

// privateMembers are those of a JWK that hold a secret (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// keys checks the client's public keys and what needs them.
func (c *checker) keys(cl storage.Client) {
	hasKeys := len(cl.JWKS) > 0 || cl.JWKSURI != ""
	if len(cl.JWKS) > 0 && cl.JWKSURI != "" {
		// RFC 7591 §2: "The "jwks_uri" and "jwks" parameters MUST NOT both be present in the same request or response."
		c.bad("jwks_uri", "and jwks are both given; keep one (RFC 7591 §2)")
	}
	c.endpoint("jwks_uri", cl.JWKSURI)
	var kinds []string
	if len(cl.JWKS) > 0 {
		var wrong string
		if kinds, wrong = checkJWKS(cl.JWKS); wrong != "" {
			c.bad("jwks", "%s", wrong)
			kinds = nil
		}
	}
	if alg := cl.RequestObjectAlg; alg != "" {
		c.requestObjectAlg(alg, hasKeys, kinds)
	} else if cl.RequireSignedRequest && !hasKeys {
		c.bad("require_signed_request_object", "needs the client's public keys in jwks or jwks_uri")
	}
}

// requestObjectAlg checks the algorithm of request objects against the kinds of keys, as far as those are known.
func (c *checker) requestObjectAlg(alg string, hasKeys bool, kinds []string) {
	const field = "request_object_signing_alg"
	var names []string
	kind := ""
	for _, known := range signingAlgs {
		names = append(names, known.alg)
		if known.alg == alg {
			kind = known.kind
		}
	}
	switch {
	case kind == "":
		c.bad(field, "%q is not one of %s", alg, strings.Join(names, ", "))
	case !hasKeys:
		c.bad(field, "needs the client's public keys in jwks or jwks_uri")
	case len(kinds) > 0 && !slices.Contains(kinds, kind):
		c.bad(field, "%s needs a key of the kind %s, and jwks has none", alg, kind)
	}
}

// checkJWKS tells what is wrong with a key set (RFC 7517 §5), "" if nothing is, and which kinds of keys it has for
// signatures. What it says never repeats what stands in a key: that can be a private one.
func checkJWKS(raw json.RawMessage) (kinds []string, wrong string) {
	if len(raw) > maxJWKS {
		return nil, fmt.Sprintf("has %d bytes; at most %d", len(raw), maxJWKS)
	}
	var set map[string]json.RawMessage
	var list []map[string]json.RawMessage
	if json.Unmarshal(raw, &set) != nil || json.Unmarshal(set["keys"], &list) != nil {
		return nil, `is not a JSON object with a list "keys" of JSON Web Keys (RFC 7517 §5)`
	}
	if odd := otherSpelling(set, []string{"keys"}); odd != "" {
		return nil, fmt.Sprintf("has a member %q, which some would read as keys", odd)
	}
	if len(list) == 0 || len(list) > maxKeys {
		return nil, fmt.Sprintf("has %d keys; 1 to %d are expected", len(list), maxKeys)
	}
	for i, members := range list {
		kind, wrong := checkKey(members)
		if wrong != "" {
			return nil, fmt.Sprintf("key %d %s", i+1, wrong)
		}
		if kind != "" {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		return nil, "has no key for signatures: RSA of 2048 bits or more, EC P-256 or Ed25519"
	}
	return kinds, ""
}

// checkKey returns the kind of a public key for signatures, "" for a key that is of no use here.
func checkKey(members map[string]json.RawMessage) (kind, wrong string) {
	for _, name := range privateMembers {
		if _, found := members[name]; found {
			return "", fmt.Sprintf("has a member %q, which is private; register the public key and make a new pair: this one was shown", name)
		}
	}
	if odd := otherSpelling(members, append(slices.Clone(privateMembers), "kty", "crv", "x", "y", "n", "e", "use", "alg", "kid")); odd != "" {
		return "", fmt.Sprintf("has a member %q; members are written in small letters", odd)
	}
	text := func(name string) (s string) {
		_ = json.Unmarshal(members[name], &s) // what is no string is as good as missing
		return s
	}
	number := func(name string) []byte {
		b, err := base64.RawURLEncoding.Strict().DecodeString(text(name))
		if err != nil {
			return nil
		}
		return b
	}
	switch kty, crv := text("kty"), text("crv"); {
	case kty == "":
		return "", "has no kty (RFC 7517 §4.1)"
	case kty == "oct":
		return "", "is symmetric (kty oct); only public keys are taken"
	case kty == "RSA":
		kind, wrong = "RSA", checkRSA(number("n"), number("e"))
	case kty == "EC" && crv == "P-256":
		kind, wrong = crv, checkP256(number("x"), number("y"))
	case kty == "OKP" && crv == "Ed25519":
		if kind = crv; len(number("x")) != ed25519.PublicKeySize {
			wrong = "is not an Ed25519 key: x must be 32 bytes in base64url"
		}
	}
	// RFC 7517 §4.2: a key for encryption checks no signature.
	if use := text("use"); use != "" && use != "sig" {
		kind = ""
	}
	// RFC 7517 §4.4: nor does one for another algorithm.
	if alg := text("alg"); alg != "" && !slices.ContainsFunc(signingAlgs, func(a struct{ alg, kind string }) bool {
		return a.alg == alg && a.kind == kind
	}) {
		kind = ""
	}
	return kind, wrong
}

// otherSpelling finds a member that readers which do not tell capitals from small letters take for one of names, "" if
// there is none: what is checked here must be what everybody reads.
func otherSpelling(members map[string]json.RawMessage, names []string) string {
	for member := range members {
		if slices.ContainsFunc(names, func(name string) bool { return name != member && strings.EqualFold(name, member) }) {
			return member
		}
	}
	return ""
}

// checkRSA wants a modulus that is long enough (RFC 7518 §3.3) and an exponent that a check can bear.
func checkRSA(n, e []byte) string {
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	switch {
	case len(n) == 0 || len(e) == 0:
		return "is not an RSA key: n and e must be in base64url"
	case modulus.BitLen() < minRSABits || modulus.BitLen() > maxRSABits:
		return fmt.Sprintf("is an RSA key of %d bits; %d to %d are expected", modulus.BitLen(), minRSABits, maxRSABits)
	case modulus.Bit(0) == 0 || exponent.Bit(0) == 0 || exponent.BitLen() < 2 || exponent.BitLen() > 31:
		return "is not an RSA key: n and e must be odd, and e from 3 to 2^31"
	}
	return ""
}

// checkP256 wants a point that is on the curve.
func checkP256(x, y []byte) string {
	if len(x) != 32 || len(y) != 32 {
		return "is not a P-256 key: x and y must be 32 bytes in base64url"
	}
	if _, err := ecdh.P256().NewPublicKey(slices.Concat([]byte{4}, x, y)); err != nil {
		return "is not a P-256 key: the point is not on the curve"
	}
	return ""
}
