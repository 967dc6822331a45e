package keys

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func parseJWKS(t testing.TB, body []byte) jose.JSONWebKeySet {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestTheJWKSHoldsThePublicHalvesAndNothingElse(t *testing.T) {
	r, _ := goldenRing(t)
	g, _ := loadGolden(t)
	var document map[string][]map[string]string
	if err := json.Unmarshal(r.JWKS().Body, &document); err != nil {
		t.Fatal(err)
	}
	if len(document) != 1 || len(document["keys"]) != 2 {
		t.Fatalf("%s", r.JWKS().Body)
	}
	for i, jwk := range document["keys"] {
		private := testRSA(t, i)
		want := map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": g.Ring.Keys[i].ID, "e": "AQAB",
			"n": base64.RawURLEncoding.EncodeToString(private.N.Bytes()),
		}
		if len(jwk) != len(want) {
			t.Errorf("key %d has the members %v", i, jwk)
		}
		for name, value := range want {
			if jwk[name] != value {
				t.Errorf("key %d: %s is %q, want %q", i, name, jwk[name], value)
			}
		}
		// RFC 7638 §3.1: the members in order, without white space.
		thumbprint := sha256.Sum256([]byte(`{"e":"AQAB","kty":"RSA","n":"` + want["n"] + `"}`))
		if jwk["kid"] != base64.RawURLEncoding.EncodeToString(thumbprint[:]) {
			t.Errorf("key %d: its kid is not its thumbprint", i)
		}
	}
	for _, key := range parseJWKS(t, r.JWKS().Body).Keys {
		if !key.Valid() || !key.IsPublic() {
			t.Errorf("go-jose does not take %q", key.KeyID)
		}
	}
}

func TestTheJWKSIsMadeOnceAndSaysHowLongItMayBeKept(t *testing.T) {
	r, store := goldenRing(t)
	a, b := r.JWKS(), r.JWKS()
	if &a.Body[0] != &b.Body[0] {
		t.Error("the document is made anew for each call")
	}
	if a.MaxAge != DefaultJWKSMaxAge {
		t.Errorf("MaxAge is %v", a.MaxAge)
	}
	if len(a.ETag) < 10 || a.ETag[0] != '"' || strings.Count(a.ETag, `"`) != 2 || !strings.HasSuffix(a.ETag, `"`) {
		t.Errorf("ETag is %s", a.ETag)
	}
	_, master := loadGolden(t)
	other := mustOpen(t, Config{Store: store, Master: master, JWKSMaxAge: time.Minute})
	if got := other.JWKS(); got.MaxAge != time.Minute || got.ETag != a.ETag {
		t.Errorf("another node says %v, %s", got.MaxAge, got.ETag)
	}
	algorithms := r.Algorithms()
	algorithms[0] = "none"
	if got := r.Algorithms(); !slices.Equal(got, []string{"RS256"}) {
		t.Errorf("a caller changed the algorithms to %q", got)
	}
}

// J25: the check that stands between one wrong argument and the end of the server's identity.
func TestAPrivateKeyIsNeverPublished(t *testing.T) {
	private := testRSA(t, 0)
	for name, key := range map[string]any{"a key pair": private, "a shared secret": []byte("canary-canary-canary-canary-cana")} {
		text, err := publicJWK(jose.JSONWebKey{Key: key, KeyID: "k", Algorithm: "RS256", Use: "sig"})
		if err == nil || text != nil {
			t.Fatalf("%s was published", name)
		}
		if strings.Contains(err.Error(), "canary") || findSecret([]byte(err.Error()), private.D.Bytes()) != "" {
			t.Errorf("%s: the error shows it: %q", name, err)
		}
	}
	public := `"kty":"RSA","use":"sig","alg":"RS256","kid":"k","n":"AQ","e":"AQAB"`
	if err := checkPublic([]byte("{" + public + "}")); err != nil {
		t.Errorf("a public key: %v", err)
	}
	for _, more := range []string{`"d":"canary"`, `"p":"canary"`, `"q":"x"`, `"dp":"x"`, `"dq":"x"`, `"qi":"x"`, `"k":"x"`, `"x5c":["x"]`, `"oth":[]`} {
		err := checkPublic([]byte("{" + public + "," + more + "}"))
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("with %s: %v", more, err)
		}
	}
	// A private member in the place of a public one: as many as there should be.
	if checkPublic([]byte(`{"kty":"RSA","use":"sig","alg":"RS256","d":"canary","n":"AQ","e":"AQAB"}`)) == nil {
		t.Error("d instead of kid was taken for a public key")
	}
	for _, less := range []string{`{}`, `[]`, `{"kty":"RSA","n":"AQ","e":"AQAB"}`} {
		if checkPublic([]byte(less)) == nil {
			t.Errorf("%s was taken for a whole key", less)
		}
	}
}
