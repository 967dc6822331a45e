package oauth

import (
	"time"

	"github.com/ory/fosite"

	"github.com/ingam/ingam/storage"
)

// session carries what one token request has found out from step to step. Nothing of it is stored but the grant.
// fosite passes it through its handlers; one request uses it, one goroutine at a time.
type session struct {
	// now is the time of the request, read once.
	now    time.Time
	client *client

	// grant and user are the sign-in that tokens are made from; grant.ID is "" for client_credentials.
	grant storage.Grant
	user  storage.User

	// presented is the generation of the refresh token that was shown, secret the one that its MAC was made with.
	presented uint64
	secret    []byte
	// attempt is the id of this request towards the store: however often it asks, it redeems once.
	attempt string
	// code: what was presented is an authorization code, generation 0 of its grant.
	code bool
	// scopes and audience are what the tokens of this answer are for, where they are narrower than the grant's.
	scopes, audience []string
	// settled: the store has already decided, there is nothing left to commit.
	settled bool
}

var _ fosite.Session = (*session)(nil)

// SetExpiresAt ignores what fosite's handlers work out: accessTokens and beginGrant say when things expire.
func (s *session) SetExpiresAt(fosite.TokenType, time.Time) {}

// GetExpiresAt answers zero, which stands for the configured lifetime.
func (s *session) GetExpiresAt(fosite.TokenType) time.Time { return time.Time{} }

// GetUsername answers the username of the signed-in user.
func (s *session) GetUsername() string { return s.user.Username }

// GetSubject answers the sub of the tokens: the user, or the client that acts for itself (RFC 9068 §2.2).
func (s *session) GetSubject() string {
	if s.grant.ID == "" && s.client != nil {
		return s.client.ID
	}
	return s.user.ID
}

// Clone answers a copy. What the records in it point to is never changed, so it may be shared.
func (s *session) Clone() fosite.Session {
	c := *s
	return &c
}
