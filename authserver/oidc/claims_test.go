package oidc

import (
	"encoding/json"
	"testing"

	"github.com/ingam/ingam/storage"
)

// OIDC Core §5.1: each claim has its JSON type, whatever was stored; what cannot be one is left out, as is what is empty
// (§5.3.2).
func TestClaimsHaveTheTypesOfTheSpecification(t *testing.T) {
	for _, c := range []struct {
		name   string
		stored any
		want   string // as JSON; "" is left out
	}{
		{"email_verified", true, `true`},
		{"email_verified", "true", `true`},
		{"email_verified", "FALSE", `false`},
		{"email_verified", "yes", ``},
		{"email_verified", 1.0, ``},
		{"phone_number_verified", "true", `true`},
		{"updated_at", 1700000000.0, `1700000000`},
		{"updated_at", 1700000000, `1700000000`},
		{"updated_at", 1700000000.9, `1700000000`},
		{"updated_at", json.Number("1700000000"), `1700000000`},
		{"updated_at", "1700000000", `1700000000`},
		{"updated_at", "2023-11-14T22:13:20Z", `1700000000`},
		{"updated_at", "yesterday", ``},
		{"updated_at", 1e300, ``},
		{"updated_at", true, ``},
		{"address", map[string]any{"locality": "Seoul", "country": "KR", "x": "y", "region": ""}, `{"country":"KR","locality":"Seoul"}`},
		{"address", map[string]any{"postal_code": 1234.0}, `{"postal_code":"1234"}`},
		{"address", "1 Main St", `{"formatted":"1 Main St"}`},
		{"address", map[string]any{}, ``},
		{"address", []any{"x"}, ``},
		{"birthdate", 1990.0, `"1990"`},
		{"phone_number", 821012345678.0, `"821012345678"`},
		{"name", "Alice", `"Alice"`},
		{"name", "", ``},
		{"name", nil, ``},
		{"name", true, ``},
		{"picture", map[string]any{"url": "x"}, ``},
		{"groups", []any{"a", "b"}, `["a","b"]`},
		{"groups", "a", `["a"]`},
		{"groups", 7, ``},
		{"level", 7.0, ``}, // OIDC Core §5.5: not understood
		{"name#ko", "앨리스", `"앨리스"`},
		{"name#ko", []any{"x"}, ``},
		{"level#ko", "x", ``},
		{"exp", 7.0, ``},
	} {
		claims := namedClaims(storage.User{Username: "u", Claims: map[string]any{c.name: c.stored}}, []string{c.name})
		value, there := claims[c.name]
		got, err := json.Marshal(value)
		must(t, err)
		if there != (c.want != "") || there && string(got) != c.want {
			t.Errorf("%s stored as %#v: %s, want %s", c.name, c.stored, got, c.want)
		}
	}
}

// OIDC Core §5.4
func TestTheScopesAskForAllClaimsOfTheSpecification(t *testing.T) {
	u := storage.User{Username: "u", Claims: map[string]any{}}
	for _, names := range scopeClaims {
		for _, name := range names {
			u.Claims[name] = "1"
		}
	}
	for _, name := range []string{"email_verified", "phone_number_verified"} {
		u.Claims[name] = "true"
	}
	for scope, count := range map[string]int{"profile": 14, "email": 2, "address": 1, "phone": 2, "openid": 0, "offline_access": 0} {
		if got := UserClaims(u, []string{scope}); len(got) != count {
			t.Errorf("scope %s: %v", scope, got)
		}
	}
}
