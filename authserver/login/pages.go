package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// Config is what an operator decides about pages and sessions. Zero fields but Issuer mean their default.
type Config struct {
	// Issuer is the URL of this server. Its path goes before every address of a page, its scheme decides how cookies are set.
	Issuer string
	// Name stands at the top of each page; default the host of the issuer. Logo, if not empty, is an image of the media type LogoType.
	// Accent is the colour of buttons and links, #rrggbb.
	Name     string
	Logo     []byte
	LogoType string
	Accent   string

	// A session unused for IdleLifetime ends (default 24 hours), and AbsoluteLifetime after the sign-in in any case (7 days).
	// Where the person wants to stay signed in, it is RememberLifetime (30 days) and three times that.
	IdleLifetime     time.Duration
	AbsoluteLifetime time.Duration
	RememberLifetime time.Duration

	// DevMode says on each page that this is a developer's machine, and on the sign-in page who can sign in.
	DevMode bool
}

// Deriver answers secrets of the server for one purpose: make with the first, accept any.
type Deriver interface {
	Derive(purpose string) [][]byte
}

// Authenticator checks passwords; see [credential.Authenticator].
type Authenticator interface {
	Authenticate(ctx context.Context, at credential.Attempt) (storage.User, error)
}

// EndSession ends a browser session and tells its clients. It answers the addresses of front-channel logout to load.
type EndSession func(ctx context.Context, s storage.Session) (frames []string, err error)

// EndOthers ends all sessions of a user but one.
type EndOthers func(ctx context.Context, userID, exceptID string) error

// Dependencies are what pages call. All are required but Fetch, Audit, Log and RequestID.
type Dependencies struct {
	Store      storage.Store
	Keys       Deriver
	Passwords  Authenticator
	Hasher     *credential.Hasher
	EndSession EndSession
	EndOthers  EndOthers
	// Fetch gets the logos of clients; without it pages do without.
	Fetch Fetch
	Audit *audit.Recorder
	Log   *slog.Logger
	// RequestID answers the id of the request that a context belongs to, for people to quote.
	RequestID func(ctx context.Context) string
}

// Pages serves what people see. Make one with [New]; it is then safe for concurrent use.
type Pages struct {
	cfg       Config
	secure    bool   // the issuer is https
	base      string // the path of the issuer
	origin    string
	logos     logos
	store     storage.Store
	sessions  storage.Sessions
	consents  storage.Consents
	keys      Deriver
	passwords Authenticator
	hasher    *credential.Hasher
	end       EndSession
	endOthers EndOthers
	audit     *audit.Recorder
	log       *slog.Logger
	requestID func(ctx context.Context) string
	languages languages
	templates map[string]templates // by language
	assets    assets
}

// New checks the configuration, listing every problem, and prepares the pages.
func New(cfg Config, deps Dependencies) (*Pages, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if deps.Store == nil || deps.Keys == nil || deps.Passwords == nil || deps.Hasher == nil ||
		deps.EndSession == nil || deps.EndOthers == nil {
		return nil, errors.New("login: Store, Keys, Passwords, Hasher, EndSession and EndOthers are required")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.RequestID == nil {
		deps.RequestID = func(context.Context) string { return "" }
	}
	issuer, err := url.Parse(cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("login: issuer %q is not a URL", cfg.Issuer)
	}
	p := &Pages{
		cfg: cfg, secure: issuer.Scheme == "https", base: issuer.Path, origin: issuer.Scheme + "://" + issuer.Host,
		store: deps.Store, sessions: storage.Sessions{Entries: deps.Store}, consents: storage.Consents{Entries: deps.Store},
		logos: logos{fetch: deps.Fetch, log: deps.Log}, keys: deps.Keys, passwords: deps.Passwords, hasher: deps.Hasher,
		end: deps.EndSession, endOthers: deps.EndOthers, audit: deps.Audit, log: deps.Log, requestID: deps.RequestID,
	}
	if p.languages, err = loadLanguages(); err != nil {
		return nil, err
	}
	if p.templates, err = loadTemplates(p.languages); err != nil {
		return nil, err
	}
	if p.assets, err = loadAssets(cfg.Logo, cfg.LogoType); err != nil {
		return nil, err
	}
	return p, nil
}

var logoTypes = []string{"image/png", "image/jpeg", "image/webp", "image/gif", "image/svg+xml"}

// maxLogoBytes keeps every page light: the logo is on all of them.
const maxLogoBytes = 256 << 10

func (c Config) withDefaults() (Config, error) {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf("login: "+format, args...)) }

	u, err := url.Parse(c.Issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		bad("issuer %q must be an http or https URL", c.Issuer)
	} else if c.Name == "" {
		c.Name = u.Host
	}
	if c.Accent == "" {
		c.Accent = "#4338ca"
	}
	c.Accent = strings.ToLower(c.Accent)
	if _, ok := parseColour(c.Accent); !ok {
		bad("accent %q must be a colour like #4338ca", c.Accent)
	}
	if len(c.Logo) > 0 && !slices.Contains(logoTypes, c.LogoType) {
		bad("logo of type %q: it must be one of %s", c.LogoType, strings.Join(logoTypes, ", "))
	}
	if len(c.Logo) > maxLogoBytes {
		bad("logo of %d bytes: it must have at most %d", len(c.Logo), maxLogoBytes)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"idle lifetime", &c.IdleLifetime, 24 * time.Hour},
		{"absolute lifetime", &c.AbsoluteLifetime, 7 * 24 * time.Hour},
		{"remember lifetime", &c.RememberLifetime, 30 * 24 * time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < time.Second {
			bad("%s %v must be at least one second", d.name, *d.value)
		}
	}
	return c, errors.Join(problems...)
}
