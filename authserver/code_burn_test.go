package authserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

// A6: whatever is wrong with a redemption, the code is gone, also where the form is at fault and not the code.
func TestAnythingWrongWithARedemptionBurnsTheCode(t *testing.T) {
	r := newRig(t).seedSignIn()
	p := r.person()
	long, odd := strings.Repeat("w", 5000), verifier+"\x00"
	for _, c := range []struct{ client, secret, uri string }{{"ours", "ours-secret", oursURI}, {"spa", "", spaURI}} {
		for name, wrong := range map[string]struct {
			code  string
			pairs []string
		}{
			"a verifier that no form has":     {"invalid_request", []string{"code_verifier", long}},
			"a verifier with controls":        {"invalid_request", []string{"code_verifier", odd}},
			"a verifier that is no text":      {"invalid_request", []string{"code_verifier", verifier + "\xff"}},
			"a redirect URI with controls":    {"invalid_request", []string{"code_verifier", verifier, "redirect_uri", c.uri + "\n"}},
			"a scope that is none":            {"invalid_scope", []string{"code_verifier", verifier, "scope", `"`}},
			"a scope with controls":           {"invalid_request", []string{"code_verifier", verifier, "scope", "openid\x01"}},
			"too many scopes":                 {"invalid_scope", []string{"code_verifier", verifier, "scope", strings.Repeat("a ", 101)}},
			"a resource of somebody else":     {"invalid_target", []string{"code_verifier", verifier, "resource", "https://evil.example.test"}},
			"an audience of somebody else":    {"invalid_target", []string{"code_verifier", verifier, "audience", "https://evil.example.test"}},
			"a parameter of another grant":    {"invalid_request", []string{"code_verifier", verifier, "username", "a\x00"}},
			"a refresh token beyond measure":  {"invalid_request", []string{"code_verifier", verifier, "refresh_token", strings.Repeat("r", 9000)}},
			"a token type hint with controls": {"invalid_request", []string{"code_verifier", verifier, "token_type_hint", "\x7f"}},
		} {
			code := p.code(request(c.client, c.uri))
			all := append([]string{"grant_type", "authorization_code", "code", code}, wrong.pairs...)
			if !strings.HasPrefix(name, "a redirect") {
				all = append(all, "redirect_uri", c.uri)
			}
			var res response
			if c.secret == "" {
				res = r.token(append(all, "client_id", c.client)...)
			} else {
				res = r.do(basic(form("/oauth2/token", all...), c.client, c.secret))
			}
			if res.StatusCode != http.StatusBadRequest || res.str("error") != wrong.code {
				t.Errorf("%s of %s: %d %s", name, c.client, res.StatusCode, res.raw)
			}
			if res := r.redeem(c.client, c.secret, c.uri, code); res.str("error") != "invalid_grant" {
				t.Errorf("%s of %s, then the right one: %d %s", name, c.client, res.StatusCode, res.raw)
			}
		}
	}
	// What cannot be read in one way is refused before anything is looked up; so is who is not the client.
	code := p.code(request("ours", oursURI))
	pairs := []string{"grant_type", "authorization_code", "code", code, "redirect_uri", oursURI, "code_verifier", verifier}
	want(t, r.do(basic(form("/oauth2/token", append(pairs, "scope", "openid", "scope", "openid")...), "ours", "ours-secret")),
		http.StatusBadRequest, "invalid_request")
	want(t, r.redeem("ours", "wrong", oursURI, code, "code_verifier", long), http.StatusUnauthorized, "invalid_client")
	want(t, r.redeem("rp", "rp-secret", oursURI, code, "code_verifier", long), http.StatusBadRequest, "invalid_grant")
	want(t, r.redeem("ours", "ours-secret", oursURI, code, "code_verifier", verifier, "resource", apiAud, "scope", "openid", "x", "\x00"),
		http.StatusOK, "")
}

// A6, R2: a code that is used already is beyond that: who finds it in a log signs nobody out by sending nonsense with it.
func TestNonsenseWithAUsedCodeEndsNothing(t *testing.T) {
	r := newRig(t).seedSignIn()
	code := codesOf(r)()
	res := r.redeem("ours", "ours-secret", oursURI, code)
	want(t, res, http.StatusOK, "")
	for _, pairs := range [][]string{
		{"code_verifier", strings.Repeat("w", 5000)},
		{"code_verifier", verifier, "scope", `"`},
		{"code_verifier", verifier + "\x00"},
	} {
		if res := r.redeem("ours", "ours-secret", oursURI, code, pairs...); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%d %s", res.StatusCode, res.raw)
		}
	}
	if info := r.userinfo(res.str("access_token")); info.StatusCode != http.StatusOK {
		t.Errorf("userinfo: %d", info.StatusCode)
	}
}

// A6, A18: a redemption that fails because the registration has less now burns the code as well.
func TestACodeForWhatIsNoLongerRegisteredIsBurnt(t *testing.T) {
	r := newRig(t).seedSignIn()
	code := codesOf(r)
	for name, change := range map[string]func(c *storage.Client){
		"audience": func(c *storage.Client) { c.Audience = []string{"https://other.example.test"} },
		"scopes":   func(c *storage.Client) { c.Scopes, c.DefaultScopes = []string{"read"}, nil },
	} {
		c := code()
		before, err := r.store.Client(t.Context(), "ours")
		must(t, err)
		r.changeClient("ours", change)
		want(t, r.redeem("ours", "ours-secret", oursURI, c), http.StatusBadRequest, "invalid_grant")
		r.changeClient("ours", func(c *storage.Client) {
			c.Audience, c.Scopes, c.DefaultScopes = before.Audience, before.Scopes, before.DefaultScopes
		})
		if res := r.redeem("ours", "ours-secret", oursURI, c); res.str("error") != "invalid_grant" {
			t.Errorf("%s: %d %s", name, res.StatusCode, res.raw)
		}
	}
}
