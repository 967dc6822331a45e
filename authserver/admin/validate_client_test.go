package admin

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

// webApp is a confidential client that signs people in, with nothing wrong.
func webApp() storage.Client {
	c := service()
	c.GrantTypes = []string{grantAuthorizationCode, grantRefreshToken}
	c.RedirectURIs = []string{"https://app.example.com/callback"}
	return c
}

// keyed is webApp with private_key_jwt.
func keyed(jwks string) storage.Client {
	c := webApp()
	c.Secrets, c.AuthMethod, c.JWKS = nil, authPrivateKey, json.RawMessage(jwks)
	return c
}

type clientCase struct {
	client storage.Client
	change func(*storage.Client)
	fields string // of the problems, "" for none
}

func checkCases(t *testing.T, cases map[string]clientCase) {
	t.Helper()
	for name, tc := range cases {
		c := tc.client
		tc.change(&c)
		if got := CheckClient(c); fields(got) != tc.fields {
			t.Errorf("%s: problems %v, want fields %q", name, got, tc.fields)
		}
	}
}

func TestAClientHasWhatItAuthenticatesWithAndNothingElse_C4(t *testing.T) {
	const method = "token_endpoint_auth_method"
	none := func(*storage.Client) {}
	checkCases(t, map[string]clientCase{
		"with inline keys": {keyed(ecKeys), none, ""},
		"with keys at an address": {keyed(""), func(c *storage.Client) {
			c.JWKSURI = "https://app.example.com/jwks.json"
		}, ""},
		"with keys on this machine": {keyed(""), func(c *storage.Client) { c.JWKSURI = "http://127.0.0.1:9/jwks" }, ""},
		"without keys":              {keyed(""), none, "jwks"},
		"with keys in both places": {keyed(ecKeys), func(c *storage.Client) {
			c.JWKSURI = "https://app.example.com/jwks.json"
		}, "jwks_uri"},
		"with keys over http":        {keyed(""), func(c *storage.Client) { c.JWKSURI = "http://app.example.com/jwks.json" }, "jwks_uri"},
		"with keys in a file":        {keyed(""), func(c *storage.Client) { c.JWKSURI = "file:///etc/passwd" }, "jwks_uri"},
		"with keys and a fragment":   {keyed(""), func(c *storage.Client) { c.JWKSURI = "https://app.example.com/#a" }, "jwks_uri"},
		"with keys of somebody":      {keyed(""), func(c *storage.Client) { c.JWKSURI = "https://u:p@app.example.com/" }, "jwks_uri"},
		"with keys and a secret":     {keyed(ecKeys), func(c *storage.Client) { c.Secrets = service().Secrets }, method},
		"public with keys":           {keyed(ecKeys), func(c *storage.Client) { c.Public = true }, method},
		"an unknown method":          {webApp(), func(c *storage.Client) { c.AuthMethod = "client_secret_jwt" }, method},
		"secret beside request keys": {webApp(), func(c *storage.Client) { c.JWKS = json.RawMessage(ecKeys) }, ""},
		"client_credentials by key": {keyed(ecKeys), func(c *storage.Client) {
			c.GrantTypes, c.RedirectURIs = []string{grantClientCredentials}, nil
		}, ""},
	})
}

func TestRequestObjectsNeedAKeyThatFitsTheirAlgorithm(t *testing.T) {
	const field = "request_object_signing_alg"
	alg := func(name string) func(*storage.Client) {
		return func(c *storage.Client) { c.RequestObjectAlg = name }
	}
	must := func(c *storage.Client) { c.RequireSignedRequest = true }
	checkCases(t, map[string]clientCase{
		"ES256":                   {keyed(ecKeys), alg("ES256"), ""},
		"RS256":                   {keyed(rsaKeys), alg("RS256"), ""},
		"PS256":                   {keyed(rsaKeys), alg("PS256"), ""},
		"EdDSA":                   {keyed(edKeys), alg("EdDSA"), ""},
		"another kind of key":     {keyed(ecKeys), alg("RS256"), field},
		"no key":                  {webApp(), alg("ES256"), field},
		"HS256":                   {keyed(ecKeys), alg("HS256"), field},
		"none":                    {keyed(ecKeys), alg("none"), field},
		"signed ones only":        {keyed(ecKeys), must, ""},
		"signed ones without key": {webApp(), must, "require_signed_request_object"},
	})
}

func TestWhatAClientMayDoAtTheAuthorizationEndpointIsChecked(t *testing.T) {
	age := func(seconds int64) func(*storage.Client) {
		return func(c *storage.Client) { c.DefaultMaxAge = &seconds }
	}
	modes := func(list ...string) func(*storage.Client) {
		return func(c *storage.Client) { c.ResponseModes = list }
	}
	checkCases(t, map[string]clientCase{
		"the three modes": {webApp(), modes("query", "form_post", "fragment"), ""},
		"an unknown mode": {webApp(), modes("web_message"), "response_modes"},
		"a signed mode":   {webApp(), modes("query.jwt"), "response_modes"},
		"a mode twice":    {webApp(), modes("query", "query"), "response_modes"},
		"max_age of 0":    {webApp(), age(0), ""},
		"max_age of -1":   {webApp(), age(-1), "default_max_age"},
		"endless max_age": {webApp(), age(1 << 62), "default_max_age"},
	})
}

func TestOriginsAreWhatBrowsersSend(t *testing.T) {
	for origin, ok := range map[string]bool{
		"https://app.example.com": true, "https://app.example.com:8443": true, "http://localhost:8083": true, "http://[::1]:1": true,
		"https://app.example.com/": false, "https://app.example.com/x": false, "https://APP.example.com": false, "*": false, "null": false,
		"https://*.example.com": false, "http://app.example.com": false, "https://app.example.com:443": false, "http://localhost:80": false,
		"https://u@app.example.com": false, "app.example.com": false, "": false, "https://": false, "com.example.app://x": false,
	} {
		c := webApp()
		c.AllowedOrigins = []string{origin}
		if got := fields(CheckClient(c)); (got == "") != ok || !ok && got != "allowed_origins" {
			t.Errorf("%q: %q", origin, got)
		}
	}
}

func TestPairwiseSubjectsNeedOneHostOrASector(t *testing.T) {
	const field = "sector_identifier"
	pairwise := func(sector string, uris ...string) func(*storage.Client) {
		return func(c *storage.Client) { c.Pairwise, c.Sector, c.RedirectURIs = true, sector, uris }
	}
	checkCases(t, map[string]clientCase{
		"one host":               {webApp(), pairwise("", "https://a.example.com/1", "https://a.example.com:8443/2"), ""},
		"two hosts":              {webApp(), pairwise("", "https://a.example.com/1", "https://b.example.com/2"), field},
		"two hosts and a sector": {webApp(), pairwise("example.com", "https://a.example.com/1", "https://b.example.com/2"), ""},
		"an app's own scheme":    {webApp(), pairwise("", "com.example.app:/cb"), field},
		"that with a sector":     {webApp(), pairwise("example.com", "com.example.app:/cb"), ""},
		"a sector that is a URL": {webApp(), pairwise("https://example.com", "https://a.example.com/1"), field},
		"a sector with a port":   {webApp(), pairwise("example.com:443", "https://a.example.com/1"), field},
		"capitals in a sector":   {webApp(), pairwise("Example.com", "https://a.example.com/1"), field},
		"a sector that ends odd": {webApp(), pairwise("example.com.", "https://a.example.com/1"), field},
		"a sector for nothing":   {webApp(), func(c *storage.Client) { c.Sector = "example.com" }, field},
		"no redirect URI":        {service(), func(c *storage.Client) { c.Pairwise = true }, field},
		"signed userinfo":        {webApp(), func(c *storage.Client) { c.UserInfoAlg = "RS256" }, ""},
		"userinfo without one":   {webApp(), func(c *storage.Client) { c.UserInfoAlg = "none" }, "userinfo_signed_response_alg"},
	})
}

// A2, L: addresses of logout are registered under the rules of redirect URIs.
func TestAddressesOfLogoutAreChecked_A2(t *testing.T) {
	const back, front, after = "backchannel_logout_uri", "frontchannel_logout_uri", "post_logout_redirect_uris"
	set := func(field, uri string) func(*storage.Client) {
		return func(c *storage.Client) {
			switch field {
			case back:
				c.BackchannelLogoutURI = uri
			case front:
				c.FrontchannelLogoutURI = uri
			default:
				c.PostLogoutRedirectURIs = []string{uri}
			}
		}
	}
	cases := map[string]clientCase{}
	for _, tc := range []struct {
		field, uri string
		ok         bool
	}{
		{back, "https://app.example.com/bye?x=1", true},
		{back, "https://elsewhere.example.com/bye", true},
		{back, "http://localhost:8082/bye", true},
		{back, "http://app.example.com/bye", false},
		{back, "http://169.254.169.254/latest", false},
		{back, "https://app.example.com/bye#x", false},
		{back, "https://u@app.example.com/bye", false},
		{back, "gopher://app.example.com/", false},
		{back, "//app.example.com/bye", false},
		{front, "https://app.example.com/bye", true},
		{front, "https://APP.example.com:443/bye", true},
		{front, "http://app.example.com/bye", false},
		{front, "https://app.example.com:8443/bye", false},
		{front, "https://evil.example.com/bye", false},
		{front, "https://app.example.com/bye#x", false},
		{after, "https://app.example.com/", true},
		{after, "com.example.app:/bye", true},
		{after, "http://127.0.0.1/bye", true},
		{after, "javascript:alert(1)", false},
		{after, "data:text/html,x", false},
		{after, "http://app.example.com/", false},
		{after, "https://*.example.com/", false},
		{after, "https://app.example.com/#x", false},
		{after, "https://u:p@app.example.com/", false},
	} {
		want := tc.field
		if tc.ok {
			want = ""
		}
		cases[tc.field+" "+tc.uri] = clientCase{webApp(), set(tc.field, tc.uri), want}
	}
	checkCases(t, cases)
}

func TestWhatPeopleSeeOfAClientIsChecked(t *testing.T) {
	for accent, ok := range map[string]bool{
		"": true, "#0b57d0": true, "#ABCDEF": true,
		"#abc": false, "0b57d0": false, "red": false, "#0b57d0;": false, "#0b57dg": false, "#0b57d0ff": false, "url(x)": false,
	} {
		c := webApp()
		c.Accent = accent
		if got := fields(CheckClient(c)); (got == "") != ok || !ok && got != "accent" {
			t.Errorf("%q: %q", accent, got)
		}
	}
	for uri, ok := range map[string]bool{
		"https://app.example.com/logo.svg": true, "http://localhost:8082/logo.png": true,
		"http://app.example.com/logo.svg": false, "data:image/png;base64,AAAA": false, "javascript:alert(1)": false,
		"https://app.example.com/\n": false, "https://a/" + strings.Repeat("x", maxItem): false,
	} {
		for field, set := range map[string]func(*storage.Client){
			"logo_uri": func(c *storage.Client) { c.LogoURI = uri }, "client_uri": func(c *storage.Client) { c.URI = uri },
		} {
			c := webApp()
			set(&c)
			if got := fields(CheckClient(c)); (got == "") != ok || !ok && got != field {
				t.Errorf("%s %q: %q", field, uri, got)
			}
		}
	}
}
