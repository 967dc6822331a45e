package resource

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"

	"github.com/go-jose/go-jose/v4"
)

// The signature algorithms that can be configured. There is no "none", and
// no HMAC: a resource server that could verify one could also sign.
const (
	rs256 = "RS256"
	ps256 = "PS256"
	es256 = "ES256"
	eddsa = "EdDSA"
)

var supportedAlgorithms = []string{rs256, ps256, es256, eddsa}

// RSA moduli in bits. Below the floor a key is refused (RFC 7518 §3.3); above the
// ceiling one verification would take milliseconds.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// verifySignature checks sig over signed. It calls crypto/rsa and its siblings
// directly, since go-jose's ParseSigned and Verify spend 13 to 16 µs on top of the
// 30 µs of RSA (BenchmarkVerify/go-jose), most of it decoding JSON that would have to
// be read here once more, and more strictly. All of Verify but RSA takes 4 µs.
func verifySignature(alg string, key *jose.JSONWebKey, signed string, sig []byte) error {
	// RFC 8725 §3.1: one key is for one algorithm. The policy is repeated here
	// since a KeySet can be anybody's.
	if key.Algorithm != "" && key.Algorithm != alg {
		return errKeyMismatch
	}
	var ok bool
	switch pub := key.Key.(type) {
	case *rsa.PublicKey:
		if bits := pub.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return errKeyMismatch
		}
		digest := sha256.Sum256([]byte(signed))
		switch alg {
		case rs256:
			ok = rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig) == nil
		case ps256:
			// RFC 7518 §3.5: the salt is as long as the hash.
			salt := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			ok = rsa.VerifyPSS(pub, crypto.SHA256, digest[:], sig, &salt) == nil
		default:
			return errKeyMismatch
		}
	case *ecdsa.PublicKey:
		if alg != es256 || pub.Curve != elliptic.P256() {
			return errKeyMismatch
		}
		// RFC 7518 §3.4: R and S, 32 bytes each, not ASN.1.
		if len(sig) != 64 {
			return errSignature
		}
		digest := sha256.Sum256([]byte(signed))
		r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
		ok = ecdsa.Verify(pub, digest[:], r, s)
	case ed25519.PublicKey:
		if alg != eddsa || len(pub) != ed25519.PublicKeySize {
			return errKeyMismatch
		}
		ok = ed25519.Verify(pub, []byte(signed), sig)
	default:
		return errKeyMismatch
	}
	if !ok {
		return errSignature
	}
	return nil
}
