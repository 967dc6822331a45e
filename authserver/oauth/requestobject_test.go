package oauth

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
)

// requestClaims are those of a good request object of the client "app".
func requestClaims() object {
	return object{"iss": "app", "aud": testIssuer, "client_id": "app", "response_type": "code", "scope": "openid"}
}

func wantRefused(t testing.TB, name string, params url.Values, err error, about string) {
	t.Helper()
	answer := (*Error)(nil)
	if err != nil {
		answer = toError(err)
	}
	if answer == nil || params != nil || answer.Code != "invalid_request_object" || answer.Status != http.StatusBadRequest {
		t.Errorf("%s: got %v, %v", name, params, err)
		return
	}
	if !strings.Contains(answer.Description, about) || printable(answer.Description) != answer.Description {
		t.Errorf("%s: the answer says %q, want %q in it", name, answer.Description, about)
	}
}

// A14: parameters have the types of OIDC Core §6.1, and arrive as if they had come in the address.
func TestTheClaimsOfARequestObjectBecomeParameters(t *testing.T) {
	e := newKeyEngine(newKeyStore(t), nil, discard)
	c := keyClient(t, "ec")
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, row := range map[string]struct {
		claims object
		want   url.Values // beside the good ones; a nil value takes one away
		about  string     // of the refusal
	}{
		"the good ones":                 {nil, nil, ""},
		"strings as they are":           {object{"state": "a b&c=é", "nonce": "10", "login_hint": `"x"`}, url.Values{"state": {"a b&c=é"}, "nonce": {"10"}, "login_hint": {`"x"`}}, ""},
		"max_age a number":              {object{"max_age": 10}, url.Values{"max_age": {"10"}}, ""},
		"max_age 0":                     {object{"max_age": 0}, url.Values{"max_age": {"0"}}, ""},
		"max_age a large number":        {object{"max_age": raw("10000000")}, url.Values{"max_age": {"10000000"}}, ""},
		"max_age with an exponent":      {object{"max_age": raw("1.5e3")}, url.Values{"max_age": {"1500"}}, ""},
		"max_age a string":              {object{"max_age": "10"}, url.Values{"max_age": {"10"}}, ""},
		"max_age with a fraction":       {object{"max_age": 1.5}, nil, "max_age"},
		"max_age beyond all":            {object{"max_age": raw("1e400")}, nil, "max_age"},
		"max_age beyond exactness":      {object{"max_age": raw("1e17")}, nil, "max_age"},
		"max_age true":                  {object{"max_age": true}, nil, "max_age"},
		"max_age a list":                {object{"max_age": []int{1}}, nil, "max_age"},
		"claims an object":              {object{"claims": raw("{ \"userinfo\": {\"name\": null},\n\"id_token\": {\"acr\": {\"values\": [\"1\"]}} }")}, url.Values{"claims": {`{"userinfo":{"name":null},"id_token":{"acr":{"values":["1"]}}}`}}, ""},
		"claims a string":               {object{"claims": `{"userinfo":{}}`}, url.Values{"claims": {`{"userinfo":{}}`}}, ""},
		"claims a number":               {object{"claims": 1}, nil, "claims"},
		"claims with a name twice":      {object{"claims": raw(`{"userinfo":{"a":1,"a":2}}`)}, nil, "claims"},
		"registration an object":        {object{"registration": raw(`{"a":"b"}`)}, url.Values{"registration": {`{"a":"b"}`}}, ""},
		"resource a string":             {object{"resource": "https://a.example.test"}, url.Values{"resource": {"https://a.example.test"}}, ""},
		"resource a list":               {object{"resource": []string{"https://a.example.test", "https://b.example.test"}}, url.Values{"resource": {"https://a.example.test", "https://b.example.test"}}, ""},
		"resource a list with a number": {object{"resource": []any{"https://a.example.test", 1}}, nil, "resource"},
		"scope a list":                  {object{"scope": []string{"openid"}}, nil, "scope"},
		"state a number":                {object{"state": 1}, nil, "state"},
		"redirect_uri an object":        {object{"redirect_uri": object{}}, nil, "redirect_uri"},
		"state empty":                   {object{"state": ""}, nil, ""},
		"state null":                    {object{"state": raw("null")}, nil, ""},
		"state with a line break":       {object{"state": "a\nb"}, nil, "state"},
		"state with a NUL":              {object{"state": "a\x00b"}, nil, "state"},
		"an unknown string":             {object{"other": "x"}, url.Values{"other": {"x"}}, ""},
		"an unknown object":             {object{"other": object{"a": 1}}, nil, ""},
		"an unknown number":             {object{"other": 7}, nil, ""},
		"all registered names": {object{
			"exp": time.Now().Unix() + 60, "iat": time.Now().Unix(), "nbf": time.Now().Unix(), "jti": "x", "sub": "alice",
		}, nil, ""},
		"no client_id":       {object{"client_id": nil}, url.Values{"client_id": nil}, ""},
		"request inside":     {object{"request": "x"}, nil, "request"},
		"request_uri inside": {object{"request_uri": "https://app.example.test/x"}, nil, "request_uri"},
		"request null":       {object{"request": raw("null")}, nil, "request"},
	} {
		token := signJWS(t, object{"alg": "ES256", "kid": "ec", "typ": "oauth-authz-req+jwt"}, "ec", requestClaims().with(row.claims).json(t))
		params, err := e.readRequestObject(t.Context(), c, token, time.Now())
		if row.about != "" {
			wantRefused(t, name, params, err, row.about)
			continue
		}
		wanted := url.Values{"client_id": {"app"}, "response_type": {"code"}, "scope": {"openid"}}
		maps.Copy(wanted, row.want)
		maps.DeleteFunc(wanted, func(_ string, v []string) bool { return v == nil })
		if err != nil || !maps.EqualFunc(params, wanted, slices.Equal[[]string]) {
			t.Errorf("%s: got %v, %v, want %v", name, params, err, wanted)
		}
	}
	for name, payload := range map[string]string{"null": "null", "a list": "[]", "no JSON": "x", "scope twice": `{"scope":"x",` + requestClaims().json(t)[1:]} {
		params, err := e.readRequestObject(t.Context(), c, signJWS(t, object{"alg": "ES256"}, "ec", payload), time.Now())
		wantRefused(t, name, params, err, "payload")
	}
}

// A14: RFC 9101 §6, OIDC Core §6.3.2
func TestARequestObjectCountsIfItIsForUsNowAndFromTheClient(t *testing.T) {
	e := newKeyEngine(newKeyStore(t), nil, discard)
	c := keyClient(t, "ec")
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		for name, row := range map[string]struct {
			claims object
			about  string
		}{
			"aud a list with us":         {object{"aud": []string{"https://other.example.test", testIssuer}}, ""},
			"aud others":                 {object{"aud": []string{"https://other.example.test"}}, "aud"},
			"aud another":                {object{"aud": "https://other.example.test"}, "aud"},
			"aud a number":               {object{"aud": 1}, "aud"},
			"aud missing":                {object{"aud": nil}, "aud"},
			"iss another":                {object{"iss": "other"}, "iss"},
			"iss missing":                {object{"iss": nil}, "iss"},
			"iss our own":                {object{"iss": testIssuer}, "iss"},
			"client_id another":          {object{"client_id": "other"}, "client_id"},
			"client_id empty":            {object{"client_id": ""}, "client_id"},
			"client_id a list":           {object{"client_id": []string{"app"}}, "client_id"},
			"sub a person":               {object{"sub": "alice"}, ""},
			"sub the client":             {object{"sub": "app"}, "sub"}, // RFC 9101 §10.8
			"exp ahead":                  {object{"exp": now + 3600*24}, ""},
			"exp past, within the skew":  {object{"exp": now - 59}, ""},
			"exp past":                   {object{"exp": now - 60}, "expired"},
			"exp a string":               {object{"exp": "1"}, "exp"},
			"nbf ahead, within the skew": {object{"nbf": now + 60}, ""},
			"nbf ahead":                  {object{"nbf": now + 61}, "nbf"},
			"iat ahead":                  {object{"iat": now + 61}, "iat"},
		} {
			token := signJWS(t, object{"alg": "ES256"}, "ec", requestClaims().with(row.claims).json(t))
			params, err := e.readRequestObject(t.Context(), c, token, time.Now())
			if row.about != "" {
				wantRefused(t, name, params, err, row.about)
			} else if err != nil || params.Get("scope") != "openid" {
				t.Errorf("%s: %v, %v", name, params, err)
			}
		}
	})
}

// A14, C4: signed, by the client, with what it is registered for; nothing that the object names is fetched.
func TestARequestObjectIsSignedByTheClientsKey(t *testing.T) {
	server := &keyServer{body: jwks(t, "rsa", "ec", "ed")}
	e := newKeyEngine(newKeyStore(t), server, discard)
	inline := keyClient(t, "rsa", "ec", "ed")
	remote := inline
	remote.JWKS, remote.JWKSURI = nil, "https://app.example.test/jwks"
	pinned := func(alg string) storage.Client { c := inline; c.RequestObjectAlg = alg; return c }
	good := requestClaims().json(t)
	sign := func(alg, kid, key string, more object) string {
		return signJWS(t, object{"alg": alg, "kid": kid}.with(more), key, good)
	}
	signed := strings.Split(sign("RS256", "rsa", "rsa", nil), ".")
	for name, row := range map[string]struct {
		client storage.Client
		object string
		about  string
	}{
		"RS256":                          {inline, sign("RS256", "rsa", "rsa", nil), ""},
		"PS256":                          {inline, sign("PS256", "rsa", "rsa", nil), ""},
		"ES256":                          {inline, sign("ES256", "ec", "ec", nil), ""},
		"EdDSA":                          {inline, sign("EdDSA", "ed", "ed", nil), ""},
		"keys at an address":             {remote, sign("ES256", "ec", "ec", nil), ""},
		"typ JWT":                        {inline, sign("ES256", "ec", "ec", object{"typ": "JWT"}), ""},
		"registered for ES256":           {pinned("ES256"), sign("ES256", "ec", "ec", nil), ""},
		"registered for RS256":           {pinned("RS256"), sign("ES256", "ec", "ec", nil), "alg is not RS256"},
		"registered for PS256":           {pinned("PS256"), sign("RS256", "rsa", "rsa", nil), "alg is not PS256"},
		"registered for none":            {pinned("none"), sign("none", "rsa", "rsa", nil), "not served"},
		"registered for HS256":           {pinned("HS256"), sign("HS256", "rsa", "rsa", nil), "not served"},
		"unsigned":                       {inline, sign("none", "rsa", "rsa", nil), "alg is not"},
		"unsigned, with a signature":     {inline, replaceHeader(t, strings.Join(signed, "."), object{"alg": "none"}), "alg is not"},
		"HS256 with the public key":      {inline, sign("HS256", "rsa", "rsa", nil), "alg is not"},
		"by another key":                 {inline, sign("ES256", "ec", "ec-2", nil), "signature"},
		"an unknown kid":                 {inline, sign("ES256", "other", "ec", nil), "no key of the client"},
		"a key of its own":               {remote, sign("ES256", "ec", "ec-2", object{"jwk": json.RawMessage(publicJWK(t, "ec-2", nil))}), "jwk"},
		"an address of keys":             {remote, sign("ES256", "ec", "ec-2", object{"jku": "https://evil.example.test/jwks"}), "jku"},
		"an address of certificates":     {remote, sign("ES256", "ec", "ec-2", object{"x5u": "https://evil.example.test/jwks"}), "x5u"},
		"crit":                           {inline, sign("ES256", "ec", "ec", object{"crit": []string{"x"}, "x": 1}), "crit"},
		"b64":                            {inline, sign("ES256", "ec", "ec", object{"b64": false}), "b64"},
		"the typ of client assertions":   {inline, sign("ES256", "ec", "ec", object{"typ": "client-authentication+jwt"}), "typ"},
		"a client without keys":          {storage.Client{ID: "app"}, sign("ES256", "ec", "ec", nil), "cannot be had"},
		"encrypted":                      {inline, "e30.a.b.c.d", "encrypted"},
		"no JWS":                         {inline, "x", "compact form"},
		"no signature":                   {inline, signed[0] + "." + signed[1] + ".", "signature"},
		"longer than 32 KiB":             {inline, strings.Repeat("x", maxRequestObject+1), "longer than"},
		"a good one as client assertion": {inline, assertion(t, nil, nil), "sub"},
	} {
		params, err := e.readRequestObject(t.Context(), row.client, row.object, time.Now())
		if row.about != "" {
			wantRefused(t, name, params, err, row.about)
		} else if err != nil || params.Get("scope") != "openid" {
			t.Errorf("%s: %v, %v", name, params, err)
		}
	}
	if n := server.calls["https://app.example.test/jwks"]; n != 1 || server.count() != 1 {
		t.Errorf("addresses called: %v", server.calls)
	}
	// Why keys cannot be had is for the operator: it tells what a name resolves to inside.
	server.publish(nil, errors.New("it resolves to 10.0.0.7"))
	remote.JWKSURI += "/2"
	_, err := e.readRequestObject(t.Context(), remote, sign("ES256", "ec", "ec", nil), time.Now())
	wantRefused(t, "keys that cannot be fetched", nil, err, "cannot be had")
	if strings.Contains(toError(err).Description, "10.0.0.7") || !strings.Contains(err.Error(), "10.0.0.7") {
		t.Errorf("keys that cannot be fetched: %v", err)
	}
	// And an object is no client assertion.
	if err := e.verifyAssertion(t.Context(), inline, sign("ES256", "ec", "ec", nil), time.Now()); err == nil {
		t.Error("a request object is accepted as client assertion")
	}
}
