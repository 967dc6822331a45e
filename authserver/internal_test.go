package authserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/storage"
)

// probe asks the internal listener.
func probe(t testing.TB, h http.Handler, path string) response {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, get(path))
	return read(t, rec.Result())
}

// O8
func TestReadinessDependsOnTheStoreAndLivenessDoesNot(t *testing.T) {
	r, store := tapped(t)
	h := r.Internal(nil)
	want(t, probe(t, h, "/healthz"), http.StatusOK, "")
	want(t, probe(t, h, "/readyz"), http.StatusOK, "")
	store.before = func(string) error { return errors.New("canary: connection refused to 10.0.0.7") }
	want(t, probe(t, h, "/healthz"), http.StatusOK, "")
	res := probe(t, h, "/readyz")
	want(t, res, http.StatusServiceUnavailable, "")
	if strings.Contains(res.raw, "canary") {
		t.Errorf("the probe tells why: %s", res.raw)
	}
	store.before = nil
	want(t, probe(t, h, "/readyz"), http.StatusOK, "")
}

// stuck is a store whose Ping hangs until its caller gives up.
type stuck struct{ storage.Store }

func (s stuck) Ping(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// O8: a store that hangs is as good as none.
func TestReadinessDoesNotHangWithTheStore(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		start := time.Now()
		want(t, probe(t, r.Internal(nil), "/readyz"), http.StatusServiceUnavailable, "")
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the answer took %s", took)
		}
	}, withStore(func(s storage.Store) storage.Store { return stuck{s} }))
}

// O4: a node that stops says so, and goes on serving what still comes and what is under way.
func TestADrainingNodeIsNotReadyAndServesOn(t *testing.T) {
	bubbleTapped(t, func(t testing.TB, r *rig, store *tap) {
		token := r.signInAt("cli")
		held := make(chan struct{})
		store.before = func(verb string) error {
			if verb == "Rotate" {
				<-held
			}
			return nil
		}
		answer := make(chan response)
		go func() { answer <- r.refresh(token) }()
		synctest.Wait() // the refresh is in the store

		h := r.Internal(nil)
		want(t, probe(t, h, "/readyz"), http.StatusOK, "")
		r.Drain()
		r.Drain()
		want(t, probe(t, h, "/readyz"), http.StatusServiceUnavailable, "")
		want(t, probe(t, h, "/healthz"), http.StatusOK, "")
		want(t, r.signIn("bob", "builder"), http.StatusOK, "")
		close(held)
		res := <-answer
		want(t, res, http.StatusOK, "")
		r.wantLive(res.str("refresh_token"))
	})
}

// O5, G1: a panic is 500 with an id to find it by, does not tell what was in it, and ends one request.
func TestAPanicEndsOneRequest(t *testing.T) {
	r, store := tapped(t)
	token := r.signInAt("cli")
	for _, verb := range []string{"Client", "RecallGrant", "RecallUser", "Rotate"} {
		store.before = func(v string) error {
			if v == verb {
				panic("canary-panic " + token)
			}
			return nil
		}
		res := r.refresh(token)
		wantDocument(t, res, http.StatusInternalServerError)
		id := res.Header.Get("X-Request-Id")
		if res.str("error") != "server_error" || id == "" || strings.Contains(res.raw, "canary") {
			t.Errorf("got %s %s", res.raw, res.Header)
		}
		logs := r.logs.String()
		if !strings.Contains(logs, `"msg":"panic"`) || strings.Count(logs, id) != 2 {
			t.Errorf("the log does not have the panic under the id %q", id)
		}
		if strings.Contains(logs, "canary-panic") || strings.Contains(logs, token) {
			t.Error("the log has what the panic said")
		}
		store.before = nil
		token = r.wantLive(token)
	}
	boom := r.Internal(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("canary")) }))
	wantDocument(t, probe(t, boom, "/admin/v1/users"), http.StatusInternalServerError)
	want(t, probe(t, boom, "/healthz"), http.StatusOK, "")
}

// O5: http.ErrAbortHandler is net/http's own way to cut a connection, and goes through.
func TestAnAbortedHandlerAborts(t *testing.T) {
	r, store := tapped(t)
	store.before = func(string) error { panic(http.ErrAbortHandler) }
	defer func() {
		if p := recover(); p != any(http.ErrAbortHandler) {
			t.Errorf("recovered %v", p)
		}
	}()
	r.do(raw("/oauth2/token", signInForm))
	t.Error("it was swallowed")
}

// G9: what is for operators is not on the public listener, and nothing is at other addresses.
func TestThePublicListenerHasNothingForOperators(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{
		"/healthz", "/readyz", "/metrics", "/debug/pprof/", "/debug/vars", "/admin/v1/users", "/admin/", "/", "/oauth2", "/oauth2/token/", "/oauth2/Token",
	} {
		wantDocument(t, r.do(get(path)), http.StatusNotFound)
		wantDocument(t, r.do(raw(path, signInForm)), http.StatusNotFound)
	}
	for _, path := range []string{"/oauth2/token", "/login", "/metrics", "/debug/pprof/", "/admin/v1/users"} {
		if res := probe(t, r.Internal(nil), path); res.StatusCode != http.StatusNotFound {
			t.Errorf("internal %s: %d", path, res.StatusCode)
		}
	}
}

// RFC 9700 §4.12: a request that carries credentials is never sent elsewhere by a redirect.
func TestAPathThatIsNotCleanIsNotRedirected(t *testing.T) {
	for _, r := range []*rig{newRig(t), newRig(t, func(c *authserver.Config, _ *authserver.Dependencies) { c.Issuer = issuer + "/tenant" })} {
		for _, path := range []string{"//oauth2/token", "/oauth2//token", "/x/../oauth2/token", "/oauth2/./token", "//evil.example/oauth2/token", "/tenant//evil.example/x"} {
			req := raw("/", signInForm)
			req.URL.Path = path
			if res := r.do(req); res.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %d to %q", path, res.StatusCode, res.Header.Get("Location"))
			}
		}
	}
}
