package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"
	fositeoauth2 "github.com/ory/fosite/handler/oauth2"

	"github.com/ingam/ingam/storage"
)

// codeLifetime is how long an authorization code can be redeemed (RFC 6749 §4.1.2: ten minutes at most; ASVS 10.4.3).
const codeLifetime = 60 * time.Second

const codePrefix = "ac_"

// codes makes and reads authorization codes: ac_<grant id>.0.<MAC>, generation 0 of a grant, made like a refresh token
// under a secret of its own, so that neither is ever taken for the other. It is fosite's AuthorizeCodeStrategy.
type codes struct {
	// secrets answers the server's MAC secrets, newest first.
	secrets func() [][]byte
}

var _ fositeoauth2.AuthorizeCodeStrategy = (*codes)(nil)

// make answers the code of a grant.
func (c *codes) make(g storage.Grant) string {
	return codePrefix + deriveBare(c.secrets()[0], g.ID, 0, g.Nonce)
}

// parse reads a code and checks the first half of its MAC.
func (c *codes) parse(code string) (refreshToken, bool) {
	t, ok := parseDerived(code, codePrefix, c.secrets())
	return t, ok && t.generation == 0
}

// AuthorizeCodeSignature answers the code itself: the adapter parses it, nothing is kept under it.
func (c *codes) AuthorizeCodeSignature(_ context.Context, code string) string { return code }

// GenerateAuthorizeCode is not used: the authorization endpoint is our own.
func (c *codes) GenerateAuthorizeCode(context.Context, fosite.Requester) (string, string, error) {
	return "", "", errNotKept
}

// ValidateAuthorizeCode has nothing left to do: GetAuthorizeCodeSession has checked everything.
func (c *codes) ValidateAuthorizeCode(context.Context, fosite.Requester, string) error { return nil }

// errCode has one text for every reason.
func errCode() *Error {
	return invalidGrant("The code is wrong, expired, already used, or was issued to another client, redirect_uri or code_challenge.")
}

// GetAuthorizeCodeSession finds the grant of a code and checks what it is bound to, in this order: MAC (without I/O),
// client, and then redirect URI and PKCE. So a forged code and a code of another client change nothing, while any other
// failed redemption burns the code: who has it and not the rest is not who asked for it (RFC 9700 §4.5, threats A6). It
// is called twice for each request; the second time everything is known.
func (a *adapter) GetAuthorizeCodeSession(ctx context.Context, code string, into fosite.Session) (fosite.Requester, error) {
	e, sess := a.engine, into.(*session)
	if sess.grant.ID == "" {
		if err := e.findCode(ctx, code, sess); err != nil {
			return nil, err
		}
	}
	return &fosite.Request{
		ID: sess.grant.ID, RequestedAt: sess.now, Client: sess.client, Session: sess,
		GrantedScope: sess.scopes, GrantedAudience: sess.audience, Form: url.Values{"redirect_uri": {sess.grant.RedirectURI}},
	}, nil
}

func (e *Engine) findCode(ctx context.Context, code string, sess *session) error {
	sess.code = true
	parsed, ok := e.codes.parse(code)
	if !ok {
		return errCode()
	}
	grant, err := e.store.Grant(ctx, parsed.grantID)
	switch {
	case err != nil:
		return ifNotFound(err, errCode())
	case !parsed.belongsTo(grant.Nonce), grant.ClientID != sess.client.ID, outlived(grant.BornAt, sess.client.Client):
		return errCode()
	}
	if sess.user, err = e.recallLiveUser(ctx, grant); err != nil {
		return ifNotFound(err, errCode())
	}
	// The refresh token that comes of it is generation 1, under the secret of refresh tokens.
	sess.grant, sess.presented, sess.attempt = grant, 0, rand.Text()
	return nil
}

// InvalidateAuthorizeCodeSession keeps nothing; the router rotates last.
func (a *adapter) InvalidateAuthorizeCodeSession(context.Context, string) error { return nil }

// CreateAuthorizeCodeSession is not used: the authorization endpoint is our own.
func (a *adapter) CreateAuthorizeCodeSession(context.Context, string, fosite.Requester) error {
	return errNotKept
}

// handleCode checks a redemption (RFC 6749 §4.1.3); the stock handler finds the grant through
// adapter.GetAuthorizeCodeSession and compares the redirect URI.
func (rt *router) handleCode(ctx context.Context, request *fosite.AccessRequest) error {
	if !request.Form.Has("code") {
		return invalidRequest("The parameter code is required (RFC 6749 section 4.1.3).")
	}
	e, sess := rt.engine, request.GetSession().(*session)
	if err := e.findCode(ctx, request.Form.Get("code"), sess); err != nil {
		return err
	}
	if wrong := wrongRedemption(request.Form, sess.grant); wrong != nil {
		return e.burn(ctx, sess.grant, wrong)
	}
	if sess.grant.Revoked || sess.grant.Generation > 0 {
		// The store decides, and ends the grant if this is a reuse; it costs no signature.
		if err := e.rotate(ctx, sess); err != nil && err != errOutdated { //nolint:errorlint // our own sentinel, unwrapped
			return err
		}
	}
	if wrong := rt.scopesOfCode(request, sess); wrong != nil {
		return e.burn(ctx, sess.grant, wrong)
	}
	if err := e.consentHolds(ctx, sess.grant); storage.IsFailure(err) {
		return storeError(err)
	} else if err != nil {
		return e.burn(ctx, sess.grant, errCode())
	}
	if err := rt.handlers[grantAuthorizationCode].HandleTokenEndpointRequest(ctx, request); err != nil {
		return err
	}
	request.GrantedScope, request.GrantedAudience = sess.scopes, sess.audience
	return nil
}

// scopesOfCode finds what the tokens are for: what was granted and is still registered, as far as it is asked for.
func (rt *router) scopesOfCode(request *fosite.AccessRequest, sess *session) (err error) {
	sess.scopes = intersect(sess.grant.Scopes, sess.client.Scopes)
	registered := intersect(sess.grant.Audience, rt.engine.audienceOf(sess.client))
	if len(registered) == 0 || len(sess.grant.Scopes) > 0 && len(sess.scopes) == 0 {
		return errCode()
	}
	sess.audience, err = rt.audience(request, registered)
	return err
}

// consentHolds answers storage.ErrNotFound for a code that rests on a stored consent, when that no longer covers it: a request
// that ran beside the taking back stored its code after all others were revoked.
func (e *Engine) consentHolds(ctx context.Context, g storage.Grant) error {
	if !g.Consented {
		return nil
	}
	c, err := storage.Consents{Entries: e.store}.Consent(ctx, g.UserID, g.ClientID)
	covers := func(allowed, names []string) bool { return len(intersect(names, allowed)) == len(names) }
	if err == nil && !(covers(c.Scopes, g.Scopes) && covers(c.Claims, g.UserInfoClaims) && covers(c.Claims, g.IDTokenClaims)) {
		return storage.ErrNotFound
	}
	return err
}

// wrongRedemption tells what is wrong with the form of a redemption or does not fit the code, nil if nothing is. What the
// gate lets through for it ([readTokenForm]) is checked here, where a code is known that it burns.
func wrongRedemption(form url.Values, g storage.Grant) error {
	for name, values := range form {
		if err := checkValues(name, values); err != nil {
			return err
		}
	}
	if _, err := parseScope(form.Get("scope")); err != nil {
		return err
	}
	verifier, sent := form.Get("code_verifier"), form.Has("code_verifier")
	switch {
	case form.Get("redirect_uri") != g.RedirectURI:
		// RFC 6749 §4.1.3: "if the redirect_uri parameter was included in the authorization request" it is required here, and
		// it always was.
		return invalidGrant("The redirect_uri is missing or is not the one of the authorization request (RFC 6749 section 4.1.3).")
	case g.CodeChallenge == "" && sent:
		// RFC 9700 §2.1.1: otherwise an attacker could strip the challenge from the request (threats A5).
		return invalidGrant("A code_verifier was sent for a request without code_challenge (RFC 9700 section 2.1.1).")
	case g.CodeChallenge != "" && !verifies(verifier, g.CodeChallenge):
		return invalidGrant("The code_verifier is missing or does not fit the code_challenge (RFC 7636 section 4.6).")
	}
	return nil
}

// verifies checks a code verifier (RFC 7636 §4.1: 43 to 128 unreserved characters) against an S256 challenge (§4.6).
func verifies(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 || strings.ContainsFunc(verifier, func(r rune) bool { return !unreserved(r) }) {
		return false
	}
	digest := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(digest[:])), []byte(challenge)) == 1
}

// unreserved characters are those of RFC 3986 §2.3.
func unreserved(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~", r)
}

// burn ends the grant of a code that was presented with something wrong, and answers what. A code that is used already
// is beyond that: then nothing changes, so that who finds it in a log cannot sign anybody out.
func (e *Engine) burn(ctx context.Context, g storage.Grant, wrong error) error {
	if g.Generation == 0 {
		if err := e.store.RevokeGrant(ctx, g.ID, "failed redemption of the authorization code"); err != nil {
			return storeError(err)
		}
	}
	return wrong
}

// newCode stores the grant of an authorization and answers its code.
func (e *Engine) newCode(ctx context.Context, a *authorization, s storage.Session, u storage.User) (string, error) {
	now := time.Now()
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	g := storage.Grant{
		ID: rand.Text(), ClientID: a.client.ID, UserID: u.ID, UserEpoch: u.Epoch, Scopes: a.scopes, Audience: a.audience,
		Nonce: nonce, AuthTime: s.AuthTime, AMR: s.AMR, ACR: s.ACR, BornAt: now, IdleExpiresAt: now.Add(codeLifetime),
		ExpiresAt: now.Add(e.cfg.RefreshAbsoluteLifetime), SessionID: s.ID,
		SessionBound: a.client.SessionBound && !slices.Contains(a.scopes, scopeOfflineAccess),
		RedirectURI:  a.redirectURI, CodeChallenge: a.challenge, RequestNonce: a.params.Get("nonce"),
		UserInfoClaims: a.claims.userInfo, IDTokenClaims: a.claims.idToken, Consented: a.consented,
	}
	if err := e.store.CreateGrant(ctx, g); err != nil {
		return "", storeError(err)
	}
	return e.codes.make(g), nil
}
