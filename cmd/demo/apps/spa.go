package apps

import (
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// SPAConfig is what the single-page application must know. All of it is public.
type SPAConfig struct {
	Issuer   string
	ClientID string
	// BaseURL is the address of this application, without a slash at the end.
	BaseURL string
	// ResourceURL is where browsers reach the resource server.
	ResourceURL string
	// OtherApp is the address that the page links to.
	OtherApp string
}

//go:embed spa
var spaFiles embed.FS

// NewSPA serves the files of the application. All else happens in the browser.
func NewSPA(cfg SPAConfig) (http.Handler, error) {
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	if err := errors.Join(
		wantURL("issuer", cfg.Issuer), wantURL("base URL", cfg.BaseURL), wantURL("resource URL", cfg.ResourceURL),
		wantURL("other application", cfg.OtherApp), wantSet("client id", cfg.ClientID),
	); err != nil {
		return nil, err
	}
	settings, err := json.Marshal(map[string]string{
		"issuer":                   cfg.Issuer,
		"client_id":                cfg.ClientID,
		"redirect_uri":             cfg.BaseURL + "/callback",
		"post_logout_redirect_uri": cfg.BaseURL + "/",
		"resource":                 cfg.ResourceURL,
		"other_app":                cfg.OtherApp,
		"scope":                    scope,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	// The browser comes back to /callback with its answer; the script reads the address.
	for path, name := range map[string]string{
		"/{$}": "index.html", "/callback": "index.html", "/app.js": "app.js",
		"/oauth4webapi.js": "oauth4webapi.js", "/oauth4webapi.LICENSE.txt": "oauth4webapi.LICENSE.txt",
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { serveSPA(w, r, name) })
	}
	mux.HandleFunc("GET /config.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(settings)
	})
	serveStatic(mux)
	// Scripts from here alone, and they can talk to these two servers alone: a token has nowhere else to go.
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' " +
		originOf(cfg.Issuer) + " " + originOf(cfg.ResourceURL) + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w, policy)
		mux.ServeHTTP(w, r)
	}), nil
}

// serveSPA serves a file. http.ServeFile would send index.html elsewhere.
func serveSPA(w http.ResponseWriter, r *http.Request, name string) {
	data, err := spaFiles.ReadFile("spa/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	kind := map[string]string{"html": "text/html", "js": "text/javascript", "txt": "text/plain"}[name[strings.LastIndexByte(name, '.')+1:]]
	w.Header().Set("Content-Type", kind+"; charset=utf-8")
	_, _ = w.Write(data)
}
