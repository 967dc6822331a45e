package resource

import (
	"fmt"
	"net/http"
	"strings"
)

// The vectors about what the claims say, and those about key sets.

func (m *vectorMaker) requiredClaims() {
	for _, name := range []string{"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} {
		row := "J8"
		if name == "sub" {
			row = "J9"
		}
		m.claim(row, name+" absent", map[string]any{name: nil}, errClaimMissing)
		m.raw(row, name+" null", strings.Replace(claims(m.t, map[string]any{name: "@"}), `"@"`, "null", 1), errClaimType)
	}
	m.claim("J8", "optional claims absent", map[string]any{
		"scope": nil, "username": nil, "auth_time": nil, "acr": nil, "amr": nil, "sid": nil,
	}, nil)
	m.claim("J9", "sub empty", map[string]any{"sub": ""}, errClaimMissing)
	m.claim("J9", "sub a number", map[string]any{"sub": 7}, errClaimType)
	m.claim("J9", "sub an array", map[string]any{"sub": []string{"u-7f3a"}}, errClaimType)
	m.claim("J8", "jti empty", map[string]any{"jti": ""}, errClaimMissing)
	m.claim("J8", "client_id empty", map[string]any{"client_id": ""}, errClaimMissing)
	m.claim("J8", "username an object", map[string]any{"username": map[string]any{"a": 1}}, errClaimType)
	m.claim("J8", "scope an array", map[string]any{"scope": []string{"openid"}}, errClaimType)
	m.claim("J8", "scope empty means no scope", map[string]any{"scope": ""}, nil)
	m.claim("J8", "scope with two spaces", map[string]any{"scope": "openid  profile"}, errScope)
	m.claim("J8", "scope with a quote", map[string]any{"scope": `openid "x"`}, errScope)
	m.claim("J8", "amr of strings", map[string]any{"amr": []string{"pwd", "otp"}}, nil)
	m.claim("J8", "amr a string", map[string]any{"amr": "pwd"}, errClaimType)
	m.claim("J8", "amr with a number", map[string]any{"amr": []any{"pwd", 1}}, errClaimType)
	m.claim("J8", "an unknown claim, nested", map[string]any{"x": map[string]any{"y": []any{1, "z", nil, true}}}, nil)
}

func (m *vectorMaker) times() {
	now := testNow.Unix()
	m.claim("J11", "expired 29 s ago, within leeway", map[string]any{"exp": now - 29}, nil)
	m.claim("J11", "expired 30 s ago", map[string]any{"exp": now - 30}, errExpired)
	m.claim("J11", "expired an hour ago", map[string]any{"iat": now - 4500, "exp": now - 3600}, errExpired)
	m.claim("J11", "nbf 30 s ahead, within leeway", map[string]any{"nbf": now + 30}, nil)
	m.claim("J11", "nbf 31 s ahead", map[string]any{"nbf": now + 31}, errNotYetValid)
	m.claim("J11", "iat 30 s ahead, within leeway", map[string]any{"iat": now + 30}, nil)
	m.claim("J11", "iat 31 s ahead", map[string]any{"iat": now + 31}, errIssuedLater)
	m.claim("J11", "24 hours long", map[string]any{"exp": now - 60 + 86400}, nil)
	m.claim("J11", "a second longer than 24 hours", map[string]any{"exp": now - 60 + 86401}, errLifetime)
	m.claim("J11", "exp before iat", map[string]any{"iat": now + 20, "exp": now + 10}, errLifetime)
	exp := func(text string) string {
		return strings.Replace(claims(m.t, map[string]any{"exp": "@"}), `"@"`, text, 1)
	}
	m.raw("J12", "exp with a fraction", exp(fmt.Sprintf("%d.5", now+840)), nil)
	m.raw("J12", "exp with an exponent", exp("1.76722644e9"), nil)
	for _, bad := range []string{
		fmt.Sprintf(`"%d"`, now+840), "1e30", "1e400", "-1e400", "1e-400", "253402300800", "99999999999999999999", "9223372036854775807",
		"-1", "0", "true", "[]", "{}", fmt.Sprintf("[%d]", now+840),
	} {
		m.raw("J12", "exp "+bad, exp(bad), errClaimType)
	}
	m.raw("J12", "exp 253402300799, the end of 9999", exp("253402300799"), errLifetime)
	for _, bad := range []string{"01767226440", "+1767226440", "0x69500000", "NaN", "Infinity", "1767226440.", ".5e10", "1_767_226_440"} {
		m.raw("J12", "exp "+bad+" is not JSON", exp(bad), errClaimsJSON)
	}
	m.claim("J12", "iat a string", map[string]any{"iat": "1767225540"}, errClaimType)
	m.claim("J12", "nbf a string", map[string]any{"nbf": "1767225540"}, errClaimType)
	m.claim("J12", "auth_time a string", map[string]any{"auth_time": "1767225540"}, errClaimType)
}

func (m *vectorMaker) audiences() {
	m.claim("J19", "aud an array with ours", map[string]any{"aud": []string{testAudience}}, nil)
	m.claim("J19", "aud an array with ours and another", map[string]any{"aud": []string{"https://other.example", testAudience}}, nil)
	m.claim("J19", "aud an array with another", map[string]any{"aud": []string{"https://other.example"}}, errAudience)
	m.claim("J19", "aud another", map[string]any{"aud": "https://other.example"}, errAudience)
	m.claim("J19", "aud an empty array", map[string]any{"aud": []string{}}, errClaimMissing)
	m.claim("J19", "aud an empty string", map[string]any{"aud": ""}, errAudience)
	m.claim("J19", "aud with a slash at the end", map[string]any{"aud": testAudience + "/"}, errAudience)
	m.claim("J19", "aud in capitals", map[string]any{"aud": strings.ToUpper(testAudience)}, errAudience)
	m.claim("J19", "aud that ours is a prefix of", map[string]any{"aud": testAudience + ".evil.example"}, errAudience)
	m.claim("J19", "aud an array with ours and a number", map[string]any{"aud": []any{testAudience, 1}}, errClaimType)
	m.claim("J19", "aud an object", map[string]any{"aud": map[string]any{testAudience: true}}, errClaimType)
	m.claim("J19", "aud the client, as in an ID token", map[string]any{"aud": "demo-web"}, errAudience)
	m.claim("J19", "iss another", map[string]any{"iss": "https://evil.example"}, errIssuer)
	m.claim("J19", "iss with a slash at the end", map[string]any{"iss": testIssuer + "/"}, errIssuer)
	m.claim("J19", "iss in capitals", map[string]any{"iss": "https://ID.example.com"}, errIssuer)
	m.claim("J19", "iss an array", map[string]any{"iss": []string{testIssuer}}, errClaimType)
}

func (m *vectorMaker) subjectsAndBinding() {
	m.claim("J20", "a client's own token: sub is client_id", map[string]any{"sub": "demo-service", "client_id": "demo-service"}, nil)
	m.claim("J20", "a person's token: sub is not client_id", map[string]any{"sub": "u-7f3a", "client_id": "demo-service"}, nil)
	m.claim("J21", "a revoked grant's token is good until it expires", map[string]any{"sid": "revoked"}, nil)
	m.claim("J21", "and not after", map[string]any{"sid": "revoked", "exp": testNow.Unix() - 31}, errExpired)
	m.claim("J27", "bound by DPoP", map[string]any{"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, errBound)
	m.claim("J27", "bound by mTLS", map[string]any{"cnf": map[string]any{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}, errBound)
	m.claim("J27", "bound to nothing", map[string]any{"cnf": map[string]any{}}, errBound)
	m.raw("J27", "cnf null", strings.Replace(claims(m.t, map[string]any{"cnf": "@"}), `"@"`, "null", 1), errBound)
}

// keySets adds the rows that are about fetching. Their tests say the rest.
func (m *vectorMaker) keySets() {
	m.list = append(m.list, []vector{
		{
			Row: "J22", Name: "10,000 random kids cost at most 1 + t/30 s fetches", Status: http.StatusUnauthorized,
			Recipe: "ask for a new kid each 10 ms", Test: "TestStrangersCannotDriveFetches",
		},
		{
			Row: "J22", Name: "the same while the issuer fails", Status: http.StatusUnauthorized,
			Recipe: "the same, with every answer but the first a 500 or an empty set", Test: "TestStrangersCannotDriveFetchesOfAFailingIssuer",
		},
		{
			Row: "J22", Name: "a key rotated in works at once", Status: http.StatusOK,
			Recipe: "publish rsa-2 after the first fetch and ask for it", Test: "TestAKeyRotatedInWorksAtOnce",
		},
		{
			Row: "J22", Name: "a bad signature with a known kid fetches nothing", Status: http.StatusUnauthorized,
			Recipe: "a thousand tokens of the stranger under kid rsa-1", Test: "TestABadSignatureNeverFetches",
		},
		{
			Row: "J23", Name: "an outage of under 24 hours is not seen", Status: http.StatusOK,
			Recipe: "500, time-out, HTML, {\"keys\":[]}, null", Test: "TestTheLastGoodSetOutlivesAnOutage",
		},
		{
			Row: "J23", Name: "after 24 hours nothing is known", Status: http.StatusServiceUnavailable,
			Recipe: "the same for longer", Test: "TestTheLastGoodSetOutlivesAnOutage",
		},
		{
			Row: "J23", Name: "started before the issuer", Status: http.StatusServiceUnavailable,
			Recipe: "refuse connections for an hour, then answer", Test: "TestAnIssuerThatComesLateIsFoundWithinTwoSeconds",
		},
		{
			Row: "J24", Name: "an unknown kty leaves the other keys", Status: http.StatusOK,
			Recipe: "testdata/jwks.jsonl", Test: "TestEveryKeySetKeepsWhatItShould",
		},
		{
			Row: "J25", Name: "weak, private, ambiguous and foreign keys are left out", Status: http.StatusUnauthorized,
			Recipe: "testdata/jwks.jsonl", Test: "TestEveryKeySetKeepsWhatItShould",
		},
		{
			Row: "J26", Name: "redirects are not followed", Status: http.StatusServiceUnavailable,
			Recipe: "302 to a server with the keys", Test: "TestRedirectsAreNotFollowed",
		},
		{
			Row: "J26", Name: "an answer over 64 KiB is refused", Status: http.StatusServiceUnavailable,
			Recipe: "a good set behind 64 KiB of spaces", Test: "TestAnAnswerOver64KiBIsRefused",
		},
	}...)
}
