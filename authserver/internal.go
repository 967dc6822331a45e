package authserver

import (
	"context"
	"net/http"
	"time"
)

// Drain turns readiness off, so that a load balancer sends no new requests; those that come are still served. Call
// it before shutting the listeners down.
func (s *Server) Drain() { s.draining.Store(true) }

// Internal answers on the listener for the operator: GET /healthz, GET /readyz and, unless admin is nil, the admin API
// under /admin/v1/.
func (s *Server) Internal(admin http.Handler) http.Handler {
	mux := http.NewServeMux()
	// Liveness says that the process runs; it must not depend on the store, or an outage there restarts every node.
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeStatus(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", s.serveReady)
	if admin != nil {
		mux.Handle("/admin/v1/", admin)
	}
	return s.recoverer(mux)
}

// serveReady answers whether requests can be served now: not while stopping, and not while the store is away.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if s.draining.Load() {
		writeStatus(w, http.StatusServiceUnavailable, "stopping")
		return
	}
	if err := s.deps.Store.Ping(ctx); err != nil {
		s.deps.Log.WarnContext(ctx, "not ready", "error", err.Error())
		writeStatus(w, http.StatusServiceUnavailable, "store unavailable")
		return
	}
	writeStatus(w, http.StatusOK, "ok")
}

func writeStatus(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(`{"status":"` + status + `"}` + "\n")) // the probe has gone; nobody is left to tell
}
