package oidc

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

// scopeClaims are the claims that each scope asks for (OIDC Core §5.4); groups is what most relying parties expect.
var scopeClaims = map[string][]string{
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
		"website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email":   {"email", "email_verified"},
	"address": {"address"},
	"phone":   {"phone_number", "phone_number_verified"},
	"groups":  {"groups"},
}

// UserClaims answers the facts about a user that the scopes ask for (OIDC Core §5.4).
func UserClaims(u storage.User, scopes []string) map[string]any {
	var names []string
	for _, scope := range scopes {
		names = append(names, scopeClaims[scope]...)
	}
	return namedClaims(u, names)
}

// askedClaims answers the facts that were asked for by name (OIDC Core §5.5), as far as the client is registered today for
// their scopes (threats A18).
func askedClaims(u storage.User, c storage.Client, names []string) map[string]any {
	var allowed []string
	for _, scope := range c.Scopes {
		allowed = append(allowed, scopeClaims[scope]...)
	}
	return namedClaims(u, slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !slices.Contains(allowed, withoutLanguage(name))
	}))
}

// withoutLanguage cuts off the language of a claim: name#ko is the name in Korean (OIDC Core §5.2).
func withoutLanguage(name string) string {
	plain, _, _ := strings.Cut(name, "#")
	return plain
}

// namedClaims answers the facts about a user with these names, as far as there are such facts.
func namedClaims(u storage.User, names []string) map[string]any {
	claims := make(map[string]any)
	for _, name := range names {
		if value := asClaim(name, u.Claims[name]); value != nil {
			claims[name] = value
		} else if name == "preferred_username" {
			claims[name] = u.Username
		}
	}
	return claims
}

// asClaim answers a stored value with the JSON type that OIDC Core §5.1 has for a claim of that name, or nil where the value
// cannot be one, or where the name belongs to no scope: what else an operator stores is nobody's claim. Values come from
// files and from imports of other servers, which are careless with types; a client that reads "true" where a boolean
// belongs fails or, worse, does not.
func asClaim(name string, value any) any {
	if value == nil {
		return nil
	}
	name = withoutLanguage(name)
	switch name {
	case "email_verified", "phone_number_verified":
		return asBool(value)
	case "updated_at":
		return asSeconds(value)
	case "address":
		return asAddress(value)
	case "groups":
		return asList(value)
	}
	for _, names := range scopeClaims {
		if slices.Contains(names, name) {
			return asString(value)
		}
	}
	return nil
}

func asBool(value any) any {
	switch v := value.(type) {
	case bool:
		return v
	case string:
		switch strings.ToLower(v) {
		case "true":
			return true
		case "false":
			return false
		}
	}
	return nil
}

// asString: numbers are what unquoted YAML makes of a year or of a phone number. OIDC Core §5.3.2: no empty strings.
func asString(value any) any {
	if v, ok := value.(string); ok && v != "" {
		return v
	}
	if n, ok := asNumber(value); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return nil
}

// asSeconds is a time as seconds since 1970.
func asSeconds(value any) any {
	if n, ok := asNumber(value); ok {
		return int64(n)
	}
	text, ok := value.(string)
	if !ok {
		return nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.Unix()
	}
	return nil
}

// asNumber reads what JSON and Go have for numbers, as long as a reader of JSON can hold it (RFC 8259 §6).
func asNumber(value any) (float64, bool) {
	var n float64
	switch v := value.(type) {
	case float64:
		n = v
	case int:
		n = float64(v)
	case int64:
		n = float64(v)
	case uint64:
		n = float64(v)
	case json.Number:
		parsed, err := v.Float64()
		if err != nil {
			return 0, false
		}
		n = parsed
	default:
		return 0, false
	}
	return n, math.Abs(n) < 1<<53
}

// addressMembers are those of OIDC Core §5.1.1.
var addressMembers = []string{"formatted", "street_address", "locality", "region", "postal_code", "country"}

// asAddress is an object; an address in one string is its "formatted".
func asAddress(value any) any {
	if text, ok := value.(string); ok && text != "" {
		return map[string]any{"formatted": text}
	}
	members, _ := value.(map[string]any)
	address := make(map[string]any)
	for _, name := range addressMembers {
		if text := asString(members[name]); text != nil {
			address[name] = text
		}
	}
	if len(address) == 0 {
		return nil
	}
	return address
}

// asList is a list of names; one name alone is a list of one.
func asList(value any) any {
	switch v := value.(type) {
	case []any:
		return v
	case []string:
		return v
	case string:
		if v != "" {
			return []string{v}
		}
	}
	return nil
}
