package admin

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// Key sets with one fresh key each, of the kinds that clients sign with.
var (
	ecKeys  = keySet(ecKey())
	rsaKeys = keySet(rsaKey(2048))
	edKeys  = keySet(edKey())
)

func keySet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ecKey() string {
	point := must(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).PublicKey.Bytes())
	return fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"1","x":%q,"y":%q}`, b64(point[1:33]), b64(point[33:]))
}

// rsaKey is the public half of a key of so many bits; short ones cannot be made with crypto/rsa and need no primes here.
func rsaKey(bits int) string {
	n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
	if bits == minRSABits {
		n = must(rsa.GenerateKey(rand.Reader, bits)).N
	}
	return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":"AQAB"}`, b64(n.Bytes()))
}

func edKey() string {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q}`, b64(must(public, err)))
}

func TestOnlyPublicKeysThatCheckSignaturesAreRegistered_C4(t *testing.T) {
	ec := ecKey()
	with := func(key, members string) string { return keySet(strings.TrimSuffix(key, "}") + "," + members + "}") }
	for name, tc := range map[string]struct {
		jwks string
		part string // of what is said, "" for nothing
	}{
		"EC":                         {ecKeys, ""},
		"RSA":                        {rsaKeys, ""},
		"Ed25519":                    {edKeys, ""},
		"all three":                  {keySet(ec, rsaKey(2048), edKey()), ""},
		"for signatures":             {with(ec, `"use":"sig","alg":"ES256"`), ""},
		"beside one for encryption":  {keySet(ec, strings.Replace(rsaKey(2048), `{`, `{"use":"enc",`, 1)), ""},
		"beside an unknown kind":     {keySet(ec, `{"kty":"AKP","pub":"x"}`), ""},
		"beside another curve":       {keySet(ec, `{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}`), ""},
		"only for encryption":        {with(ec, `"use":"enc"`), "no key for signatures"},
		"only for another algorithm": {with(ec, `"alg":"ECDH-ES"`), "no key for signatures"},
		"RSA said to be symmetric":   {with(rsaKey(2048), `"alg":"HS256"`), "no key for signatures"},
		"only another curve":         {keySet(`{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}`), "no key for signatures"},
		"private EC":                 {with(ec, `"d":"SECRET"`), "private"},
		"private RSA":                {with(rsaKey(2048), `"p":"SECRET"`), "private"},
		"private, null":              {with(ec, `"d":null`), "private"},
		"private, in capitals":       {with(ec, `"D":"SECRET"`), "small letters"},
		"two lists":                  {`{"keys":[` + ec + `],"KEYS":[]}`, "read as keys"},
		"symmetric":                  {keySet(`{"kty":"oct","k":"SECRET"}`), "private"},
		"symmetric without its k":    {keySet(`{"kty":"oct"}`), "symmetric"},
		"RSA of 2047 bits":           {keySet(rsaKey(2047)), "2047 bits"},
		"RSA of 1024 bits":           {keySet(rsaKey(1024)), "1024 bits"},
		"RSA of 16384 bits":          {keySet(rsaKey(16384)), "16384 bits"},
		"RSA with e of 1":            {keySet(strings.Replace(rsaKey(2048), "AQAB", "AQ", 1)), "odd"},
		"RSA without n":              {keySet(`{"kty":"RSA","e":"AQAB"}`), "n and e"},
		"RSA with padding":           {keySet(strings.Replace(rsaKey(2048), "AQAB", "AQAB==", 1)), "n and e"},
		"EC beside the curve": {keySet(fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":%q,"y":%q}`,
			b64(make([]byte, 32)), b64(make([]byte, 32)))), "not on the curve"},
		"EC with a short x":  {keySet(`{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}`), "32 bytes"},
		"a short Ed25519":    {keySet(`{"kty":"OKP","crv":"Ed25519","x":"AAAA"}`), "32 bytes"},
		"no kty":             {keySet(`{"crv":"P-256"}`), "has no kty"},
		"no keys":            {`{"keys":[]}`, "has 0 keys"},
		"too many keys":      {keySet(strings.Split(strings.Repeat(ec+"|", maxKeys)+ec, "|")...), "has 21 keys"},
		"no list":            {`{"keys":{}}`, "list"},
		"one key by itself":  {ec, "list"},
		"text":               {`"SECRET"`, "list"},
		"no JSON":            {`{"keys"`, "list"},
		"a list of no keys":  {`{"keys":["SECRET"]}`, "list"},
		"far too long a set": {`{"keys":[` + strings.Repeat(" ", maxJWKS) + ec + `]}`, "bytes"},
	} {
		_, wrong := checkJWKS(json.RawMessage(tc.jwks))
		if tc.part == "" && wrong != "" || !strings.Contains(wrong, tc.part) {
			t.Errorf("%s: %q, want %q", name, wrong, tc.part)
		}
		if strings.Contains(wrong, "SECRET") {
			t.Errorf("%s: a private key is repeated: %q", name, wrong)
		}
	}
}
