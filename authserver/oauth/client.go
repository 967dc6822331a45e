package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// client shows a registered client to fosite.
type client struct{ storage.Client }

var _ fosite.Client = (*client)(nil)

func (c *client) GetID() string                      { return c.ID }
func (c *client) GetHashedSecret() []byte            { return nil } // secrets are compared in authenticateClient
func (c *client) GetRedirectURIs() []string          { return c.RedirectURIs }
func (c *client) GetGrantTypes() fosite.Arguments    { return c.GrantTypes }
func (c *client) GetResponseTypes() fosite.Arguments { return nil }
func (c *client) GetScopes() fosite.Arguments        { return c.Scopes }
func (c *client) IsPublic() bool                     { return c.Public }
func (c *client) GetAudience() fosite.Arguments      { return c.Audience }

// firstPartyKey marks the context of a request that the server makes for itself (POST /login).
type firstPartyKey struct{}

// privateKeyJWT is the AuthMethod of clients that sign an assertion (OIDC Core §9).
const privateKeyJWT = "private_key_jwt"

// credentials are what a client showed of itself: its id, and its secret or its assertion if it sent one.
type credentials struct {
	id, secret string
	hasSecret  bool
	assertion  string
}

// authenticateClient authenticates the client of a request (RFC 6749 §2.3) by client_secret_basic,
// client_secret_post, private_key_jwt, or none for public clients. It is fosite's ClientAuthenticationStrategy.
func (e *Engine) authenticateClient(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
	if c, ok := ctx.Value(firstPartyKey{}).(*client); ok {
		return c, nil
	}
	shown, err := clientCredentials(r, form)
	if err != nil {
		return nil, err
	}
	registered, err := e.store.Client(ctx, shown.id)
	if err != nil && storage.IsFailure(err) {
		return nil, storeError(err)
	}
	if err := e.checkCredentials(ctx, registered, err == nil, shown, time.Now()); err != nil {
		if answer := toError(err); answer.Status == http.StatusUnauthorized {
			failed := audit.Event{Name: audit.ClientAuthFailed, ClientID: registered.ID, Address: credential.RemoteAddress(r).String()}
			if answer.cause != nil {
				failed.Reason = answer.cause.Error()
			}
			e.audit.Record(ctx, failed)
		}
		return nil, err
	}
	return &client{registered}, nil
}

// checkCredentials decides by the one method that the client is registered for.
func (e *Engine) checkCredentials(ctx context.Context, c storage.Client, known bool, shown credentials, now time.Time) error {
	switch {
	case shown.assertion != "" && known && c.AuthMethod == privateKeyJWT:
		return e.verifyAssertion(ctx, c, shown.assertion, now)
	case shown.assertion != "":
		return errInvalidClient()
	// One digest and one comparison for each request, whether or not the client exists.
	case !acceptSecret(c, known, shown, now):
		return errInvalidClient()
	}
	return nil
}

// clientCredentials finds what the client showed. RFC 6749 §2.3: not more than one method in each request.
func clientCredentials(r *http.Request, form url.Values) (credentials, error) {
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		return assertionCredentials(r, form)
	}
	inBody := credentials{id: form.Get("client_id"), secret: form.Get("client_secret"), hasSecret: form.Has("client_secret")}
	headers := r.Header.Values("Authorization")
	switch len(headers) {
	case 0:
		if inBody.id == "" {
			e := errInvalidClient()
			e.Description = "No client authentication: send client_id (public clients), or id and secret by HTTP Basic."
			return credentials{}, e
		}
		return inBody, nil
	case 1:
		basic, err := basicCredentials(headers[0])
		switch {
		case err != nil:
			return credentials{}, err
		case inBody.hasSecret:
			return credentials{}, invalidRequest("Two client authentication methods at once: HTTP Basic and client_secret " +
				"in the body (RFC 6749 section 2.3).")
		case inBody.id != "" && inBody.id != basic.id:
			return credentials{}, invalidRequest("The client_id in the body is not the one in the Authorization header.")
		}
		return basic, nil
	}
	return credentials{}, invalidRequest("The Authorization header is repeated.")
}

// basicCredentials reads an HTTP Basic header. Both halves are form-encoded inside (RFC 6749 §2.3.1).
func basicCredentials(header string) (credentials, error) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		e := errInvalidClient()
		e.Description = "The Authorization header must use the scheme Basic here."
		return credentials{}, e
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	id, secret, ok := strings.Cut(string(raw), ":")
	if err == nil && ok {
		id, err = url.QueryUnescape(id)
	}
	if err == nil && ok {
		secret, err = url.QueryUnescape(secret)
	}
	if err != nil || !ok || !cleanText(id) || !cleanText(secret) {
		e := errInvalidClient()
		e.Description = "The Authorization header is malformed: Basic needs base64 of form-encoded id ':' secret."
		return credentials{}, e
	}
	// RFC 6749 §2.3.1: the secret may be left out if it is empty, so an empty one is none.
	return credentials{id: id, secret: secret, hasSecret: secret != ""}, nil
}

// acceptSecret decides in constant time. A public client must show no secret, a confidential one must show one of
// its live ones, and for one with a key no secret is right.
func acceptSecret(c storage.Client, known bool, shown credentials, now time.Time) bool {
	digest := sha256.Sum256([]byte(shown.secret))
	match := subtle.ConstantTimeCompare(digest[:], make([]byte, sha256.Size)) // the same work for every client
	for _, s := range c.Secrets {
		live := 1
		if !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt) {
			live = 0
		}
		match |= live & subtle.ConstantTimeCompare(digest[:], s.Hash)
	}
	switch {
	case !known || c.AuthMethod == privateKeyJWT:
		return false
	case c.Public:
		return !shown.hasSecret
	}
	return shown.hasSecret && match == 1
}
