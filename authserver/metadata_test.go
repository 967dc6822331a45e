package authserver_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver"
)

// golden reads a document that the wire promises.
func golden(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	if len(b) == 0 {
		t.Fatalf("testdata/%s is empty", name)
	}
	return string(b)
}

var metadataPaths = []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}

// RFC 8414 §3, OIDC Discovery §4: both addresses have the document in testdata, byte for byte.
func TestTheMetadataIsTheGoldenDocument(t *testing.T) {
	r := newRig(t)
	for _, path := range metadataPaths {
		res := r.do(get(path))
		want(t, res, http.StatusOK, "")
		if res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("Content-Type is %q", res.Header.Get("Content-Type"))
		}
		if res.raw != golden(t, "metadata.json") {
			t.Errorf("%s is not testdata/metadata.json:\n%s", path, res.raw)
		}
	}
}

// Only what works is announced, and what works is announced.
func TestEverythingThatIsAnnouncedWorks(t *testing.T) {
	r := newRig(t)
	meta := r.do(get(metadataPaths[0])).body
	for name, value := range meta {
		url, _ := value.(string)
		if !strings.HasSuffix(name, "_endpoint") && !strings.HasSuffix(name, "_uri") {
			continue
		}
		path, ok := strings.CutPrefix(url, issuer)
		if !ok {
			t.Errorf("%s is %q, outside the issuer", name, url)
		}
		if r.do(get(path)).StatusCode == http.StatusNotFound && r.do(raw(path, "")).StatusCode == http.StatusNotFound {
			t.Errorf("%s: nothing is at %s", name, url)
		}
	}
	grants := list(meta, "grant_types_supported")
	for _, grant := range append(grants, "implicit", "urn:ietf:params:oauth:grant-type:device_code") {
		code := r.do(form("/oauth2/token", "grant_type", grant, "client_id", "cli")).str("error")
		if (code == "unsupported_grant_type") == slices.Contains(grants, grant) {
			t.Errorf("grant type %s is announced %v and answered %s", grant, slices.Contains(grants, grant), code)
		}
	}
	methods := map[string]*http.Request{
		"client_secret_basic": basic(form("/oauth2/revoke", "token", "x"), "web", webPlain),
		"client_secret_post":  form("/oauth2/revoke", "token", "x", "client_id", "web", "client_secret", webPlain),
		"none":                form("/oauth2/revoke", "token", "x", "client_id", "cli"),
		"private_key_jwt":     r.asserted(form("/oauth2/revoke", "token", "x")),
	}
	if got := list(meta, "revocation_endpoint_auth_methods_supported"); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(maps.Keys(methods))) {
		t.Errorf("methods: %v", got)
	}
	for name, req := range methods {
		if res := r.do(req); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, res.raw)
		}
	}
	if slices.Contains(list(meta, "introspection_endpoint_auth_methods_supported"), "none") {
		t.Error("introspection announces public clients")
	}
	// OIDC Discovery §3
	if !slices.Contains(list(meta, "id_token_signing_alg_values_supported"), "RS256") || !slices.Contains(list(meta, "scopes_supported"), "openid") {
		t.Error("RS256 or openid is missing")
	}
	id := r.verify(r.signIn("alice", "wonderland", "scope", "openid profile email").str("id_token"))
	for claim := range id.claims {
		if !slices.Contains(list(meta, "claims_supported"), claim) {
			t.Errorf("the claim %s is not announced", claim)
		}
	}
}

func list(doc map[string]any, name string) []string {
	var out []string
	all, _ := doc[name].([]any)
	for _, one := range all {
		s, _ := one.(string)
		out = append(out, s)
	}
	return out
}

// L9: the issuer is what was configured, whatever host a request names (Zitadel GHSA-93m4-mfpg-c3xf).
func TestTheIssuerIsNeverTakenFromTheRequest(t *testing.T) {
	r := newRig(t, trusting("0.0.0.0/0"))
	poison := func(req *http.Request) *http.Request {
		req.Host = "evil.example"
		for _, header := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Forwarded", "X-Original-Url"} {
			req.Header.Set(header, "evil.example")
		}
		return req
	}
	for _, path := range metadataPaths {
		if res := r.do(poison(get(path))); res.raw != golden(t, "metadata.json") {
			t.Errorf("%s: %s", path, res.raw)
		}
	}
	res := r.do(poison(raw("/oauth2/token", signInForm)))
	if iss := r.verify(res.str("access_token")).str("iss"); iss != issuer {
		t.Errorf("iss is %q", iss)
	}
}

// RFC 8414 §3.1, OIDC Discovery §4.1: with a path in the issuer, the one goes before it and the other after.
func TestAnIssuerWithAPathHasItsAddressesBelowIt(t *testing.T) {
	r := newRig(t, func(c *authserver.Config, _ *authserver.Dependencies) { c.Issuer = "https://id.example.test/tenant" })
	for path, status := range map[string]int{
		"/tenant/.well-known/openid-configuration": 200, "/.well-known/oauth-authorization-server/tenant": 200,
		"/tenant/.well-known/jwks.json": 200, "/tenantx/.well-known/jwks.json": 404, "/oauth2/token": 404, "/tenant": 404, "/": 404,
	} {
		if res := r.do(get(path)); res.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, status)
		}
	}
	meta := r.do(get("/.well-known/oauth-authorization-server/tenant")).body
	if meta["issuer"] != "https://id.example.test/tenant" || meta["token_endpoint"] != "https://id.example.test/tenant/oauth2/token" {
		t.Errorf("got %v", meta)
	}
	want(t, r.do(raw("/tenant/oauth2/token", signInForm)), http.StatusOK, "")
	wantDocument(t, r.do(raw("/oauth2/token", signInForm)), http.StatusNotFound)
}

// RFC 7517 §5: public keys with exactly the public members, and the one that signs among them.
func TestTheKeySetHasPublicMembersOnly(t *testing.T) {
	r := newRig(t)
	res := r.do(get("/.well-known/jwks.json"))
	want(t, res, http.StatusOK, "")
	var set struct{ Keys []map[string]any }
	must(t, json.Unmarshal([]byte(res.raw), &set))
	if len(set.Keys) == 0 {
		t.Fatal("no keys")
	}
	for _, key := range set.Keys {
		members := slices.Sorted(maps.Keys(key))
		if !slices.Equal(members, []string{"alg", "e", "kid", "kty", "n", "use"}) || key["kty"] != "RSA" || key["use"] != "sig" {
			t.Errorf("members are %v of %v", members, key["kty"])
		}
	}
	r.verify(r.signIn("alice", "wonderland").str("access_token"))
	if strings.Contains(res.raw, "HKDF") || strings.Contains(res.raw, "oct") {
		t.Errorf("a secret is published: %s", res.raw)
	}
}

// RFC 9110 §13.1.2, RFC 9111
func TestDocumentsAreCachedByTheirETag(t *testing.T) {
	r := newRig(t)
	for _, path := range append(metadataPaths, "/.well-known/jwks.json") {
		first := r.do(get(path))
		etag := first.Header.Get("ETag")
		if len(etag) < 4 || etag[0] != '"' || !strings.HasPrefix(first.Header.Get("Cache-Control"), "public, max-age=") {
			t.Errorf("%s: %v", path, first.Header)
		}
		for tags, status := range map[string]int{
			etag: 304, "W/" + etag: 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, strings.Trim(etag, `"`): 200, etag[:len(etag)-2] + `"`: 200, "": 200,
		} {
			req := get(path)
			req.Header.Set("If-None-Match", tags)
			res := r.do(req)
			if res.StatusCode != status || (status == 304) != (res.raw == "") || res.Header.Get("ETag") != etag {
				t.Errorf("%s, If-None-Match %s: %d with %d bytes", path, tags, res.StatusCode, len(res.raw))
			}
		}
		head := r.do(httptest.NewRequest(http.MethodHead, path, nil))
		if head.StatusCode != http.StatusOK || head.raw != "" || head.Header.Get("Content-Length") != first.Header.Get("Content-Length") {
			t.Errorf("HEAD %s: %d, %q, %v", path, head.StatusCode, head.raw, head.Header)
		}
	}
}

// P9
func TestDocumentsAnswerGETAndHEADOnly(t *testing.T) {
	r := newRig(t)
	for _, path := range append(metadataPaths, "/.well-known/jwks.json") {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			res := r.do(httptest.NewRequest(method, path, nil))
			wantDocument(t, res, http.StatusMethodNotAllowed)
			if res.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: Allow is %q", method, res.Header.Get("Allow"))
			}
		}
	}
}
