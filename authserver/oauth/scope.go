package oauth

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// parseScope splits a scope parameter (RFC 6749 §3.3): tokens of printable characters but " and \, separated by
// single spaces. Repeated tokens count once. The order is kept.
func parseScope(param string) ([]string, error) {
	if param == "" {
		return nil, nil
	}
	if strings.Count(param, " ") >= maxScopes {
		return nil, invalidScope(fmt.Sprintf("More than %d scopes were asked for.", maxScopes))
	}
	var scopes []string
	for token := range strings.SplitSeq(param, " ") {
		if token == "" {
			continue // several spaces: harmless, and seen in the wild
		}
		if strings.ContainsFunc(token, func(r rune) bool { return r <= 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
			return nil, invalidScope("A scope has characters that RFC 6749 section 3.3 does not allow.")
		}
		if !slices.Contains(scopes, token) {
			scopes = append(scopes, token)
		}
	}
	return scopes, nil
}

// within answers the requested values, or fallback if none were requested; refused is the first one that is not allowed.
func within(requested, allowed, fallback []string) (granted []string, refused string) {
	if len(requested) == 0 {
		return fallback, ""
	}
	for _, one := range requested {
		if !slices.Contains(allowed, one) {
			return nil, one
		}
	}
	return requested, ""
}

// scopeOutside is the answer for a scope that was not granted or registered.
func scopeOutside(scope, what string) error {
	if len(scope) > 60 {
		scope = scope[:60] + "..."
	}
	return invalidScope("The scope '" + scope + "' is not among those " + what + ".")
}

// requestedAudience reads resource (RFC 8707 §2) and audience, which older clients send for the same purpose.
func requestedAudience(form url.Values) []string {
	var all []string
	for _, value := range slices.Concat(form["resource"], form["audience"]) {
		if value != "" && !slices.Contains(all, value) {
			all = append(all, value)
		}
	}
	return all
}

// intersect keeps what is in both, in the order of a.
func intersect(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}
