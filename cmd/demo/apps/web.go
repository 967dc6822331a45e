package apps

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// WebConfig is what the server-side application must know.
type WebConfig struct {
	// Issuer is the address of the authorization server as browsers and tokens have it.
	Issuer string
	// InternalURL is where this process reaches the authorization server, if that is another address; "" means Issuer.
	InternalURL  string
	ClientID     string
	ClientSecret string
	// BaseURL is the address of this application, without a slash at the end.
	BaseURL string
	// ResourceURL is where this process reaches the resource server.
	ResourceURL string
	// OtherApp is the address that the page links to.
	OtherApp string
	Log      *slog.Logger // nil means slog.Default
}

// scope is what both applications ask for: who it is, and to read notes.
const scope = "openid profile email notes.read"

var (
	//go:embed static
	staticFiles embed.FS
	//go:embed web.html
	webHTML     string
	webTemplate = template.Must(template.New("web.html").Parse(webHTML))
)

// web is the application. It has no state but its sessions, which end with the process.
type web struct {
	WebConfig
	provider *provider
	sessions *sessions
	http     *http.Client
	origin   string // of the issuer, for the content security policy
}

// NewWeb is the application as a handler. The authorization server need not run yet.
func NewWeb(cfg WebConfig) (http.Handler, error) {
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	if err := errors.Join(
		wantURL("issuer", cfg.Issuer), wantURL("base URL", cfg.BaseURL), wantURL("resource URL", cfg.ResourceURL),
		wantURL("other application", cfg.OtherApp), wantSet("client id", cfg.ClientID), wantSet("client secret", cfg.ClientSecret),
	); err != nil {
		return nil, err
	}
	if cfg.InternalURL == "" {
		cfg.InternalURL = cfg.Issuer
	}
	if err := wantURL("internal URL", cfg.InternalURL); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	a := &web{WebConfig: cfg, provider: newProvider(cfg), sessions: newSessions(), origin: originOf(cfg.Issuer)}
	a.http = &http.Client{Timeout: 5 * time.Second}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /login", a.login)
	mux.HandleFunc("GET /callback", a.callback)
	mux.HandleFunc("POST /logout", a.logout)
	mux.HandleFunc("POST /backchannel-logout", a.backchannelLogout)
	mux.HandleFunc("GET /frontchannel-logout", a.frontchannelLogout)
	serveStatic(mux)
	// Another site must not be able to sign somebody out here. The back channel is no browser and passes.
	return http.NewCrossOriginProtection().Handler(a.secured(mux)), nil
}

// secured sets the headers that every answer has. A page without scripts needs no more than this.
func (a *web) secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Browsers hold form-action against redirects too: signing out goes by way of the issuer.
		secure(w, "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "+
			"form-action 'self' "+a.origin)
		next.ServeHTTP(w, r)
	})
}

// page is what the template shows.
type page struct {
	Who      *who   // nil when nobody is signed in
	Answer   string // of the resource server
	AnswerOK bool
	Notice   string
	Problem  string
	OtherApp string
}

func (a *web) show(w http.ResponseWriter, status int, p page) {
	p.OtherApp = a.OtherApp
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := webTemplate.Execute(w, p); err != nil {
		a.Log.Debug("page was not sent", "error", err)
	}
}

// problem shows what went wrong. detail goes to the log only.
func (a *web) problem(w http.ResponseWriter, status int, text string, detail error) {
	a.Log.Warn("demo-web: "+text, "error", detail)
	a.show(w, status, page{Problem: text})
}

func secure(w http.ResponseWriter, policy string) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	// Some addresses here carry a code.
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// serveStatic serves what both applications have: the style sheet, the icon and the health check.
func serveStatic(mux *http.ServeMux) {
	for _, name := range []string{"style.css", "icon.svg"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(w, r, staticFiles, "static/"+name)
		})
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
}

func wantURL(name, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s %q is not an http or https URL such as http://localhost:8080", name, text)
	}
	return nil
}

func wantSet(name, text string) error {
	if text == "" {
		return fmt.Errorf("%s is empty", name)
	}
	return nil
}

// originOf returns scheme and host of a URL that wantURL has taken.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
