package keys

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ingam/ingam/storage"
)

// What stands in the records' Use and Algorithm.
const (
	useSign = "sig"
	useMAC  = "mac"

	algRS256 = string(jose.RS256)
	algHKDF  = "HKDF-SHA256"
)

const (
	// rsaBits is the size of the keys made here: 112 bits of strength, every verifier knows it, and signing takes a
	// third of the time of 3072.
	rsaBits = 2048
	// minRSABits is enforced on every key that is loaded, wherever it was made (RFC 7518 §3.3).
	minRSABits = 2048

	macSize   = 32
	maxNameID = 64
)

// key is one opened key of the ring. It is immutable but for its cache of signers.
type key struct {
	id        string
	algorithm string

	// Of a "sig" key. signer is the seam for other implementations of the same signature; the hot path knows no more.
	signer  crypto.Signer
	public  *rsa.PublicKey
	jwk     json.RawMessage    // the public half, checked to be nothing else
	signers cache[jose.Signer] // by typ

	// Of a "mac" key: what Ring.Derive derives from.
	secret []byte
}

// newSigningKey seals a fresh key pair as a record that is active at once.
func newSigningKey(s *sealer, private *rsa.PrivateKey, now time.Time) (storage.SealedKey, error) {
	public := jose.JSONWebKey{Key: &private.PublicKey}
	thumbprint, err := public.Thumbprint(crypto.SHA256) // RFC 7638: the id follows from the key and never collides
	if err != nil {
		return storage.SealedKey{}, fmt.Errorf("keys: naming the new key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return storage.SealedKey{}, fmt.Errorf("keys: encoding the new key: %w", err)
	}
	defer clear(der)
	record := storage.SealedKey{
		ID:  base64.RawURLEncoding.EncodeToString(thumbprint),
		Use: useSign, Algorithm: algRS256, CreatedAt: now,
	}
	return s.seal(record, der), nil
}

// newMACKey seals a fresh secret as a record that is active at once. Its id is random: it must not follow from it.
func newMACKey(s *sealer, now time.Time) storage.SealedKey {
	id, secret := make([]byte, 9), make([]byte, macSize)
	defer clear(secret)
	rand.Read(id)
	rand.Read(secret)
	record := storage.SealedKey{
		ID:  "mac-" + base64.RawURLEncoding.EncodeToString(id),
		Use: useMAC, Algorithm: algHKDF, CreatedAt: now,
	}
	return s.seal(record, secret)
}

// openKey opens a record and refuses what it must not work with, whoever wrote it.
func openKey(s *sealer, record storage.SealedKey) (*key, error) {
	if !nameable(record.ID, maxNameID) {
		return nil, damaged(record, "its id must be 1 to 64 of the characters A-Z a-z 0-9 . _ -")
	}
	private, err := s.open(record)
	if err != nil {
		return nil, err
	}
	defer clear(private)
	k := &key{id: record.ID, algorithm: record.Algorithm}
	switch {
	case record.Use == useSign && record.Algorithm == algRS256:
		return k, k.loadRSA(record, private)
	case record.Use == useMAC && record.Algorithm == algHKDF:
		if len(private) != macSize {
			return nil, damaged(record, "its secret does not have 32 bytes")
		}
		k.secret = append([]byte(nil), private...)
		return k, nil
	default:
		return nil, damaged(record, fmt.Sprintf("this program does not know use %q with algorithm %q",
			record.Use, record.Algorithm))
	}
}

// loadRSA fills k from PKCS#8. Causes are left out of the errors: they come from parsing secret bytes.
func (k *key) loadRSA(record storage.SealedKey, der []byte) error {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	private, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return damaged(record, "it is not an RSA key in PKCS#8")
	}
	if bits := private.N.BitLen(); bits < minRSABits {
		return damaged(record, fmt.Sprintf("RSA of %d bits is too weak, %d is the least", bits, minRSABits))
	}
	private.Precompute()
	if private.Validate() != nil {
		return damaged(record, "its numbers are not an RSA key")
	}
	k.signer, k.public = private, &private.PublicKey
	k.jwk, err = publicJWK(jose.JSONWebKey{Key: k.public, KeyID: k.id, Algorithm: k.algorithm, Use: useSign})
	return err
}

// nameable tells whether text can stand in a header, a log line or a URL without any escaping: a key's id, or with
// the extra characters of a media type a "typ".
func nameable(text string, limit int, extra ...rune) bool {
	if text == "" || len(text) > limit {
		return false
	}
	return !strings.ContainsFunc(text, func(c rune) bool {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
			return false
		}
		return !strings.ContainsRune(string(extra), c)
	})
}
