package admin

import (
	"encoding/json"
	"log/slog"
	"time"
)

// The types below are the API's JSON, for the handler and for its clients in Go.

// Credentials set a password: as typed, or as the hash that another server kept of it. At most one is given.
type Credentials struct {
	Password *string `json:"password,omitempty"`
	// PasswordHash is a PHC string or another form that credential.CheckHash knows.
	PasswordHash *string `json:"password_hash,omitempty"`
}

// LogValue keeps both out of logs.
func (Credentials) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// NewUser is the body of POST /admin/v1/users. Without credentials no password fits the user.
type NewUser struct {
	Username string `json:"username"`
	Credentials
	Disabled bool           `json:"disabled,omitempty"`
	Claims   map[string]any `json:"claims,omitempty"`
}

// LogValue names the user only.
func (n NewUser) LogValue() slog.Value { return slog.StringValue(n.Username) }

// User is a user as the API shows it: never a hash.
type User struct {
	ID          string         `json:"id"`
	Username    string         `json:"username"`
	Disabled    bool           `json:"disabled"`
	HasPassword bool           `json:"has_password"`
	HashKind    string         `json:"hash_kind,omitempty"` // like "argon2id"
	Claims      map[string]any `json:"claims,omitempty"`
	CreatedAt   time.Time      `json:"created_at,omitzero"`
	Source      string         `json:"source,omitempty"` // the file that defines the user
}

// UserPage is the answer to GET /admin/v1/users. Next, if not empty, is the after of the next page.
type UserPage struct {
	Users []User `json:"users"`
	Next  string `json:"next,omitempty"`
}

// Metadata is what a client is registered with, by the names of RFC 7591 §2 and OIDC Registration §2 where those have one.
type Metadata struct {
	ClientID   string `json:"client_id,omitempty"` // generated where a new client has none
	ClientName string `json:"client_name,omitempty"`
	// TokenEndpointAuthMethod is "none" for a public client, "client_secret_basic" (the default, RFC 7591 §2) or
	// "client_secret_post" for one with a secret, which it may send either way, or "private_key_jwt" for one with a key.
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"`
	GrantTypes              []string `json:"grant_types"`
	// Scope and DefaultScope are space-separated (RFC 6749 §3.3).
	Scope        string   `json:"scope,omitempty"`
	DefaultScope string   `json:"default_scope,omitempty"`
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	Audience     []string `json:"audience,omitempty"`
	// Resources are the audiences that the client is the resource server of: it may introspect their tokens.
	Resources []string `json:"resources,omitempty"`
	// RefreshGrace is a duration like "10s"; "" means the server's.
	RefreshGrace string `json:"refresh_grace,omitempty"`

	// JWKS holds the client's public keys (RFC 7517 §5), or JWKSURI is where they are; never both.
	JWKS    json.RawMessage `json:"jwks,omitempty"`
	JWKSURI string          `json:"jwks_uri,omitempty"`

	// ResponseModes from query, form_post and fragment; none means query and form_post.
	ResponseModes        []string `json:"response_modes,omitempty"`
	RequirePKCE          bool     `json:"require_pkce,omitempty"`
	RequirePAR           bool     `json:"require_pushed_authorization_requests,omitempty"` // RFC 9126 §6
	RequireSignedRequest bool     `json:"require_signed_request_object,omitempty"`         // RFC 9101 §10.5
	RequestObjectAlg     string   `json:"request_object_signing_alg,omitempty"`
	DefaultMaxAge        *int64   `json:"default_max_age,omitempty"` // seconds
	// FirstParty: the operator's own; its users are not asked for consent.
	FirstParty bool `json:"first_party,omitempty"`
	// SessionBound: its sign-ins end with the browser session, unless offline_access was granted.
	SessionBound bool `json:"session_bound,omitempty"`

	UserInfoAlg string `json:"userinfo_signed_response_alg,omitempty"`
	// SubjectType is "public", the default, or "pairwise" (OIDC Core §8). SectorIdentifier is a host name.
	SubjectType      string `json:"subject_type,omitempty"`
	SectorIdentifier string `json:"sector_identifier,omitempty"`

	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   string   `json:"backchannel_logout_uri,omitempty"`
	FrontchannelLogoutURI  string   `json:"frontchannel_logout_uri,omitempty"`

	// AllowedOrigins may call from a browser, for a public client beside the origins of its redirect URIs.
	AllowedOrigins []string `json:"allowed_origins,omitempty"`
	ClientURI      string   `json:"client_uri,omitempty"`
	LogoURI        string   `json:"logo_uri,omitempty"`
	Accent         string   `json:"accent,omitempty"` // like #0b57d0
}

// Replacement is the body of PUT /admin/v1/clients/{client_id}: everything that is left out is gone afterwards, but the
// client_id and, where no token_endpoint_auth_method is given, the way the client authenticates.
type Replacement struct {
	Metadata
	// Version is that of the client as the caller has read it: if the client has changed since, nothing is done. 0 asks
	// for no such care.
	Version uint64 `json:"version,omitempty"`
}

// Client is a client as the API shows it.
type Client struct {
	Metadata
	// ClientSecret is only in the answer that made it: to creation, to rotation, and to a change to a client with a secret.
	ClientSecret string    `json:"client_secret,omitempty"`
	Secrets      []Secret  `json:"secrets,omitempty"`
	CreatedAt    time.Time `json:"created_at,omitzero"`
	Version      uint64    `json:"version,omitempty"` // counts changes
	Source       string    `json:"source,omitempty"`  // the file that defines the client
}

// LogValue names the client only.
func (c Client) LogValue() slog.Value { return slog.StringValue(c.ClientID) }

// Secret says from when and until when a secret of a client is good; the newest comes first.
type Secret struct {
	CreatedAt time.Time `json:"created_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // left out: it does not expire
}

// ClientPage is the answer to GET /admin/v1/clients. Next, if not empty, is the after of the next page.
type ClientPage struct {
	Clients []Client `json:"clients"`
	Next    string   `json:"next,omitempty"`
}

// Rotation is the body of POST /admin/v1/clients/{client_id}/secret.
type Rotation struct {
	// Overlap is how long the secret so far stays good, like "1h"; "" means 24 hours, "0s" ends it at once.
	Overlap string `json:"overlap,omitempty"`
}

// LogoutList is the answer to GET /admin/v1/logouts: first those that wait for their next try, then those given up.
type LogoutList struct {
	Logouts []Logout `json:"logouts"`
	// More says that there are more than the limit.
	More bool `json:"more,omitempty"`
}

// Logout is a logout token that a client has not taken (OIDC Back-Channel Logout).
type Logout struct {
	ID string `json:"id"`
	// State is "pending" or "failed".
	State    string `json:"state"`
	ClientID string `json:"client_id"`
	// URI is where it is sent, without its query.
	URI       string    `json:"backchannel_logout_uri"`
	Subject   string    `json:"sub"`
	SID       string    `json:"sid"`
	CreatedAt time.Time `json:"created_at"`
	Attempts  int       `json:"attempts"`
	NextAt    time.Time `json:"next_at,omitzero"` // left out: it is not tried again
	LastError string    `json:"last_error,omitempty"`
	// ExpiresAt is when it is forgotten.
	ExpiresAt time.Time `json:"expires_at"`
}

// Error is the answer to a request that was not carried out.
type Error struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// Status is the answer to GET /admin/v1/status.
type Status struct {
	Status  string `json:"status"`
	Version string `json:"version,omitempty"`
}
