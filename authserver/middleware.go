package authserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/ingam/ingam/authserver/oauth"
)

// middleware is what happens around every public request, from the outside in.
func (s *Server) middleware(routes http.Handler) http.Handler {
	issuer, _ := url.Parse(s.cfg.Issuer) // withDefaults has checked it
	h := s.exact(routes)
	if issuer.Path != "" {
		h = s.cutPath(issuer.Path, h)
	}
	return s.identify(s.recoverer(h))
}

// exact answers 404 for a path with empty, "." or ".." segments. http.ServeMux would redirect it with 307, which has
// credentials sent twice (RFC 9700 §4.12 and its reasons), and knows nothing of the issuer's path.
func (s *Server) exact(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clean := path.Clean(r.URL.Path)
		if clean != "/" && strings.HasSuffix(r.URL.Path, "/") {
			clean += "/"
		}
		if clean != r.URL.Path {
			s.serveNotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// cutPath serves below the issuer's path. The RFC 8414 form of the well-known address stays as it is.
func (s *Server) cutPath(prefix string, next http.Handler) http.Handler {
	below := http.StripPrefix(prefix, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix+"/") {
			below.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			next.ServeHTTP(w, r)
			return
		}
		s.serveNotFound(w, r)
	})
}

// identify gives the request an id and its real remote address, and writes one line when it is answered.
func (s *Server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := rand.Text()[:16]
		r = r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id))
		r.RemoteAddr = clientAddress(r, s.cfg.TrustedProxies)
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("X-Content-Type-Options", "nosniff")
		seen := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		// The path is ours or unknown; the query may hold anything and is not logged.
		s.deps.Log.LogAttrs(r.Context(), slog.LevelInfo, "request",
			slog.String("method", r.Method), slog.String("path", loggable(r.URL.Path)), slog.Int("status", seen.status()),
			slog.Int64("took_us", time.Since(start).Microseconds()), slog.String("remote", r.RemoteAddr))
	})
}

type requestIDKey struct{}

// RequestID answers the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// withRequestID returns a logger whose lines say which request they belong to: error answers tell people to look there
// for the id.
func withRequestID(log *slog.Logger) *slog.Logger { return slog.New(requestIDHandler{log.Handler()}) }

type requestIDHandler struct{ slog.Handler }

// Handle adds the id, where there is one.
func (h requestIDHandler) Handle(ctx context.Context, line slog.Record) error {
	if id := RequestID(ctx); id != "" {
		line.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, line)
}

// WithAttrs keeps the id in loggers made from this one.
func (h requestIDHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestIDHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the id in loggers made from this one.
func (h requestIDHandler) WithGroup(name string) slog.Handler {
	return requestIDHandler{h.Handler.WithGroup(name)}
}

// loggable bounds what of a stranger's path goes into the log; the handler escapes control characters.
func loggable(text string) string {
	if len(text) > 200 {
		return text[:200] + "..."
	}
	return text
}

// statusWriter remembers the status for the log.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// recoverer turns a panic into 500 and keeps the process alive (threats O5).
func (s *Server) recoverer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so as well
				panic(p)
			}
			s.deps.Log.ErrorContext(r.Context(), "panic", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			oauth.WriteError(w, oauth.ServerError(nil))
		}()
		next.ServeHTTP(w, r)
	})
}

// open serves a public document to GET and HEAD, and to browsers of every origin.
func (s *Server) open(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			refuseMethod(w, "GET, HEAD")
			return
		}
		next(w, r)
	})
}

// only serves an endpoint that takes some methods.
func only(methods string, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(strings.Split(methods, ", "), r.Method) {
			refuseMethod(w, methods)
			return
		}
		next(w, r)
	})
}

func refuseMethod(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	oauth.WriteError(w, &oauth.Error{
		Code: "invalid_request", Status: http.StatusMethodNotAllowed,
		Description: "This address answers " + allow + " only.",
	})
}

// clientAddress answers where the request comes from: the peer of the connection or, if that is a trusted proxy, the
// rightmost address of X-Forwarded-For that is not one. What a stranger writes to the left of it counts for nothing.
func clientAddress(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !isTrusted(peer.Addr(), trusted) {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	last := peer.Addr()
	for _, hop := range slices.Backward(hops) {
		addr, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break // nonsense: keep the last address that a trusted proxy vouched for
		}
		last = addr
		if !isTrusted(addr, trusted) {
			break
		}
	}
	return netip.AddrPortFrom(last.Unmap().WithZone(""), 0).String()
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}
