package storage

import (
	"slices"
	"time"
)

// Grant is one sign-in of one user at one client: what was granted, and how far its refresh tokens have come.
//
// The credentials of a grant are derived, not stored: a refresh token names its grant and a generation under a MAC
// that the engine can compute from the server's key and the grant's Nonce. Only the current generation can be
// redeemed, and redeeming it moves the generation on ([Grants.Rotate]).
type Grant struct {
	ID       string `json:"id"`
	ClientID string `json:"client_id"`
	UserID   string `json:"user_id"`
	// UserEpoch is the user's Epoch when the grant was born; a grant of an older epoch is dead.
	UserEpoch uint64   `json:"user_epoch"`
	Scopes    []string `json:"scopes"`
	Audience  []string `json:"audience"`
	// Nonce is random and goes into the MAC of each credential, so that the server key alone forges nothing.
	Nonce []byte `json:"nonce"`

	// AuthTime is when the user proved who they are (OIDC Core §2); AMR says how (RFC 8176), ACR how well.
	AuthTime time.Time `json:"auth_time"`
	AMR      []string  `json:"amr,omitempty"`
	ACR      string    `json:"acr,omitempty"`

	// Generation is the one that can be redeemed now; the first refresh token of a grant is generation 1.
	Generation uint64 `json:"generation"`
	// RotatedAt and Attempt belong to the last rotation: its time by the store's clock, and the id of the winner.
	RotatedAt time.Time `json:"rotated_at,omitzero"`
	Attempt   string    `json:"attempt,omitempty"`

	BornAt time.Time `json:"born_at"`
	// IdleExpiresAt moves on with each rotation; ExpiresAt never does. The earlier one ends the grant.
	IdleExpiresAt time.Time `json:"idle_expires_at"`
	ExpiresAt     time.Time `json:"expires_at"`

	Revoked       bool   `json:"revoked,omitempty"`
	RevokedReason string `json:"revoked_reason,omitempty"`

	// What follows belongs to grants that began at the authorization endpoint, whose generation 0 is the code.

	// SessionID is the browser session in which the user allowed it ([Session].ID).
	SessionID string `json:"session_id,omitempty"`
	// SessionBound: the grant is dead when that session has ended.
	SessionBound bool `json:"session_bound,omitempty"`
	// RedirectURI and CodeChallenge (S256, RFC 7636 §4.2; "" if none was sent) are what a redemption of the code must match.
	RedirectURI   string `json:"redirect_uri,omitempty"`
	CodeChallenge string `json:"code_challenge,omitempty"`
	// RequestNonce is the nonce of the request, for the first ID token (OIDC Core §3.1.2.1).
	RequestNonce string `json:"request_nonce,omitempty"`
	// UserInfoClaims and IDTokenClaims are names asked for one by one (OIDC Core §5.5).
	UserInfoClaims []string `json:"userinfo_claims,omitempty"`
	IDTokenClaims  []string `json:"id_token_claims,omitempty"`
	// Consented: it rests on a stored [Consent]. Where that is gone, the code is worth nothing.
	Consented bool `json:"consented,omitempty"`
}

// Expiry is when the grant ends if nothing happens.
func (g Grant) Expiry() time.Time {
	if g.IdleExpiresAt.Before(g.ExpiresAt) {
		return g.IdleExpiresAt
	}
	return g.ExpiresAt
}

// Rotation asks to redeem one generation of a grant. The caller has checked the credential's MAC and its client.
type Rotation struct {
	GrantID    string
	Generation uint64 // the generation presented
	// Attempt identifies this try. The same attempt asked again after it won gets the same answer, so that a driver's
	// retry after a lost reply is harmless.
	Attempt string
	// Grace is how long after a rotation the generation before may be presented again and still be answered with the
	// same successor. 0 is strict: at any reuse the grant dies.
	Grace time.Duration
	// IdleLifetime: after a rotation the grant expires this long from now, or at ExpiresAt if that is earlier.
	IdleLifetime time.Duration

	// UserID, UserEpoch and UserVersion are the user of the grant as the caller knows them. Rotate looks at the user in
	// the same step, or after it: see Dead and Outdated. With an empty UserID it looks at nobody; then the caller answers
	// for the user.
	UserID      string
	UserEpoch   uint64
	UserVersion uint64

	// Fence refuses where the store may have forgotten a redemption: see Fenced. It is for credentials without a grace
	// window that live for seconds, like authorization codes (generation 0).
	Fence bool
}

// Outcome is how a [Rotation] ended. Only Rotated and Replayed are success, and both answer with generation
// Rotation.Generation+1.
type Outcome int

const (
	// Rotated: it was the current generation, and the grant moved on.
	Rotated Outcome = iota + 1
	// Replayed: it was the generation before, within the grace window. Nothing moved.
	Replayed
	// Reused: it was an older generation, or the window had closed. The grant is now revoked.
	Reused
	// Ahead: it is newer than any the store has handed out: the store has lost a write. The grant is now revoked.
	Ahead
	// Dead: the grant was revoked before; nothing moved. Or its user is gone, disabled or has another epoch; then it may
	// have moved, which no longer matters.
	Dead
	// Outdated: the user is alive and has changed since the caller looked (another Version). Read the user again
	// (Users.User) and ask once more with the same Attempt. The grant may have moved for this attempt already, so a
	// caller that gives up here leaves a generation used.
	Outdated
	// Fenced: the process that holds the grant is another than when it was born (a failover, a restart, a slot of a
	// cluster that moved), so what it knows of the grant may be old. Nothing moved. Stores that lose nothing never answer it.
	Fenced
)

// String names the outcome for logs and tests.
func (o Outcome) String() string {
	names := []string{"unknown", "rotated", "replayed", "reused", "ahead", "dead", "outdated", "fenced"}
	if o < 0 || int(o) >= len(names) {
		o = 0
	}
	return names[o]
}

// Reasons a store itself writes into RevokedReason.
const (
	ReasonReused = "refresh token reused"
	ReasonAhead  = "refresh token newer than the store"
)

// Decide applies the rules of rotation to a grant as read, at the time now: it returns the outcome and the grant to
// store. changed tells whether it differs from g. Stores that run Go inside their transactions call it, which keeps
// the rules in one place; a store that decides elsewhere (a script inside Redis) has this as its specification.
func (r Rotation) Decide(g Grant, now time.Time) (outcome Outcome, after Grant, changed bool) {
	switch {
	case g.Revoked:
		return Dead, g, false
	case r.Generation == g.Generation:
		g.Generation++
		g.RotatedAt, g.Attempt = now, r.Attempt
		if idle := now.Add(r.IdleLifetime); idle.Before(g.ExpiresAt) {
			g.IdleExpiresAt = idle
		} else {
			g.IdleExpiresAt = g.ExpiresAt
		}
		return Rotated, g, true
	case r.Generation > g.Generation:
		g.Revoked, g.RevokedReason = true, ReasonAhead
		return Ahead, g, true
	case r.Generation+1 == g.Generation && r.Attempt != "" && r.Attempt == g.Attempt:
		return Rotated, g, false
	case r.Generation+1 == g.Generation && r.Grace > 0 && now.Sub(g.RotatedAt) <= r.Grace:
		return Replayed, g, false
	default:
		g.Revoked, g.RevokedReason = true, ReasonReused
		return Reused, g, true
	}
}

// DecideUser looks at the user of the grant as stored (found tells whether there is one) and returns Dead, Outdated, or 0
// when nothing stands in the way. Stores with transactions call it before Decide.
func (r Rotation) DecideUser(u User, found bool) Outcome {
	switch {
	case r.UserID == "":
		return 0
	case !found || u.Disabled || u.Epoch != r.UserEpoch:
		return Dead
	case u.Version != r.UserVersion:
		return Outdated
	}
	return 0
}

// Clone returns a copy that shares no memory with g.
func (g Grant) Clone() Grant {
	g.Scopes, g.Audience = slices.Clone(g.Scopes), slices.Clone(g.Audience)
	g.Nonce, g.AMR = slices.Clone(g.Nonce), slices.Clone(g.AMR)
	g.UserInfoClaims, g.IDTokenClaims = slices.Clone(g.UserInfoClaims), slices.Clone(g.IDTokenClaims)
	return g
}
