package credential

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// maxStoredBytes is longer than any string that passes the checks of its scheme.
const maxStoredBytes = 512

// storedHash is a stored password hash, taken apart and found affordable.
type storedHash interface {
	// matches computes the hash of a password of 1 to MaxPasswordBytes bytes and compares in constant time.
	matches(password string) (bool, error)
	// current tells whether it is what Hash would make today.
	current(p Params) bool
	// scheme is the name of the algorithm.
	scheme() string
}

// CheckHash tells whether a password hash made elsewhere can be imported. These can:
//
//	$argon2id$v=19$m=65536,t=3,p=4$salt$tag    RFC 9106, PHC string format
//	$2b$12$…  $2a$12$…  $2y$12$…               bcrypt
//	$pbkdf2-sha256$29000$salt$checksum         PBKDF2 (RFC 8018 §5.2), as passlib writes it
//	$pbkdf2-sha256$i=600000,l=32$salt$hash     PBKDF2, PHC string format; l may be left out
//	pbkdf2_sha256$600000$salt$hash             PBKDF2, as Django writes it
//
// and sha512 wherever sha256 stands. What is stored decides what a sign-in costs, and anyone may try to sign in as
// anyone, so the cost has ceilings, each one to three seconds of one processor: argon2id 256 MiB, 16 passes, 16 lanes and
// 1 GiB of memory × passes; bcrypt cost 14; PBKDF2 2,000,000 iterations × blocks of output.
//
// Bcrypt reads no more than 72 bytes of a password and cannot tell "a" from "a", NUL, "a". Therefore a longer password
// or one with a NUL never matches an imported bcrypt string, even if the system it comes from used to cut it: to
// accept it would make a mistyped ending right, and the hash that replaces the string would make it the only right
// one. Such a person sets a new password.
//
// The error says what is wrong and what would be right. It does not contain the string, which may well be a password
// in the wrong place.
func CheckHash(phc string) error {
	_, err := parse(phc)
	return err
}

// parse takes a stored hash apart.
func parse(phc string) (storedHash, error) {
	if len(phc) > maxStoredBytes {
		return nil, fmt.Errorf("password hash: %d bytes are more than any supported hash has (%d)",
			len(phc), maxStoredBytes)
	}
	var stored storedHash
	var err error
	switch {
	case strings.HasPrefix(phc, "$argon2id$"):
		stored, err = parseArgon2id(phc)
	case strings.HasPrefix(phc, "$2a$"), strings.HasPrefix(phc, "$2b$"), strings.HasPrefix(phc, "$2y$"):
		stored, err = parseBcrypt(phc)
	case strings.HasPrefix(phc, "$pbkdf2-sha256$"), strings.HasPrefix(phc, "$pbkdf2-sha512$"):
		stored, err = parsePBKDF2(phc)
	case strings.HasPrefix(phc, "pbkdf2_sha256$"), strings.HasPrefix(phc, "pbkdf2_sha512$"):
		stored, err = parseDjangoPBKDF2(phc)
	default:
		err = unsupported(phc)
	}
	if err != nil {
		return nil, fmt.Errorf("password hash: %w", err)
	}
	return stored, nil
}

// supported ends the message about a string that is something else.
const supported = "supported are $argon2id$, $2a$/$2b$/$2y$ (bcrypt), " +
	"$pbkdf2-sha256$ or -sha512$, and Django's pbkdf2_sha256$ or _sha512$"

// unsupported names the well-known schemes that are not accepted. It never quotes the string.
func unsupported(phc string) error {
	known := []struct{ prefix, name string }{
		{"$argon2i$", "argon2i"},
		{"$argon2d$", "argon2d"},
		{"$argon2$", "argon2 without its kind"},
		{"$2x$", "bcrypt of the broken kind 2x"},
		{"$2$", "bcrypt of the first kind"},
		{"$pbkdf2$", "PBKDF2 with SHA-1"},
		{"pbkdf2_sha1$", "PBKDF2 with SHA-1"},
		{"$scrypt$", "scrypt"},
		{"scrypt$", "scrypt"},
		{"$7$", "scrypt"},
		{"$y$", "yescrypt"},
		{"$1$", "MD5-crypt"},
		{"$apr1$", "MD5-crypt"},
		{"$5$", "SHA256-crypt"},
		{"$6$", "SHA512-crypt"},
		{"$bcrypt-sha256$", "bcrypt over SHA-256"},
		{"bcrypt", "Django's bcrypt; what follows its first $ may be a bcrypt string"},
		{"{SSHA", "salted SHA as LDAP writes it"},
	}
	for _, k := range known {
		if strings.HasPrefix(phc, k.prefix) {
			return fmt.Errorf("%s is not supported; %s", k.name, supported)
		}
	}
	if phc == "" {
		return fmt.Errorf("it is empty; %s", supported)
	}
	return fmt.Errorf("it does not begin like one; %s", supported)
}

// number reads a decimal in its one spelling: digits only, no leading zero.
func number(name, text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text {
		return 0, fmt.Errorf("%s must be a decimal number from %d to %d without leading zeros", name, least, most)
	}
	if n < least || n > most {
		return 0, fmt.Errorf("%s is %d; accepted are %d to %d", name, n, least, most)
	}
	return n, nil
}

// unbase64 decodes the B64 of the PHC string format, the standard alphabet without padding, in its one spelling.
func unbase64(name, text string, least, most int) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") { // which package base64 would skip
		return nil, fmt.Errorf("%s contains a line break", name)
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s must be base64 (standard alphabet, no padding)", name)
	}
	if len(b) < least || len(b) > most {
		return nil, fmt.Errorf("%s has %d bytes; accepted are %d to %d", name, len(b), least, most)
	}
	return b, nil
}
