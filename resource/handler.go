package resource

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// HandlerConfig says what the handler of [NewHandler] serves.
type HandlerConfig struct {
	// Verifier judges the tokens. It is required, and so is its Config.Resource.
	Verifier *Verifier
	// Scopes are what a token needs for /secure-data; none means any valid token.
	Scopes []string
	// CORSOrigins lists the origins, such as https://app.example.com, whose pages may
	// call /secure-data. None means that browsers keep other origins out.
	CORSOrigins []string
}

// NewHandler returns the whole of a small resource server: a working example, and what
// cmd/resource serves.
//
//	GET /secure-data   who the token speaks for, as JSON
//	GET /healthz       200 while the process lives
//	GET /readyz        200 once there are keys to verify with, else 503
//	GET /.well-known/oauth-protected-resource   RFC 9728 metadata
//
// Everything else is 404 or 405 with a JSON body. All that is wrong with cfg is in
// the one error.
func NewHandler(cfg HandlerConfig) (http.Handler, error) {
	v := cfg.Verifier
	if v == nil || v.keys == nil {
		return nil, errors.New("resource: handler: a Verifier made by New is required")
	}
	var errs []error
	for _, scope := range cfg.Scopes {
		if !validScope(scope) {
			errs = append(errs, fmt.Errorf("resource: handler: %q is not a scope", scope))
		}
	}
	for _, origin := range cfg.CORSOrigins {
		if !validOrigin(origin) {
			errs = append(errs, fmt.Errorf("resource: handler: %q is not an origin such as https://app.example.com", origin))
		}
	}
	metadata, err := v.MetadataHandler(cfg.Scopes...)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	secure := v.Require(cfg.Scopes...)(http.HandlerFunc(serveSecureData))
	mux.Handle("/secure-data", cors(cfg.CORSOrigins, onlyGET(secure)))
	mux.Handle("/healthz", onlyGET(http.HandlerFunc(serveHealthz)))
	mux.Handle("/readyz", onlyGET(http.HandlerFunc(v.serveReadyz)))
	mux.Handle(metadataPath, onlyGET(metadata))
	if path := MetadataPath(v.resource); path != metadataPath {
		mux.Handle(path, onlyGET(metadata))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, "not_found", "there is nothing here")
	})
	return mux, nil
}

// secureData is the answer of /secure-data.
type secureData struct {
	Message  string `json:"message"`
	Username string `json:"username"`
	Subject  string `json:"sub"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`
	Expires  int64  `json:"exp"`
}

// serveSecureData answers GET /secure-data with what the token says about its bearer.
func serveSecureData(w http.ResponseWriter, r *http.Request) {
	t, ok := TokenFromContext(r.Context())
	if !ok {
		writeError(w, http.StatusInternalServerError, "server_error", "no token was verified")
		return
	}
	name := displayName(t)
	writeJSON(w, http.StatusOK, secureData{
		Message:  "Hello " + name + ", your access token is good.",
		Username: name,
		Subject:  t.Subject,
		ClientID: t.ClientID,
		Scope:    strings.Join(t.Scopes, " "),
		Expires:  t.ExpiresAt.Unix(),
	})
}

// displayName is the best name the token has: the person's, the client's, or, when
// the scope profile was not granted, the subject.
func displayName(t *AccessToken) string {
	switch {
	case t.IsClient():
		return t.ClientID
	case t.Username != "":
		return t.Username
	default:
		return t.Subject
	}
}

// serveHealthz answers GET /healthz: the process lives.
func serveHealthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// serveReadyz answers GET /readyz: the server can judge tokens.
func (v *Verifier) serveReadyz(w http.ResponseWriter, _ *http.Request) {
	if v.Ready() != nil {
		unavailable(w)
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

// onlyGET answers other methods than GET and HEAD with 405 (RFC 9110 §15.5.6).
func onlyGET(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			writeError(w, http.StatusMethodNotAllowed, "method_not_allowed", "only GET and HEAD are allowed here")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// cors lets pages of the listed origins call next, and answers their preflights
// (Fetch §3.2). Cookies play no part, so credentials stay off.
func cors(origins []string, next http.Handler) http.Handler {
	origins = slices.Clone(origins)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" || !slices.Contains(origins, origin) {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, HEAD")
			h.Set("Access-Control-Allow-Headers", "Authorization")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
		next.ServeHTTP(w, r)
	})
}

// validOrigin reports whether s is an origin as browsers send it: scheme, host and
// port, and nothing after.
func validOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && s == u.Scheme+"://"+u.Host
}
