package resource

import (
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

// AccessToken is what a verified access token says (RFC 9068 §2.2). Each call of
// Verify returns one of its own: changing it changes nothing elsewhere.
type AccessToken struct {
	// Issuer is iss, always the configured one.
	Issuer string
	// Subject is sub: a person's id at this issuer, or the client_id when the
	// token speaks for a client. It is unique only together with Issuer.
	Subject string
	// Audience is aud; at least one of them is ours.
	Audience []string
	// ClientID is client_id, the client that the token was issued to.
	ClientID string
	// Username is the name a person signs in with. It is a claim of Ingam's,
	// present when the scope profile was granted. It may change hands: show
	// it, never look up by it.
	Username string
	// Scopes are the tokens of scope, in the order of the claim.
	Scopes []string
	// ExpiresAt is exp, and IssuedAt is iat.
	ExpiresAt, IssuedAt time.Time
	// ID is jti, unique for each token of an issuer.
	ID string
	// AuthTime is auth_time, when the person signed in; zero if unknown.
	AuthTime time.Time
	// SessionID is sid, the sign-in that the token came from; may be empty.
	SessionID string
	// ACR and AMR say how the person signed in; may be empty.
	ACR string
	AMR []string

	raw string // the claims as they were signed
}

// HasScope reports whether the token was granted scope, compared exactly.
func (t *AccessToken) HasScope(scope string) bool {
	return slices.Contains(t.Scopes, scope)
}

// IsClient reports whether the token speaks for a client and not for a person,
// as those of the client_credentials grant do. It relies on the convention that
// such tokens have sub == client_id and that user ids come from another
// namespace; see the package comment.
func (t *AccessToken) IsClient() bool {
	return t.Subject == t.ClientID
}

// Claims decodes the claims into v, for those that have no field here. Names are
// matched exactly, and numbers into an any become float64.
func (t *AccessToken) Claims(v any) error {
	// go-jose's JSON is case-sensitive, unlike encoding/json, where a claim SUB
	// would overwrite sub.
	if err := json.Unmarshal([]byte(t.raw), v); err != nil {
		return fmt.Errorf("decode claims: %w", err)
	}
	return nil
}

// clone returns a deep copy at the price of two allocations: one for the struct
// and one for the strings of all its lists.
func (t *AccessToken) clone() *AccessToken {
	c := *t
	all := make([]string, 0, len(t.Audience)+len(t.Scopes)+len(t.AMR))
	part := func(list []string) []string {
		if len(list) == 0 {
			return nil
		}
		start := len(all)
		all = append(all, list...)
		// The third index keeps an append to one list out of the next.
		return all[start:len(all):len(all)]
	}
	c.Audience, c.Scopes, c.AMR = part(t.Audience), part(t.Scopes), part(t.AMR)
	return &c
}
