package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"github.com/ory/fosite"
	fositeoauth2 "github.com/ory/fosite/handler/oauth2"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/storage"
)

// The grant types served, by the names of RFC 6749 §4.3.2, §6 and §4.4.2.
const (
	grantPassword          = "password"
	grantRefreshToken      = "refresh_token"
	grantClientCredentials = "client_credentials"
)

// grantTypes lists them for metadata and messages.
func grantTypes() []string { return []string{grantPassword, grantRefreshToken, grantClientCredentials} }

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
	aud, refused := within(requestedAudience(request.Form), allowed, allowed)
	if refused != "" {
		return nil, invalidTarget("The resource is not one this client may get tokens for (RFC 8707 section 2).")
	}
	return aud, nil
}

// beginGrant prepares the record of a new sign-in. It is stored by commit.
func (rt *router) beginGrant(request *fosite.AccessRequest) {
	sess := request.GetSession().(*session)
	idle := rt.engine.cfg.RefreshIdleLifetime
	if !slices.Contains(sess.client.GrantTypes, grantRefreshToken) {
		idle = rt.engine.cfg.AccessTokenLifetime // nothing of this sign-in outlives its access token
	}
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
		ACR:           acrPassword,
		Generation:    1,
		BornAt:        sess.now,
		IdleExpiresAt: sess.now.Add(idle),
		ExpiresAt:     sess.now.Add(rt.engine.cfg.RefreshAbsoluteLifetime),
	}
}

// acrPassword is the authentication context class of a sign-in by password alone: one factor (OIDC Core §2, acr).
const acrPassword = "1"

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
			return ifNotFound(err, errRefreshToken())
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
		idToken, err := rt.engine.idTokens.IDToken(ctx, narrowed, sess.user, responder.GetAccessToken(), sess.now)
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

// rotate redeems the presented generation and turns the outcome into an answer; errOutdated is the one that is none yet.
func (e *Engine) rotate(ctx context.Context, sess *session) error {
	grace := e.cfg.RefreshGrace
	if own := sess.client.RefreshGrace; own != nil {
		grace = *own
	}
	outcome, _, err := e.store.Rotate(ctx, storage.Rotation{
		GrantID: sess.grant.ID, Generation: sess.presented, Attempt: sess.attempt,
		Grace: grace, IdleLifetime: e.cfg.RefreshIdleLifetime,
		UserID: sess.user.ID, UserEpoch: sess.user.Epoch, UserVersion: sess.user.Version,
	})
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return errRefreshToken()
	case err != nil:
		return storeError(err)
	}
	event := audit.Event{ClientID: sess.client.ID, UserID: sess.grant.UserID, GrantID: sess.grant.ID}
	switch outcome {
	case storage.Rotated, storage.Replayed:
		sess.settled = true
		return nil
	case storage.Reused:
		event.Name, event.Reason = audit.RefreshReused, storage.ReasonReused
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
	return errRefreshToken()
}

// errRefreshToken has one text for every reason.
func errRefreshToken() *Error {
	return invalidGrant("The refresh_token is wrong, expired, revoked, already used, or belongs to another client.")
}
