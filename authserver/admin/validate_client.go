package admin

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/ingam/ingam/storage"
)

// maxDefaultMaxAge is a hundred years in seconds: more would overflow a duration somewhere.
const maxDefaultMaxAge = 100 * 365 * 24 * 60 * 60

var responseModes = []string{"query", "form_post", "fragment"}

// authorization checks what a client may do at the authorization endpoint.
func (c *checker) authorization(cl storage.Client) {
	c.each("response_modes", cl.ResponseModes, func(mode string) string {
		if !slices.Contains(responseModes, mode) {
			return "is not one of " + strings.Join(responseModes, ", ")
		}
		return ""
	})
	// OIDC Registration §2: default_max_age is a number of seconds.
	if age := cl.DefaultMaxAge; age != nil && (*age < 0 || *age > maxDefaultMaxAge) {
		c.bad("default_max_age", "%d is not a number of seconds from 0 to %d", *age, maxDefaultMaxAge)
	}
	c.each("allowed_origins", cl.AllowedOrigins, checkOrigin)
}

// subject checks what a client learns about people.
func (c *checker) subject(cl storage.Client) {
	// OIDC Core §5.3.2: the server signs with RS256, which every client can check.
	if cl.UserInfoAlg != "" && cl.UserInfoAlg != "RS256" {
		c.bad("userinfo_signed_response_alg", "%q is not RS256; leave it out for plain JSON", cl.UserInfoAlg)
	}
	const field = "sector_identifier"
	switch {
	case cl.Sector != "" && !cl.Pairwise:
		c.bad(field, "is for subject_type pairwise")
	case cl.Sector != "":
		if wrong := checkHostName(cl.Sector); wrong != "" {
			c.bad(field, "%q %s", cl.Sector, wrong)
		}
	case cl.Pairwise && !slices.ContainsFunc(c.problems, func(p Problem) bool { return p.Field == "redirect_uris" }):
		// OIDC Core §8.1: with several hosts there must be one name for all of them.
		if hosts := redirectHosts(cl); len(hosts) != 1 || hosts[0] == "" {
			c.bad(field, "is missing; pairwise needs a host name here unless all redirect URIs are web addresses of the same host")
		}
	}
}

// redirectHosts are the hosts of the redirect URIs, each once, in order; "" stands for an app's own scheme, which has none.
func redirectHosts(cl storage.Client) []string {
	var hosts []string
	for _, uri := range cl.RedirectURIs {
		host := ""
		if u, err := url.Parse(uri); err == nil {
			host = strings.ToLower(u.Hostname())
		}
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// logout checks where a client hears of a logout and where the browser goes after one.
func (c *checker) logout(cl storage.Client) {
	// OIDC RP-Initiated Logout §3.1: compared exactly, so the rules of redirect URIs hold.
	c.each("post_logout_redirect_uris", cl.PostLogoutRedirectURIs, checkAfterLogout)
	// OIDC Back-Channel Logout §2.2
	c.endpoint("backchannel_logout_uri", cl.BackchannelLogoutURI)
	const front = "frontchannel_logout_uri"
	if !c.endpoint(front, cl.FrontchannelLogoutURI) {
		return
	}
	// OIDC Front-Channel Logout §2: "The domain, port, and scheme of this URL MUST be the same as that of a registered
	// Redirection URI value."
	origin := originOf(cl.FrontchannelLogoutURI)
	if !slices.ContainsFunc(cl.RedirectURIs, func(uri string) bool { return originOf(uri) == origin }) {
		c.bad(front, "%q must have scheme, host and port of one of the redirect URIs (OIDC Front-Channel Logout §2)", cl.FrontchannelLogoutURI)
	}
}

// presentation checks what people see of a client.
func (c *checker) presentation(cl storage.Client) {
	c.endpoint("client_uri", cl.URI)
	c.endpoint("logo_uri", cl.LogoURI)
	if cl.Accent != "" {
		if wrong := CheckAccent(cl.Accent); wrong != "" {
			c.bad("accent", "%q %s", cl.Accent, wrong)
		}
	}
}

// endpoint checks a single URI that is called or shown; it tells whether there is one and nothing is wrong with it.
func (c *checker) endpoint(field, uri string) bool {
	if uri == "" {
		return false
	}
	if len(uri) > maxItem {
		c.bad(field, "is %d bytes long; at most %d", len(uri), maxItem)
		return false
	}
	if wrong := checkEndpointURI(uri); wrong != "" {
		c.bad(field, "%q %s", uri, wrong)
		return false
	}
	return true
}

// CheckAccent tells what is wrong with a colour, "" if nothing is. One form only: it goes into a style sheet.
func CheckAccent(s string) string {
	hexadecimal := func(r rune) bool { return '0' <= r && r <= '9' || 'a' <= r && r <= 'f' || 'A' <= r && r <= 'F' }
	if len(s) != 7 || s[0] != '#' || strings.ContainsFunc(s[1:], func(r rune) bool { return !hexadecimal(r) }) {
		return "is not a colour like #0b57d0"
	}
	return ""
}

// checkHostName wants a name in small letters without anything around it.
func checkHostName(s string) string {
	odd := func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '.') }
	if len(s) > 253 || strings.ContainsFunc(s, odd) {
		return "is not a host name in small letters, like example.com, without scheme, port and path"
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return fmt.Sprintf("has a part that no host name has: %q", label)
		}
	}
	return ""
}
