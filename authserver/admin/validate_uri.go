package admin

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// checkRedirectURI tells what is wrong with a redirect URI (threats A2), "" if nothing is. Since redirect URIs are
// compared character by character (RFC 9700 §2.1), nothing that could be read in two ways is let in:
//
//   - https with a host, or http to this very machine (RFC 8252 §7.3), or a private-use scheme of an app, which has a
//     dot because it is a domain name turned around (RFC 8252 §7.1);
//   - no fragment (RFC 6749 §3.1.2), no user, no wildcard, no backslash, ASCII only.
func checkRedirectURI(s string) string {
	switch {
	case s == "":
		return "is empty"
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }):
		return "may only have printable ASCII characters, no space and no backslash"
	case strings.Contains(s, "#"):
		return "must not have a fragment (RFC 6749 §3.1.2)"
	case strings.Contains(s, "*"):
		return "must be one address: there are no wildcards (RFC 9700 §2.1)"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "":
		return "is not an absolute URI"
	case !strings.HasPrefix(s, u.Scheme+":"):
		return "must have its scheme in small letters"
	case u.User != nil:
		return "must not name a user"
	}
	switch u.Scheme {
	case "https", "http":
		return checkWebURI(u)
	case "javascript", "data", "vbscript", "file", "blob", "about":
		return "has a scheme that is never a redirect URI: " + u.Scheme
	}
	if !strings.Contains(u.Scheme, ".") {
		return "must be https, http to this machine, or an app's own scheme with a dot, like com.example.app:/callback"
	}
	if u.Opaque != "" || !strings.HasPrefix(s[len(u.Scheme)+1:], "/") {
		return "must go on with a slash after its scheme, like " + u.Scheme + ":/callback (RFC 8252 §7.1)"
	}
	return ""
}

// checkCallback wants a redirect URI that keeps the parameters of the answer to the server: of two with one name the client may
// read the wrong one (RFC 6749 §4.1.2 and §4.1.2.1, RFC 9207 §2).
func checkCallback(s string) string {
	return checkAnswered(s, "code", "state", "iss", "error", "error_description", "error_uri")
}

// checkAfterLogout is the same for where the browser goes after a logout: state comes back there (OIDC RP-Initiated Logout §3).
func checkAfterLogout(s string) string { return checkAnswered(s, "state") }

// checkAnswered checks a redirect URI to which the server adds these parameters.
func checkAnswered(s string, added ...string) string {
	if wrong := checkRedirectURI(s); wrong != "" {
		return wrong
	}
	_, query, _ := strings.Cut(s, "?")
	// Some readers take a semicolon for another &.
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil && slices.Contains(added, plain) {
			return `must not have the parameter "` + plain + `" in its query: the server adds it to the answer; choose another name`
		}
	}
	return ""
}

// checkWebURI checks the host and port of an http or https URI.
func checkWebURI(u *url.URL) string {
	if u.Opaque != "" || u.Hostname() == "" {
		return "must have a host"
	}
	if strings.HasSuffix(u.Host, ":") {
		return "has a colon without a port"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "has a port that does not exist"
		}
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return "must be https; http is for this machine only: 127.0.0.1, [::1] or localhost (RFC 9700 §2.1)"
	}
	return ""
}

// checkEndpointURI is for addresses that the server calls or shows: https, or http to this machine, without a fragment.
func checkEndpointURI(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }) {
		return "may only have printable ASCII characters, no space and no backslash"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http":
		return "must begin with https:// (http:// for this machine only)"
	case strings.Contains(s, "#"):
		return "must not have a fragment"
	case u.User != nil:
		return "must not name a user"
	}
	return checkWebURI(u)
}

// checkOrigin wants an origin as browsers send it (RFC 6454 §6.2), since it is compared as text.
func checkOrigin(s string) string {
	const wrong = "is not an origin; write it like https://app.example.com, without a path or a slash at the end"
	if checkEndpointURI(s) != "" || strings.Contains(s, "*") || s != originOf(s) {
		return wrong + "; https, or http to this machine"
	}
	return ""
}

// originOf is the origin of a web address as browsers write it: small letters, no default port. "" for other schemes.
func originOf(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return u.Scheme + "://" + host
}

// isLoopback goes by the name alone: nothing is looked up.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// checkAudience wants what goes into aud to be plain: a token like "orders-api", or an absolute URI without fragment
// as RFC 8707 §2 asks of resource.
func checkAudience(s string) string {
	if !strings.Contains(s, ":") {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("._~-/", r) }) {
			return "may only have letters, digits and . _ ~ - / if it is not a URI"
		}
		return ""
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\<>^{|}`+"`", r) }) {
		return "has characters that a URI does not have"
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "":
		return "is not an absolute URI"
	case strings.Contains(s, "#"):
		return "must not have a fragment (RFC 8707 §2)"
	case u.User != nil:
		return "must not name a user"
	case (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() == "":
		return "must have a host"
	}
	return ""
}
