package oauth

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// A1, A3, A18: whatever is in the address, the engine does not panic, goes to registered addresses only, and asks for no more than
// the client is registered for.
func FuzzAnAuthorizationRequestLeadsToRegisteredAddressesOnly(f *testing.F) {
	const web, app = "https://rp.example.test/cb", "http://127.0.0.1/cb"
	good := "client_id=web&response_type=code&redirect_uri=" + url.QueryEscape(web)
	pkce := "&code_challenge_method=S256&code_challenge=" + strings.Repeat("A", 43)
	for _, seed := range []string{
		"", "%", "client_id=web", "client_id=web&client_id=app", good, good + "&state=s&scope=openid+profile&nonce=n", good + "&state=%00",
		good + "&prompt=none+login", good + "&max_age=99999999999999999999", good + "&request=a.b.c", good + "&request=eyJhbGciOiJub25lIn0.e30.",
		good + "&request_uri=urn:ietf:params:oauth:request_uri:x", good + "&ingam_proof=in.1.AA&claims=" + url.QueryEscape(`{"userinfo":{"email":null}}`),
		good + "&ingam_seen=1.AA&state=1&state=2", good + "&state=%c3%a9", good + "&registration={}", good + "&response_mode=form_post&id_token_hint=..", good + "&=&&a=&a=&scope=",
		"client_id=app&response_type=code&redirect_uri=" + url.QueryEscape("http://127.0.0.1:8080/cb") + pkce,
		"client_id=app&response_type=code&redirect_uri=" + url.QueryEscape("http://127.0.0.1:80@evil.test/cb") + pkce,
		"client_id=app&response_type=code&redirect_uri=" + url.QueryEscape("http://127.0.0.1:/cb"),
	} {
		f.Add(seed)
	}
	r := newRig(f)
	for _, c := range []storage.Client{{ID: "web", RedirectURIs: []string{web}}, {ID: "app", Public: true, RedirectURIs: []string{app}}} {
		c.GrantTypes, c.Scopes = []string{"authorization_code"}, []string{"openid", "profile"}
		must(f, r.store.CreateClient(context.Background(), c))
	}
	f.Fuzz(func(t *testing.T, query string) {
		a, err := r.readAuthorization(t.Context(), query)
		if a == nil {
			t.Fatal("no authorization")
		}
		port, isApp := strings.CutPrefix(a.redirectURI, "http://127.0.0.1")
		port, isApp2 := strings.CutSuffix(port, "/cb")
		if a.redirectURI != "" && a.redirectURI != web && (!isApp || !isApp2 || strings.Trim(port, ":0123456789") != "") {
			t.Fatalf("%q is not registered", a.redirectURI)
		}
		if err != nil {
			return
		}
		if a.redirectURI == "" || a.client.Public && a.challenge == "" {
			t.Fatal("a request without redirect URI or challenge is served")
		}
		for _, scope := range a.scopes {
			if !slices.Contains(a.client.Scopes, scope) {
				t.Fatalf("scope %q", scope)
			}
		}
		for _, claim := range a.claims.names() {
			if !mayAsk(a.client.Scopes, claim) {
				t.Fatalf("claim %q", claim)
			}
		}
		// The address to come back to is the same request.
		_, again, _ := strings.Cut(a.continueURL(), "?")
		b, err := r.readAuthorization(t.Context(), again)
		if err != nil || b.continueURL() != a.continueURL() || b.redirectURI != a.redirectURI {
			t.Fatalf("%q comes back as %q: %v", a.continueURL(), b.continueURL(), err)
		}
	})
}

// A18: whatever the claims parameter is, it does not panic and answers allowed names only, each once.
func FuzzTheClaimsParameterAnswersAllowedNamesOnly(f *testing.F) {
	for _, seed := range []string{
		"", "{", "[]", "null", "{}", `{"userinfo":null}`, `{"userinfo":[]}`, `{"userinfo":{"email":{"essential":true},"email":null}}`,
		`{"id_token":{"acr":{"essential":true,"values":["1",2,null]},"sub":{"value":7}}}`, `{"id_token":{"sub":{"value":"u"},"auth_time":null}}`,
		`{"userinfo":{"name#ko":null,"name#":null,"#":null,"":null}}`, `{"userinfo":{"secret":null},"other":1}`, `{"userinfo":{"name":"x"}}`,
	} {
		f.Add(seed)
	}
	allowed := func(name string) bool { return !strings.Contains(name, "secret") }
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseClaims(text, allowed)
		if err != nil {
			return
		}
		names := c.names()
		slices.Sort(names)
		if len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Fatalf("twice in %q", names)
		}
		if slices.ContainsFunc(names, func(name string) bool { return !allowed(name) }) {
			t.Fatalf("%q is not allowed", names)
		}
		c.unmetACR(credential.ACRPassword)
	})
}

// OIDC Core §5.5.1: sub may be asked for by value or values, and what one half of the parameter asks for is not forgotten because
// the other half names sub without a value.
func TestASubAskedForInTheClaimsParameterCounts(t *testing.T) {
	for text, want := range map[string][]string{
		`{"userinfo":{"sub":{"value":"u"}},"id_token":{"sub":{"essential":true}}}`: {"u"},
		`{"userinfo":{"sub":{"value":"u"}},"id_token":{"sub":null}}`:               {"u"},
		`{"userinfo":{"sub":{"value":"u"}},"id_token":{"sub":{"value":"v"}}}`:      {"v"},
		`{"id_token":{"sub":{"value":"u"}}}`:                                       {"u"},
		`{"id_token":{"sub":{"values":["u","v"]}}}`:                                {"u", "v"},
		`{"id_token":{"sub":{"values":["u",7],"value":"v"}}}`:                      {"u", "v"},
		`{"id_token":{"sub":{"essential":true}}}`:                                  nil,
		`{"id_token":{"sub":{"values":[]}}}`:                                       nil,
	} {
		c, err := parseClaims(text, func(string) bool { return true })
		if err != nil || !slices.Equal(c.subjects, want) || len(c.names()) > 0 {
			t.Errorf("%s: %+v, %v", text, c, err)
		}
		for sub, other := range map[string]bool{"u": !slices.Contains(want, "u"), "v": !slices.Contains(want, "v"), "w": true} {
			a := &authorization{claims: c}
			if got := a.wantsAnother(sub); got != (other && len(want) > 0) {
				t.Errorf("%s: another than %s is wanted: %v", text, sub, got)
			}
		}
	}
}

// OIDC Core §5.5: of a name that comes twice nobody can say which one counts, so neither does, as in request objects.
func TestAClaimsParameterWithANameTwiceIsRefused(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"userinfo":{"name":null},"id_token":{"name":null},"other":{"a":1,"b":1}}`: true,
		`{"userinfo":{"name":null},"userinfo":{"email":null}}`:                      false,
		`{"userinfo":{"name":null,"name":{"essential":true}}}`:                      false,
		`{"id_token":{"sub":{"value":"u","value":"v"}}}`:                            false,
		`{"other":{"a":1,"a":2}}`:                                                   false,
		`{"id_token":{"email":{"value":{"a":1,"a":2}}}}`:                            false,
	} {
		if _, err := parseClaims(text, func(string) bool { return true }); (err == nil) != ok {
			t.Errorf("%s: %v, want accepted=%v", text, err, ok)
		}
	}
}
