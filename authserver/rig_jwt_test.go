package authserver_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// jws is a token whose signature was checked against the published keys.
type jws struct{ header, claims map[string]any }

func (j jws) str(name string) string  { s, _ := j.claims[name].(string); return s }
func (j jws) num(name string) float64 { n, _ := j.claims[name].(float64); return n }

// verify checks a compact JWS the way a stranger would: with nothing but the JWKS that the server publishes.
func (r *rig) verify(token string) jws {
	r.t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		r.t.Fatalf("not a compact JWS: %q", token)
	}
	out := jws{header: jsonPart(r.t, parts[0]), claims: jsonPart(r.t, parts[1])}
	signature := bytesOf(r.t, parts[2])
	set := r.do(httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	var jwks struct {
		Keys []struct{ Kid, Alg, Kty, N, E string }
	}
	must(r.t, json.Unmarshal([]byte(set.raw), &jwks))
	for _, k := range jwks.Keys {
		if k.Kid != out.header["kid"] {
			continue
		}
		if k.Alg != "RS256" || out.header["alg"] != "RS256" {
			r.t.Fatalf("alg is %q, the key's %q", out.header["alg"], k.Alg)
		}
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(bytesOf(r.t, k.N)), E: int(new(big.Int).SetBytes(bytesOf(r.t, k.E)).Int64())}
		digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		must(r.t, rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature))
		return out
	}
	r.t.Fatalf("kid %v is not published", out.header["kid"])
	return out
}

func bytesOf(t testing.TB, part string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	must(t, err)
	return b
}

func jsonPart(t testing.TB, part string) map[string]any {
	t.Helper()
	var m map[string]any
	must(t, json.Unmarshal(bytesOf(t, part), &m))
	return m
}
