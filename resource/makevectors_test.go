package resource

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// The recipes of the token vectors. Each differs from the good token in one fact.

const goodHeader = `{"alg":"RS256","typ":"at+jwt","kid":"rsa-1"}`

// goodClaims are those of an ordinary token, fifteen minutes long and one minute old.
func goodClaims() map[string]any {
	now := testNow.Unix()
	return map[string]any{
		"iss": testIssuer, "sub": "u-7f3a", "aud": testAudience, "client_id": "demo-web",
		"iat": now - 60, "exp": now + 840, "jti": "Xq2mS8", "scope": "openid profile notes.read",
		"username": "alice", "auth_time": now - 61, "acr": "1", "amr": []string{"pwd"}, "sid": "s-91",
	}
}

// claims returns the good claims as JSON, with the given names set (or, if nil, removed).
func claims(t testing.TB, set map[string]any) string {
	t.Helper()
	c := goodClaims()
	maps.Copy(c, set)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// vectorMaker collects vectors.
type vectorMaker struct {
	t    testing.TB
	list []vector
}

func makeVectors(t testing.TB) []vector {
	m := &vectorMaker{t: t}
	m.algorithmsAndKeys()
	m.headers()
	m.requiredClaims()
	m.times()
	m.spelling()
	m.forms()
	m.audiences()
	m.subjectsAndBinding()
	m.keySets()
	return m.list
}

// add appends a vector; a nil reason means that the token is accepted.
func (m *vectorMaker) add(row, name, token string, why *InvalidTokenError, algorithms ...string) {
	v := vector{Row: row, Name: name, Token: token, Status: http.StatusOK, Algorithms: algorithms}
	if why != nil {
		v.Status, v.Reason = http.StatusUnauthorized, why.Reason
		// What is not even a b64token does not reach the verifier (RFC 6750 §3.1).
		if !validB64Token(token) {
			v.Status = http.StatusBadRequest
		}
	}
	m.list = append(m.list, v)
}

// claim adds a token whose claims differ from the good ones; see claims.
func (m *vectorMaker) claim(row, name string, set map[string]any, why *InvalidTokenError) {
	m.raw(row, name, claims(m.t, set), why)
}

// raw adds a well signed token with this payload, whatever it is.
func (m *vectorMaker) raw(row, name, payload string, why *InvalidTokenError) {
	m.add(row, name, signJWS(m.t, "rsa-1", "", goodHeader, payload), why)
}

// header adds a well signed token with good claims and this header.
func (m *vectorMaker) header(row, name, header string, why *InvalidTokenError) {
	m.add(row, name, signJWS(m.t, "rsa-1", "", header, claims(m.t, nil)), why)
}

// with returns the good header with more JSON at its end.
func with(more string) string { return strings.TrimSuffix(goodHeader, "}") + "," + more + "}" }

func (m *vectorMaker) algorithmsAndKeys() {
	t, good := m.t, claims(m.t, nil)
	m.add("J1", "the good token with RS256", signJWS(t, "rsa-1", "", goodHeader, good), nil)
	for _, alg := range []string{"none", "None", "nOnE", "NONE", "", "rs256", "RS256 ", "RS384"} {
		m.header("J1", fmt.Sprintf("alg %q over a good RS256 signature", alg),
			strings.Replace(goodHeader, "RS256", alg, 1), errAlgorithm)
	}
	m.header("J1", "alg absent", `{"typ":"at+jwt","kid":"rsa-1"}`, errAlgorithm)
	m.header("J1", "alg a number", `{"alg":256,"typ":"at+jwt","kid":"rsa-1"}`, errHeaderJSON)
	none := b64(strings.Replace(goodHeader, "RS256", "none", 1)) + "." + b64(good)
	m.add("J1", "alg none with an empty signature", none+".", errNotCompact)
	m.add("J1", "alg none without a third part", none, errNotCompact)
	m.add("J1", "alg none and a signature", none+".c2ln", errAlgorithm)
	m.add("J1", "no header at all", "."+b64(good)+".c2ln", errNotCompact)

	public := publicJWKS(t, "rsa-1")
	hs := strings.Replace(goodHeader, "RS256", "HS256", 1)
	m.add("J2", "HS256 keyed with the published JWK set", hmacJWS(public, hs, good), errAlgorithm)
	m.add("J2", "HS256 keyed with nothing", hmacJWS(nil, hs, good), errAlgorithm)
	m.add("J2", "HMAC under a header that says RS256", hmacJWS(public, goodHeader, good), errSignature)

	m.add("J1", "signed by a key that is not the issuer's", signJWS(t, "stranger", "", goodHeader, good), errSignature)
	m.add("J1", "signed by the issuer's other key", signJWS(t, "rsa-2", "", goodHeader, good), errSignature)
	m.add("J1", "signed by the issuer's other key, which it names",
		signJWS(t, "rsa-2", "", strings.Replace(goodHeader, "rsa-1", "rsa-2", 1), good), nil)

	// RFC 8725 §3.1: an algorithm counts only if it is configured, and only with its own key.
	for _, k := range []struct{ kid, alg string }{{"ps-1", ps256}, {"ec-1", es256}, {"ed-1", eddsa}} {
		header := fmt.Sprintf(`{"alg":%q,"typ":"at+jwt","kid":%q}`, k.alg, k.kid)
		token := signJWS(t, k.kid, k.alg, header, good)
		m.add("J1", k.alg+" where it is configured", token, nil, k.alg)
		m.add("J1", k.alg+" where only RS256 is", token, errAlgorithm)
		m.add("J1", k.alg+" with a broken signature", token[:len(token)-8]+"AAAAAAAA", errSignature, k.alg)
	}
	both := []string{rs256, ps256}
	m.add("J25", "PS256 made with the key that is for RS256",
		signJWS(t, "rsa-1", ps256, `{"alg":"PS256","typ":"at+jwt","kid":"rsa-1"}`, good), errKeyMismatch, both...)
	m.add("J25", "RS256 made with the key that is for PS256",
		signJWS(t, "ps-1", rs256, `{"alg":"RS256","typ":"at+jwt","kid":"ps-1"}`, good), errKeyMismatch, both...)
	m.add("J25", "ES256 that names an RSA key",
		signJWS(t, "ec-1", "", `{"alg":"ES256","typ":"at+jwt","kid":"rsa-1"}`, good), errKeyMismatch, es256)
}

func (m *vectorMaker) headers() {
	jwk, err := json.Marshal(publicOf(testKeys(m.t)["stranger"]))
	if err != nil {
		m.t.Fatal(err)
	}
	m.add("J3", "jwk, signed by the key in it", signJWS(m.t, "stranger", "", with(`"jwk":`+string(jwk)), claims(m.t, nil)), errHeaderName)
	m.header("J3", "jwk", with(`"jwk":{"kty":"RSA"}`), errHeaderName)
	m.header("J3", "jku", with(`"jku":"https://evil.example/jwks"`), errHeaderName)
	m.header("J3", "x5u", with(`"x5u":"https://evil.example/cert"`), errHeaderName)
	m.header("J3", "x5c", with(`"x5c":["MIIB"]`), errHeaderName)
	m.header("J3", "x5t", with(`"x5t":"AAAA"`), errHeaderName)
	m.header("J3", "x5t#S256", with(`"x5t#S256":"AAAA"`), errHeaderName)
	m.header("J3", "jku written with an escape", with(`"\u006aku":"https://evil.example/jwks"`), errHeaderName)
	m.header("J4", "crit of an unknown name", with(`"crit":["x"],"x":1`), errHeaderName)
	m.header("J4", "crit that is empty", with(`"crit":[]`), errHeaderName)
	m.header("J4", "crit of b64", with(`"crit":["b64"],"b64":true`), errHeaderName)
	m.header("J5", "b64 false without crit", with(`"b64":false`), errHeaderName)
	m.header("J5", "b64 true", with(`"b64":true`), errHeaderName)
	m.header("J5", "zip", with(`"zip":"DEF"`), errHeaderName)
	m.header("J5", "cty", with(`"cty":"JWT"`), errHeaderName)
	m.header("J5", "an unknown name", with(`"foo":"bar"`), errHeaderName)
	m.header("J5", "ALG beside alg", with(`"ALG":"none"`), errHeaderName)

	m.header("J6", "kid absent", `{"alg":"RS256","typ":"at+jwt"}`, errKeyID)
	m.header("J6", "kid empty", strings.Replace(goodHeader, "rsa-1", "", 1), errKeyID)
	m.header("J6", "kid null", `{"alg":"RS256","typ":"at+jwt","kid":null}`, errHeaderJSON)
	m.header("J6", "kid written with an escape is the same kid", strings.Replace(goodHeader, "rsa-1", `\u0072sa-1`, 1), nil)
	for _, kid := range []string{"../../etc/passwd", "x' OR '1'='1", "rsa 1", "rsa-1\\u0000", "rsa-1\\n", "schlüssel", strings.Repeat("k", 65)} {
		m.header("J7", fmt.Sprintf("kid %.20q of %d bytes", kid, len(kid)), strings.Replace(goodHeader, "rsa-1", kid, 1), errKeyID)
	}
	m.header("J7", "kid of 4 KiB", strings.Replace(goodHeader, "rsa-1", strings.Repeat("k", 4096), 1), errHeaderName)
	m.header("J7", "kid of 64 bytes, unknown", strings.Replace(goodHeader, "rsa-1", strings.Repeat("k", 64), 1), errUnknownKey)
	m.header("J7", "kid in another case", strings.Replace(goodHeader, "rsa-1", "RSA-1", 1), errUnknownKey)

	for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"} {
		m.header("J10", "typ "+typ, strings.Replace(goodHeader, "at+jwt", typ, 1), nil)
	}
	for _, typ := range []string{"JWT", "jwt", "", "at+jwt ", "at-jwt", "text/at+jwt", "application/jwt", "dpop+jwt", "logout+jwt"} {
		m.header("J10", fmt.Sprintf("typ %q", typ), strings.Replace(goodHeader, "at+jwt", typ, 1), errType)
	}
	m.header("J10", "typ absent", `{"alg":"RS256","kid":"rsa-1"}`, errType)
	m.add("J10", "an ID token", signJWS(m.t, "rsa-1", "", `{"alg":"RS256","typ":"JWT","kid":"rsa-1"}`,
		claims(m.t, map[string]any{"nonce": "n-1", "azp": "demo-web"})), errType)

	m.header("J13", "alg twice in the header", with(`"alg":"RS256"`), errHeaderRepeated)
	m.header("J13", "kid twice, once with an escape", with(`"\u006bid":"rsa-1"`), errHeaderRepeated)
	m.header("J17", "header an array", `["RS256"]`, errHeaderJSON)
	m.header("J17", "header with text behind it", goodHeader+"{}", errHeaderJSON)
	m.header("J17", "header with white space is JSON all the same", " {\n\"alg\" : \"RS256\",\t\"typ\":\"at+jwt\", \"kid\":\"rsa-1\" }\r\n", nil)
	m.header("J17", "header with a byte order mark", "\ufeff"+goodHeader, errHeaderJSON)
}

func (m *vectorMaker) spelling() {
	good := claims(m.t, nil)
	more := func(text string) string { return strings.TrimSuffix(good, "}") + "," + text + "}" }
	m.raw("J13", "sub twice, the same", more(`"sub":"u-7f3a"`), errClaimRepeated)
	m.raw("J13", "sub twice, another", more(`"sub":"admin"`), errClaimRepeated)
	m.raw("J13", "sub twice, once with an escape", more(`"s\u0075b":"admin"`), errClaimRepeated)
	m.raw("J13", "aud twice", more(`"aud":"https://other.example"`), errClaimRepeated)
	m.raw("J13", "an unknown claim twice", more(`"x":1,"x":2`), errClaimRepeated)
	m.raw("J13", "a name twice in a nested object", more(`"x":{"y":1,"y":2}`), errClaimRepeated)
	m.raw("J13", "a name once in each of two objects", more(`"x":{"y":1},"z":{"y":2}`), nil)
	var many strings.Builder
	for i := range 40 {
		fmt.Fprintf(&many, `"x%d":%d,`, i, i)
	}
	m.raw("J13", "forty more claims", more(many.String()+`"end":1`), nil)
	m.raw("J13", "forty more claims, then sub again", more(many.String()+`"sub":"admin"`), errClaimRepeated)
	m.raw("J14", "SUB beside sub", more(`"SUB":"admin"`), nil)
	m.raw("J14", "SUB before sub", `{"SUB":"admin",`+good[1:], nil)
	m.raw("J14", "SUB instead of sub", strings.Replace(good, `"sub"`, `"SUB"`, 1), errClaimMissing)
	m.raw("J14", "ſub (U+017F) beside sub", more(`"ſub":"admin"`), nil)
	m.raw("J14", "CNF is not cnf", more(`"CNF":{}`), nil)
	m.raw("J15", "sub in other letters, valid UTF-8", strings.Replace(good, "u-7f3a", "사용자", 1), nil)
	m.raw("J15", "sub with a stray byte", strings.Replace(good, "u-7f3a", "u-\xff", 1), errUTF8)
	m.raw("J15", "sub with an overlong slash", strings.Replace(good, "u-7f3a", "u-\xc0\xaf", 1), errUTF8)
	m.raw("J15", "sub with a raw surrogate", strings.Replace(good, "u-7f3a", "u-\xed\xa0\x80", 1), errUTF8)
	m.raw("J15", "sub with an escaped pair of surrogates", strings.Replace(good, "u-7f3a", `u-\ud83d\ude00`, 1), nil)
	m.raw("J15", "sub with a lone escaped surrogate", strings.Replace(good, "u-7f3a", `u-\ud83d`, 1), errClaimsJSON)
	m.raw("J15", "an unknown claim with a stray byte", more("\"x\":\"\xff\""), errUTF8)

	token := signJWS(m.t, "rsa-1", "", goodHeader, good)
	parts := strings.Split(token, ".")
	last := strings.IndexByte(base64url, token[len(token)-1])
	m.add("J16", "another last letter that decodes to the same signature", token[:len(token)-1]+base64url[last|1:][:1], errBase64)
	m.add("J16", "padding behind the signature", token+"==", errBase64)
	m.add("J16", "a line break in the signature", token[:len(token)-4]+"\n"+token[len(token)-4:], errBase64)
	m.add("J16", "a carriage return at the end", token+"\r", errBase64)
	m.add("J16", "a line break in the header", token[:4]+"\n"+token[4:], errBase64)
	m.add("J16", "a letter too many", token+"A", errSignature)
	m.add("J16", "three letters too many, which no bytes have", token+"AAA", errBase64)
	std := base64.RawStdEncoding.EncodeToString(signature(m.t, "rsa-1", "", parts[0]+"."+parts[1]))
	m.add("J16", "the signature in the other alphabet", parts[0]+"."+parts[1]+"."+std, errBase64)
	// The payload is under the signature as it is spelled, so its spelling is checked last.
	odd := good
	for len(odd)%3 != 1 {
		odd += " "
	}
	body := b64(odd)
	at := strings.IndexByte(base64url, body[len(body)-1])
	body = body[:len(body)-1] + base64url[at|1:][:1]
	signed := parts[0] + "." + body
	m.add("J16", "a payload with trailing bits, signed like that", signed+"."+b64(string(signature(m.t, "rsa-1", "", signed))), errBase64)
	m.raw("J16", "the same payload spelled canonically", odd, nil)
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (m *vectorMaker) forms() {
	good := claims(m.t, nil)
	token := signJWS(m.t, "rsa-1", "", goodHeader, good)
	parts := strings.Split(token, ".")
	m.add("J17", "flattened JSON serialization",
		fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]), errNotCompact)
	m.add("J17", "JWE with five parts", b64(`{"alg":"dir","enc":"A256GCM"}`)+"..AAAA.AAAA.AAAA", errNotCompact)
	m.add("J17", "a fourth part", token+".AAAA", errNotCompact)
	m.add("J17", "a dot at the end", token+".", errNotCompact)
	m.add("J17", "a dot at the start", "."+token, errNotCompact)
	m.add("J17", "a space at the end", token+" ", errBase64)
	m.add("J17", "a space within", parts[0]+". "+parts[1]+"."+parts[2], errSignature)
	m.add("J17", "two tokens", token+","+token, errNotCompact)
	m.add("J17", "one word", "opaque", errNotCompact)
	m.add("J17", "nothing but dots", "..", errNotCompact)
	m.add("J17", "empty payload", parts[0]+".."+parts[2], errNotCompact)
	m.add("J17", "another token's signature", parts[0]+"."+b64(claims(m.t, map[string]any{"sub": "admin"}))+"."+parts[2], errSignature)
	for _, payload := range []string{"", "null", "[]", `"sub"`, "{", "{}x", good + good, strings.Replace(good, ":", "", 1), strings.Replace(good, ",", ",,", 1), strings.Replace(good, "}", ",}", 1), strings.ReplaceAll(good, `"`, "'")} {
		if payload != "" {
			m.raw("J17", fmt.Sprintf("payload %.24s… of %d bytes", payload, len(payload)), payload, errClaimsJSON)
		}
	}
	m.raw("J17", "payload {}", "{}", errClaimMissing)
	m.raw("J17", "a control character in a string", strings.Replace(good, "alice", "al\tice", 1), errClaimsJSON)
	m.raw("J17", "a bad escape", strings.Replace(good, "alice", `al\xice`, 1), errClaimsJSON)

	fill := func(size int) string {
		empty := len(signJWS(m.t, "rsa-1", "", goodHeader, claims(m.t, map[string]any{"x": ""})))
		return signJWS(m.t, "rsa-1", "", goodHeader, claims(m.t, map[string]any{"x": strings.Repeat("x", (size-empty)*3/4)}))
	}
	m.add("J18", "just under 8 KiB", fill(MaxTokenSize-4), nil)
	m.add("J18", "just over 8 KiB", fill(MaxTokenSize+4), errTooLong)
	m.list = append(m.list,
		vector{
			Row: "J17", Name: "1 MiB of dots", Repeat: &repeat{Unit: ".", N: 1 << 20},
			Status: http.StatusUnauthorized, Reason: errTooLong.Reason,
		},
		vector{
			Row: "J18", Name: "an unsigned header nested 9,000 deep", Repeat: &repeat{Unit: b64("[[["), N: 3000, After: ".e30.c2ln"},
			Status: http.StatusUnauthorized, Reason: errTooLong.Reason,
		},
		vector{
			Row: "J18", Name: "an unsigned header nested 300 deep", Repeat: &repeat{Before: b64(`{"alg":`), Unit: b64("[[["), N: 100, After: ".e30.c2ln"},
			Status: http.StatusUnauthorized, Reason: errBase64.Reason,
		},
	)
	deep := func(n int) string {
		return strings.TrimSuffix(good, "}") + `,"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"
	}
	m.raw("J18", "a claim nested 31 deep", deep(maxDepth-1), nil)
	m.raw("J18", "a claim nested 32 deep", deep(maxDepth), errClaimsJSON)
}
