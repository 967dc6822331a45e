package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/ory/fosite"
	fositeoauth2 "github.com/ory/fosite/handler/oauth2"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// The grant types served, by the names of RFC 6749 §4.3.2, §6, §4.4.2 and §4.1.3.
const (
	grantPassword          = "password"
	grantRefreshToken      = "refresh_token"
	grantClientCredentials = "client_credentials"
	grantAuthorizationCode = "authorization_code"
)

// grantTypes lists them for metadata and messages.
func grantTypes() []string {
	return []string{grantAuthorizationCode, grantRefreshToken, grantClientCredentials, grantPassword}
}

// router is the one TokenEndpointHandler that fosite sees. It runs the stock handler of the grant and does around it
// what every grant needs, so that no grant can forget it: is the client registered for it, which scopes and which
// audience does it get, an ID token for openid, and the commit at the end.
type router struct {
	engine   *Engine
	handlers map[string]fosite.TokenEndpointHandler
}

var _ fosite.TokenEndpointHandler = (*router)(nil)

// newRouter wires the stock handlers, one literal for each grant.
func newRouter(e *Engine, cfg *fosite.Config, access *accessTokens, refresh *refreshTokens) *router {
	issue := &fositeoauth2.HandleHelper{AccessTokenStrategy: access, AccessTokenStorage: e.adapter, Config: cfg}
	return &router{engine: e, handlers: map[string]fosite.TokenEndpointHandler{
		//nolint:staticcheck // SA1019: deprecated as the grant itself is (RFC 9700 §2.4); served to registered clients only
		grantPassword: &fositeoauth2.ResourceOwnerPasswordCredentialsGrantHandler{
			HandleHelper: issue,
			ResourceOwnerPasswordCredentialsGrantStorage: e.adapter,
			RefreshTokenStrategy:                         refresh,
			Config:                                       cfg,
		},
		grantRefreshToken: &fositeoauth2.RefreshTokenGrantHandler{
			AccessTokenStrategy:    access,
			RefreshTokenStrategy:   refresh,
			TokenRevocationStorage: e.adapter,
			Config:                 cfg,
		},
		grantClientCredentials: &fositeoauth2.ClientCredentialsGrantHandler{HandleHelper: issue, Config: cfg},
		grantAuthorizationCode: &fositeoauth2.AuthorizeExplicitGrantHandler{
			AccessTokenStrategy:    access,
			RefreshTokenStrategy:   refresh,
			AuthorizeCodeStrategy:  e.codes,
			CoreStorage:            e.adapter,
			TokenRevocationStorage: e.adapter,
			Config:                 cfg,
		},
	}}
}

// CanSkipClientAuth is false: every grant authenticates its client, public ones by their client_id.
func (rt *router) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// CanHandleTokenEndpointRequest is true: ServeToken has refused other grant types.
func (rt *router) CanHandleTokenEndpointRequest(context.Context, fosite.AccessRequester) bool {
	return true
}

// HandleTokenEndpointRequest checks everything about the request and grants scopes and audience.
func (rt *router) HandleTokenEndpointRequest(ctx context.Context, requester fosite.AccessRequester) error {
	request := requester.(*fosite.AccessRequest)
	grant := request.Form.Get("grant_type")
	c := request.GetClient().(*client)
	request.GetSession().(*session).client = c

	// RFC 6749 §5.2: unauthorized_client. The password grant is off unless registered (RFC 9700 §2.4), and
	// client_credentials is for confidential clients only, whatever is registered (RFC 6749 §4.4).
	if !slices.Contains(c.GrantTypes, grant) || grant == grantClientCredentials && c.Public {
		return unauthorizedClient(grant)
	}
	if grant == grantAuthorizationCode {
		return rt.handleCode(ctx, request)
	}
	requested, err := parseScope(request.Form.Get("scope"))
	if err != nil {
		return err
	}
	if grant == grantRefreshToken {
		return rt.handleRefresh(ctx, request, requested)
	}
	scopes, refused := within(requested, c.Scopes, c.DefaultScopes)
	if refused != "" {
		return scopeOutside(refused, "this client is registered for")
	}
	if grant == grantClientCredentials {
		// There is no user whose profile or ID could be told (OIDC Core §3.1.2.1).
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == "openid" })
	}
	if len(requested) > 0 && len(scopes) == 0 {
		// RFC 6749 §5.1: an answer without scope would say that all was granted.
		return invalidScope("None of the requested scopes can be granted without a user.")
	}
	aud, err := rt.audience(request, rt.engine.audienceOf(c))
	if err != nil {
		return err
	}
	if grant == grantPassword && (!request.Form.Has("username") || !request.Form.Has("password")) {
		return invalidRequest("The parameters username and password are required (RFC 6749 section 4.3.2).")
	}
	request.RequestedScope, request.RequestedAudience = scopes, aud
	if err := rt.handlers[grant].HandleTokenEndpointRequest(ctx, requester); err != nil {
		return err
	}
	request.GrantedScope, request.GrantedAudience = scopes, aud
	if grant == grantPassword {
		rt.beginGrant(request)
	}
	return nil
}

// handleRefresh checks a refresh request; the stock handler finds the grant through adapter.GetRefreshTokenSession.
func (rt *router) handleRefresh(ctx context.Context, request *fosite.AccessRequest, requested []string) error {
	if !request.Form.Has("refresh_token") {
		return invalidRequest("The parameter refresh_token is required (RFC 6749 section 6).")
	}
	if err := rt.handlers[grantRefreshToken].HandleTokenEndpointRequest(ctx, request); err != nil {
		return err
	}
	// RFC 6749 §6: the scope may be narrowed, never widened; scopes and audiences that
	// the client is no longer registered for are gone.
	sess := request.GetSession().(*session)
	scopes, refused := within(requested, sess.grant.Scopes, sess.grant.Scopes)
	if refused != "" {
		return scopeOutside(refused, "that were granted")
	}
	registered := intersect(sess.grant.Audience, rt.engine.audienceOf(sess.client))
	if len(registered) == 0 {
		return errRefreshToken()
	}
	aud, err := rt.audience(request, registered)
	if err != nil {
		return err
	}
	request.GrantedScope, request.GrantedAudience = intersect(scopes, sess.client.Scopes), aud
	if len(scopes) > 0 && len(request.GrantedScope) == 0 {
		return invalidScope("This client is no longer registered for any of the scopes.")
	}
	return nil
}

// audience answers which of the allowed audiences the token is for (RFC 8707 §2): those asked for, or all.
func (rt *router) audience(request *fosite.AccessRequest, allowed []string) ([]string, error) {
	return audienceWithin(request.Form, allowed)
}

// beginGrant prepares the record of a new sign-in. It is stored by commit.
func (rt *router) beginGrant(request *fosite.AccessRequest) {
	sess := request.GetSession().(*session)
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	sess.grant = storage.Grant{
		ID:            rand.Text(),
		ClientID:      sess.client.ID,
		UserID:        sess.user.ID,
		UserEpoch:     sess.user.Epoch,
		Scopes:        request.GrantedScope,
		Audience:      request.GrantedAudience,
		Nonce:         nonce,
		AuthTime:      sess.now,
		AMR:           []string{"pwd"}, // RFC 8176 §2
		ACR:           credential.ACRPassword,
		Generation:    1,
		BornAt:        sess.now,
		IdleExpiresAt: sess.now.Add(rt.engine.idleLifetime(sess.client)),
		ExpiresAt:     sess.now.Add(rt.engine.cfg.RefreshAbsoluteLifetime),
	}
}

// commitRounds is how often a request makes its tokens anew because the user has changed meanwhile.
const commitRounds = 3

// errOutdated: the user whom the tokens speak of has changed, and nothing is decided.
var errOutdated = errors.New("oauth: the user changed while the tokens were made")

// PopulateTokenEndpointResponse makes the tokens and, when nothing can fail any more, commits. Tokens that speak of a
// user as they were are never handed out: then both are done again, under the same attempt.
func (rt *router) PopulateTokenEndpointResponse(
	ctx context.Context, requester fosite.AccessRequester, responder fosite.AccessResponder,
) error {
	grant, sess := requester.GetRequestForm().Get("grant_type"), requester.GetSession().(*session)
	for range commitRounds {
		if err := rt.makeTokens(ctx, grant, requester, responder); err != nil {
			return err
		}
		err := rt.commit(ctx, grant, sess)
		if !errors.Is(err, errOutdated) {
			return err
		}
		if sess.user, err = rt.engine.liveUser(ctx, sess.grant); err != nil {
			return ifNotFound(err, sess.refusal())
		}
	}
	return storeError(errOutdated)
}

// makeTokens fills the response.
func (rt *router) makeTokens(
	ctx context.Context, grant string, requester fosite.AccessRequester, responder fosite.AccessResponder,
) error {
	if err := rt.handlers[grant].PopulateTokenEndpointResponse(ctx, requester, responder); err != nil {
		return err
	}
	sess := requester.GetSession().(*session)
	if sess.grant.ID != "" && slices.Contains(requester.GetGrantedScopes(), "openid") {
		// The ID token speaks of this response: its scopes may be narrower than the grant's.
		narrowed := sess.grant
		narrowed.Scopes = requester.GetGrantedScopes()
		nonce := ""
		if sess.code {
			nonce = sess.grant.RequestNonce
		}
		idToken, err := rt.engine.idTokens.IDToken(
			ctx, narrowed, sess.user, sess.client.Client, nonce, responder.GetAccessToken(), sess.now)
		if err != nil {
			return err
		}
		responder.SetExtra("id_token", idToken)
	}
	return nil
}

// commit makes the one write of the request, atomic in the store.
func (rt *router) commit(ctx context.Context, grant string, sess *session) error {
	switch {
	case grant == grantClientCredentials || sess.settled:
		return nil
	case grant == grantPassword:
		if err := rt.engine.store.CreateGrant(ctx, sess.grant); err != nil {
			return storeError(err)
		}
		return nil
	}
	return rt.engine.rotate(ctx, sess)
}

// rotation is what the store is asked for.
func (e *Engine) rotation(sess *session) storage.Rotation {
	r := storage.Rotation{
		GrantID: sess.grant.ID, Generation: sess.presented, Attempt: sess.attempt,
		Grace: e.cfg.RefreshGrace, IdleLifetime: e.cfg.RefreshIdleLifetime,
		UserID: sess.user.ID, UserEpoch: sess.user.Epoch, UserVersion: sess.user.Version,
	}
	if own := sess.client.RefreshGrace; own != nil {
		r.Grace = *own
	}
	if sess.code {
		// A code has no grace: RFC 6749 §4.1.2, "MUST NOT use the authorization code more than once".
		r.Grace, r.Fence = 0, true
		r.IdleLifetime = e.idleLifetime(sess.client)
	}
	return r
}

// rotate redeems the presented generation and turns the outcome into an answer; errOutdated is the one that is none yet.
func (e *Engine) rotate(ctx context.Context, sess *session) error {
	outcome, _, err := e.store.Rotate(ctx, e.rotation(sess))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return sess.refusal()
	case err != nil:
		return storeError(err)
	}
	event := audit.Event{ClientID: sess.client.ID, UserID: sess.grant.UserID, GrantID: sess.grant.ID}
	switch outcome {
	case storage.Rotated, storage.Replayed:
		// The browser session is looked at last, so that no refresh succeeds that began after a logout.
		if err := e.sessionHolds(ctx, sess.grant); err != nil {
			return ifNotFound(err, sess.refusal())
		}
		sess.settled = true
		return nil
	case storage.Reused:
		event.Name, event.Reason = audit.RefreshReused, storage.ReasonReused
		if sess.code {
			event.Name, event.Reason = audit.CodeReused, "authorization code used twice"
		}
		e.audit.Record(ctx, event)
	case storage.Ahead:
		event.Name, event.Reason = audit.RollbackDetected, storage.ReasonAhead
		e.audit.Record(ctx, event)
	case storage.Fenced:
		event.Name, event.Reason = audit.RollbackDetected, "the store may have forgotten a redemption"
		e.audit.Record(ctx, event)
	case storage.Outdated:
		return errOutdated
	}
	return sess.refusal()
}

// sessionHolds answers storage.ErrNotFound for a grant that ends with its browser session, when that has ended. So does
// every grant that is still a code: its client would begin a session after it has been told of the logout.
func (e *Engine) sessionHolds(ctx context.Context, g storage.Grant) error {
	if !g.SessionBound && (g.Generation > 0 || g.SessionID == "") {
		return nil
	}
	_, err := storage.Sessions{Entries: e.store}.Session(ctx, g.SessionID)
	return err
}

// idleLifetime is how long a sign-in lasts that is not refreshed.
func (e *Engine) idleLifetime(c *client) time.Duration {
	if !slices.Contains(c.GrantTypes, grantRefreshToken) {
		return e.cfg.AccessTokenLifetime // nothing of this sign-in outlives its access token
	}
	return e.cfg.RefreshIdleLifetime
}

// refusal has one text for every reason why a credential was not redeemed.
func (s *session) refusal() *Error {
	if s.code {
		return errCode()
	}
	return errRefreshToken()
}

// errRefreshToken has one text for every reason.
func errRefreshToken() *Error {
	return invalidGrant("The refresh_token is wrong, expired, revoked, already used, or belongs to another client.")
}
