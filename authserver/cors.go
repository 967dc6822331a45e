package authserver

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

// api serves an endpoint for programs, also those in browsers of an allowed origin (Fetch standard, CORS protocol):
// the configured ones and those of registered public clients. No cookie counts here, so no credentials are ever allowed.
func (s *Server) api(methods string, next http.HandlerFunc) http.Handler {
	serve := only(methods, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		allowed := origin != "" && s.allowsOrigin(r.Context(), origin)
		if allowed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After, X-Request-Id")
		}
		if r.Method == http.MethodOptions && allowed {
			h.Set("Access-Control-Allow-Methods", methods)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		serve.ServeHTTP(w, r)
	})
}

// allowsOrigin tells whether scripts of an origin may call the endpoints for programs.
func (s *Server) allowsOrigin(ctx context.Context, origin string) bool {
	return slices.Contains(s.cfg.CORSOrigins, origin) || s.origins.has(ctx, s.deps.Store, origin)
}

// originsEvery is how long the list of origins counts. A preflight does not say for which client it asks, so it takes the
// whole list, and strangers must not have it read anew for each of theirs.
const originsEvery = 2 * time.Second

// origins are those of all public clients: where their redirect URIs lead, and what they are registered for beside. The
// zero value is ready. Safe for concurrent use.
type origins struct {
	mu   sync.Mutex
	read time.Time
	all  map[string]bool
}

// has answers by the list of a moment ago. A store that is away leaves the list as it was.
func (o *origins) has(ctx context.Context, clients storage.Clients, origin string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil || time.Since(o.read) >= originsEvery {
		if all, err := readOrigins(ctx, clients); err == nil {
			o.all = all
		}
		o.read = time.Now()
	}
	return o.all[origin]
}

func readOrigins(ctx context.Context, clients storage.Clients) (map[string]bool, error) {
	const page = 500
	all := map[string]bool{}
	for after := ""; ; {
		list, err := clients.Clients(ctx, after, page)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			after = c.ID
			if !c.Public {
				continue
			}
			for _, uri := range c.RedirectURIs {
				if u, err := url.Parse(uri); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
					all[u.Scheme+"://"+u.Host] = true
				}
			}
			for _, origin := range c.AllowedOrigins {
				all[origin] = true
			}
		}
		if len(list) < page {
			return all, nil
		}
	}
}
