package authserver_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

// everyClaim is a fact for each name of the standard scopes, and some that nobody but the operator knows.
func everyClaim() map[string]any {
	claims := map[string]any{
		"email_verified": true, "phone_number_verified": true, "updated_at": 1.7e9, "address": map[string]any{"country": "KR"},
		"groups": []any{"staff"}, "name#ko": "앨리스", "name#<b>": "odd", "email#ko": 7.5,
		"salary": 1, "password_hint": "cat", "https://x.example/roles": []any{"root"},
	}
	for _, name := range []string{
		"name", "family_name", "given_name", "middle_name", "nickname", "profile", "picture", "website", "gender", "birthdate",
		"zoneinfo", "locale", "email", "phone_number",
	} {
		claims[name] = "some " + name
	}
	return claims
}

// OIDC Core §5.5: "Claims requested … that are not understood … MUST be ignored": not shown, not kept, not answered, even
// where there is such a fact.
func TestClaimsThatAreNotUnderstoodAreIgnored(t *testing.T) {
	r := newRig(t).seedSignIn()
	r.changeUser("usr_alice", func(u *storage.User) { u.Claims = everyClaim() })
	p := r.person()
	const odd = `"salary":{"essential":true},"password_hint":null,"https://x.example/roles":null,"name#<b>":null,"name#":null,"salary#ko":null,"":null`
	q := request("rp", rpRedirect, "scope", "openid", "claims",
		`{"userinfo":{`+odd+`,"name":null,"name#ko":null,"email#ko":null},"id_token":{`+odd+`,"email":null}}`)
	pg := p.signInAt(p.authorize(q), "alice", "wonderland")
	for _, name := range []string{"salary", "password_hint", "x.example", "#"} {
		if strings.Contains(pg.text, name) {
			t.Errorf("the consent page tells of %s", name)
		}
	}
	if !strings.Contains(strings.ToLower(pg.text), "name") {
		t.Errorf("the consent page does not tell of the name: %s", pg.text)
	}
	res := r.redeem("rp", "rp-secret", rpRedirect, p.atClient(p.allow(pg), rpRedirect).Get("code"))
	info := r.userinfo(res.str("access_token"))
	if got := slices.Sorted(maps.Keys(info.body)); !slices.Equal(got, []string{"email#ko", "name", "name#ko", "sub"}) || info.body["email#ko"] != "7.5" {
		t.Errorf("userinfo: %s", info.raw)
	}
	id := r.verify(res.str("id_token")).claims
	if id["email"] != "some email" || id["salary"] != nil || id["password_hint"] != nil {
		t.Errorf("ID token: %v", id)
	}
	consent, err := storage.Consents{Entries: r.store}.Consent(t.Context(), "usr_alice", "rp")
	must(t, err)
	if got := slices.Sorted(slices.Values(consent.Claims)); !slices.Equal(got, []string{"email", "email#ko", "name", "name#ko"}) {
		t.Errorf("kept of the consent: %q", got)
	}
	grants, err := r.store.GrantsOf(t.Context(), "usr_alice", 9)
	must(t, err)
	for _, g := range grants {
		if names := append(g.UserInfoClaims, g.IDTokenClaims...); slices.ContainsFunc(names, func(n string) bool { return strings.Contains(odd, `"`+n+`"`) }) {
			t.Errorf("kept in the grant: %q", names)
		}
	}
}

// OIDC Core §5.5: every claim that the metadata promises is had by name, and under its scope alone.
func TestEveryClaimOfTheMetadataIsHadByName(t *testing.T) {
	r := newRig(t).seedSignIn()
	r.changeUser("usr_alice", func(u *storage.User) { u.Claims = everyClaim() })
	r.changeClient("ours", func(c *storage.Client) { c.Scopes = append(slices.Clone(signInScopes), "groups") })
	supported := r.do(get("/.well-known/openid-configuration")).body["claims_supported"].([]any)
	var asked, facts []string
	for _, name := range supported {
		name := name.(string)
		asked = append(asked, `"`+name+`":null`)
		if !slices.Contains([]string{"iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}, name) {
			facts = append(facts, name)
		}
	}
	p := r.person()
	q := request("ours", oursURI, "scope", "openid", "claims", `{"userinfo":{`+strings.Join(asked, ",")+`}}`)
	answered := func() []string {
		t.Helper()
		info := r.userinfo(r.redeem("ours", "ours-secret", oursURI, p.code(q)).str("access_token"))
		return slices.Sorted(maps.Keys(info.body))
	}
	slices.Sort(facts)
	if got := answered(); !slices.Equal(got, facts) {
		t.Errorf("got %q, want %q", got, facts)
	}
	for scope, names := range map[string]string{
		"openid": "sub", "email": "email email_verified sub", "phone": "phone_number phone_number_verified sub",
		"address": "address sub", "groups": "groups sub",
	} {
		r.changeClient("ours", func(c *storage.Client) { c.Scopes = []string{"openid", scope} })
		if got := answered(); !slices.Equal(got, strings.Fields(names)) {
			t.Errorf("registered for %s: %q", scope, got)
		}
	}
}

// A18: what was asked for by name ends with the registration for its scope, at userinfo at once, in ID tokens from the next on.
func TestAClaimAskedForByNameDoesNotOutliveTheRegistration(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	q := request("rp", rpRedirect, "scope", "openid profile offline_access", "claims",
		`{"userinfo":{"email":null,"name":null},"id_token":{"email":null,"name":null}}`)
	res := r.redeem("rp", "rp-secret", rpRedirect, p.code(q))
	check := func(email any) {
		t.Helper()
		info, id := r.userinfo(res.str("access_token")).body, r.verify(res.str("id_token")).claims
		if info["email"] != email || id["email"] != email || info["name"] != "Alice" || id["name"] != "Alice" {
			t.Errorf("userinfo %v, ID token %v", info, id)
		}
	}
	check("alice@example.test")
	code := p.code(q)
	r.changeClient("rp", func(c *storage.Client) { c.Scopes = []string{"openid", "profile", "offline_access"} })
	if info := r.userinfo(res.str("access_token")); info.body["email"] != nil {
		t.Errorf("userinfo: %s", info.raw)
	}
	res = r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", res.str("refresh_token")), "rp", "rp-secret"))
	check(nil)
	res = r.redeem("rp", "rp-secret", rpRedirect, code)
	check(nil)
}
