package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const jwksFile = "testdata/jwks.jsonl"

// jwksVector is a JWK set and the kids of it that can be used.
type jwksVector struct {
	Row        string          `json:"row"`
	Name       string          `json:"name"`
	Algorithms []string        `json:"algorithms,omitempty"` // RS256 if absent
	JWKS       json.RawMessage `json:"jwks"`
	Want       []string        `json:"want"` // none: the set is refused as a whole
}

// makeJWKSVectors returns the rows of testdata/jwks.jsonl, which go generate writes.
func makeJWKSVectors(t testing.TB) []jwksVector {
	good := jwk(t, "rsa-1", nil)
	ed, ec, ps := jwk(t, "ed-1", nil), jwk(t, "ec-1", nil), jwk(t, "ps-1", nil)
	private, err := json.Marshal(testKeys(t)["rsa-2"])
	if err != nil {
		t.Fatal(err)
	}
	set := func(keys ...string) json.RawMessage {
		return json.RawMessage(`{"keys":[` + strings.Join(keys, ",") + `]}`)
	}
	rsa2 := func(changes map[string]any) json.RawMessage { return set(good, jwk(t, "rsa-2", changes)) }
	only := []string{"rsa-1"}
	both := []string{"rsa-1", "rsa-2"}
	all := []string{rs256, ps256, es256, eddsa}
	return []jwksVector{
		{"J23", "null", nil, json.RawMessage("null"), nil},
		{"J23", "an empty object", nil, json.RawMessage("{}"), nil},
		{"J23", "no keys", nil, set(), nil},
		{"J23", "keys null", nil, json.RawMessage(`{"keys":null}`), nil},
		{"J23", "keys an object", nil, json.RawMessage(`{"keys":{}}`), nil},
		{"J23", "one good key", nil, set(good), only},
		{"J24", "an unknown kty beside it", nil, set(`{"kty":"AKP2","kid":"new","pub":"AAAA"}`, good), only},
		{"J24", "an unknown curve beside it", nil, set(`{"kty":"OKP","crv":"X448","kid":"new","x":"AAAA"}`, good), only},
		{"J24", "a number, a string, null and an array beside it", nil, set("1", `"x"`, "null", "[]", good), only},
		{"J24", "broken base64 beside it", nil, set(`{"kty":"RSA","kid":"x","n":"!","e":"AQAB"}`, good), only},
		{"J24", "a kid that is a number beside it", nil, set(`{"kty":"RSA","kid":1,"n":"AQAB","e":"AQAB"}`, good), only},
		{"J24", "nothing but an unknown kty", nil, set(`{"kty":"AKP2","kid":"new"}`), nil},
		{"J25", "two good keys", nil, rsa2(nil), both},
		{"J25", "one kid, two keys: neither", nil, rsa2(map[string]any{"kid": "rsa-1"}), nil},
		{"J25", "one kid, two keys, and a third of them", nil, set(good, jwk(t, "rsa-2", map[string]any{"kid": "rsa-1"}), good, jwk(t, "rsa-2", nil)), []string{"rsa-2"}},
		{"J25", "one kid, the same key twice", nil, set(good, good), only},
		{"J25", "one kid, the same key for two algorithms", all, set(good, jwk(t, "rsa-1", map[string]any{"alg": ps256})), nil},
		{"J25", "RSA of 1024 bits", nil, set(good, jwk(t, "rsa-1024", nil)), only},
		{"J25", "RSA with e = 1", nil, rsa2(map[string]any{"e": "AQ"}), only},
		{"J25", "RSA with an even e", nil, rsa2(map[string]any{"e": "AQAA"}), only},
		{"J25", "a private RSA key", nil, set(good, string(private)), only},
		{"J25", "a public key whose private half is beside it", nil, set(good, jwk(t, "rsa-2", nil), string(private)), only},
		{"J25", "a symmetric key", nil, set(good, `{"kty":"oct","kid":"hs","alg":"HS256","k":"AAAA"}`), only},
		{"J25", "use enc", nil, rsa2(map[string]any{"use": "enc"}), only},
		{"J25", "use absent", nil, rsa2(map[string]any{"use": nil}), both},
		{"J25", "key_ops verify", nil, rsa2(map[string]any{"use": nil, "key_ops": []string{"verify"}}), both},
		{"J25", "key_ops encrypt", nil, rsa2(map[string]any{"use": nil, "key_ops": []string{"encrypt"}}), only},
		{"J25", "alg PS256 where RS256 is configured", nil, rsa2(map[string]any{"alg": ps256}), only},
		{"J25", "alg RSA-OAEP", nil, rsa2(map[string]any{"alg": "RSA-OAEP"}), only},
		{"J25", "alg absent, one RSA algorithm configured", nil, rsa2(map[string]any{"alg": nil}), both},
		{"J25", "alg absent, two RSA algorithms configured", all, rsa2(map[string]any{"alg": nil}), only},
		{"J25", "alg ES256 on an RSA key", all, rsa2(map[string]any{"alg": es256}), only},
		{"J25", "kid absent", nil, rsa2(map[string]any{"kid": nil}), only},
		{"J25", "kid outside our grammar", nil, rsa2(map[string]any{"kid": "../x"}), only},
		{"J25", "kid twice in one key", nil, set(good, `{"kid":"x",`+jwk(t, "rsa-2", nil)[1:]), only},
		{"J25", "every type where all are configured", all, set(good, ps, ec, ed), []string{"ec-1", "ed-1", "ps-1", "rsa-1"}},
		{"J25", "every type where RS256 is configured", nil, set(good, ps, ec, ed), only},
		{"J25", "P-384", all, set(good, jwk(t, "ec-384", nil)), only},
		{"J25", "P-384 that says ES256", all, set(good, jwk(t, "ec-384", map[string]any{"alg": es256})), only},
		{"J25", "a point off the curve", all, set(good, jwk(t, "ec-1", map[string]any{"x": strings.Repeat("A", 43)})), only},
		{"J25", "EC without alg", all, set(good, jwk(t, "ec-1", map[string]any{"alg": nil})), []string{"ec-1", "rsa-1"}},
		{"J25", "a short Ed25519 key", all, set(good, jwk(t, "ed-1", map[string]any{"x": "AAAA"})), only},
		{"J25", "101 keys", nil, set(strings.Repeat(`{"kty":"X"},`, 100) + good), nil},
		{"J25", "100 keys", nil, set(strings.Repeat(`{"kty":"X"},`, 99) + good), only},
	}
}

// jwk returns the public JWK of a test key with members changed or, if nil, removed.
func jwk(t testing.TB, kid string, changes map[string]any) string {
	t.Helper()
	key, ok := testKeys(t)[kid]
	if !ok {
		t.Fatalf("no test key %q", kid)
	}
	data, err := json.Marshal(publicOf(key))
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	maps.Copy(members, changes)
	maps.DeleteFunc(members, func(_ string, v any) bool { return v == nil })
	if data, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEveryKeySetKeepsWhatItShould(t *testing.T) {
	// The file is a line for each set, so that a difference can be read.
	var lines bytes.Buffer
	for _, v := range makeJWKSVectors(t) {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s\n", line)
	}
	if *update {
		if err := os.WriteFile(jwksFile, lines.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(jwksFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, lines.Bytes()) {
		t.Errorf("%s is not what the generator makes; run go generate", jwksFile)
	}
	n := 0
	for line := range bytes.Lines(file) {
		var v jwksVector
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		n++
		t.Run(v.Row+" "+v.Name, func(t *testing.T) {
			algorithms, err := checkAlgorithms(v.Algorithms)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := parseJWKS(v.JWKS, algorithms)
			if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, v.Want) {
				t.Errorf("got %q, want %q (%v)", got, v.Want, err)
			}
			if (err != nil) != (len(v.Want) == 0) {
				t.Errorf("got error %v with %d keys", err, len(keys))
			}
		})
	}
	if n == 0 {
		t.Fatalf("%s has no vectors", jwksFile)
	}
}

func TestAStaticKeySetKnowsItsKeysAndNoOthers(t *testing.T) {
	keys, err := NewStaticKeySet(publicJWKS(t, "rsa-1", "ec-1"), rs256)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := keys.Key(t.Context(), "rsa-1"); err != nil || key.KeyID != "rsa-1" {
		t.Errorf("rsa-1: got %v, %v", key, err)
	}
	for _, kid := range []string{"rsa-2", "ec-1", ""} {
		if _, err := keys.Key(t.Context(), kid); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%q: got %v, want ErrUnknownKey", kid, err)
		}
	}
	if _, err := new(StaticKeySet).Key(t.Context(), "rsa-1"); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("zero value: got %v, want ErrUnknownKey", err)
	}
	if _, err := NewStaticKeySet([]byte("<html>")); err == nil {
		t.Error("got no error for HTML")
	}
	if _, err := NewStaticKeySet(publicJWKS(t, "rsa-1"), "HS256"); err == nil {
		t.Error("got no error for HS256")
	}
}
