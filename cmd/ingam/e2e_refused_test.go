package main

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a resource server refuses, asked of two of them: the one inside `ingam dev`, and cmd/resource as a process of
// its own. Every token here differs in one fact from one that is accepted.

func TestSecureDataGreetsAliceAndRefusesEveryOtherToken(t *testing.T) {
	_, facts := spawnDev(t)
	_, apart := spawnResource(t, facts.Issuer, devResourceID)
	client := newClient(t)
	token := mustSignIn(t, client, facts.Issuer, "demo-cli", "alice", "wonderland", "scope", "openid profile")
	jwk := publishedKey(t, client, facts.Issuer)
	refused := map[string]string{
		"tampered: another user":               tamper(t, token.Access),
		"tampered: the signature":              turnLast(t, token.Access),
		"tampered: cut short":                  token.Access[:len(token.Access)-4],
		"the foreign audience (J19)":           foreignAudience(t, facts),
		"the ID token (J10)":                   token.ID,
		"the refresh token":                    token.Refresh,
		"alg none, no signature (J1)":          unsigned(t, token.Access, "none"),
		"alg nOnE (J1)":                        unsigned(t, token.Access, "nOnE"),
		"alg none with the old signature (J1)": withHeader(t, token.Access, map[string]any{"alg": "none"}, nil),
		"the key of another issuer":            tokenOfAnotherServer(t, client),
		"nonsense":                             "nonsense",
	}
	for name, secret := range jwk.asSecrets(t) {
		refused["HS256 with our public key, "+name+" (J2)"] = withHeader(t, token.Access, map[string]any{"alg": "HS256"}, secret)
	}
	for api, at := range map[string]string{"inside dev": facts.Resource, "apart": apart} {
		assertAliceAt(t, client, at, token.Access)
		for name, bad := range refused {
			t.Run(api+": "+name, func(t *testing.T) { assertInvalidToken(t, must(t)(secureData(client, at, bad))) })
		}
		// RFC 6750 §3.1: who shows no token is not told of an error.
		none := must(t)(secureData(client, at, ""))
		if c := none.header.Get("WWW-Authenticate"); none.status != 401 || !strings.HasPrefix(c, "Bearer ") || strings.Contains(c, "error=") {
			t.Errorf("no token: %d, WWW-Authenticate: %s", none.status, c)
		}
	}
}

// An issuer of the test's own can sign what ours never would: a token of yesterday. Waiting for one of ours to expire
// takes longer than the 30 seconds by which clocks may differ.
func TestAnExpiredTokenIsRefusedThoughItsSignatureIsGood(t *testing.T) {
	issuer := newTestIssuer(t)
	_, api := spawnResource(t, issuer.URL, apiAudience)
	client := newClient(t)
	claims := func(change map[string]any) map[string]any {
		now := time.Now().Unix()
		c := map[string]any{
			"iss": issuer.URL, "aud": apiAudience, "sub": "usr_1", "client_id": "demo-cli", "jti": "1", "username": "alice",
			"iat": now - 900, "exp": now + 60, "scope": "profile",
		}
		for name, value := range change {
			c[name] = value
		}
		return c
	}
	assertAliceAt(t, client, api, issuer.sign(t, claims(nil)))
	now := time.Now().Unix()
	assertAliceAt(t, client, api, issuer.sign(t, claims(map[string]any{"exp": now - 5}))) // clocks differ
	for name, change := range map[string]map[string]any{
		"expired (J11)":                {"exp": now - 60},
		"issued in the future (J11)":   {"iat": now + 120, "exp": now + 180},
		"without exp (J8)":             {"exp": nil},
		"for another audience (J19)":   {"aud": "https://other.example"},
		"for a part of the name (J19)": {"aud": apiAudience + "/"},
		"of another issuer (J19)":      {"iss": issuer.URL + "/"},
		"without a subject (J9)":       {"sub": nil},
		"without a client":             {"client_id": nil},
	} {
		t.Run(name, func(t *testing.T) {
			assertInvalidToken(t, must(t)(secureData(client, api, issuer.sign(t, claims(change)))))
		})
	}
}

func assertAliceAt(t *testing.T, client *http.Client, api, token string) {
	t.Helper()
	a := must(t)(secureData(client, api, token))
	var data struct{ Username string }
	if err := json.Unmarshal([]byte(a.body), &data); err != nil || a.status != http.StatusOK || data.Username != "alice" {
		t.Errorf("a good token: %v", a)
	}
}

// assertInvalidToken wants the answer of RFC 6750 §3.1.
func assertInvalidToken(t *testing.T, a answer) {
	t.Helper()
	challenge := a.header.Get("WWW-Authenticate")
	if a.status != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer ") ||
		!strings.Contains(challenge, `error="invalid_token"`) || strings.Contains(a.body, "alice") {
		t.Errorf("%v, WWW-Authenticate: %s", a, challenge)
	}
}

// foreignAudience is a good token of the same server and the same user, for a resource server elsewhere.
func foreignAudience(t *testing.T, facts devFacts) string {
	t.Helper()
	added := runProgram(nil, program(t, "ingam"), "", "client", "add", "other-cli", "--public", "--grant-type", "password",
		"--scope", "profile", "--default-scope", "profile", "--audience", "https://other.example", "--data-dir", facts.DataDir)
	if added.status != exitDone {
		t.Fatalf("client add: %+v", added)
	}
	return mustSignIn(t, newClient(t), facts.Issuer, "other-cli", "alice", "wonderland").Access
}

// split takes a token apart: its header decoded, its claims as they are, and its signature.
func split(t *testing.T, token string) (header map[string]any, claims, signature string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err == nil {
		err = json.Unmarshal(raw, &header)
	}
	if err != nil {
		t.Fatal(err)
	}
	return header, parts[1], parts[2]
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// part is one part of a JWT.
func part(t *testing.T, content any) string {
	t.Helper()
	data, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return b64(data)
}

// tamper makes bob of alice and leaves the rest alone.
func tamper(t *testing.T, token string) string {
	t.Helper()
	_, claims, signature := split(t, token)
	raw, err := base64.RawURLEncoding.DecodeString(claims)
	if err != nil || !strings.Contains(string(raw), `"alice"`) {
		t.Fatalf("%v in %s", err, raw)
	}
	header, _, _ := strings.Cut(token, ".")
	return header + "." + b64([]byte(strings.Replace(string(raw), `"alice"`, `"bobby"`, 1))) + "." + signature
}

// turnLast changes the signature.
func turnLast(t *testing.T, token string) string {
	t.Helper()
	_, _, signature := split(t, token)
	other := "A"
	if signature[0] == 'A' {
		other = "B"
	}
	return strings.TrimSuffix(token, signature) + other + signature[1:]
}

// unsigned is the token with another alg and nothing after the last dot (RFC 7515 §6).
func unsigned(t *testing.T, token, alg string) string {
	t.Helper()
	header, claims, _ := split(t, token)
	header["alg"] = alg
	return part(t, header) + "." + claims + "."
}

// withHeader changes the header and signs with HMAC-SHA256, or keeps the signature if there is no secret.
func withHeader(t *testing.T, token string, change map[string]any, secret []byte) string {
	t.Helper()
	header, claims, signature := split(t, token)
	for name, value := range change {
		header[name] = value
	}
	signed := part(t, header) + "." + claims
	if secret != nil {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		signature = b64(mac.Sum(nil))
	}
	return signed + "." + signature
}

// publishedJWK is a key as the server publishes it.
type publishedJWK struct {
	raw string
	key *rsa.PublicKey
}

func publishedKey(t *testing.T, client *http.Client, issuer string) publishedJWK {
	t.Helper()
	var set struct{ Keys []json.RawMessage }
	var jwk struct{ N, E string }
	err := json.Unmarshal([]byte(must(t)(ask(client, "GET", issuer+"/.well-known/jwks.json", "")).body), &set)
	if err == nil {
		err = json.Unmarshal(set.Keys[0], &jwk)
	}
	if err != nil {
		t.Fatal(err)
	}
	n, errN := base64.RawURLEncoding.DecodeString(jwk.N)
	e, errE := base64.RawURLEncoding.DecodeString(jwk.E)
	if errN != nil || errE != nil {
		t.Fatal(errN, errE)
	}
	return publishedJWK{string(set.Keys[0]), &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}}
}

// asSecrets are the bytes that somebody might take for the secret of HS256.
func (k publishedJWK) asSecrets(t *testing.T) map[string][]byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(k.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(k.key)
	text := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return map[string][]byte{
		"SPKI PEM":                      text("PUBLIC KEY", spki),
		"SPKI PEM without last newline": []byte(strings.TrimSpace(string(text("PUBLIC KEY", spki)))),
		"PKCS 1 PEM":                    text("RSA PUBLIC KEY", pkcs1),
		"SPKI DER":                      spki,
		"the JWK":                       []byte(k.raw),
		"the modulus":                   k.key.N.Bytes(),
		"nothing":                       {},
	}
}
