package credential

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Bounds of an imported PBKDF2 hash. Salts of 64 bits and more are RFC 8018 §4.1's advice.
const (
	maxIterations = 2_000_000 // × blocks of output
	minPBKDF2Salt = 8
	maxPBKDF2Salt = 128
	minPBKDF2Key  = 16
	maxPBKDF2Key  = 64
	shapeOfPBKDF2 = "PBKDF2 must look like $pbkdf2-sha256$i=600000,l=32$salt$hash or $pbkdf2-sha256$600000$salt$hash"
	shapeOfDjango = "PBKDF2 must look like pbkdf2_sha256$600000$salt$hash"
)

// pbkdf2Hash is a hash by PBKDF2 (RFC 8018 §5.2) over HMAC-SHA-256 or HMAC-SHA-512, whichever way it was written.
type pbkdf2Hash struct {
	sha512     bool
	iterations int
	salt, key  []byte
}

func (h pbkdf2Hash) digest() func() hash.Hash {
	if h.sha512 {
		return sha512.New
	}
	return sha256.New
}

func (h pbkdf2Hash) matches(password string) (bool, error) {
	key, err := pbkdf2.Key(h.digest(), password, h.salt, h.iterations, len(h.key))
	if err != nil { // only where FIPS 140-3 mode forbids the sizes
		return false, fmt.Errorf("computing PBKDF2: %w", err)
	}
	return subtle.ConstantTimeCompare(key, h.key) == 1, nil
}

func (pbkdf2Hash) current(Params) bool { return false }

func (pbkdf2Hash) scheme() string { return "pbkdf2" }

// check bounds the work: each block of output costs all the iterations again.
func (h pbkdf2Hash) check() error {
	size := h.digest()().Size()
	blocks := (len(h.key) + size - 1) / size
	if h.iterations*blocks > maxIterations {
		return fmt.Errorf("PBKDF2 of %d iterations for each of %d blocks of output; accepted are %d in all",
			h.iterations, blocks, maxIterations)
	}
	return nil
}

// parsePBKDF2 reads the PHC string format and passlib's, which differ in how the iterations are written, and in that
// passlib has the dot in base64 where others have the plus.
func parsePBKDF2(phc string) (storedHash, error) {
	fields := strings.Split(phc, "$")
	if len(fields) != 5 {
		return nil, errors.New(shapeOfPBKDF2)
	}
	cost, salt, key := fields[2], fields[3], fields[4]
	iterations, named := strings.CutPrefix(cost, "i=")
	length := ""
	if named {
		iterations, length, _ = strings.Cut(iterations, ",")
	} else {
		salt, key = strings.ReplaceAll(salt, ".", "+"), strings.ReplaceAll(key, ".", "+")
	}
	h := pbkdf2Hash{sha512: fields[1] == "pbkdf2-sha512"}
	var err error
	if h.iterations, err = number("PBKDF2 iterations", iterations, 1, maxIterations); err != nil {
		return nil, err
	}
	if h.salt, err = unbase64("PBKDF2 salt", salt, minPBKDF2Salt, maxPBKDF2Salt); err != nil {
		return nil, err
	}
	if h.key, err = unbase64("PBKDF2 hash", key, minPBKDF2Key, maxPBKDF2Key); err != nil {
		return nil, err
	}
	if want := fmt.Sprintf("l=%d", len(h.key)); named && strings.Contains(cost, ",") && length != want {
		return nil, fmt.Errorf("PBKDF2 parameters must be i and l, and l the length of the hash, here %s", want)
	}
	return h, h.check()
}

// parseDjangoPBKDF2 reads the format of Django, whose salt is text and whose base64 is padded.
func parseDjangoPBKDF2(stored string) (storedHash, error) {
	fields := strings.Split(stored, "$")
	if len(fields) != 4 {
		return nil, errors.New(shapeOfDjango)
	}
	h := pbkdf2Hash{sha512: fields[0] == "pbkdf2_sha512", salt: []byte(fields[2])}
	if len(h.salt) < minPBKDF2Salt || len(h.salt) > maxPBKDF2Salt {
		return nil, fmt.Errorf("PBKDF2 salt has %d bytes; accepted are %d to %d",
			len(h.salt), minPBKDF2Salt, maxPBKDF2Salt)
	}
	if strings.ContainsFunc(fields[2], func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("PBKDF2 salt must be of printable ASCII characters, as Django writes it")
	}
	var err error
	if h.iterations, err = number("PBKDF2 iterations", fields[1], 1, maxIterations); err != nil {
		return nil, err
	}
	unpadded := strings.TrimRight(fields[3], "=")
	if padding := (4 - len(unpadded)%4) % 4; len(fields[3])-len(unpadded) != padding {
		return nil, errors.New("PBKDF2 hash must be base64 with padding, as Django writes it")
	}
	if h.key, err = unbase64("PBKDF2 hash", unpadded, minPBKDF2Key, maxPBKDF2Key); err != nil {
		return nil, err
	}
	return h, h.check()
}
