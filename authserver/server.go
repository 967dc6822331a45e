package authserver

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/oauth"
	"github.com/ingam/ingam/authserver/oidc"
)

// metadataMaxAge is how long clients may cache the metadata; it changes only with the configuration.
const metadataMaxAge = 5 * time.Minute

// Server is the authorization server. Make one with [New].
type Server struct {
	cfg      Config
	deps     Dependencies
	engine   *oauth.Engine
	public   http.Handler
	draining atomic.Bool
}

// New checks the configuration, listing every problem, and wires a server.
func New(cfg Config, deps Dependencies) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if deps.Store == nil || deps.Keys == nil || deps.Authenticator == nil {
		return nil, errors.New("authserver: Store, Keys and Authenticator are required")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	deps.Log = withRequestID(deps.Log)
	if deps.Audit != nil && deps.Audit.Log != nil {
		deps.Audit = &audit.Recorder{Log: withRequestID(deps.Audit.Log)}
	}
	s := &Server{cfg: cfg, deps: deps}
	s.engine = oauth.New(oauth.Config{
		Issuer:                  cfg.Issuer,
		FirstPartyClient:        cfg.FirstPartyClient,
		DefaultAudience:         cfg.DefaultAudience,
		AccessTokenLifetime:     cfg.AccessTokenLifetime,
		RefreshIdleLifetime:     cfg.RefreshIdleLifetime,
		RefreshAbsoluteLifetime: cfg.RefreshAbsoluteLifetime,
		RefreshGrace:            *cfg.RefreshGrace,
	}, oauth.Dependencies{
		Store:     deps.Store,
		Keys:      deps.Keys,
		IDTokens:  oidc.IDTokens{Issuer: cfg.Issuer, Lifetime: cfg.IDTokenLifetime, Keys: deps.Keys},
		Passwords: deps.Authenticator,
		Audit:     deps.Audit,
		Log:       deps.Log,
	})
	routes, err := s.routes()
	if err != nil {
		return nil, err
	}
	s.public = s.middleware(routes)
	return s, nil
}

// routes are the public addresses. They are relative to the path of the issuer, which middleware has cut off.
func (s *Server) routes() (http.Handler, error) {
	metadata, err := oidc.NewMetadata(s.cfg.Issuer, s.deps.Keys.Algorithms())
	if err != nil {
		return nil, err
	}
	serveMetadata := s.document("application/json", metadata)
	issuer, err := url.Parse(s.cfg.Issuer)
	if err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.Handle("/.well-known/openid-configuration", s.open(serveMetadata))
	mux.Handle("/.well-known/oauth-authorization-server", s.open(serveMetadata))
	if issuer.Path != "" {
		// RFC 8414 §3.1: the well-known path goes between host and the issuer's path.
		mux.Handle("/.well-known/oauth-authorization-server"+issuer.Path, s.open(serveMetadata))
	}
	mux.Handle("/.well-known/jwks.json", s.open(s.serveJWKS))
	mux.Handle("/oauth2/token", s.api(s.engine.ServeToken))
	mux.Handle("/oauth2/revoke", s.api(s.engine.ServeRevoke))
	// Not for browsers: only confidential clients may ask.
	mux.Handle("/oauth2/introspect", post(s.engine.ServeIntrospect))
	mux.Handle("/login", s.api(s.engine.ServeLogin))
	mux.HandleFunc("/", serveNotFound)
	return mux, nil
}

// ServeHTTP answers on the public listener.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.public.ServeHTTP(w, r) }

// document answers a handler for a public document that never changes.
func (s *Server) document(contentType string, body []byte) http.HandlerFunc {
	etag := oidc.ETag(body)
	return func(w http.ResponseWriter, r *http.Request) {
		oidc.ServeDocument(w, r, contentType, body, etag, metadataMaxAge)
	}
}

// serveJWKS answers GET /.well-known/jwks.json (RFC 7517 §5): the keys as the ring publishes them now.
func (s *Server) serveJWKS(w http.ResponseWriter, r *http.Request) {
	doc := s.deps.Keys.JWKS()
	// RFC 7517 §8.5.2 registers the media type; clients that ask for application/json take it as well.
	oidc.ServeDocument(w, r, "application/jwk-set+json", doc.Body, doc.ETag, doc.MaxAge)
}

// serveNotFound answers every address that is not ours.
func serveNotFound(w http.ResponseWriter, _ *http.Request) {
	oauth.WriteError(w, &oauth.Error{
		Code: "not_found", Status: http.StatusNotFound,
		Description: "There is nothing at this address. /.well-known/openid-configuration lists what there is.",
	})
}
