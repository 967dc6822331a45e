package keys

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// forge signs any header and payload by a private key, as somebody who has that key might.
func forge(t testing.TB, private *rsa.PrivateKey, hash crypto.Hash, header, payload string) string {
	t.Helper()
	input := b64(header) + "." + b64(payload)
	h := hash.New()
	h.Write([]byte(input))
	signature, err := rsa.SignPKCS1v15(nil, private, hash, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(string(signature))
}

func TestVerifyTakesOurTokensOfTheExpectedTypes(t *testing.T) {
	r, _ := goldenRing(t)
	g, _ := loadGolden(t)
	for _, payload := range []string{`{"sub":"alice"}`, "not even JSON"} {
		got, err := r.Verify(mustSign(t, r, "at+jwt", payload), "JWT", "at+jwt")
		if err != nil || string(got) != payload {
			t.Errorf("%q: %q, %v", payload, got, err)
		}
	}
	older := g.Ring.Keys[1].ID // retired, still published
	token := forge(t, testRSA(t, 1), crypto.SHA256, `{"alg":"RS256","kid":"`+older+`","typ":"JWT"}`, `{}`)
	if _, err := r.Verify(token, "JWT"); err != nil {
		t.Errorf("a token of the key before: %v", err)
	}
	// Another order of members is the same header; a version to come may write it.
	token = forge(t, testRSA(t, 1), crypto.SHA256, `{"typ":"JWT","kid":"`+older+`","x":1,"alg":"RS256"}`, `{}`)
	if _, err := r.Verify(token, "JWT"); err != nil {
		t.Errorf("another order of members: %v", err)
	}
}

// J1, J2, J25; RFC 8725 §3.1, §3.10, §3.11. Each differs from a token that is accepted in one fact.
func TestVerifyRefusesEverythingElse(t *testing.T) {
	r, _ := goldenRing(t)
	g, _ := loadGolden(t)
	kid, other := g.Ring.Keys[0].ID, g.Ring.Keys[1].ID
	mine, theirs := testRSA(t, 0), testRSA(t, 1)
	good := mustSign(t, r, "JWT", `{"sub":"alice"}`)
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	header := func(alg, kid, more string) string {
		return `{"alg":"` + alg + `","kid":"` + kid + `","typ":"JWT"` + more + `}`
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: &theirs.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"nothing":                    "",
		"another typ":                mustSign(t, r, "at+jwt", `{}`),
		"a typ in other letters":     mustSign(t, r, "jwt", `{}`),
		"no typ":                     forge(t, mine, crypto.SHA256, `{"alg":"RS256","kid":"`+kid+`"}`, `{}`),
		"a typ that is no text":      forge(t, mine, crypto.SHA256, `{"alg":"RS256","kid":"`+kid+`","typ":["JWT"]}`, `{}`),
		"no kid":                     forge(t, mine, crypto.SHA256, `{"alg":"RS256","typ":"JWT"}`, `{}`),
		"a kid we do not have":       forge(t, mine, crypto.SHA256, header("RS256", "x", ""), `{}`),
		"the kid of another key":     forge(t, mine, crypto.SHA256, header("RS256", other, ""), `{}`),
		"the kid of a secret":        forge(t, mine, crypto.SHA256, header("RS256", g.Ring.Keys[2].ID, ""), `{}`),
		"a stranger's key, our kid":  forge(t, theirs, crypto.SHA256, header("RS256", kid, ""), `{}`),
		"a key in the header":        forge(t, theirs, crypto.SHA256, header("RS256", kid, `,"jwk":`+string(jwk)), `{}`),
		"alg twice":                  forge(t, mine, crypto.SHA256, header("RS256", kid, `,"alg":"RS256"`), `{}`),
		"an extension that must be":  forge(t, mine, crypto.SHA256, header("RS256", kid, `,"crit":["x"],"x":1`), `{}`),
		"alg none":                   b64(header("none", kid, "")) + "." + payload + ".",
		"alg none, our signature":    b64(header("none", kid, "")) + "." + payload + "." + signature,
		"alg nOnE":                   b64(header("nOnE", kid, "")) + "." + payload + "." + signature,
		"alg HS256, the PEM as key":  hs256(t, &mine.PublicKey, header("HS256", kid, "")),
		"alg RS512, our key":         forge(t, mine, crypto.SHA512, header("RS512", kid, ""), `{}`),
		"alg RS256 over SHA-512":     forge(t, mine, crypto.SHA512, header("RS256", kid, ""), `{}`),
		"a changed payload":          head + "." + b64(`{"sub":"bob"}`) + "." + signature,
		"no payload":                 head + ".." + signature,
		"no signature":               head + "." + payload + ".",
		"a signature cut short":      good[:len(good)-4],
		"a signature one byte long":  head + "." + payload + ".AA",
		"two parts":                  head + "." + payload,
		"four parts":                 good + "." + signature,
		"five parts, as in JWE":      good + "." + signature + "." + signature,
		"a dot at the end":           good + ".",
		"padding":                    good + "==",
		"a line break":               good[:len(good)-9] + "\n" + good[len(good)-9:],
		"a space before":             " " + good,
		"a line end":                 good + "\n",
		"the standard alphabet":      head + "." + payload + "." + strings.NewReplacer("-", "+", "_", "/").Replace(signature) + "+",
		"the spare bits set":         good[:len(good)-1] + string(spareBit(good[len(good)-1])),
		"JSON serialization":         `{"protected":"` + head + `","payload":"` + payload + `","signature":"` + signature + `"}`,
		"a header that is no JSON":   b64("canary") + "." + payload + "." + signature,
		"a byte that is not base64":  "\xff" + good[1:],
		"Bearer before":              "Bearer " + good,
		"a header without end":       forge(t, mine, crypto.SHA256, header("RS256", kid, `,"x":"`+strings.Repeat("x", 512)+`"`), `{}`),
		"one character more":         good + "A",
		"one character less":         good[:len(good)-1],
		"the parts in another order": payload + "." + head + "." + signature,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Verify(token, "JWT", "id+jwt")
			if !errors.Is(err, ErrInvalidToken) || got != nil {
				t.Fatalf("%q, %v", got, err)
			}
			if strings.Contains(err.Error(), "canary") || len(err.Error()) > 100 {
				t.Errorf("the error repeats the token: %q", err)
			}
		})
	}
	if _, err := r.Verify(good, "JWT"); err != nil {
		t.Errorf("the token they all differ from: %v", err)
	}
	if _, err := r.Verify(good); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("no type expected: %v", err)
	}
	if _, err := r.Verify(forge(t, mine, crypto.SHA256, `{"alg":"RS256","kid":"`+kid+`"}`, `{}`), ""); err == nil {
		t.Error("the empty type was taken for a type")
	}
}

// hs256 is the classic: the public key, known to everybody, used as a shared secret.
func hs256(t *testing.T, public *rsa.PublicKey, header string) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	input := b64(header) + "." + b64(`{}`)
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(input))
	return input + "." + b64(string(mac.Sum(nil)))
}

// spareBit sets the lowest bit of a base64url character, which in the last one of a signature carries nothing.
func spareBit(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)|1]
}

// FuzzVerify: of all texts, Verify takes only the one that was signed.
func FuzzVerify(f *testing.F) {
	r, _ := goldenRing(f)
	good := mustSign(f, r, "JWT", `{"sub":"alice"}`)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		if payload, err := r.Verify(token, "JWT"); (err == nil) != (token == good) {
			t.Errorf("%q: %q, %v", token, payload, err)
		}
	})
}

// FuzzCanonicalBase64 holds our check against the strict decoder of the standard library.
func FuzzCanonicalBase64(f *testing.F) {
	for _, seed := range []string{"", "A", "AA", "AB", "AC", "AE", "AI", "AQ", "AAA", "AAB", "AAC", "AAE", "AAAA", "-_-_", "A\nAA", "AA==", "+/+/", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
		want := err == nil && text != "" && base64.RawURLEncoding.EncodeToString(decoded) == text
		if got := canonicalBase64(text); got != want {
			t.Errorf("%q: %v, the decoder says %v", text, got, want)
		}
	})
}
