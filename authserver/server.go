package authserver

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/login"
	"github.com/ingam/ingam/authserver/oauth"
	"github.com/ingam/ingam/authserver/oidc"
	"github.com/ingam/ingam/authserver/outbound"
	"github.com/ingam/ingam/storage"
)

// metadataMaxAge is how long clients may cache the metadata; it changes only with the configuration.
const metadataMaxAge = 5 * time.Minute

// Server is the authorization server. Make one with [New].
type Server struct {
	cfg      Config
	deps     Dependencies
	engine   *oauth.Engine
	pages    *login.Pages
	logout   *oidc.Logout
	courier  *oidc.Courier
	userInfo *oidc.UserInfo
	origins  origins
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
	if deps.Outbound == nil {
		if deps.Outbound, err = outbound.New(outbound.Config{}); err != nil {
			return nil, err
		}
	}
	s := &Server{cfg: cfg, deps: deps}
	if err := s.furnish(); err != nil {
		return nil, err
	}
	routes, err := s.routes()
	if err != nil {
		return nil, err
	}
	s.public = s.middleware(routes)
	return s, nil
}

// furnish makes the rooms and opens the doors between them.
func (s *Server) furnish() (err error) {
	cfg, deps := s.cfg, s.deps
	s.pages, err = login.New(login.Config{
		Issuer: cfg.Issuer, Name: cfg.Branding.Name, Logo: cfg.Branding.Logo, LogoType: cfg.Branding.LogoType,
		Accent: cfg.Branding.Accent, IdleLifetime: cfg.SessionIdleLifetime, AbsoluteLifetime: cfg.SessionAbsoluteLifetime,
		RememberLifetime: cfg.SessionRememberLifetime, DevMode: cfg.DevMode,
	}, login.Dependencies{
		Store: deps.Store, Keys: deps.Keys, Passwords: deps.Authenticator, Hasher: deps.Authenticator.Hasher,
		// Logout needs the pages, so it comes after them.
		EndSession: func(ctx context.Context, session storage.Session) ([]string, error) {
			return s.logout.End(ctx, session)
		},
		EndOthers: func(ctx context.Context, userID, exceptID string) error {
			return s.logout.EndAllOf(ctx, userID, exceptID)
		},
		Fetch: deps.Outbound.Get, Audit: deps.Audit, Log: deps.Log, RequestID: RequestID,
	})
	if err != nil {
		return err
	}
	subjects := oidc.Subjects{Keys: deps.Keys}
	s.courier = oidc.NewCourier(cfg.Issuer, deps.Store, deps.Keys, deps.Outbound, deps.Log)
	s.courier.Audit = func(ctx context.Context, told oidc.Told) {
		event := audit.Event{Name: audit.LogoutDelivered, ClientID: told.ClientID, UserID: told.Subject, Reason: told.Reason}
		if !told.Delivered {
			event.Name = audit.LogoutFailed
		}
		deps.Audit.Record(ctx, event)
	}
	s.logout = &oidc.Logout{
		Issuer: cfg.Issuer, Store: deps.Store, Keys: deps.Keys, Subjects: subjects, Pages: logoutPages{s.pages},
		Courier: s.courier, Log: deps.Log,
		Audit: func(ctx context.Context, ended oidc.SessionEnded) {
			deps.Audit.Record(ctx, audit.Event{Name: audit.SessionEnded, UserID: ended.UserID})
		},
	}
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
		IDTokens:  oidc.IDTokens{Issuer: cfg.Issuer, Lifetime: cfg.IDTokenLifetime, Keys: deps.Keys, Subjects: subjects},
		Subjects:  subjects,
		Passwords: deps.Authenticator,
		Pages:     enginePages{s.pages},
		Outbound:  deps.Outbound,
		Audit:     deps.Audit,
		Log:       deps.Log,
	})
	s.userInfo = &oidc.UserInfo{Issuer: cfg.Issuer, Tokens: s.engine, Keys: deps.Keys, Subjects: subjects, Log: deps.Log}
	return nil
}

// Run does what nobody waits for, until ctx ends: it delivers logout tokens.
func (s *Server) Run(ctx context.Context) { s.courier.Run(ctx) }

// EndSessions ends all browser sessions of a user and has the clients behind them told (OIDC Back-Channel Logout).
func (s *Server) EndSessions(ctx context.Context, userID string) error {
	return s.logout.EndAllOf(ctx, userID, "")
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
	mux.Handle("/oauth2/token", s.api("POST", s.engine.ServeToken))
	mux.Handle("/oauth2/revoke", s.api("POST", s.engine.ServeRevoke))
	mux.Handle("/oauth2/par", s.api("POST", s.engine.ServePushed))
	mux.Handle("/userinfo", s.api("GET, HEAD, POST", s.userInfo.ServeUserInfo))
	// Not for browsers: only confidential clients may ask.
	mux.Handle("/oauth2/introspect", only("POST", s.engine.ServeIntrospect))

	// For people at browsers. Clients send them to the first two from other sites, also by POST.
	mux.HandleFunc("/oauth2/auth", s.engine.ServeAuthorize)
	mux.HandleFunc("/oauth2/logout", s.logout.ServeEndSession)
	mux.Handle("/login", s.login(s.form(s.pages.ServeSignIn)))
	mux.Handle("/login/choose", s.form(s.pages.ServeChoose))
	mux.Handle("/consent", s.form(s.serveConsent))
	mux.Handle("/logout", s.form(s.logout.ServeLogout))
	mux.Handle("/account", s.form(s.pages.ServeAccount))
	mux.Handle("/account/", s.form(s.pages.ServeAccount))
	mux.Handle("/language", s.form(s.pages.ServeLanguage))
	mux.HandleFunc("/assets/", s.pages.ServeAsset)
	mux.HandleFunc("/{$}", s.serveRoot)
	mux.HandleFunc("/", s.serveNotFound)
	return mux, nil
}

// login tells the JSON of a program from the form of a page.
func (s *Server) login(page http.Handler) http.Handler {
	program := s.api("GET, HEAD, POST", s.engine.ServeLogin) // what is there at all; the page takes the first two
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if r.Method == http.MethodGet || r.Method == http.MethodHead || mediaType == "application/x-www-form-urlencoded" {
			page.ServeHTTP(w, r)
			return
		}
		program.ServeHTTP(w, r)
	})
}

// form serves a page whose forms only pages of this server may post (threats A13): browsers say where a request comes
// from. The forms have a field against forgery as well, for browsers that do not.
func (s *Server) form(next http.HandlerFunc) http.Handler {
	protection := http.NewCrossOriginProtection()
	// A proxy may send on another Host than the one that browsers ask for and name as Origin.
	if issuer, err := url.Parse(s.cfg.Issuer); err == nil { // withDefaults has checked it
		_ = protection.AddTrustedOrigin(issuer.Scheme + "://" + issuer.Host)
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.pages.Refuse(w, r, login.Refusal{
			Status: http.StatusForbidden, Code: "invalid_request",
			Description: "The form was sent by a page of another site. Open this address yourself and try again.",
		})
	}))
	return protection.Handler(next)
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

// serveConsent takes the answer of a consent page, which is shown at the address of its request. Who comes here otherwise
// wants to see what they have allowed.
func (s *Server) serveConsent(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		s.engine.ServeConsent(w, r)
	case http.MethodGet, http.MethodHead:
		s.pages.ToAccount(w)
	default:
		refuseMethod(w, "GET, POST")
	}
}

// serveRoot leads people at browsers to their account.
func (s *Server) serveRoot(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || !wantsPage(r) {
		s.serveNotFound(w, r)
		return
	}
	s.pages.ToAccount(w)
}

// wantsPage tells people at browsers, whose requests name HTML, from programs, which take anything or JSON (RFC 9110 §12.5.1).
func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// serveNotFound answers every address that is not ours.
func (s *Server) serveNotFound(w http.ResponseWriter, r *http.Request) {
	if wantsPage(r) {
		s.pages.Missing(w, r)
		return
	}
	oauth.WriteError(w, &oauth.Error{
		Code: "not_found", Status: http.StatusNotFound,
		Description: "There is nothing at this address. /.well-known/openid-configuration lists what there is.",
	})
}
