package authserver_test

import (
	"encoding/json"
	"maps"
	"net/mail"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// claimsOfScope are those of OIDC Core §5.4.
var claimsOfScope = map[string][]string{
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
		"gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email": {"email", "email_verified"}, "address": {"address"}, "phone": {"phone_number", "phone_number_verified"},
}

var allClaims = slices.Concat(slices.Collect(maps.Values(claimsOfScope))...)

// claimChecks are the types and forms of OIDC Core §5.1; a claim that is not here is text.
var claimChecks = map[string]func(value any) bool{
	"email_verified":        isBool,
	"phone_number_verified": isBool,
	"updated_at": func(value any) bool {
		n, ok := value.(float64)
		return ok && n > 631152000 && n <= float64(time.Now().Unix()) // since 1990
	},
	"address": func(value any) bool {
		members, ok := value.(map[string]any)
		for name, text := range members {
			ok = ok && isText(text) && slices.Contains([]string{"formatted", "street_address", "locality", "region", "postal_code", "country"}, name)
		}
		return ok && len(members) > 0
	},
	"profile": isWebAddress, "picture": isWebAddress, "website": isWebAddress,
	"birthdate": matches(`^\d{4}(-\d\d-\d\d)?$`), "locale": matches(`^[a-z]{2,3}([-_][A-Z]{2})?$`), "phone_number": matches(`^\+[\d ()-]+$`),
	"zoneinfo": func(value any) bool { _, err := time.LoadLocation(value.(string)); return err == nil },
	"email":    func(value any) bool { _, err := mail.ParseAddress(value.(string)); return err == nil },
}

func isBool(value any) bool { _, ok := value.(bool); return ok }

// isText: what there is no value for is left out, and neither null nor empty (OIDC Core §5.3.2).
func isText(value any) bool {
	text, ok := value.(string)
	return ok && strings.TrimSpace(text) != "" && !strings.EqualFold(text, "null")
}

func isWebAddress(value any) bool {
	u, err := url.Parse(value.(string))
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

func matches(pattern string) func(value any) bool {
	compiled := regexp.MustCompile(pattern)
	return func(value any) bool { return compiled.MatchString(value.(string)) }
}

// checkUserinfo checks that an answer has these claims and no others, all with the right type and announced, about the user
// of the ID token.
func (s *suite) checkUserinfo(info map[string]any, id jws, claims ...string) {
	s.t.Helper()
	if want := slices.Sorted(slices.Values(append([]string{"sub"}, claims...))); !slices.Equal(slices.Sorted(maps.Keys(info)), want) {
		s.t.Errorf("userinfo has %v, want %v", slices.Sorted(maps.Keys(info)), want)
	}
	if info["sub"] != id.claims["sub"] {
		s.t.Errorf("userinfo: sub is %v, in the ID token %v", info["sub"], id.claims["sub"])
	}
	for name, value := range info {
		check, special := claimChecks[name]
		_, isString := value.(string)
		if !special && !isText(value) || special && (isString && !isText(value) || !check(value)) {
			s.t.Errorf("userinfo: %s is %#v", name, value)
		}
		if !slices.Contains(list(s.metadata, "claims_supported"), name) {
			s.t.Errorf("userinfo: %s is not announced", name)
		}
		if name != "sub" && !reflect.DeepEqual(value, asJSON(s.t, aliceClaims()[name])) {
			s.t.Errorf("userinfo: %s is %#v, want %#v", name, value, aliceClaims()[name])
		}
	}
}

// asJSON is a value as a reader of JSON sees it.
func asJSON(t testing.TB, value any) (out any) {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	must(t, json.Unmarshal(text, &out))
	return out
}

// oidcc-scope-profile, oidcc-scope-email, oidcc-scope-address, oidcc-scope-phone, oidcc-scope-all: userinfo tells what the
// scopes stand for, and the ID token does not.
func TestConformanceTheScopesAreAnsweredAtUserinfo(t *testing.T) {
	for module, c := range map[string]struct {
		scope  string
		claims []string
	}{
		"oidcc-scope-profile": {"openid profile", claimsOfScope["profile"]},
		"oidcc-scope-email":   {"openid email", claimsOfScope["email"]},
		"oidcc-scope-address": {"openid address", claimsOfScope["address"]},
		"oidcc-scope-phone":   {"openid phone", claimsOfScope["phone"]},
		"oidcc-scope-all":     {"openid email phone address profile", allClaims},
	} {
		t.Run(module, func(t *testing.T) {
			inBothModes(t, func(t testing.TB, s *suite) {
				f := s.complete(s.request("scope", c.scope))
				s.checkUserinfo(s.userinfo(f.access).body, f.id, c.claims...)
				granted := f.tokens.str("scope")
				if !slices.Equal(slices.Sorted(strings.FieldsSeq(granted)), slices.Sorted(strings.FieldsSeq(c.scope))) {
					t.Errorf("asked for %q, granted %q", c.scope, granted)
				}
				for name := range strings.FieldsSeq(c.scope) {
					if !slices.Contains(list(s.metadata, "scopes_supported"), name) {
						t.Errorf("scope %s is not announced", name)
					}
				}
			})
		})
	}
}

// oidcc-ensure-other-scope-order-succeeds, oidcc-alternate-happy-flow.
func TestConformanceOpenIDNeedNotBeTheFirstScope(t *testing.T) {
	inBothModes(t, func(_ testing.TB, s *suite) {
		f := s.complete(s.request("scope", "email openid"))
		s.checkUserinfo(s.userinfo(f.access).body, f.id, claimsOfScope["email"]...)
	})
}

// oidcc-claims-essential: the claim comes where it was asked for, and there only.
func TestConformanceAnEssentialClaimIsReturned(t *testing.T) {
	inBothModes(t, func(_ testing.TB, s *suite) {
		f := s.complete(s.request("claims", `{"userinfo":{"name":{"essential":true}}}`))
		s.checkUserinfo(s.userinfo(f.access).body, f.id, "name")
	})
}
