package authserver_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver"
)

// metadataMembers are members that a provider's metadata may have, of the IANA registry "OAuth Authorization Server
// Metadata" and OIDC Discovery §3, by the type of their values. The suite warns of any other.
var metadataMembers = map[string][]string{
	"address": {
		"issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "revocation_endpoint",
		"introspection_endpoint", "pushed_authorization_request_endpoint", "end_session_endpoint", "registration_endpoint",
		"op_policy_uri", "op_tos_uri", "service_documentation",
	},
	"list": {
		"scopes_supported", "response_types_supported", "response_modes_supported", "grant_types_supported", "code_challenge_methods_supported",
		"subject_types_supported", "id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported", "claim_types_supported",
		"claims_supported", "acr_values_supported", "display_values_supported", "prompt_values_supported", "ui_locales_supported",
		"claims_locales_supported", "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
		"revocation_endpoint_auth_methods_supported", "revocation_endpoint_auth_signing_alg_values_supported",
		"introspection_endpoint_auth_methods_supported", "introspection_endpoint_auth_signing_alg_values_supported",
		"request_object_signing_alg_values_supported",
	},
	"bool": {
		"authorization_response_iss_parameter_supported", "claims_parameter_supported", "request_parameter_supported",
		"request_uri_parameter_supported", "require_request_uri_registration", "require_pushed_authorization_requests",
		"backchannel_logout_supported", "backchannel_logout_session_supported", "frontchannel_logout_supported",
		"frontchannel_logout_session_supported",
	},
	"text": {"description", "organization_name"},
}

// fits tells whether a value has the type of its member; nothing is empty or null.
func fits(kind string, value any, base string) bool {
	text, isString := value.(string)
	switch kind {
	case "address":
		return text == base || strings.HasPrefix(text, base+"/")
	case "list":
		all, ok := value.([]any)
		return ok && len(all) > 0 && !slices.ContainsFunc(all, func(one any) bool { s, ok := one.(string); return !ok || s == "" })
	case "bool":
		_, ok := value.(bool)
		return ok
	case "text":
		return isString && text != ""
	}
	return false
}

// oidcc-discovery-endpoint-verification, oidcc-rp-initiated-logout-discovery-endpoint-verification,
// oidcc-backchannel-logout-discovery-endpoint-verification, oidcc-frontchannel-logout-discovery-endpoint-verification.
func TestConformanceTheDiscoveryDocument(t *testing.T) {
	const base = "https://id.example.test"
	r := newRig(t, func(c *authserver.Config, _ *authserver.Dependencies) { c.Issuer = base })
	res := r.do(get("/.well-known/openid-configuration"))
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("got %d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	meta := res.body
	if meta["issuer"] != base {
		t.Errorf("issuer is %v", meta["issuer"])
	}
	for name, value := range meta {
		fitting := false
		for kind, members := range metadataMembers {
			fitting = fitting || slices.Contains(members, name) && fits(kind, value, base)
		}
		if !fitting {
			t.Errorf("%s: %v is not registered, or not of its type", name, value)
		}
	}
	for name, values := range map[string][]string{
		"response_types_supported": {"code"}, "subject_types_supported": {"public"}, "id_token_signing_alg_values_supported": {"RS256"},
		"scopes_supported":      {"openid", "profile", "email", "address", "phone", "offline_access"},
		"claims_supported":      {"sub", "name", "auth_time"},
		"grant_types_supported": {"authorization_code", "refresh_token"}, "response_modes_supported": {"query", "form_post"},
		"token_endpoint_auth_methods_supported":       {"client_secret_basic", "client_secret_post"},
		"request_object_signing_alg_values_supported": {"RS256"}, "userinfo_signing_alg_values_supported": {"RS256"},
	} {
		for _, value := range values {
			if !slices.Contains(list(meta, name), value) {
				t.Errorf("%s lacks %s", name, value)
			}
		}
	}
	for _, name := range []string{
		"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint",
	} {
		if meta[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	for name, want := range map[string]bool{
		"claims_parameter_supported": true, "request_parameter_supported": true, "request_uri_parameter_supported": false,
		"backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
		"frontchannel_logout_supported": true, "frontchannel_logout_session_supported": true,
	} {
		if meta[name] != want {
			t.Errorf("%s is %v", name, meta[name])
		}
	}
	if slices.Contains(list(meta, "id_token_signing_alg_values_supported"), "none") {
		t.Error("unsigned ID tokens are announced")
	}
	// RFC 5646 §2.1.1
	for _, tag := range list(meta, "ui_locales_supported") {
		if !regexp.MustCompile(`^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$`).MatchString(tag) {
			t.Errorf("ui_locales_supported: %q is not spelled as language tags are", tag)
		}
	}
	// RFC 6749 appendix A.4
	for _, scope := range list(meta, "scopes_supported") {
		if !regexp.MustCompile(`^[\x21\x23-\x5b\x5d-\x7e]+$`).MatchString(scope) {
			t.Errorf("scopes_supported: %q", scope)
		}
	}
}

// What every module begins with: the keys have an id each, can be read, and hold nothing private.
func TestConformanceTheKeySet(t *testing.T) {
	r := newRig(t)
	res := r.do(get("/.well-known/jwks.json"))
	var set struct{ Keys []map[string]any }
	must(t, json.Unmarshal([]byte(res.raw), &set))
	seen := map[any]bool{}
	for _, key := range set.Keys {
		kid, _ := key["kid"].(string)
		if kid == "" || seen[kid] || key["kty"] != "RSA" || key["use"] != "sig" || key["alg"] != "RS256" {
			t.Errorf("key %v", key)
		}
		seen[kid] = true
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if key[private] != nil {
				t.Errorf("key %s has %s", kid, private)
			}
		}
		modulus, _ := key["n"].(string)
		exponent, _ := key["e"].(string)
		if len(bytesOf(t, modulus)) < 256 || len(bytesOf(t, exponent)) == 0 {
			t.Errorf("key %s is short", kid)
		}
	}
	if len(seen) == 0 {
		t.Error("no keys")
	}
}
