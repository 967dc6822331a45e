package apps

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// provider knows the authorization server once somebody has asked: the application may start first. A discovery that
// failed is tried again with the next request.
type provider struct {
	cfg    WebConfig
	client *http.Client

	mu   sync.Mutex
	once *discovered
}

// discovered is what the metadata said.
type discovered struct {
	*oidc.Provider
	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	// endSession is where signing out begins, "" if the server has no such place.
	endSession string
	// sendsIss: each answer names the server it is from (RFC 9207 §3).
	sendsIss bool
}

func newProvider(cfg WebConfig) *provider {
	return &provider{cfg: cfg, client: &http.Client{
		Timeout:   5 * time.Second,
		Transport: detour{from: cfg.Issuer, to: cfg.InternalURL, next: http.DefaultTransport},
		// Neither a token nor a secret goes where somebody else points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// context lets both libraries use the client of this provider.
func (p *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}

func (p *provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.once != nil {
		return p.once, nil
	}
	found, err := oidc.NewProvider(p.context(ctx), p.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		EndSession string `json:"end_session_endpoint"`
		SendsIss   bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, err
	}
	endpoint := found.Endpoint()
	// Said here, or else the library would find it out by trying, and a code can be tried once.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	p.once = &discovered{
		Provider: found, endSession: more.EndSession, sendsIss: more.SendsIss,
		verifier: found.Verifier(&oidc.Config{ClientID: p.cfg.ClientID}),
		oauth: oauth2.Config{
			ClientID: p.cfg.ClientID, ClientSecret: p.cfg.ClientSecret, Endpoint: endpoint,
			RedirectURL: p.cfg.BaseURL + "/callback", Scopes: strings.Fields(scope),
		},
	}
	return p.once, nil
}

// detour sends what is addressed to the issuer to where this process reaches it: inside a container network the address
// that browsers use leads elsewhere. All that is compared, iss first of all, stays the issuer's.
type detour struct {
	from, to string
	next     http.RoundTripper
}

func (d detour) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.from == d.to || originOf(r.URL.String()) != originOf(d.from) {
		return d.next.RoundTrip(r)
	}
	to, err := url.Parse(d.to)
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = to.Scheme, to.Host, ""
	return d.next.RoundTrip(out)
}
