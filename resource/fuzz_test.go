package resource

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// FuzzVerify changes tokens. Whoever has no private key must not get anything accepted
// but a token that was signed, byte for byte.
func FuzzVerify(f *testing.F) {
	file := loadVectors(f)
	signed := make(map[string]bool)
	for _, vec := range file.Vectors {
		if vec.Test != "" || vec.Repeat != nil || len(vec.Token) > 4096 {
			continue
		}
		if vec.Status == http.StatusOK {
			signed[vec.Token] = true
		}
		f.Add(vec.Token)
	}
	v, _ := vectorVerifier(f, file, supportedAlgorithms)
	f.Fuzz(func(t *testing.T, token string) {
		got, err := v.Verify(t.Context(), token)
		if err != nil {
			if !errors.Is(err, ErrInvalidToken) || got != nil {
				t.Fatalf("got %v, %v; want an invalid token", got, err)
			}
			return
		}
		// ECDSA signatures have a twin, (r, n-s), which anybody can make. It signs the
		// same bytes, so all but the signature has to be known.
		if !signed[token] && !slices.ContainsFunc(slices.Collect(maps.Keys(signed)), func(known string) bool {
			return sameSigningInput(known, token) && strings.HasPrefix(token, b64(`{"alg":"ES256"`))
		}) {
			t.Fatalf("accepted a token that nobody signed: %q", token)
		}
	})
}

func sameSigningInput(a, b string) bool {
	i, j := strings.LastIndexByte(a, '.'), strings.LastIndexByte(b, '.')
	return i > 0 && j > 0 && a[:i] == b[:j]
}

// FuzzClaims signs whatever payload it is given. What is accepted must read the same
// for go-jose's decoder, which is as strict about names.
func FuzzClaims(f *testing.F) {
	f.Add(claims(f, nil))
	f.Add(claims(f, map[string]any{"SUB": "x", "aud": []string{"a", testAudience}}))
	f.Add(`{"a":"\ud83d\ude00\n\"","b":[1,-0.5e+3,{"c":[]}],"d":null}`)
	f.Add("{\"sub\":\"\xff\"}")
	f.Add(`{"sub":"a","sub":"b"}`)
	f.Fuzz(func(t *testing.T, payload string) {
		got, _, err := parseClaims(b64(payload))
		if err != nil {
			return
		}
		if got.raw != payload || !utf8.ValidString(payload) {
			t.Fatalf("accepted %q as %q", payload, got.raw)
		}
		var want struct {
			Issuer   string `json:"iss"`
			Subject  string `json:"sub"`
			ClientID string `json:"client_id"`
			ID       string `json:"jti"`
			Scope    string `json:"scope"`
			AMR      []string
		}
		if err := json.Unmarshal([]byte(payload), &want); err != nil {
			t.Fatalf("accepted %q, which go-jose does not read: %v", payload, err)
		}
		if got.Issuer != want.Issuer || got.Subject != want.Subject || got.ClientID != want.ClientID ||
			got.ID != want.ID || strings.Join(got.Scopes, " ") != want.Scope {
			t.Fatalf("got %+v, go-jose says %+v", got, want)
		}
	})
}

// FuzzParseJWKS feeds sets of keys. What is kept has to obey the policy.
func FuzzParseJWKS(f *testing.F) {
	for _, v := range makeJWKSVectors(f) {
		f.Add([]byte(v.JWKS))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseJWKS(data, supportedAlgorithms)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("got %d keys and %v", len(keys), err)
		}
		for kid, key := range keys {
			if kid != key.KeyID || !validKeyID(kid) || !key.IsPublic() || !slices.Contains(supportedAlgorithms, key.Algorithm) {
				t.Fatalf("kept %q as %+v", kid, key)
			}
			// A key that is kept can be used: a bad signature is all that is wrong.
			if err := verifySignature(key.Algorithm, key, "x", make([]byte, 64)); !errors.Is(err, errSignature) {
				t.Fatalf("kept a key that cannot verify: %v", err)
			}
			again, err := jsonRoundTrip(key)
			if err != nil || !sameKey(key, again) {
				t.Fatalf("a kept key changes on its way: %v", err)
			}
		}
	})
}

func jsonRoundTrip(key *jose.JSONWebKey) (*jose.JSONWebKey, error) {
	data, err := key.MarshalJSON()
	if err != nil {
		return nil, err
	}
	again := new(jose.JSONWebKey)
	return again, again.UnmarshalJSON(data)
}

// FuzzAuthorizationHeader splits headers. A token that comes out is what stands there,
// and the header put together again gives the same.
func FuzzAuthorizationHeader(f *testing.F) {
	for _, seed := range []string{"", "Bearer", "Bearer ", "Bearer a.b.c", "bearer  a==", "Bearer a b", "Basic YTpi", "Bearer\ta", "Bearer =", "Bearer a=b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token, err := bearerToken(http.Header{"Authorization": {header}})
		if err != nil {
			if token != "" {
				t.Fatalf("got %q with %v", token, err)
			}
			return
		}
		if !strings.HasSuffix(header, " "+token) || strings.ContainsAny(token, " \t\r\n\",\\") || token == "" {
			t.Fatalf("got %q from %q", token, header)
		}
		if again, err := bearerToken(http.Header{"Authorization": {"Bearer " + token}}); again != token || err != nil {
			t.Fatalf("got %q, %v the second time; want %q", again, err, token)
		}
	})
}

// FuzzParseObject holds the JSON reader against go-jose's, which is the stricter of the
// two in nothing but what the conditions name.
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		"{}", `{"a":1}`, ` { "a" : [ 1 , {"b":null} ] , "c" : "\u00e9" } `, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":1e}`, `{"a":tru}`,
		`{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":"\u12"}`, `{"a":"\ud800"}`, `{"a":"\ud800\u0041"}`, `{"a":1}x`, `{"a`, `{"\`, `{"a":[`, `{"a":"\`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		members, fault := parseObject(text, nil)
		var want map[string]json.RawMessage
		err := json.Unmarshal([]byte(text), &want)
		if fault != jsonOK {
			return
		}
		if !utf8.ValidString(text) {
			return // the caller's to check
		}
		if err != nil {
			t.Fatalf("accepted %q, which go-jose refuses: %v", text, err)
		}
		got := make(map[string]json.RawMessage)
		for _, m := range members {
			got[m.name] = json.RawMessage(m.raw)
		}
		if len(got) != len(members) || len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("got %q, go-jose says %q", got, want)
		}
	})
}
