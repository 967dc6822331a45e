package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

// foundToken is a token of ours that somebody asks about: an access token or a refresh token.
type foundToken struct {
	clientID string
	// access is nil for a refresh token.
	access *accessClaims
	// generation is the one a refresh token names.
	generation uint64
	// grant is the sign-in behind the token; grant.ID is "" for an access token without one, or with one that has ended.
	grant storage.Grant
	user  storage.User
}

// find answers what a token is, by its form (token_type_hint is only a hint, RFC 7009 §2.1). storage.ErrNotFound for
// everything that this server did not make or that has expired.
func (e *Engine) find(ctx context.Context, token string) (foundToken, error) {
	if strings.HasPrefix(token, refreshPrefix) {
		parsed, grant, err := e.findGrant(ctx, token, e.store.Grant)
		return foundToken{clientID: grant.ClientID, generation: parsed.generation, grant: grant}, err
	}
	claims, err := e.readAccessToken(token)
	if err != nil {
		return foundToken{}, err
	}
	found := foundToken{clientID: claims.ClientID, access: claims}
	if claims.SessionID == "" {
		return found, nil
	}
	grant, user, err := e.grantAndUser(ctx, claims)
	found.grant, found.user = grant, user
	return found, err
}

// grantAndUser answers the sign-in behind an access token, in one question where the token says who the user is. The user
// is zero if gone. (A pairwise sub is nobody's id.)
func (e *Engine) grantAndUser(ctx context.Context, claims *accessClaims) (storage.Grant, storage.User, error) {
	grant, user, err := e.store.GrantAndUser(ctx, claims.SessionID, claims.Subject)
	if err == nil && user.ID == grant.UserID || storage.IsFailure(err) {
		return grant, user, err
	}
	if grant, err = e.store.Grant(ctx, claims.SessionID); err != nil {
		return grant, storage.User{}, err
	}
	user, err = e.store.User(ctx, grant.UserID)
	if errors.Is(err, storage.ErrNotFound) {
		user, err = storage.User{}, nil
	}
	return grant, user, err
}

// Identify answers what an access token stands for: its grant, user, client and scopes, for userinfo (OIDC Core §5.3).
// storage.ErrNotFound for a token that does not count; a token of a client for itself has no grant and no user.
func (e *Engine) Identify(
	ctx context.Context, token string,
) (g storage.Grant, u storage.User, c storage.Client, scopes []string, err error) {
	found, err := e.find(ctx, token)
	if err == nil && found.access == nil {
		err = storage.ErrNotFound // a refresh token
	}
	if err == nil {
		c, err = e.store.Client(ctx, found.clientID)
	}
	if err != nil {
		return g, u, c, nil, err
	}
	live, err := e.alive(ctx, &found, &client{c})
	if err == nil && !live {
		err = storage.ErrNotFound
	}
	return found.grant, found.user, c, strings.Fields(found.access.Scope), err
}

// readAccessToken verifies an access token of this server.
func (e *Engine) readAccessToken(token string) (*accessClaims, error) {
	payload, err := e.keys.Verify(token, accessTokenType)
	if err != nil {
		return nil, storage.ErrNotFound
	}
	claims := new(accessClaims)
	if err := json.Unmarshal(payload, claims); err != nil {
		return nil, storage.ErrNotFound
	}
	if claims.Issuer != e.cfg.Issuer || time.Now().Unix() >= claims.ExpiresAt {
		return nil, storage.ErrNotFound
	}
	return claims, nil
}

// visibleTo tells whether a client may learn about the token: it is its own, or an access token for an audience that
// the client stands for (RFC 7662 §4 leaves the policy to the server).
func (f foundToken) visibleTo(c *client) bool {
	if f.clientID == c.ID {
		return true
	}
	return f.access != nil && slices.ContainsFunc(f.access.Audience, func(aud string) bool {
		return aud == c.ID || slices.Contains(c.Resources, aud)
	})
}

// alive tells whether the token counts now, and fills in the user. asking is the client that wants to know.
func (e *Engine) alive(ctx context.Context, f *foundToken, asking *client) (bool, error) {
	c := asking.Client
	if f.clientID != c.ID {
		var err error
		if c, err = e.store.Client(ctx, f.clientID); err != nil {
			return false, ifNotFound(err, nil)
		}
	}
	if f.grant.ID == "" {
		// iat has whole seconds
		if outlived(time.Unix(f.access.IssuedAt+1, 0), c) {
			return false, nil
		}
		revoked, err := e.store.Remembered(ctx, revokedKey(f.access.ID))
		if err != nil {
			return false, storeError(err)
		}
		return !revoked, nil
	}
	if f.grant.Revoked || outlived(f.grant.BornAt, c) || f.access == nil && f.generation != f.grant.Generation {
		return false, nil
	}
	if f.access == nil {
		var err error
		if f.user, err = e.store.User(ctx, f.grant.UserID); err != nil {
			return false, ifNotFound(err, nil)
		}
	}
	if !holds(f.grant, f.user) || f.user.ID == "" {
		return false, nil
	}
	if err := e.sessionHolds(ctx, f.grant); err != nil {
		return false, ifNotFound(err, nil)
	}
	return true, nil
}

// describe answers the members of RFC 7662 §2.2 for a live token. The username is told under the same scope as in the
// token itself. subject is the sub under which the token's client knows the user.
func (f foundToken) describe(issuer, subject string) introspection {
	scope := strings.Join(f.grant.Scopes, " ")
	if f.access != nil {
		scope = f.access.Scope // may be narrower
	}
	username := ""
	if slices.Contains(strings.Fields(scope), "profile") {
		username = f.user.Username
	}
	if a := f.access; a != nil {
		return introspection{
			Active: true, Scope: scope, ClientID: a.ClientID, Username: username, TokenType: "Bearer",
			ExpiresAt: a.ExpiresAt, IssuedAt: a.IssuedAt, Subject: a.Subject, Audience: a.Audience, Issuer: issuer,
			ID: a.ID, AuthTime: a.AuthTime, ACR: a.ACR, AMR: a.AMR, SessionID: a.SessionID,
		}
	}
	g := f.grant
	return introspection{
		Active: true, Scope: scope, ClientID: g.ClientID, Username: username,
		ExpiresAt: g.Expiry().Unix(), IssuedAt: g.BornAt.Unix(), Subject: subject, Audience: g.Audience, Issuer: issuer,
		AuthTime: g.AuthTime.Unix(), ACR: g.ACR, AMR: g.AMR, SessionID: g.ID,
	}
}
