package admin

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// service returns a confidential client with nothing wrong, and public one without a secret.
func service() storage.Client {
	return storage.Client{
		ID: "app", Secrets: []storage.ClientSecret{{Hash: make([]byte, sha256.Size)}}, GrantTypes: []string{grantClientCredentials},
	}
}

func public() storage.Client {
	return storage.Client{ID: "cli", Public: true, GrantTypes: []string{grantPassword, grantRefreshToken}}
}

// fields are the fields with problems, in order.
func fields(problems []Problem) string {
	var names []string
	for _, p := range problems {
		names = append(names, p.Field)
	}
	return strings.Join(names, " ")
}

func TestClientsAreCheckedFieldByField(t *testing.T) {
	with := func(c storage.Client, change func(*storage.Client)) storage.Client {
		change(&c)
		return c
	}
	grace := func(d time.Duration) func(*storage.Client) {
		return func(c *storage.Client) { c.RefreshGrace = &d }
	}
	for name, tc := range map[string]struct {
		client storage.Client
		fields string // of the problems, "" for none
	}{
		"confidential": {service(), ""},
		"public":       {public(), ""},
		"the demo web app": {with(service(), func(c *storage.Client) {
			c.GrantTypes = []string{grantAuthorizationCode, grantRefreshToken, grantPassword}
			c.RedirectURIs = []string{"http://localhost:8082/callback"}
		}), ""},
		"the demo browser app": {with(public(), func(c *storage.Client) {
			c.GrantTypes = []string{grantAuthorizationCode, grantRefreshToken}
			c.RedirectURIs = []string{"http://localhost:8083/callback"}
		}), ""},

		"no grant type":                       {with(service(), func(c *storage.Client) { c.GrantTypes = nil }), "grant_types"},
		"no grant type, but a resource":       {with(service(), func(c *storage.Client) { c.GrantTypes, c.Resources = nil, []string{"https://api.example.com"} }), ""},
		"unknown grant type":                  {with(service(), func(c *storage.Client) { c.GrantTypes = []string{"implicit"} }), "grant_types"},
		"grant type twice":                    {with(service(), func(c *storage.Client) { c.GrantTypes = []string{grantPassword, grantPassword} }), "grant_types"},
		"client_credentials without a secret": {with(public(), func(c *storage.Client) { c.GrantTypes = []string{grantClientCredentials} }), "grant_types"},
		"refresh_token alone":                 {with(public(), func(c *storage.Client) { c.GrantTypes = []string{grantRefreshToken} }), "grant_types"},
		"authorization_code without redirect": {with(public(), func(c *storage.Client) { c.GrantTypes = []string{grantAuthorizationCode} }), "redirect_uris"},

		"confidential without secret": {with(service(), func(c *storage.Client) { c.Secrets = nil }), "token_endpoint_auth_method"},
		"public with secret":          {with(public(), func(c *storage.Client) { c.Secrets = service().Secrets }), "token_endpoint_auth_method"},
		"two secrets":                 {with(service(), func(c *storage.Client) { c.Secrets = append(c.Secrets, c.Secrets[0]) }), ""},
		"three secrets":               {with(service(), func(c *storage.Client) { c.Secrets = append(c.Secrets, c.Secrets[0], c.Secrets[0]) }), "token_endpoint_auth_method"},
		"secret that is no digest":    {with(service(), func(c *storage.Client) { c.Secrets = []storage.ClientSecret{{Hash: []byte("secret")}} }), "token_endpoint_auth_method"},

		"scopes":               {with(public(), func(c *storage.Client) { c.Scopes, c.DefaultScopes = []string{"a", "!#[]~"}, []string{"a"} }), ""},
		"scope with space":     {with(public(), func(c *storage.Client) { c.Scopes = []string{"a b"} }), "scope"},
		"scope with quote":     {with(public(), func(c *storage.Client) { c.Scopes = []string{`a"b`} }), "scope"},
		"scope with backslash": {with(public(), func(c *storage.Client) { c.Scopes = []string{`a\b`} }), "scope"},
		"scope beyond ASCII":   {with(public(), func(c *storage.Client) { c.Scopes = []string{"é"} }), "scope"},
		"empty scope":          {with(public(), func(c *storage.Client) { c.Scopes = []string{""} }), "scope"},
		"scope twice":          {with(public(), func(c *storage.Client) { c.Scopes = []string{"a", "b", "a"} }), "scope"},
		"default not a scope":  {with(public(), func(c *storage.Client) { c.DefaultScopes = []string{"a"} }), "default_scope"},
		"too many scopes":      {with(public(), func(c *storage.Client) { c.Scopes = make([]string, maxItems+1) }), "scope"},

		"audiences": {with(public(), func(c *storage.Client) {
			c.Audience = []string{"orders-api", "https://api.example.com/v1?x=1", "urn:example:api"}
		}), ""},
		"audience twice":          {with(public(), func(c *storage.Client) { c.Audience = []string{"a", "a"} }), "audience"},
		"audience with space":     {with(public(), func(c *storage.Client) { c.Audience = []string{"my api"} }), "audience"},
		"audience with fragment":  {with(public(), func(c *storage.Client) { c.Audience = []string{"https://api.example.com/#x"} }), "audience"},
		"audience without host":   {with(public(), func(c *storage.Client) { c.Audience = []string{"https:///x"} }), "audience"},
		"audience with user":      {with(public(), func(c *storage.Client) { c.Audience = []string{"https://a@api.example.com"} }), "audience"},
		"audience not a URI":      {with(public(), func(c *storage.Client) { c.Audience = []string{":x"} }), "audience"},
		"empty audience":          {with(public(), func(c *storage.Client) { c.Audience = []string{""} }), "audience"},
		"resource of a public":    {with(public(), func(c *storage.Client) { c.Resources = []string{"orders-api"} }), "resources"},
		"resource of the service": {with(service(), func(c *storage.Client) { c.Resources = []string{"orders-api"} }), ""},

		"strict grace":       {with(public(), grace(0)), ""},
		"longest grace":      {with(public(), grace(5*time.Minute)), ""},
		"too long a grace":   {with(public(), grace(5*time.Minute+1)), "refresh_grace"},
		"negative grace":     {with(public(), grace(-1)), "refresh_grace"},
		"name of two lines":  {with(public(), func(c *storage.Client) { c.Name = "a\nb" }), "client_name"},
		"name not UTF-8":     {with(public(), func(c *storage.Client) { c.Name = "\xff" }), "client_name"},
		"name of 200 runes":  {with(public(), func(c *storage.Client) { c.Name = strings.Repeat("김", 200) }), ""},
		"name of 201 runes":  {with(public(), func(c *storage.Client) { c.Name = strings.Repeat("김", 201) }), "client_name"},
		"everything at once": {storage.Client{Public: true, Scopes: []string{" "}, Audience: []string{" "}}, "client_id grant_types scope audience"},
	} {
		if got := CheckClient(tc.client); fields(got) != tc.fields {
			t.Errorf("%s: problems %v, want fields %q", name, got, tc.fields)
		}
	}
}

func TestClientIdsAreURLSafeAndNeverThoseOfUsers_J20(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "A-b_c.d~9": true, strings.Repeat("a", 128): true, ".a": true, "usr": true, "my_usr_x": true,
		"": false, strings.Repeat("a", 129): false, "a b": false, "a/b": false, "a:b": false, "a%": false, "é": false, "a\n": false,
		".": false, "..": false, "usr_": false, "usr_abc": false, "USR_abc": false,
	} {
		c := public()
		c.ID = id
		if got := fields(CheckClient(c)); (got == "") != ok {
			t.Errorf("%q: %q", id, got)
		}
	}
}

func TestRedirectURIsThatCouldBeReadInTwoWaysAreRefused_A2(t *testing.T) {
	for uri, ok := range map[string]bool{
		"https://app.example.com/callback":       true,
		"https://app.example.com/cb?x=1":         true,
		"https://app.example.com:8443/cb":        true,
		"https://app.example.com":                true,
		"http://localhost:8082/callback":         true,
		"http://127.0.0.1/callback":              true,
		"http://[::1]:9999/callback":             true,
		"com.example.app:/callback":              true,
		"com.example.app://host/callback":        true,
		"http://app.example.com/callback":        false,
		"http://127.0.0.1.example.com/":          false,
		"http://localhost.example.com/":          false,
		"http://0.0.0.0/callback":                false,
		"http://192.168.1.1/callback":            false,
		"https://app.example.com/cb#x":           false,
		"https://app.example.com/cb#":            false,
		"https://user@app.example.com/cb":        false,
		"https://user:pw@app.example.com/cb":     false,
		"http://evil@127.0.0.1/cb":               false,
		"https://@app.example.com/cb":            false,
		"https://*.example.com/cb":               false,
		"https://app.example.com/*":              false,
		"https://app.example.com\\@evil.com/":    false,
		"https://app.example.com/a b":            false,
		"https://app.example.com/\n":             false,
		"https://app.éxample.com/":               false,
		"https:///callback":                      false,
		"https:app.example.com":                  false,
		"https://":                               false,
		"https://app.example.com:/cb":            false,
		"https://app.example.com:0/cb":           false,
		"https://app.example.com:70000/cb":       false,
		"HTTPS://app.example.com/cb":             false,
		"javascript:alert(1)":                    false,
		"JavaScript:alert(1)":                    false,
		"javascript://app.example.com/%0aa":      false,
		"data:text/html,x":                       false,
		"vbscript:x":                             false,
		"file:///etc/passwd":                     false,
		"blob:https://app.example.com/x":         false,
		"ftp://app.example.com/":                 false,
		"myapp:/callback":                        false,
		"myapp://callback":                       false,
		"com.example.app:callback":               false,
		"/callback":                              false,
		"//app.example.com/callback":             false,
		"app.example.com/callback":               false,
		"":                                       false,
		"https://a/" + strings.Repeat("x", 2048): false,
	} {
		c := public()
		c.RedirectURIs = []string{uri}
		if got := CheckClient(c); (len(got) == 0) != ok || !ok && got[0].Field != "redirect_uris" {
			t.Errorf("%q: %v", uri, got)
		}
	}
	c := public()
	c.RedirectURIs = []string{"https://a.example/", "https://a.example/"}
	if fields(CheckClient(c)) != "redirect_uris" {
		t.Error("the same URI twice was taken")
	}
}

// RFC 6749 §4.1.2, RFC 9207 §2: who reads the answer must find each parameter once, and ours.
func TestRedirectURIsHoldNoParameterOfTheAnswer_A2(t *testing.T) {
	const uri = "https://app.example.com/cb?x=1&"
	for query, name := range map[string]string{
		"code=1": "code", "state=": "state", "iss": "iss", "error=x": "error", "error_description=x": "error_description",
		"error_uri=x": "error_uri", "y=2&code=1": "code", "c%6fde=1": "code", "y=2;code=1": "code", "%63%6F%64%65": "code",
		"codes=1": "", "Code=1": "", "y=code": "", "y=%26code%3D1": "", "my_state=1": "", "": "", "&&": "", "%zz=1": "",
	} {
		c := public()
		c.RedirectURIs = []string{uri + query}
		problems := CheckClient(c)
		if (len(problems) == 0) != (name == "") {
			t.Errorf("%s: %v", query, problems)
		}
		if name != "" && (fields(problems) != "redirect_uris" || !strings.Contains(problems[0].Message, `parameter "`+name+`"`)) {
			t.Errorf("%s: %v", query, problems)
		}
	}
	c := public()
	c.RedirectURIs = []string{"com.example.app:/cb?state=1"}
	if fields(CheckClient(c)) != "redirect_uris" {
		t.Error("an app's own scheme may have a state of its own")
	}
	// OIDC RP-Initiated Logout §3: after a logout only state comes back.
	for query, ok := range map[string]bool{"state=1": false, "x=1&st%61te": false, "code=1&iss=2&error=3": true, "x=1": true} {
		c := public()
		c.PostLogoutRedirectURIs = []string{"https://app.example.com/bye?" + query}
		got := CheckClient(c)
		if (len(got) == 0) != ok || !ok && (fields(got) != "post_logout_redirect_uris" || !strings.Contains(got[0].Message, `parameter "state"`)) {
			t.Errorf("after a logout: %s: %v", query, got)
		}
	}
}

func TestUsersOfFilesAreCheckedByTheSameRules(t *testing.T) {
	good := storage.User{ID: "usr_1", Username: "alice", PasswordHash: bcryptHash, Claims: map[string]any{"updated_at": int64(5), "x": nil}}
	for name, tc := range map[string]struct {
		change func(*storage.User)
		fields string
	}{
		"good":                    {func(*storage.User) {}, ""},
		"no password":             {func(u *storage.User) { u.PasswordHash = "" }, ""},
		"id without prefix (J20)": {func(u *storage.User) { u.ID = "alice" }, "id"},
		"id of the prefix only":   {func(u *storage.User) { u.ID = "usr_" }, "id"},
		"id with a space":         {func(u *storage.User) { u.ID = "usr_a b" }, "id"},
		"name not canonical":      {func(u *storage.User) { u.Username = "Alice" }, "username"},
		"name missing":            {func(u *storage.User) { u.Username = "" }, "username"},
		"password as it is":       {func(u *storage.User) { u.PasswordHash = "wonderland" }, "password_hash"},
		"claim of a strange type": {func(u *storage.User) { u.Claims = map[string]any{"x": func() {}} }, "claims"},
		"address as text":         {func(u *storage.User) { u.Claims = map[string]any{"address": "Seoul"} }, "claims"},
		"long claim name":         {func(u *storage.User) { u.Claims = map[string]any{strings.Repeat("x", 65): 1} }, "claims"},
	} {
		u := good
		tc.change(&u)
		if got := CheckUser(u); fields(got) != tc.fields {
			t.Errorf("%s: %v, want %q", name, got, tc.fields)
		}
	}
}

func TestAProblemReadsAsFieldAndMessage(t *testing.T) {
	if got := (Problem{"scope", "is odd"}).String(); got != "scope: is odd" {
		t.Error(got)
	}
}
