package admin

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ingam/ingam/storage"
)

// Problem is one thing that is wrong with a record.
type Problem struct {
	// Field is the name of a field in the API's JSON.
	Field string
	// Message says which value is wrong and what would be right. It never holds a secret.
	Message string
}

// String joins both.
func (p Problem) String() string { return p.Field + ": " + p.Message }

// userPrefix begins the id of every user and of no client, so that the sub of a token that a client got for itself
// can never be taken for a user (RFC 9700 §4.15, threats J20).
const userPrefix = "usr_"

const (
	maxClientID = 128
	maxName     = 200
	maxItems    = 100 // redirect URIs, scopes, audiences of one client
	maxItem     = 2048
	maxSecrets  = 2
	// maxRefreshGrace is the server's own bound; see authserver.Config.
	maxRefreshGrace = 5 * time.Minute
)

// Grant types that a client may be registered for, by their names in RFC 7591 §2.
const (
	grantPassword          = "password"
	grantRefreshToken      = "refresh_token"
	grantClientCredentials = "client_credentials"
	grantAuthorizationCode = "authorization_code"
)

var grantTypes = []string{grantPassword, grantRefreshToken, grantClientCredentials, grantAuthorizationCode}

// checker collects problems.
type checker struct{ problems []Problem }

func (c *checker) bad(field, format string, args ...any) {
	c.problems = append(c.problems, Problem{Field: field, Message: fmt.Sprintf(format, args...)})
}

// each runs check on every element, after those on the list itself: not too many, none twice.
func (c *checker) each(field string, list []string, check func(string) string) {
	if len(list) > maxItems {
		c.bad(field, "has %d entries; at most %d", len(list), maxItems)
		return
	}
	for i, one := range list {
		switch {
		case len(one) > maxItem:
			c.bad(field, "entry %d is %d bytes long; at most %d", i+1, len(one), maxItem)
		case slices.Index(list, one) < i:
			c.bad(field, "%q is there twice", one)
		default:
			if wrong := check(one); wrong != "" {
				c.bad(field, "%q %s", one, wrong)
			}
		}
	}
}

// CheckClient lists everything that is wrong with a client, nil if nothing is. It is the one set of rules for clients
// made through the API and for those of configuration files. Version, Source and CreatedAt are not looked at.
func CheckClient(c storage.Client) []Problem {
	var k checker
	if wrong := checkClientID(c.ID); wrong != "" {
		k.bad("client_id", "%q %s", c.ID, wrong)
	}
	if wrong := checkText(c.Name, maxName); wrong != "" {
		k.bad("client_name", "%s", wrong)
	}
	k.grants(c)
	k.authentication(c)
	k.keys(c)
	k.each("redirect_uris", c.RedirectURIs, checkCallback)
	k.each("scope", c.Scopes, checkScope)
	k.each("default_scope", c.DefaultScopes, func(s string) string {
		if !slices.Contains(c.Scopes, s) {
			return "is not in scope"
		}
		return ""
	})
	k.each("audience", c.Audience, checkAudience)
	k.each("resources", c.Resources, checkAudience)
	if len(c.Resources) > 0 && c.Public {
		k.bad("resources", "are for a client with a secret or a key: introspection authenticates its caller (RFC 7662 §2.1)")
	}
	if g := c.RefreshGrace; g != nil && (*g < 0 || *g > maxRefreshGrace) {
		k.bad("refresh_grace", "%s is not between 0s and %s", *g, maxRefreshGrace)
	}
	k.authorization(c)
	k.subject(c)
	k.logout(c)
	k.presentation(c)
	return k.problems
}

// grants checks the grant types and what they ask of the rest of the client.
func (c *checker) grants(cl storage.Client) {
	const field = "grant_types"
	has := func(g string) bool { return slices.Contains(cl.GrantTypes, g) }
	if len(cl.GrantTypes) == 0 && len(cl.Resources) == 0 {
		c.bad(field, "is empty; choose from %s", strings.Join(grantTypes, ", "))
	}
	c.each(field, cl.GrantTypes, func(g string) string {
		if !slices.Contains(grantTypes, g) {
			return "is not a grant type of this server; choose from " + strings.Join(grantTypes, ", ")
		}
		return ""
	})
	if has(grantClientCredentials) && cl.Public {
		// RFC 6749 §4.4: "MUST only be used by confidential clients".
		c.bad(field, "client_credentials needs a client with a secret or a key "+
			"(token_endpoint_auth_method client_secret_basic or private_key_jwt)")
	}
	if has(grantRefreshToken) && !has(grantPassword) && !has(grantAuthorizationCode) {
		c.bad(field, "refresh_token alone gets no first token; add password or authorization_code")
	}
	if has(grantAuthorizationCode) && len(cl.RedirectURIs) == 0 {
		c.bad("redirect_uris", "is empty; authorization_code needs one (RFC 6749 §3.1.2.2)")
	}
}

// authentication checks that a client has what it authenticates with and nothing else: one or two secrets, or keys, or
// nothing for a public one (RFC 6749 §2.1).
func (c *checker) authentication(cl storage.Client) {
	const field = "token_endpoint_auth_method"
	n := len(cl.Secrets)
	switch {
	case cl.AuthMethod != "" && cl.AuthMethod != authPrivateKey:
		c.bad(field, "%q is not one of %s", cl.AuthMethod, strings.Join(authMethods, ", "))
	case cl.Public && cl.AuthMethod != "":
		c.bad(field, "a public client (none) does not authenticate with %s", cl.AuthMethod)
	case cl.Public && n > 0:
		c.bad(field, "a public client (none) has no secret")
	case cl.AuthMethod == authPrivateKey && n > 0:
		c.bad(field, "a client with private_key_jwt has no secret")
	case cl.AuthMethod == authPrivateKey && len(cl.JWKS) == 0 && cl.JWKSURI == "":
		c.bad("jwks", "is missing; private_key_jwt needs the client's public keys in jwks or jwks_uri")
	case hasSecret(cl) && n == 0:
		c.bad(field, "a confidential client (client_secret_basic) needs a secret")
	case n > maxSecrets:
		c.bad(field, "%d secrets; at most %d, for a rotation", n, maxSecrets)
	}
	for _, s := range cl.Secrets {
		if len(s.Hash) != sha256.Size {
			c.bad(field, "the stored secret is not a SHA-256")
		}
	}
}

// checkClientID allows the unreserved characters of RFC 3986 §2.3, so that an id is the same in a URL, in a form and
// in HTTP Basic.
func checkClientID(id string) string {
	switch {
	case id == "" || len(id) > maxClientID:
		return fmt.Sprintf("must have 1 to %d characters", maxClientID)
	case strings.ContainsFunc(id, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("._~-", r) }):
		return "may only have letters, digits and . _ ~ -"
	case strings.Trim(id, ".") == "":
		return "may not consist of dots" // "." and ".." mean something else in a path
	case strings.HasPrefix(strings.ToLower(id), userPrefix):
		return "may not begin with " + userPrefix + ", which marks users"
	}
	return ""
}

// checkScope is scope-token of RFC 6749 §3.3: %x21 / %x23-5B / %x5D-7E.
func checkScope(s string) string {
	if s == "" {
		return "is empty"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return `may only have printable ASCII characters but space, " and \ (RFC 6749 §3.3)`
	}
	return ""
}

// checkText is for names that people read.
func checkText(s string, longest int) string {
	switch {
	case !utf8.ValidString(s):
		return "is not valid UTF-8"
	case strings.ContainsFunc(s, unicode.IsControl):
		return "has control characters"
	case utf8.RuneCountInString(s) > longest:
		return fmt.Sprintf("has more than %d characters", longest)
	}
	return ""
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
