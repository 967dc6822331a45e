package oauth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"
	fositeoauth2 "github.com/ory/fosite/handler/oauth2"
)

// Types in the header of a JWS: access tokens (RFC 9068 §2.1) are told from every other JWT by it.
const accessTokenType = "at+jwt"

// accessClaims are the claims of an access token (RFC 9068 §2.2).
type accessClaims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	ExpiresAt int64    `json:"exp"`
	IssuedAt  int64    `json:"iat"`
	ID        string   `json:"jti"`
	ClientID  string   `json:"client_id"`
	// Scope is one string, as RFC 8693 §4.2 has it.
	Scope string `json:"scope,omitempty"`
	// Authentication information, only where a user signed in (RFC 9068 §2.2.1).
	AuthTime int64    `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	// Username is there when scope profile was granted; SessionID names the grant, so that it can be revoked.
	Username  string `json:"username,omitempty"`
	SessionID string `json:"sid,omitempty"`
}

// audience is a string when there is one, and an array otherwise (RFC 7519 §4.1.3).
type audience []string

// MarshalJSON writes the shorter form where it can.
func (a audience) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return json.Marshal(a[0])
	}
	return json.Marshal([]string(a))
}

// UnmarshalJSON reads both forms.
func (a *audience) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*a = make(audience, 1)
		return json.Unmarshal(b, &(*a)[0])
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// accessTokens makes access tokens. It is fosite's AccessTokenStrategy. Safe for concurrent use.
type accessTokens struct {
	issuer   string
	lifetime time.Duration
	keys     Signer
	subjects Subjects
}

var _ fositeoauth2.AccessTokenStrategy = (*accessTokens)(nil)

// AccessTokenSignature answers nothing: access tokens are not stored.
func (s *accessTokens) AccessTokenSignature(context.Context, string) string { return "" }

// ValidateAccessToken is not called: introspection has its own way.
func (s *accessTokens) ValidateAccessToken(context.Context, fosite.Requester, string) error {
	return nil
}

// GenerateAccessToken signs a fresh access token, with an iat and a jti of its own also at a refresh.
func (s *accessTokens) GenerateAccessToken(ctx context.Context, request fosite.Requester) (string, string, error) {
	sess := request.GetSession().(*session)
	scopes := request.GetGrantedScopes()
	claims := accessClaims{
		Issuer:    s.issuer,
		Subject:   sess.GetSubject(),
		Audience:  audience(request.GetGrantedAudience()),
		ExpiresAt: sess.now.Add(s.lifetime).Unix(),
		IssuedAt:  sess.now.Unix(),
		ID:        rand.Text(),
		ClientID:  sess.client.ID,
		Scope:     strings.Join(scopes, " "),
	}
	if sess.grant.ID != "" {
		claims.AuthTime = sess.grant.AuthTime.Unix()
		claims.ACR, claims.AMR = sess.grant.ACR, sess.grant.AMR
		claims.SessionID = sess.grant.ID
		// RFC 9068 §6: a client that must not know the user's identifier does not find it in its access token either.
		claims.Subject = s.subjects.Subject(sess.client.Client, sess.user.ID)
		if slices.Contains(scopes, "profile") {
			claims.Username = sess.user.Username
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", "", fmt.Errorf("access token: %w", err)
	}
	token, err := s.keys.Sign(ctx, accessTokenType, payload)
	if err != nil {
		return "", "", fmt.Errorf("sign access token: %w", err)
	}
	return token, "", nil
}
