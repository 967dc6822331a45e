package oauth

import (
	"context"
	"log/slog"
	"time"

	"github.com/ory/fosite"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// Signer signs and verifies the server's own tokens; *keys.Ring is one.
type Signer interface {
	// Sign answers a compact JWS of payload with that typ, by the key that is active now.
	Sign(ctx context.Context, typ string, payload []byte) (string, error)
	// Verify answers the payload of a token that one of our published keys signed, if its typ is one of typs.
	Verify(token string, typs ...string) ([]byte, error)
	// Derive answers secrets for a purpose, newest first. They are not to be changed.
	Derive(purpose string) [][]byte
}

// IDTokens makes ID tokens (OIDC Core §2).
type IDTokens interface {
	// IDToken answers one about the user for the client and the scopes of the grant. nonce is that of the request, "" where
	// none is due; accessToken is the one issued with it (at_hash), now its iat.
	IDToken(
		ctx context.Context, g storage.Grant, u storage.User, c storage.Client, nonce, accessToken string, now time.Time,
	) (string, error)
}

// Subjects knows under which sub a client knows a user (OIDC Core §8).
type Subjects interface {
	Subject(c storage.Client, userID string) string
}

// Passwords checks what a user typed; *credential.Authenticator is one.
type Passwords interface {
	// Authenticate answers the user, credential.ErrInvalidCredentials, a *credential.ThrottledError, or a failure.
	Authenticate(ctx context.Context, a credential.Attempt) (storage.User, error)
}

// Config is what the engine needs to know; the server has filled in every field.
type Config struct {
	Issuer           string
	FirstPartyClient string
	DefaultAudience  []string

	AccessTokenLifetime     time.Duration
	RefreshIdleLifetime     time.Duration
	RefreshAbsoluteLifetime time.Duration
	RefreshGrace            time.Duration
}

// Dependencies are the rooms next door; all are required but Audit and Outbound.
type Dependencies struct {
	Store     storage.Store
	Keys      Signer
	IDTokens  IDTokens
	Subjects  Subjects
	Passwords Passwords
	Pages     Pages
	Outbound  Fetcher
	Audit     *audit.Recorder
	Log       *slog.Logger
}

// Engine serves the OAuth endpoints. Safe for concurrent use; immutable after New.
type Engine struct {
	cfg       Config
	store     storage.Store
	keys      Signer
	idTokens  IDTokens
	subjects  Subjects
	passwords Passwords
	pages     Pages
	audit     *audit.Recorder
	log       *slog.Logger

	adapter  *adapter
	refresh  *refreshTokens
	codes    *codes
	clients  *clientKeys
	provider *fosite.Fosite
}

// New wires an engine.
func New(cfg Config, deps Dependencies) *Engine {
	e := &Engine{
		cfg: cfg, store: deps.Store, keys: deps.Keys, idTokens: deps.IDTokens, passwords: deps.Passwords,
		subjects: deps.Subjects, pages: deps.Pages, audit: deps.Audit, log: deps.Log,
	}
	e.adapter = &adapter{engine: e}
	e.refresh = &refreshTokens{secrets: func() [][]byte { return e.keys.Derive("refresh-token") }}
	e.clients = newClientKeys(deps.Outbound, deps.Log)
	e.codes = &codes{secrets: func() [][]byte { return e.keys.Derive("authorization-code") }}
	access := &accessTokens{issuer: cfg.Issuer, lifetime: cfg.AccessTokenLifetime, keys: e.keys, subjects: e.subjects}

	// Every field that our handlers read is set: fosite fills in missing ones lazily, without a lock.
	fc := &fosite.Config{
		AccessTokenLifespan:          cfg.AccessTokenLifetime,
		RefreshTokenLifespan:         cfg.RefreshIdleLifetime,
		AccessTokenIssuer:            cfg.Issuer,
		IDTokenIssuer:                cfg.Issuer,
		TokenURL:                     cfg.Issuer + "/oauth2/token",
		ScopeStrategy:                fosite.ExactScopeStrategy,
		AudienceMatchingStrategy:     func([]string, []string) error { return nil }, // router.audience decides
		RefreshTokenScopes:           []string{},                                    // refreshTokens decides
		ClientAuthenticationStrategy: e.authenticateClient,
		ClientSecretsHasher:          noHasher{},
		EnforcePKCE:                  true,
		SendDebugMessagesToClients:   false,
	}
	fc.TokenEndpointHandlers = fosite.TokenEndpointHandlers{newRouter(e, fc, access, e.refresh)}
	e.provider = fosite.NewOAuth2Provider(e.adapter, fc)
	return e
}

// audienceOf answers the audiences a client may get tokens for: its own, or the server's default.
func (e *Engine) audienceOf(c *client) []string {
	if len(c.Audience) > 0 {
		return c.Audience
	}
	return e.cfg.DefaultAudience
}

// noHasher stands where fosite would make a bcrypt hasher; client secrets never pass through it.
type noHasher struct{}

// Compare is not used; see authenticateClient.
func (noHasher) Compare(context.Context, []byte, []byte) error { return errNotKept }

// Hash is not used; see authenticateClient.
func (noHasher) Hash(context.Context, []byte) ([]byte, error) { return nil, errNotKept }
