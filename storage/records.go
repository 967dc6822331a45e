package storage

import (
	"encoding/json"
	"log/slog"
	"time"
)

// Client is a registered client (RFC 6749 §2). Facts only; the engine interprets them. The names in JSON
// are those of RFC 7591 §2, but for scopes, which are a list here, and auth_method.
type Client struct {
	ID   string `json:"client_id"`
	Name string `json:"client_name,omitempty"`
	// Public clients have no secret and authenticate with "none" (RFC 6749 §2.1).
	Public bool `json:"public,omitempty"`
	// Secrets are the live secrets, newest first: at most two, so that one can be rotated without an outage.
	Secrets      []ClientSecret `json:"secrets,omitempty"`
	GrantTypes   []string       `json:"grant_types"`
	RedirectURIs []string       `json:"redirect_uris,omitempty"`
	// Scopes are all the scopes the client may ask for; a request without scope gets DefaultScopes.
	Scopes        []string `json:"scopes,omitempty"`
	DefaultScopes []string `json:"default_scopes,omitempty"`
	// Audience lists the resource servers its tokens are for (aud, RFC 9068 §2.2; resource, RFC 8707).
	Audience []string `json:"audience,omitempty"`
	// Resources are the audiences that this client stands for as a resource server: it may introspect tokens for them
	// (RFC 7662 §2.1) beside its own.
	Resources []string `json:"resources,omitempty"`
	// RefreshGrace overrides the server's grace window for refresh tokens; nil means the server's.
	RefreshGrace *time.Duration `json:"refresh_grace,omitempty"`

	// AuthMethod is "" for a client that shows its secret, by HTTP Basic or in the body, and "private_key_jwt" for one that
	// signs an assertion (RFC 7523 §2.2) and has no secret.
	AuthMethod string `json:"auth_method,omitempty"`
	// JWKS are the client's public keys (RFC 7517 §5), inline, or else at JWKSURI: for its assertions and request objects.
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`

	// What it may do at the authorization endpoint. ResponseModes it may ask for; none means query and form_post.
	ResponseModes []string `json:"response_modes,omitempty"`
	// RequirePKCE: also a confidential client must send a challenge (RFC 7636). Public ones must in any case.
	RequirePKCE bool `json:"require_pkce,omitempty"`
	// RequirePAR: only pushed requests are served (RFC 9126 §6).
	RequirePAR bool `json:"require_pushed_authorization_requests,omitempty"`
	// RequireSignedRequest: only signed request objects are served (RFC 9101 §10.5). RequestObjectAlg, if not empty, is the one
	// algorithm for them.
	RequireSignedRequest bool   `json:"require_signed_request_object,omitempty"`
	RequestObjectAlg     string `json:"request_object_signing_alg,omitempty"`
	// DefaultMaxAge in seconds is max_age of requests without one (OIDC Registration §2); nil means none.
	DefaultMaxAge *int64 `json:"default_max_age,omitempty"`
	// FirstParty: the operator's own client, whose users are not asked for consent.
	FirstParty bool `json:"first_party,omitempty"`
	// SessionBound: its grants end with the browser session they began in, unless offline_access was granted.
	SessionBound bool `json:"session_bound,omitempty"`

	// UserInfoAlg is RS256 for signed answers of userinfo (application/jwt), "" for JSON (OIDC Core §5.3.2).
	UserInfoAlg string `json:"userinfo_signed_response_alg,omitempty"`
	// Pairwise: its users' sub is one that clients of another sector do not know (OIDC Core §8.1). Sector is a host name; ""
	// means that of its redirect URIs.
	Pairwise bool   `json:"pairwise,omitempty"`
	Sector   string `json:"sector_identifier,omitempty"`

	// Where the browser may go after logout (OIDC RP-Initiated Logout §3.1), and where the client hears of one.
	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   string   `json:"backchannel_logout_uri,omitempty"`
	FrontchannelLogoutURI  string   `json:"frontchannel_logout_uri,omitempty"`

	// AllowedOrigins may call from a browser (CORS), for a public client beside the origins of its redirect URIs.
	AllowedOrigins []string `json:"allowed_origins,omitempty"`
	// For pages: where the client lives, its logo (https) and its colour (#rrggbb).
	URI     string `json:"client_uri,omitempty"`
	LogoURI string `json:"logo_uri,omitempty"`
	Accent  string `json:"accent,omitempty"`

	// CreatedAt is when this registration was made: a grant born before it belonged to an earlier client of the same id.
	CreatedAt time.Time `json:"created_at,omitzero"`
	// Version counts changes, from 1; see [Clients.ReplaceClient].
	Version uint64 `json:"version"`
	// Source is the file that defines the client, "" for one that lives in the store. Never stored.
	Source string `json:"-"`
}

// ClientSecret is one secret of a client at rest: SHA-256 of a random value of 256 bits.
type ClientSecret struct {
	Hash      []byte    `json:"sha256"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	// ExpiresAt ends the overlap of a rotated secret; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// LogValue keeps the hash out of logs.
func (ClientSecret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// User is a person who can sign in.
type User struct {
	// ID is the subject identifier ("sub", OIDC Core §2): never reassigned, says nothing about the person.
	ID string `json:"id"`
	// Username is what people type, in its canonical spelling.
	Username string `json:"username"`
	// PasswordHash is a PHC string; "" means that no password fits.
	PasswordHash string `json:"password_hash,omitempty"`
	Disabled     bool   `json:"disabled,omitempty"`
	// Claims are facts about the user by the names of OIDC Core §5.1 (name, email, email_verified …) or the operator's own.
	Claims map[string]any `json:"claims,omitempty"`
	// Epoch counts the events that end all sign-ins of the user at once (new password, disabled). A grant is alive
	// only while its UserEpoch is the user's.
	Epoch uint64 `json:"epoch"`

	CreatedAt time.Time `json:"created_at,omitzero"`
	// Version counts changes, from 1; see [Users.ReplaceUser].
	Version uint64 `json:"version"`
	// Source is the file that defines the user, "" for one that lives in the store. Never stored.
	Source string `json:"-"`
}

// LogValue names the user and keeps the hash and the claims out of logs.
func (u User) LogValue() slog.Value { return slog.StringValue(u.ID) }

// KeyRing is all keys of the server, as package keys sealed them. The store does not look inside.
type KeyRing struct {
	// Version counts changes; 0 is the ring that was never stored. See [KeyRings.PutKeyRing].
	Version uint64      `json:"version"`
	Keys    []SealedKey `json:"keys"`
}

// SealedKey is one key at rest. Everything but Sealed may be read by anyone who reads the store.
type SealedKey struct {
	ID string `json:"kid"`
	// Use is "sig" for a signing key pair, "mac" for a symmetric secret of the server.
	Use       string    `json:"use"`
	Algorithm string    `json:"alg"`
	CreatedAt time.Time `json:"created_at"`
	// ActivateAt is when the key begins to sign; RetireAt when it stops; ForgetAt when it is no longer published or
	// accepted. Zero ActivateAt means at once, the others never.
	ActivateAt time.Time `json:"activate_at,omitzero"`
	RetireAt   time.Time `json:"retire_at,omitzero"`
	ForgetAt   time.Time `json:"forget_at,omitzero"`
	// Sealed is the private part, encrypted and authenticated under the master key.
	Sealed []byte `json:"sealed"`
}

// LogValue keeps sealed bytes out of logs.
func (k SealedKey) LogValue() slog.Value { return slog.StringValue(k.ID) }

// Budget is a rate: Burst units at once, then one more each Every (the generic cell rate algorithm). Burst and Every
// are positive; callers pass the same values for the same key.
type Budget struct {
	Key   string
	Burst int
	Every time.Duration
}

// Refund gives Units back to a budget.
type Refund struct {
	Budget
	Units int
}

// SpendOne applies the generic cell rate algorithm: paid is the budget's "theoretical arrival time" as stored (zero
// for a full budget). It returns what to store, and how long to wait if the budget is empty: then what to store is what
// was stored, or less where the clock was set back, so that the wait ends by the new time.
func (b Budget) SpendOne(paid, now time.Time) (after time.Time, wait time.Duration) {
	if paid.Before(now) {
		paid = now
	}
	// A budget is at most empty: without this, a clock that was set back would make everybody wait out the difference.
	if empty := now.Add(time.Duration(b.Burst) * b.Every); paid.After(empty) {
		paid = empty
	}
	next := paid.Add(b.Every)
	if over := next.Sub(now) - time.Duration(b.Burst)*b.Every; over > 0 {
		return paid, over
	}
	return next, 0
}

// Apply gives the units back: it returns what to store; a time not after now means a full budget.
func (r Refund) Apply(paid time.Time) time.Time {
	return paid.Add(-time.Duration(r.Units) * r.Every)
}
