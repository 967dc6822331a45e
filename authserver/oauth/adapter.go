package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/ory/fosite"
	fositeoauth2 "github.com/ory/fosite/handler/oauth2"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// adapter is what fosite's stock handlers take for their storage. They look up a refresh token and a password here.
// What they want to create, rotate and delete is not kept: those calls are empty on purpose, because the router
// commits one atomic verb when all is done, and because the state of all tokens of a sign-in is its grant.
type adapter struct{ engine *Engine }

var (
	_ fosite.Storage                                            = (*adapter)(nil)
	_ fositeoauth2.TokenRevocationStorage                       = (*adapter)(nil)
	_ fositeoauth2.ResourceOwnerPasswordCredentialsGrantStorage = (*adapter)(nil)
)

// errNotKept is the answer for look-ups that our configuration never makes.
var errNotKept = errors.New("oauth: fosite asked for a record that this server does not keep")

// GetRefreshTokenSession finds the grant of a refresh token. It checks in this order: MAC (without I/O), client, user,
// state; so a forged token and a token of another client change nothing. Grant and user may be as they once were: the
// store looks at both again when the router rotates.
func (a *adapter) GetRefreshTokenSession(
	ctx context.Context, token string, into fosite.Session,
) (fosite.Requester, error) {
	e, sess := a.engine, into.(*session)
	parsed, grant, err := e.findGrant(ctx, token, e.store.RecallGrant)
	switch {
	case err != nil:
		return nil, ifNotFound(err, errRefreshToken())
	case grant.ClientID != sess.client.ID, outlived(grant.BornAt, sess.client.Client):
		return nil, errRefreshToken()
	}
	if sess.user, err = e.recallLiveUser(ctx, grant); err != nil {
		return nil, ifNotFound(err, errRefreshToken())
	}
	sess.grant, sess.presented, sess.secret, sess.attempt = grant, parsed.generation, parsed.secret, rand.Text()
	if err := e.refuseSpent(ctx, sess); err != nil {
		return nil, err
	}
	return &fosite.Request{
		ID: sess.grant.ID, RequestedAt: sess.now, Client: sess.client, Session: sess,
		GrantedScope: intersect(sess.grant.Scopes, sess.client.Scopes),
	}, nil
}

// findGrant answers the grant of a refresh token that this server made, whatever the state of the grant;
// storage.ErrNotFound for every other token. read is Grant or RecallGrant of the store.
func (e *Engine) findGrant(
	ctx context.Context, token string, read func(context.Context, string) (storage.Grant, error),
) (refreshToken, storage.Grant, error) {
	parsed, ok := e.refresh.parse(token)
	if !ok {
		return parsed, storage.Grant{}, storage.ErrNotFound
	}
	grant, err := read(ctx, parsed.grantID)
	if err == nil && !parsed.belongsTo(grant.Nonce) {
		err = storage.ErrNotFound
	}
	return parsed, grant, err
}

// liveUser answers the user of a grant if the sign-in still counts: ErrNotFound when the user is gone, disabled, or
// has ended all sign-ins since (a new password).
func (e *Engine) liveUser(ctx context.Context, g storage.Grant) (storage.User, error) {
	user, err := e.store.User(ctx, g.UserID)
	if err == nil && !holds(g, user) {
		return storage.User{}, storage.ErrNotFound
	}
	return user, err
}

// recallLiveUser is liveUser with an answer that may be old. It is for what rotates afterwards. An old answer may be
// wrong both ways: who looks alive is checked by the store in the rotation, who looks dead is read again here.
func (e *Engine) recallLiveUser(ctx context.Context, g storage.Grant) (storage.User, error) {
	user, err := e.store.RecallUser(ctx, g.UserID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !holds(g, user) {
		return e.liveUser(ctx, g)
	}
	return user, err
}

// holds tells whether a sign-in of this user still counts.
func holds(g storage.Grant, u storage.User) bool { return !u.Disabled && u.Epoch == g.UserEpoch }

// outlived tells whether something was issued to an earlier client of the same id, which was removed before this one
// was registered.
func outlived(issued time.Time, c storage.Client) bool { return issued.Before(c.CreatedAt) }

// refuseSpent keeps a token that can no longer be redeemed from costing a signature. The grant as recalled is advice: it
// may be behind, so only what it says of the past counts. The store decides, and ends the grant if this is a reuse.
func (e *Engine) refuseSpent(ctx context.Context, sess *session) error {
	if g := sess.grant; !g.Revoked && sess.presented+1 >= g.Generation {
		return nil
	}
	err := e.rotate(ctx, sess)
	if errors.Is(err, errOutdated) {
		return nil // nothing is decided; the router asks again
	}
	return err
}

// Authenticate checks a password. The limits on guesses and the work against enumeration are in package credential.
func (a *adapter) Authenticate(ctx context.Context, username, password string) (subject string, err error) {
	r := ctx.Value(fosite.RequestContextKey).(*http.Request)
	request := ctx.Value(fosite.AccessRequestContextKey).(*fosite.AccessRequest)
	sess := request.GetSession().(*session)
	e, address := a.engine, credential.RemoteAddress(r)
	event := audit.Event{ClientID: sess.client.ID, Address: address.String()}

	user, err := e.passwords.Authenticate(ctx, credential.Attempt{Username: username, Password: password, Address: address})
	throttled := (*credential.ThrottledError)(nil)
	switch {
	case err == nil:
		sess.user = user
		event.Name, event.UserID, event.Username = audit.SignInSucceeded, user.ID, user.Username
		e.audit.Record(ctx, event)
		return user.ID, nil
	case errors.Is(err, credential.ErrInvalidCredentials):
		event.Name, event.Reason = audit.SignInFailed, "wrong username or password"
		e.audit.Record(ctx, event)
		return "", invalidGrant("The username or the password is wrong.")
	case errors.As(err, &throttled):
		event.Name, event.Reason = audit.SignInThrottled, "too many guesses"
		e.audit.Record(ctx, event)
		return "", tooManyRequests(throttled.RetryAfter)
	}
	return "", unavailable(err, 2*time.Second)
}

// GetClient is not used: authenticateClient looks clients up.
func (a *adapter) GetClient(context.Context, string) (fosite.Client, error) { return nil, errNotKept }

// ClientAssertionJWTValid is not used: authenticateClient checks client assertions (RFC 7523 §3), ids of them included.
func (a *adapter) ClientAssertionJWTValid(context.Context, string) error { return errNotKept }

// SetClientAssertionJWT is not used: see ClientAssertionJWTValid.
func (a *adapter) SetClientAssertionJWT(context.Context, string, time.Time) error { return errNotKept }

// GetAccessTokenSession is not used: access tokens are verified, not looked up.
func (a *adapter) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, errNotKept
}

// CreateAccessTokenSession keeps nothing; see adapter.
func (a *adapter) CreateAccessTokenSession(context.Context, string, fosite.Requester) error {
	return nil
}

// DeleteAccessTokenSession keeps nothing; see adapter.
func (a *adapter) DeleteAccessTokenSession(context.Context, string) error { return nil }

// CreateRefreshTokenSession keeps nothing; see adapter.
func (a *adapter) CreateRefreshTokenSession(context.Context, string, string, fosite.Requester) error {
	return nil
}

// DeleteRefreshTokenSession keeps nothing; see adapter.
func (a *adapter) DeleteRefreshTokenSession(context.Context, string) error { return nil }

// RotateRefreshToken keeps nothing; the router rotates last.
func (a *adapter) RotateRefreshToken(context.Context, string, string) error { return nil }

// RevokeRefreshToken keeps nothing; the store ends a reused family in the same step that finds it.
func (a *adapter) RevokeRefreshToken(context.Context, string) error { return nil }

// RevokeAccessToken keeps nothing; see adapter.
func (a *adapter) RevokeAccessToken(context.Context, string) error { return nil }
