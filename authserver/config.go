package authserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/authserver/outbound"
	"github.com/ingam/ingam/keys"
	"github.com/ingam/ingam/storage"
)

// Config is what an operator decides. The zero value is refused by [New] for lack of an issuer; every other zero
// field means its default. It is not read again after New.
type Config struct {
	// Issuer is the identifier of this server (RFC 8414 §2), an http or https URL without query, fragment or trailing
	// slash. Tokens carry it as iss; it is never taken from a request.
	Issuer string
	// FirstPartyClient is the client_id that POST /login signs in for; "" turns POST /login off.
	FirstPartyClient string
	// DefaultAudience is the aud of tokens for clients that have no audience of their own (RFC 9068 §3); default: the
	// issuer.
	DefaultAudience []string

	AccessTokenLifetime     time.Duration // default 15 minutes
	IDTokenLifetime         time.Duration // default 15 minutes
	RefreshIdleLifetime     time.Duration // a grant unused for so long ends; default 30 days
	RefreshAbsoluteLifetime time.Duration // a grant ends so long after its sign-in whatever happens; default 180 days
	// RefreshGrace is how long a used refresh token still gets the same successor again; nil means 10 seconds, 0 is
	// strict. A client's own value comes first.
	RefreshGrace *time.Duration

	// Sign-ins at browsers: a session ends when it was not used for SessionIdleLifetime (default 24 hours), and in any case
	// after SessionAbsoluteLifetime (default 7 days); where "stay signed in" was chosen, after SessionRememberLifetime
	// without use (default 30 days) and three times that in any case.
	SessionIdleLifetime     time.Duration
	SessionAbsoluteLifetime time.Duration
	SessionRememberLifetime time.Duration
	// Branding is how pages look.
	Branding Branding
	// DevMode shows on every page that this is no real server, and whom one can sign in as.
	DevMode bool

	// CORSOrigins may call the token endpoint and its neighbours from a browser, beside the origins of registered public
	// clients. Metadata and keys are open to every origin.
	CORSOrigins []string
	// TrustedProxies are the addresses whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
}

// Branding is the look of the pages that people see.
type Branding struct {
	// Name of the service; default: the host of the issuer.
	Name string
	// Logo is an image, LogoType its media type.
	Logo     []byte
	LogoType string
	// Accent is a colour, #rrggbb.
	Accent string
}

// Dependencies are the rooms that the server is built from; Audit, Log and Outbound may be left out.
type Dependencies struct {
	Store         storage.Store
	Keys          *keys.Ring
	Authenticator *credential.Authenticator
	// Outbound reaches the addresses that clients registered; default: only https to public addresses.
	Outbound *outbound.Client
	Audit    *audit.Recorder
	Log      *slog.Logger
}

// withDefaults fills zero fields and lists every problem at once.
func (c Config) withDefaults() (Config, error) {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if err := CheckIssuer(c.Issuer); err != nil {
		bad("issuer: %w", err)
	}
	if len(c.DefaultAudience) == 0 {
		c.DefaultAudience = []string{c.Issuer}
	}
	grace := 10 * time.Second
	if c.RefreshGrace == nil {
		c.RefreshGrace = &grace
	}
	if *c.RefreshGrace < 0 || *c.RefreshGrace > 5*time.Minute {
		bad("refresh grace: %s is not between 0s and 5m", *c.RefreshGrace)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
		max   time.Duration
	}{
		{"access token lifetime", &c.AccessTokenLifetime, 15 * time.Minute, 24 * time.Hour},
		{"ID token lifetime", &c.IDTokenLifetime, 15 * time.Minute, 24 * time.Hour},
		{"refresh idle lifetime", &c.RefreshIdleLifetime, 30 * 24 * time.Hour, 10 * 365 * 24 * time.Hour},
		{"refresh absolute lifetime", &c.RefreshAbsoluteLifetime, 180 * 24 * time.Hour, 10 * 365 * 24 * time.Hour},
		{"session idle lifetime", &c.SessionIdleLifetime, 24 * time.Hour, 365 * 24 * time.Hour},
		{"session absolute lifetime", &c.SessionAbsoluteLifetime, 7 * 24 * time.Hour, 365 * 24 * time.Hour},
		{"session remember lifetime", &c.SessionRememberLifetime, 30 * 24 * time.Hour, 365 * 24 * time.Hour},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < time.Second || *d.value > d.max {
			bad("%s: %s is not between 1s and %s", d.name, *d.value, d.max)
		}
	}
	return c, errors.Join(problems...)
}

// CheckIssuer tells what is wrong with an issuer identifier (RFC 8414 §2), or nil.
func CheckIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("is missing; give the URL under which clients reach this server, like https://login.example.com")
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a URL", issuer)
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.HasSuffix(u.Host, ":"):
		return fmt.Errorf("%q must begin with https:// (http:// on a developer's machine) and a host", issuer)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.ContainsAny(issuer, "?#"):
		return fmt.Errorf("%q must not have a query, a fragment or a user (RFC 8414 §2)", issuer)
	case strings.HasSuffix(issuer, "/"):
		return fmt.Errorf("%q must not end with a slash: write %q", issuer, strings.TrimRight(issuer, "/"))
	case u.Path != "" && u.Path != path.Clean(u.Path):
		return fmt.Errorf("%q must have a path without empty, '.' or '..' segments: clients would change it", issuer)
	case u.EscapedPath() != u.Path:
		return fmt.Errorf("%q must have a path that needs no %% escapes: it would have two spellings", issuer)
	}
	return nil
}
