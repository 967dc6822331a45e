package authserver

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingam/ingam/storage"
)

// api serves an endpoint for programs, also those in browsers of an allowed origin (Fetch standard, CORS protocol):
// the configured ones and those of registered clients. No cookie counts here, so no credentials are ever allowed.
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

// originsWithin is how long reading the list may take.
const originsWithin = 5 * time.Second

// origins are those that clients are registered for, and those where the redirect URIs of public clients lead. The zero
// value is ready. Safe for concurrent use.
type origins struct {
	reading sync.Mutex // held by the one who reads the list
	known   atomic.Pointer[originList]
}

// originList is the list as it was at a time.
type originList struct {
	read time.Time
	all  map[string]bool
}

// has answers by the list of a moment ago. A store that is away leaves the list as it was. While one request reads it,
// the others go by the old list; only where there is none yet they wait.
func (o *origins) has(ctx context.Context, clients storage.Clients, origin string) bool {
	known := o.known.Load()
	switch {
	case known == nil:
		o.reading.Lock()
		known = o.renew(ctx, clients)
		o.reading.Unlock()
	case time.Since(known.read) >= originsEvery && o.reading.TryLock():
		known = o.renew(ctx, clients)
		o.reading.Unlock()
	}
	return known.all[origin]
}

// renew reads the list unless somebody else just has. The list is for everybody: that this browser gives up must not end
// the reading of it.
func (o *origins) renew(ctx context.Context, clients storage.Clients) *originList {
	known := o.known.Load()
	if known != nil && time.Since(known.read) < originsEvery {
		return known
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), originsWithin)
	defer cancel()
	fresh := &originList{}
	if known != nil {
		fresh.all = known.all
	}
	if all, err := readOrigins(ctx, clients); err == nil {
		fresh.all = all
	}
	fresh.read = time.Now()
	o.known.Store(fresh)
	return fresh
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
			for _, origin := range c.AllowedOrigins {
				all[origin] = true
			}
			if !c.Public {
				continue // its redirect URIs lead to servers
			}
			for _, uri := range c.RedirectURIs {
				if u, err := url.Parse(uri); err == nil && (u.Scheme == "https" || u.Scheme == "http") {
					all[u.Scheme+"://"+u.Host] = true
				}
			}
		}
		if len(list) < page {
			return all, nil
		}
	}
}
