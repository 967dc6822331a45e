package oauth

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
)

// ServeRevoke answers POST /oauth2/revoke (RFC 7009). A refresh token ends its whole grant, whatever its generation,
// and so does an access token of that grant; an access token without a grant (client_credentials) is remembered as
// revoked until it expires. Resource servers that verify locally go on accepting access tokens until they expire;
// introspection knows at once. The answer is 200 for every token that means nothing here, so that callers learn
// nothing (§2.2), and 503 when the store could not do it.
func (e *Engine) ServeRevoke(w http.ResponseWriter, r *http.Request) {
	c, token, err := e.readTokenRequest(w, r)
	if err == nil {
		err = e.revoke(r, c, token)
	}
	if err != nil {
		e.writeError(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// readTokenRequest reads what revocation and introspection have in common: an authenticated client and a token.
func (e *Engine) readTokenRequest(w http.ResponseWriter, r *http.Request) (*client, string, error) {
	form, err := readForm(w, r)
	if err != nil {
		return nil, "", err
	}
	c, err := e.authenticateClient(r.Context(), r, form)
	if err != nil {
		return nil, "", err
	}
	return c.(*client), form.Get("token"), nil
}

func (e *Engine) revoke(r *http.Request, c *client, token string) error {
	ctx := r.Context()
	if token == "" {
		return invalidRequest("The parameter token is required (RFC 7009 section 2.1).")
	}
	found, err := e.find(ctx, token)
	switch {
	case err != nil:
		return ifNotFound(err, nil)
	case found.clientID != c.ID:
		// RFC 7009 §2.1: refuse and say so; nothing is revoked.
		return invalidGrant("The token was issued to another client.")
	case found.grant.ID != "":
		err = e.store.RevokeGrant(ctx, found.grant.ID, "revoked by the client")
	default:
		_, err = e.store.Remember(ctx, revokedKey(found.access.ID), time.Unix(found.access.ExpiresAt, 0))
	}
	if err != nil {
		return storeError(err)
	}
	e.audit.Record(ctx, audit.Event{
		Name: audit.TokenRevoked, ClientID: c.ID, UserID: found.grant.UserID, GrantID: found.grant.ID,
		Address: credential.RemoteAddress(r).String(),
	})
	return nil
}

// revokedKey is the mark of an access token that was revoked by itself.
func revokedKey(jti string) string { return "revoked:" + jti }

// introspection is the answer of RFC 7662 §2.2.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	Username  string   `json:"username,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	ExpiresAt int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  audience `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	SessionID string   `json:"sid,omitempty"`
}

// ServeIntrospect answers POST /oauth2/introspect (RFC 7662). Only confidential clients may ask, and they learn
// about their own tokens and about those for an audience they stand for; every other token is active:false to them
// (§2.2). A store that fails is 503: active:false would log people out.
func (e *Engine) ServeIntrospect(w http.ResponseWriter, r *http.Request) {
	c, token, err := e.readTokenRequest(w, r)
	if err != nil {
		e.writeError(w, r, err)
		return
	}
	answer, err := e.introspect(r, c, token)
	if err != nil {
		e.writeError(w, r, err)
		return
	}
	body, err := json.Marshal(answer)
	if err != nil {
		e.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, body)
}

func (e *Engine) introspect(r *http.Request, c *client, token string) (introspection, error) {
	inactive := introspection{}
	if c.Public {
		// RFC 7662 §2.1: the endpoint requires authorization; a public client has none to show.
		return inactive, errInvalidClient()
	}
	if token == "" {
		return inactive, invalidRequest("The parameter token is required (RFC 7662 section 2.1).")
	}
	ctx := r.Context()
	found, err := e.find(ctx, token)
	if err != nil {
		return inactive, ifNotFound(err, nil)
	}
	if !found.visibleTo(c) {
		return inactive, nil
	}
	live, err := e.alive(ctx, &found, c)
	if err != nil || !live {
		return inactive, err
	}
	subject := ""
	if found.access == nil {
		subject = e.subjects.Subject(c.Client, found.grant.UserID) // refresh tokens are told to their own client only
	}
	return found.describe(e.cfg.Issuer, subject), nil
}
