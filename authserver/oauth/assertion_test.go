package oauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
)

// assertion is a good assertion of the client "app" by its key "rsa", but for the changes.
func assertion(t testing.TB, header, claims object) string {
	t.Helper()
	h := object{"alg": "RS256", "kid": "rsa", "typ": "JWT"}.with(header)
	payload := object{"iss": "app", "sub": "app", "aud": testIssuer, "jti": rand.Text(), "exp": time.Now().Unix() + 60}.with(claims)
	key, _ := h["kid"].(string)
	if testKeys()[key] == nil {
		key = "rsa"
	}
	return signJWS(t, h, key, payload.json(t))
}

// tokenRequest posts a form to the token endpoint; basic, if not empty, is an Authorization header.
func tokenRequest(t testing.TB, e *Engine, basic string, pairs ...string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	req := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic != "" {
		req.Header.Set("Authorization", basic)
	}
	rec := httptest.NewRecorder()
	e.ServeToken(rec, req)
	a := answer{Response: rec.Result()}
	must(t, json.NewDecoder(a.Body).Decode(&a.body))
	return a
}

func assertToken(t testing.TB, e *Engine, assertion string, more ...string) answer {
	t.Helper()
	return tokenRequest(t, e, "", append([]string{"client_assertion_type", assertionType, "client_assertion", assertion}, more...)...)
}

var discard = slog.New(slog.DiscardHandler)

// C4
func TestAnAssertionCountsIfTheClientsKeySignedItWithAnAlgorithmOfThatKey(t *testing.T) {
	pinned := publicJWK(t, "rsa-2", object{"alg": "PS256"})
	e := newKeyEngine(newKeyStore(t, keyClient(t, "rsa", "ec", "ed", pinned)), nil, discard)
	good := strings.Split(assertion(t, nil, nil), ".")
	other := strings.Split(assertion(t, nil, nil), ".")
	encode := base64.RawURLEncoding.EncodeToString
	for name, c := range map[string]struct {
		assertion string
		want      bool
	}{
		"RS256":                  {assertion(t, nil, nil), true},
		"PS256 by the same":      {assertion(t, object{"alg": "PS256"}, nil), true},
		"ES256":                  {assertion(t, object{"alg": "ES256", "kid": "ec"}, nil), true},
		"EdDSA":                  {assertion(t, object{"alg": "EdDSA", "kid": "ed"}, nil), true},
		"PS256, registered":      {assertion(t, object{"alg": "PS256", "kid": "rsa-2"}, nil), true},
		"no kid":                 {assertion(t, object{"kid": nil}, nil), true},
		"no typ":                 {assertion(t, object{"typ": nil}, nil), true},
		"the typ of RFC7523bis":  {assertion(t, object{"typ": "client-authentication+jwt"}, nil), true},
		"typ in full":            {assertion(t, object{"typ": "application/Client-Authentication+JWT"}, nil), true},
		"a header of no meaning": {assertion(t, object{"x5t": "AAAA", "other": 1}, nil), true},

		"RS256 where PS256 is registered":    {assertion(t, object{"kid": "rsa-2"}, nil), false},
		"RS384":                              {assertion(t, object{"alg": "RS384"}, nil), false},
		"RS256 that says it is by an EC key": {signJWS(t, object{"alg": "RS256", "kid": "ec"}, "rsa", assertionClaims(t)), false},
		"ES256 that says EdDSA":              {replaceHeader(t, assertion(t, object{"alg": "ES256", "kid": "ec"}, nil), object{"alg": "EdDSA", "kid": "ec"}), false},
		"HS256 with the public key":          {assertion(t, object{"alg": "HS256"}, nil), false},
		"none":                               {assertion(t, object{"alg": "none"}, nil), false},
		"nOnE":                               {assertion(t, object{"alg": "nOnE"}, nil), false},
		"none with a signature":              {replaceHeader(t, assertion(t, nil, nil), object{"alg": "none"}), false},
		"no alg":                             {assertion(t, object{"alg": nil}, nil), false},
		"alg a list":                         {assertion(t, object{"alg": []string{"RS256"}}, nil), false},
		"an unknown kid":                     {assertion(t, object{"kid": "unknown"}, nil), false},
		"the kid of another key":             {signJWS(t, object{"alg": "PS256", "kid": "rsa-2"}, "rsa", assertionClaims(t)), false},
		"a key that is not the client's":     {signJWS(t, object{"alg": "ES256", "kid": "ec"}, "ec-2", assertionClaims(t)), false},
		"crit":                               {assertion(t, object{"crit": []string{"exp"}, "exp": 1}, nil), false},
		"b64":                                {assertion(t, object{"b64": false, "crit": []string{"b64"}}, nil), false},
		"b64 without crit":                   {assertion(t, object{"b64": false}, nil), false},
		"b64 true":                           {assertion(t, object{"b64": true}, nil), false},
		"zip":                                {assertion(t, object{"zip": "DEF"}, nil), false},
		"a key of its own":                   {assertion(t, object{"jwk": json.RawMessage(publicJWK(t, "rsa", nil))}, nil), false},
		"an address of keys":                 {assertion(t, object{"jku": "https://app.example.test/jwks"}, nil), false},
		"x5u":                                {assertion(t, object{"x5u": "https://app.example.test/x"}, nil), false},
		"x5c":                                {assertion(t, object{"x5c": []string{}}, nil), false},
		"the typ of request objects":         {assertion(t, object{"typ": "oauth-authz-req+jwt"}, nil), false},
		"the typ of access tokens":           {assertion(t, object{"typ": "at+jwt"}, nil), false},
		"another payload":                    {good[0] + "." + other[1] + "." + good[2], false},
		"no signature":                       {good[0] + "." + good[1] + ".", false},
		"two parts":                          {good[0] + "." + good[1], false},
		"four parts":                         {strings.Join(good, ".") + ".x", false},
		"a header with a name twice":         {encode([]byte(`{"alg":"none","alg":"RS256","kid":"rsa"}`)) + "." + good[1] + "." + good[2], false},
		"a header in other letters":          {encode([]byte(`{"ALG":"RS256","kid":"rsa"}`)) + "." + good[1] + "." + good[2], false},
		"a header too long":                  {assertion(t, object{"x": strings.Repeat("x", maxJWSHeader)}, nil), false},
		"too long":                           {assertion(t, nil, object{"x": strings.Repeat("x", maxAssertion)}), false},
		"empty":                              {"..", false},
	} {
		err := e.verifyAssertion(t.Context(), keyClient(t, "rsa", "ec", "ed", pinned), c.assertion, time.Now())
		if (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (toError(err).Code != "invalid_client" || toError(err).Description != errInvalidClient().Description) {
			t.Errorf("%s: who has not the key is told %q", name, toError(err).Description)
		}
	}
}

func assertionClaims(t testing.TB) string {
	return object{"iss": "app", "sub": "app", "aud": testIssuer, "jti": rand.Text(), "exp": time.Now().Unix() + 60}.json(t)
}

func replaceHeader(t testing.TB, token string, header object) string {
	t.Helper()
	_, rest, _ := strings.Cut(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(header.json(t))) + "." + rest
}

// C6, C7: RFC 7523 §3 and RFC 7523bis
func TestAnAssertionCountsIfItIsForUsNowAndFromTheClient(t *testing.T) {
	e := newKeyEngine(newKeyStore(t), nil, discard)
	c := keyClient(t, "ec")
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix() // to the second
		for name, row := range map[string]struct {
			claims object
			want   string // "" accepted, or what the answer speaks of
		}{
			"aud the issuer":                     {nil, ""},
			"aud the token endpoint":             {object{"aud": testIssuer + "/oauth2/token"}, ""},
			"aud a list of one":                  {object{"aud": []string{testIssuer}}, ""},
			"aud us and another":                 {object{"aud": []string{testIssuer, "https://other.example.test"}}, "aud"},
			"aud issuer and token endpoint":      {object{"aud": []string{testIssuer, testIssuer + "/oauth2/token"}}, "aud"},
			"aud another":                        {object{"aud": "https://other.example.test"}, "aud"},
			"aud another's token endpoint":       {object{"aud": "https://other.example.test/oauth2/token"}, "aud"},
			"aud with a slash":                   {object{"aud": testIssuer + "/"}, "aud"},
			"aud in capitals":                    {object{"aud": strings.ToUpper(testIssuer)}, "aud"},
			"aud another endpoint":               {object{"aud": testIssuer + "/oauth2/introspect"}, "aud"},
			"aud empty":                          {object{"aud": ""}, "aud"},
			"aud a list of none":                 {object{"aud": []string{}}, "aud"},
			"aud a list of empty":                {object{"aud": []string{""}}, "aud"},
			"aud a list of null":                 {object{"aud": []any{nil}}, "aud"},
			"aud a number":                       {object{"aud": 1}, "aud"},
			"aud missing":                        {object{"aud": nil}, "aud"},
			"iss another":                        {object{"iss": "other"}, "iss"},
			"iss missing":                        {object{"iss": nil}, "iss"},
			"sub another":                        {object{"sub": "other"}, "sub"},
			"sub missing":                        {object{"sub": nil}, "sub"},
			"sub a list":                         {object{"sub": []string{"app"}}, "sub"},
			"exp as far as it may be":            {object{"exp": now + 360}, ""},
			"exp one second further":             {object{"exp": now + 361}, "exp"},
			"exp years away":                     {object{"exp": now + 1e9}, "exp"},
			"exp beyond all time":                {object{"exp": json.RawMessage("1e300")}, "exp"},
			"exp with a fraction":                {object{"exp": json.RawMessage("946684900.25")}, ""},
			"exp past, within the skew":          {object{"exp": now - 59}, ""},
			"exp past":                           {object{"exp": now - 60}, "expired"},
			"exp negative":                       {object{"exp": -1}, "exp"},
			"exp a string":                       {object{"exp": "946684900"}, "exp"},
			"exp missing":                        {object{"exp": nil}, "exp"},
			"exp null":                           {object{"exp": json.RawMessage("null")}, "exp"},
			"nbf ahead, within the skew":         {object{"nbf": now + 60}, ""},
			"nbf ahead":                          {object{"nbf": now + 61}, "nbf"},
			"nbf a string":                       {object{"nbf": "1"}, "nbf"},
			"iat ahead, within the skew":         {object{"iat": now + 60}, ""},
			"iat ahead":                          {object{"iat": now + 61}, "iat"},
			"iat now":                            {object{"iat": now, "nbf": now}, ""},
			"jti as long as it may be":           {object{"jti": strings.Repeat("j", 128)}, ""},
			"jti one byte longer":                {object{"jti": strings.Repeat("j", 129)}, "jti"},
			"jti empty":                          {object{"jti": ""}, "jti"},
			"jti missing":                        {object{"jti": nil}, "jti"},
			"jti a number":                       {object{"jti": 7}, "jti"},
			"claims of no meaning":               {object{"nested": object{"a": []int{1}}}, ""},
			"exp in other letters beside no exp": {object{"exp": nil, "EXP": now + 60}, "exp"},
		} {
			claims := object{"iss": "app", "sub": "app", "aud": testIssuer, "jti": rand.Text(), "exp": now + 60}.with(row.claims)
			token := signJWS(t, object{"alg": "ES256"}, "ec", claims.json(t))
			err := e.verifyAssertion(t.Context(), c, token, time.Now())
			if row.want == "" && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if row.want != "" && (err == nil || toError(err).Code != "invalid_client" || toError(err).Status != 401 || !strings.Contains(toError(err).Description, row.want)) {
				t.Errorf("%s: got %v, want %q", name, err, row.want)
			}
		}
	})
	for name, payload := range map[string]string{
		"null": "null", "a list": "[]", "nothing": "", "no JSON": "x", "aud twice": `{"aud":"https://other.example.test",` + assertionClaims(t)[1:],
	} {
		if err := e.verifyAssertion(t.Context(), c, signJWS(t, object{"alg": "ES256"}, "ec", payload), time.Now()); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// C5: of any number of requests at any number of nodes, one is served.
func TestAnAssertionIsServedOnceByAllNodes(t *testing.T) {
	store := newKeyStore(t, keyClient(t, "ec"))
	engines := []*Engine{newKeyEngine(store, nil, discard), newKeyEngine(store, nil, discard)}
	for round := range 3 {
		token := signJWS(t, object{"alg": "ES256"}, "ec", assertionClaims(t))
		var served atomic.Int64
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				switch a := assertToken(t, engines[i%2], token); {
				case a.StatusCode == http.StatusOK:
					served.Add(1)
				case a.StatusCode != http.StatusUnauthorized || a.str("error") != "invalid_client":
					t.Errorf("%d %v", a.StatusCode, a.body)
				}
			})
		}
		wg.Wait()
		if n := served.Load(); n != 1 {
			t.Errorf("round %d: %d were served", round, n)
		}
	}
}

// C5: for as long as it is good, and the mark is the client's own.
func TestAJTIIsRememberedForItsClientUntilItsAssertionHasExpired(t *testing.T) {
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		e := newKeyEngine(newKeyStore(t), nil, discard)
		app, other := keyClient(t, "ec"), keyClient(t, "ec")
		other.ID = "two"
		make := func(c storage.Client, exp time.Duration) string {
			return signJWS(t, object{"alg": "ES256"}, "ec", object{
				"iss": c.ID, "sub": c.ID, "aud": testIssuer, "jti": "the same", "exp": time.Now().Add(exp).Unix(),
			}.json(t))
		}
		first := make(app, 6*time.Minute)
		must(t, e.verifyAssertion(t.Context(), app, first, time.Now()))
		must(t, e.verifyAssertion(t.Context(), other, make(other, time.Minute), time.Now()))
		for _, wait := range []time.Duration{0, 6 * time.Minute, 59 * time.Second, 2 * time.Second} {
			time.Sleep(wait)
			if err := e.verifyAssertion(t.Context(), app, first, time.Now()); err == nil {
				t.Errorf("served again after %v", wait)
			}
		}
		// A node whose clock is a minute late would still take the assertion for good.
		if err := e.verifyAssertion(t.Context(), app, first, time.Now().Add(-time.Minute)); err == nil || !strings.Contains(err.Error(), "used before") {
			t.Errorf("a node whose clock is late: %v", err)
		}
		time.Sleep(2 * time.Minute)
		must(t, e.verifyAssertion(t.Context(), app, make(app, time.Minute), time.Now())) // the same jti in a new one
	})
}

// C5, C6: what is wrong uses no jti up and stores nothing.
func TestAWrongAssertionBurnsNothing(t *testing.T) {
	store := newKeyStore(t, keyClient(t, "rsa", "ec"))
	e := newKeyEngine(store, nil, discard)
	jti := object{"jti": "once"}
	for _, wrong := range []string{
		signJWS(t, object{"alg": "ES256", "kid": "ec"}, "ec-2", object{"iss": "app", "sub": "app", "aud": testIssuer, "jti": "once", "exp": time.Now().Unix() + 60}.json(t)),
		assertion(t, nil, jti.with(object{"aud": "https://other.example.test"})),
		assertion(t, nil, jti.with(object{"exp": time.Now().Unix() + 3600})),
	} {
		want(t, assertToken(t, e, wrong), http.StatusUnauthorized, "invalid_client")
	}
	want(t, assertToken(t, e, assertion(t, nil, jti)), http.StatusOK, "")
	want(t, assertToken(t, e, assertion(t, nil, jti)), http.StatusUnauthorized, "invalid_client")
}

type forgetful struct {
	*watched
	err error
}

func (f forgetful) Remember(ctx context.Context, key string, until time.Time) (bool, error) {
	if f.err != nil {
		return false, f.err
	}
	return f.watched.Remember(ctx, key, until)
}

// A store that cannot remember says nothing about the client.
func TestAnAssertionThatCannotBeRememberedIsAnswered503(t *testing.T) {
	e := newKeyEngine(forgetful{newKeyStore(t, keyClient(t, "rsa")), errBroken}, nil, discard)
	want(t, assertToken(t, e, assertion(t, nil, nil)), http.StatusServiceUnavailable, "temporarily_unavailable")
}

// C4, RFC 6749 §2.3
func TestAClientAuthenticatesByItsOneMethod(t *testing.T) {
	secret := storage.Client{ID: "web", Secrets: []storage.ClientSecret{{Hash: sha256Of("s3cret")}}, GrantTypes: []string{"client_credentials"}, JWKS: jwks(t, "rsa")}
	public := storage.Client{ID: "spa", Public: true, GrantTypes: []string{"client_credentials"}, JWKS: jwks(t, "rsa")}
	key := keyClient(t, "rsa")
	key.Secrets = secret.Secrets // left from before: worth nothing
	marked := keyClient(t, "rsa")
	marked.ID, marked.Public = "marked", true
	var audited bytes.Buffer
	e := newKeyEngine(newKeyStore(t, secret, public, key, marked), nil, slog.New(slog.NewTextHandler(&audited, nil)))
	as := func(id string) string { return assertion(t, nil, object{"iss": id, "sub": id}) }
	basic := func(id, secret string) string {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.SetBasicAuth(id, secret)
		return r.Header.Get("Authorization")
	}
	kind := []string{"client_assertion_type", assertionType}
	with := func(pairs ...string) []string { return append(pairs, kind...) }
	for name, c := range map[string]struct {
		basic  string
		pairs  []string
		status int
		code   string
	}{
		"assertion alone":                     {"", with("client_assertion", as("app")), 200, ""},
		"assertion and client_id":             {"", with("client_assertion", as("app"), "client_id", "app"), 200, ""},
		"secret, for comparison":              {basic("web", "s3cret"), nil, 200, ""},
		"assertion and another client_id":     {"", with("client_assertion", as("app"), "client_id", "web"), 401, "invalid_client"},
		"the client_id of another with a key": {"", with("client_assertion", as("app"), "client_id", "marked"), 401, "invalid_client"},
		"a secret of a client with a key":     {basic("app", "s3cret"), nil, 401, "invalid_client"},
		"the same in the body":                {"", []string{"client_id", "app", "client_secret", "s3cret"}, 401, "invalid_client"},
		"nothing, marked public":              {"", []string{"client_id", "marked"}, 401, "invalid_client"},
		"nothing of a client with a key":      {"", []string{"client_id", "app"}, 401, "invalid_client"},
		"an assertion of one with a secret":   {"", with("client_assertion", as("web")), 401, "invalid_client"},
		"an assertion of a public one":        {"", with("client_assertion", as("spa")), 401, "invalid_client"},
		"an assertion of an unknown one":      {"", with("client_assertion", as("nobody")), 401, "invalid_client"},
		"assertion and Basic":                 {basic("app", "s3cret"), with("client_assertion", as("app")), 400, "invalid_request"},
		"assertion and Basic of another":      {basic("web", "s3cret"), with("client_assertion", as("app")), 400, "invalid_request"},
		"assertion and client_secret":         {"", with("client_assertion", as("app"), "client_secret", "s3cret"), 400, "invalid_request"},
		"assertion without its type":          {"", []string{"client_assertion", as("app")}, 400, "invalid_request"},
		"type without assertion":              {"", with("client_id", "app"), 400, "invalid_request"},
		"type of SAML":                        {"", []string{"client_assertion", as("app"), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}, 401, "invalid_client"},
		"assertion twice":                     {"", with("client_assertion", as("app"), "client_assertion", as("app")), 400, "invalid_request"},
		"no JWS":                              {"", with("client_assertion", "x"), 401, "invalid_client"},
		"no JWS, with client_id":              {"", with("client_assertion", "x", "client_id", "app"), 401, "invalid_client"},
		"no sub":                              {"", with("client_assertion", assertion(t, nil, object{"sub": nil})), 401, "invalid_client"},
		"a sub with a control character":      {"", with("client_assertion", as("a\x00")), 401, "invalid_client"},
		"a sub too long":                      {"", with("client_assertion", as(strings.Repeat("a", 257))), 401, "invalid_client"},
		"longer than 8 KiB":                   {"", with("client_assertion", strings.Repeat("x", maxAssertion+1)), 400, "invalid_request"},
	} {
		a := tokenRequest(t, e, c.basic, c.pairs...)
		if a.StatusCode != c.status || a.str("error") != c.code {
			t.Errorf("%s: %d %v", name, a.StatusCode, a.body)
		}
	}
	// A client that is unknown, one with a secret, and one whose signature is wrong look the same.
	wrong := signJWS(t, object{"alg": "RS256", "kid": "rsa"}, "rsa-2", assertionClaims(t))
	for name, token := range map[string]string{"unknown": as("nobody"), "with a secret": as("web"), "a wrong signature": wrong} {
		if a := assertToken(t, e, token); a.str("error_description") != errInvalidClient().Description {
			t.Errorf("%s: %v", name, a.body)
		}
	}
	if got := audited.String(); !strings.Contains(got, "its signature is not by the client's key") || strings.Contains(got, wrong) {
		t.Errorf("audited: %s", got)
	}
}
