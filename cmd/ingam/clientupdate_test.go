package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/authserver/admin"
)

// somePublicKey is a P-256 key of nobody: the base point of the curve.
const somePublicKey = `{"keys":[{"kty":"EC","crv":"P-256","kid":"one","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",` +
	`"y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}`

func TestAKindOfClientHasSafeDefaults(t *testing.T) {
	const signInScope, signInDefault = "openid profile email offline_access", "openid profile email"
	c := offline(t)
	for kind, want := range map[string]struct{ method, grants, scope, defaults string }{
		"spa":     {"none", "authorization_code refresh_token", signInScope, signInDefault},
		"mobile":  {"none", "authorization_code refresh_token", signInScope, signInDefault},
		"cli":     {"none", "authorization_code refresh_token", signInScope, signInDefault},
		"web":     {"client_secret_basic", "authorization_code refresh_token", signInScope, signInDefault},
		"service": {"client_secret_basic", "client_credentials", "", ""},
	} {
		args := []string{"client", "add", "my-" + kind, "--kind", kind}
		if kind != "service" {
			args = append(args, "--redirect-uri", "https://app.example.com/callback")
		}
		var made admin.Client
		c.want(&made, "", args...)
		got := struct{ method, grants, scope, defaults string }{
			made.TokenEndpointAuthMethod, strings.Join(made.GrantTypes, " "), made.Scope, made.DefaultScope,
		}
		if got != want || (made.ClientSecret != "") != (want.method != "none") {
			t.Errorf("%s: %+v, want %+v", kind, got, want)
		}
	}
	var made admin.Client
	if c.want(&made, "", "client", "add", "--kind", "cli"); !slices.Equal(made.RedirectURIs, []string{"http://127.0.0.1/callback"}) {
		t.Errorf("a program on the command line without a redirect URI has %v", made.RedirectURIs)
	}
	// What is given comes after the kind.
	made = admin.Client{}
	c.want(&made, "", "client", "add", "--kind", "web", "--redirect-uri", "https://app.example.com/cb", "--scope", "openid", "--default-scope",
		"openid", "--auth-method", "none")
	if made.Scope != "openid" || made.DefaultScope != "openid" || made.TokenEndpointAuthMethod != "none" {
		t.Errorf("%+v", made)
	}
	for line, want := range map[string]string{
		"client add --kind sap":                                   `is not one of spa, web, mobile, cli, service; did you mean "spa"?`,
		"client add --kind spa":                                   "--redirect-uri: is empty",
		"client add --public --auth-method none":                  "keep one",
		"client add --kind service --default-max-age soon":        "not a duration",
		"client add --kind service --jwks-file nowhere.json":      "cannot be read",
		"client add --kind service --jwks-file - --jwks-uri x":    "keep one",
		"client add --kind service --auth-method tls_client":      "is not one of none, client_secret_basic",
		"client add --kind service --auth-method private_key_jwt": "--jwks-file: is missing; private_key_jwt needs the client's public keys in --jwks-file or --jwks-uri",
	} {
		if r := c.run("", strings.Fields(line)...); r.status != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %+v", line, r)
		}
	}
}

func TestEveryFlagOfAClientReachesTheServerAndIsShown(t *testing.T) {
	both(t, func(c cli) {
		t := c.t
		keys := filepath.Join(t.TempDir(), "keys.json")
		writeFile(t, keys, somePublicKey)
		var made admin.Client
		c.want(&made, "", "client", "add", "all", "--kind", "web", "--auth-method", "private_key_jwt", "--jwks-file", keys,
			"--redirect-uri", "https://a.example.com/cb", "--redirect-uri", "https://b.example.com/cb",
			"--response-mode", "query,fragment", "--require-pkce", "--require-par", "--require-signed-request", "--request-object-alg", "ES256",
			"--default-max-age", "12h", "--first-party", "--session-bound", "--userinfo-alg", "RS256", "--subject-type", "pairwise",
			"--sector-identifier", "example.com", "--post-logout-redirect-uri", "https://a.example.com/",
			"--backchannel-logout-uri", "https://a.example.com/back", "--frontchannel-logout-uri", "https://b.example.com/front",
			"--allowed-origin", "https://c.example.com", "--client-uri", "https://a.example.com/home",
			"--logo-uri", "https://a.example.com/logo.svg", "--accent", "#0b57d0", "--refresh-grace", "5s", "--name", "All")
		if made.DefaultMaxAge == nil || *made.DefaultMaxAge != 12*60*60 || compact(made.JWKS) != somePublicKey || made.ClientSecret != "" {
			t.Errorf("made %+v", made)
		}
		shown := c.want(nil, "", "client", "show", "all").stdout
		for _, part := range []string{
			"private_key_jwt", "one (EC)", "query fragment", "PKCE, pushed requests, signed request objects", "ES256", "12h", "first party",
			"session bound", "RS256", "pairwise", "example.com", "https://a.example.com/", "https://a.example.com/back",
			"https://b.example.com/front", "https://c.example.com", "https://a.example.com/home", "logo.svg", "#0b57d0",
		} {
			if !strings.Contains(shown, part) {
				t.Errorf("not shown: %s\n%s", part, shown)
			}
		}
	})
}

func TestAnUpdateChangesWhatIsGivenAndNothingElse(t *testing.T) {
	both(t, func(c cli) {
		t := c.t
		var made, after admin.Client
		c.want(&made, "", "client", "add", "shop", "--kind", "web", "--redirect-uri", "https://a.example.com/cb", "--name", "Shop",
			"--logo-uri", "https://a.example.com/logo.svg", "--first-party", "--default-max-age", "1h", "--refresh-grace", "5s")
		r := c.want(&after, "", "client", "update", "shop", "--redirect-uri", "https://b.example.com/cb", "--logo-uri", "", "--first-party=false",
			"--scope", "openid,email", "--default-scope", "openid", "--default-max-age", "")
		if r.stderr != "Changed client shop.\n" || after.ClientSecret != "" || len(after.Secrets) != 1 {
			t.Errorf("%+v", r)
		}
		if !slices.Equal(after.RedirectURIs, []string{"https://b.example.com/cb"}) || after.LogoURI != "" || after.FirstParty ||
			after.Scope != "openid email" || after.DefaultMaxAge != nil {
			t.Errorf("not changed: %+v", after)
		}
		if after.ClientName != "Shop" || after.RefreshGrace != "5s" || !slices.Equal(after.GrantTypes, made.GrantTypes) ||
			!after.CreatedAt.Equal(made.CreatedAt) || after.TokenEndpointAuthMethod != "client_secret_basic" {
			t.Errorf("changed: %+v", after)
		}
		// To a key and back: each time it has only what it authenticates with.
		after = admin.Client{}
		c.want(&after, somePublicKey, "client", "update", "shop", "--auth-method", "private_key_jwt", "--jwks-file", "-")
		if after.TokenEndpointAuthMethod != "private_key_jwt" || compact(after.JWKS) != somePublicKey || len(after.Secrets) > 0 {
			t.Errorf("with a key: %+v", after)
		}
		after = admin.Client{}
		c.want(&after, "", "client", "update", "shop", "--jwks-uri", "https://a.example.com/jwks")
		if after.JWKSURI == "" || len(after.JWKS) > 0 || len(after.Secrets) > 0 {
			t.Errorf("with keys elsewhere: %+v", after)
		}
		if r := c.run("", "client", "rotate-secret", "shop"); r.status != exitUsage || !strings.Contains(r.stderr, "private_key_jwt and has no secret") {
			t.Errorf("%+v", r)
		}
		r = c.want(&after, "", "client", "update", "shop", "--auth-method", "client_secret_basic")
		if len(after.ClientSecret) != 43 || !strings.Contains(r.stderr, "Shown once") {
			t.Errorf("with a secret: %+v, %q", after, r.stderr)
		}
	})
}

// A mistake in one flag hides none in another, and each goes by the name that was typed.
func TestEveryMistakeOfACommandLineIsNamedAtOnceByItsFlag(t *testing.T) {
	c := offline(t)
	const mistakes = ` --refresh-grace soon --default-max-age x --jwks-file nowhere.json --accent jwks_uri --grant-type password,foo ` +
		`--redirect-uri javascript:a --subject-type pairwise`
	want := []string{
		`--refresh-grace: "soon" is not a duration`, `--default-max-age: "x" is not a duration`, "--jwks-file: nowhere.json cannot be read",
		`--accent: "jwks_uri" is not a colour`, `--grant-type: "foo" is not a grant type`, `--redirect-uri: "javascript:a"`,
	}
	c.want(nil, "", "client", "add", "shop", "--kind", "web", "--redirect-uri", "https://a.example.com/cb")
	for _, line := range []string{"client add usr_x --kind web" + mistakes, "client update shop" + mistakes} {
		r := c.run("", strings.Fields(line)...)
		for _, part := range want {
			if r.status != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, part) {
				t.Errorf("%s: %q is not in %+v", line, part, r)
			}
		}
		if n := strings.Count(r.stderr, "--jwks-file"); n != 1 {
			t.Errorf("the keys that cannot be read are named %d times: %s", n, r.stderr)
		}
	}
	if r := c.run("", "client", "add", "usr_x", "--kind", "service"); !strings.HasPrefix(r.stderr, `ingam: CLIENT_ID: "usr_x" may not`) {
		t.Errorf("%+v", r)
	}
	// None of them was done in part.
	var list []admin.Client
	if c.want(&list, "", "client", "list"); len(list) != 1 || list[0].RefreshGrace != "" {
		t.Errorf("%+v", list)
	}
}

func TestEveryFieldOfAClientHasAFlagThatProblemsAreNamedBy(t *testing.T) {
	command, _, err := func() (*cobra.Command, []string, error) {
		root, _ := newRootCommand(newTestApp(nil, nil, nil))
		return root.Find([]string{"client", "add"})
	}()
	if err != nil {
		t.Fatal(err)
	}
	fields := reflect.TypeFor[admin.Metadata]()
	for i := range fields.NumField() {
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		flag := flagOf[name]
		if flag != "CLIENT_ID" && command.Flags().Lookup(strings.TrimPrefix(flag, "--")) == nil {
			t.Errorf("%s: there is no flag %q", name, flag)
		}
	}
	if len(flagOf) != fields.NumField() {
		t.Errorf("%d names for %d fields", len(flagOf), fields.NumField())
	}
}

func TestAnUpdateThatIsRefusedSaysWhy(t *testing.T) {
	c := offline(t)
	c.want(nil, "", "client", "add", "shop", "--kind", "web", "--redirect-uri", "https://a.example.com/cb")
	private := filepath.Join(t.TempDir(), "private.json")
	writeFile(t, private, strings.Replace(somePublicKey, `"kid"`, `"d":"SECRET","kid"`, 1))
	for line, want := range map[string]string{
		"client update":        "CLIENT_ID is missing",
		"client update nobody": "no client nobody",
		"client update shop --redirect-uri javascript:alert(1)": "javascript",
		"client update shop --grant-type ":                      "--grant-type: is empty",
		"client update shop --refresh-grace soon":               "not a duration",
		"client update shop --jwks-file " + private:             "private",
		"client update shop --jwks-file " + os.DevNull:          "is not JSON",
		"client update shop --kind web":                         "unknown flag",
	} {
		r := c.run("", strings.Split(line, " ")...)
		if r.status == exitDone || !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "SECRET") {
			t.Errorf("%s: %+v", line, r)
		}
	}
}
