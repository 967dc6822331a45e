package admin

import (
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

// Metadata is what a client is registered with, by the names of RFC 7591 §2 where that has one.
type Metadata struct {
	ClientID   string `json:"client_id,omitempty"` // generated where a new client has none
	ClientName string `json:"client_name,omitempty"`
	// TokenEndpointAuthMethod is "none" for a public client or "client_secret_basic", the default (RFC 7591 §2).
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
}

// Client is a client as the API shows it.
type Client struct {
	Metadata
	// ClientSecret is only in the answer that made it: to creation and to rotation.
	ClientSecret string    `json:"client_secret,omitempty"`
	Secrets      []Secret  `json:"secrets,omitempty"`
	CreatedAt    time.Time `json:"created_at,omitzero"`
	Source       string    `json:"source,omitempty"` // the file that defines the client
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
