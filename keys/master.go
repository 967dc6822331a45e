package keys

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

const (
	masterKeySize = 32
	redacted      = "[redacted]"
)

// MasterKey is the key under which all others are sealed at rest: 256 random bits that live outside the store, in a
// file or a secret of the platform. Whoever has both the store and the master key can sign as the server.
//
// The zero value is no key; [Open] refuses it.
type MasterKey struct {
	// A function, because fmt calls no methods on unexported fields: inside somebody's struct an array would be printed
	// byte by byte, and a pointer to one followed by a verb that does not fit. Of a function there is only an address.
	bytes func() *[masterKeySize]byte
}

// NewMasterKey makes a master key from the system's randomness.
func NewMasterKey() MasterKey {
	raw := new([masterKeySize]byte)
	rand.Read(raw[:]) // never fails; the runtime stops the program instead
	return masterKey(raw)
}

func masterKey(raw *[masterKeySize]byte) MasterKey {
	return MasterKey{bytes: func() *[masterKeySize]byte { return raw }}
}

// ParseMasterKey reads a master key as written by [MasterKey.Text] or by usual tools: 32 bytes in base64 (standard or
// URL alphabet, padded or not) or in hexadecimal, white space around it allowed. Bytes that are all the same, a
// placeholder rather than a key, are refused. Errors say what would be right and never repeat the text.
func ParseMasterKey(text string) (MasterKey, error) {
	const advice = "make one with: openssl rand -base64 32"
	text = strings.TrimSpace(text)
	if text == "" {
		return MasterKey{}, errors.New("the master key is empty; " + advice)
	}
	raw, ok := decodeMasterKey(text)
	if !ok {
		return MasterKey{}, fmt.Errorf("the master key (%d characters) must be 32 bytes in base64 (43 or 44 characters) "+
			"or in hexadecimal (64 characters); %s", len(text), advice)
	}
	if strings.Count(string(raw), string(raw[:1])) == len(raw) {
		return MasterKey{}, errors.New("the master key is one byte repeated, a placeholder; " + advice)
	}
	return masterKey((*[masterKeySize]byte)(raw)), nil
}

// decodeMasterKey tells the encodings apart by length, which leaves no text that could mean two keys.
func decodeMasterKey(text string) ([]byte, bool) {
	var decoders []func(string) ([]byte, error)
	switch len(text) {
	case 43:
		decoders = append(decoders, base64.RawURLEncoding.Strict().DecodeString, base64.RawStdEncoding.Strict().DecodeString)
	case 44:
		decoders = append(decoders, base64.URLEncoding.Strict().DecodeString, base64.StdEncoding.Strict().DecodeString)
	case 64:
		decoders = append(decoders, hex.DecodeString)
	}
	for _, decode := range decoders {
		if raw, err := decode(text); err == nil && len(raw) == masterKeySize {
			return raw, true
		}
	}
	return nil, false
}

// Text is the key in base64url, the one way to get it out: for writing it to a file. "" for the zero value.
func (k MasterKey) Text() string {
	if k.bytes == nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(k.bytes()[:])
}

// Format prints "[redacted]" for every verb.
func (MasterKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// String is "[redacted]".
func (MasterKey) String() string { return redacted }

// GoString is "[redacted]".
func (MasterKey) GoString() string { return redacted }

// LogValue keeps the key out of logs.
func (MasterKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText fails, so that no encoder writes the key out by accident; see [MasterKey.Text].
func (MasterKey) MarshalText() ([]byte, error) {
	return nil, errors.New("a master key does not marshal itself; write MasterKey.Text on purpose")
}
