package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

const (
	maxClaimName = 64
	maxClaims    = 16 << 10 // bytes of JSON: claims travel in tokens and answers
)

// serverClaims are what the server itself says in a token or at userinfo; a user cannot carry them as facts
// (RFC 7519 §4.1, RFC 9068 §2.2, OIDC Core §2 and §5.1).
var serverClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti",
	"client_id", "scope", "auth_time", "acr", "amr", "azp", "nonce", "sid", "at_hash", "c_hash", "cnf", "act", "may_act",
	"username", "preferred_username",
}

// The types of JSON, in words.
const (
	kindString = "a string"
	kindNumber = "a number"
	kindBool   = "true or false"
	kindObject = "an object"
	kindArray  = "an array"
	kindNull   = "null"
)

// claimKinds are the JSON types of the claims of OIDC Core §5.1. Others may have any.
var claimKinds = map[string]string{
	"name": kindString, "given_name": kindString, "family_name": kindString, "middle_name": kindString,
	"nickname": kindString, "profile": kindString, "picture": kindString, "website": kindString, "email": kindString,
	"gender": kindString, "birthdate": kindString, "zoneinfo": kindString, "locale": kindString, "phone_number": kindString,
	"email_verified": kindBool, "phone_number_verified": kindBool, "updated_at": kindNumber, "address": kindObject,
}

// CheckUser lists everything that is wrong with a user, nil if nothing is. It is the one set of rules for users made
// through the API and for those of configuration files. Version, Source, Epoch and CreatedAt are not looked at.
func CheckUser(u storage.User) []Problem {
	var k checker
	if rest, ok := strings.CutPrefix(u.ID, userPrefix); !ok || checkClientID(rest) != "" {
		k.bad("id", "%q must be %s and then letters, digits and . _ ~ -, at most %d", u.ID, userPrefix, maxClientID)
	}
	switch canonical, err := credential.CanonicalUsername(u.Username); {
	case err != nil:
		k.bad("username", "%q: %s", u.Username, err)
	case canonical != u.Username:
		k.bad("username", "%q must be in its canonical spelling %q", u.Username, canonical)
	}
	if u.PasswordHash != "" {
		k.hash(u.PasswordHash)
	}
	k.claims(u.Claims)
	return k.problems
}

// hash checks that a stored hash is one that can be verified at a bearable cost.
func (c *checker) hash(hash string) {
	if err := credential.CheckHash(hash); err != nil {
		c.bad("password_hash", "%s", strings.TrimPrefix(err.Error(), "password hash: "))
	}
}

// claims checks names, types and size of a user's claims.
func (c *checker) claims(claims map[string]any) {
	const field = "claims"
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		switch {
		case name == "" || checkText(name, maxClaimName) != "":
			c.bad(field, "%q is not a name of 1 to %d printable characters", name, maxClaimName)
		case slices.Contains(serverClaims, name):
			c.bad(field, "%q is set by the server and cannot be a fact about a user", name)
		default:
			want, got := claimKinds[name], kindOf(claims[name])
			if want != "" && want != got {
				c.bad(field, "%q must be %s, not %s", name, want, got)
			} else if email, _ := claims[name].(string); name == "email" && !strings.Contains(email, "@") {
				c.bad(field, "email %q is not an e-mail address", email)
			}
		}
	}
	if data, err := json.Marshal(claims); err != nil {
		c.bad(field, "cannot be written as JSON")
	} else if len(data) > maxClaims {
		c.bad(field, "take %d bytes as JSON; at most %d", len(data), maxClaims)
	}
}

// kindOf names the JSON type of a decoded value. Configuration files decode to more kinds of number than JSON.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return kindNull
	case string:
		return kindString
	case bool:
		return kindBool
	case map[string]any:
		return kindObject
	case []any:
		return kindArray
	case float64, float32, int, int64, int32, uint64, json.Number:
		return kindNumber
	}
	return fmt.Sprintf("%T", v)
}

// CheckNewUser lists everything that is wrong with a request for a new user, as far as can be told without the store.
func CheckNewUser(n NewUser) []Problem {
	_, problems := n.prepare()
	return problems
}

// prepare makes the user that n asks for, with a new id and still without the hash of a password.
func (n NewUser) prepare() (storage.User, []Problem) {
	u := storage.User{ID: newUserID(), Username: n.Username, Disabled: n.Disabled, Claims: n.Claims}
	if canonical, err := credential.CanonicalUsername(n.Username); err == nil {
		u.Username = canonical
	}
	problems := CheckUser(u)
	return u, append(problems, n.Credentials.check(u.Username)...)
}

// check tells what is wrong with a password or an imported hash for that user.
func (c Credentials) check(username string) []Problem {
	var k checker
	if c.Password != nil && c.PasswordHash != nil {
		k.bad("password", "and password_hash are both given; one is enough")
		return k.problems
	}
	if c.Password != nil {
		if err := credential.CheckPassword(*c.Password, username); err != nil {
			k.bad("password", "%s", err)
		}
	}
	if c.PasswordHash != nil {
		k.hash(*c.PasswordHash)
	}
	return k.problems
}
