package authserver_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/storage"
)

func withOrigins(origins ...string) option {
	return func(c *authserver.Config, _ *authserver.Dependencies) { c.CORSOrigins = origins }
}

const spa = "https://app.example.test"

func preflight(path, origin string) *http.Request {
	req := httptest.NewRequest(http.MethodOptions, path, nil)
	req.Header.Set("Origin", origin)
	req.Header.Set("Access-Control-Request-Method", "POST")
	req.Header.Set("Access-Control-Request-Headers", "content-type,authorization")
	return req
}

// Fetch standard, CORS protocol
func TestConfiguredOriginsMayCallTheAPIAndOthersMayNot(t *testing.T) {
	r := newRig(t, withOrigins(spa))
	for _, path := range []string{"/oauth2/token", "/oauth2/revoke", "/login"} {
		res := r.do(preflight(path, spa))
		if res.StatusCode != http.StatusNoContent || res.Header.Get("Access-Control-Allow-Origin") != spa ||
			!strings.Contains(res.Header.Get("Access-Control-Allow-Methods"), "POST") ||
			!strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), "Content-Type") {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
		for _, stranger := range []string{
			"https://evil.example", "null", "http://app.example.test", "https://app.example.test.evil.example", "https://app.example.test:444",
			"https://APP.example.test", spa + "/", "*", "https://x.app.example.test", "https://evil.example " + spa,
		} {
			res := r.do(preflight(path, stranger))
			wantNoCORS(t, res)
			if res.StatusCode == http.StatusNoContent {
				t.Errorf("%s: preflight of %s is granted", path, stranger)
			}
		}
	}
	ask := func(origin string) response {
		req := raw("/oauth2/token", signInForm)
		req.Header.Set("Origin", origin)
		return r.do(req)
	}
	for _, origin := range []string{spa, "https://evil.example", "null"} {
		res := ask(origin)
		want(t, res, http.StatusOK, "")
		if got := res.Header.Get("Access-Control-Allow-Origin"); (got == spa) != (origin == spa) || (got != "" && got != spa) {
			t.Errorf("origin %s is answered with %q", origin, got)
		}
		if !strings.Contains(res.Header.Get("Vary"), "Origin") {
			t.Error("without Vary: Origin a cache mixes the answers up")
		}
		if res.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Error("credentials are allowed")
		}
	}
}

// An operator who names an origin means it, whatever the client authenticates with; where the redirect URIs of a
// confidential client lead is a server, whose pages call nothing here.
func TestOriginsAClientIsRegisteredForMayCallTheAPI(t *testing.T) {
	r := newRig(t).seedSignIn()
	const listed, other = "https://panel.example.test", "https://front.example.test:8443"
	r.changeClient("rp", func(c *storage.Client) { c.AllowedOrigins = []string{listed} })
	r.changeClient("spa", func(c *storage.Client) { c.AllowedOrigins = []string{other} })
	for origin, ok := range map[string]bool{
		listed: true, other: true, "https://spa.example.test": true,
		"https://rp.example.test": false, "https://ours.example.test": false, listed + ":444": false, "https://evil.example": false,
	} {
		if res := r.do(preflight("/oauth2/token", origin)); (res.Header.Get("Access-Control-Allow-Origin") == origin) != ok {
			t.Errorf("%s: %d %v, want allowed=%v", origin, res.StatusCode, res.Header, ok)
		}
	}
}

func wantNoCORS(t testing.TB, res response) {
	t.Helper()
	for name := range res.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%d has %s: %s", res.StatusCode, name, res.Header.Get(name))
		}
	}
}

// A failure must be readable for the page that caused it.
func TestErrorsCarryTheCORSHeadersToo(t *testing.T) {
	r := newRig(t, withOrigins(spa))
	for _, body := range []string{"grant_type=nonsense", "grant_type=password&client_id=web", "%zz"} {
		req := raw("/oauth2/token", body)
		req.Header.Set("Origin", spa)
		res := r.do(req)
		if res.StatusCode < 400 || res.Header.Get("Access-Control-Allow-Origin") != spa {
			t.Errorf("%s: %d %v", body, res.StatusCode, res.Header)
		}
	}
}

// Introspection is for confidential clients, which a page in a browser never is; Config.CORSOrigins does not list it.
func TestIntrospectionIsNotForBrowsers(t *testing.T) {
	r := newRig(t, withOrigins(spa))
	wantNoCORS(t, r.do(preflight("/oauth2/introspect", spa)))
	req := raw("/oauth2/introspect", goodForms["/oauth2/introspect"])
	req.Header.Set("Origin", spa)
	wantNoCORS(t, r.do(req))
}

func TestWithoutConfiguredOriginsNoPageMayCallTheAPI(t *testing.T) {
	r := newRig(t)
	for path := range goodForms {
		wantNoCORS(t, r.do(preflight(path, spa)))
	}
}

// Metadata and keys are public.
func TestMetadataAndKeysAreReadableFromEveryOrigin(t *testing.T) {
	for _, r := range []*rig{newRig(t), newRig(t, withOrigins(spa))} {
		for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"} {
			req := get(path)
			req.Header.Set("Origin", "https://anywhere.example")
			if got := r.do(req).Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("%s: Access-Control-Allow-Origin is %q", path, got)
			}
		}
	}
}

// listing is a store whose list of clients a test can hold up.
type listing struct {
	storage.Store
	hold chan struct{}
}

func (s *listing) Clients(ctx context.Context, after string, limit int) ([]storage.Client, error) {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.Store.Clients(ctx, after, limit)
}

// The list of origins is for everybody: neither strangers who give up nor a store that hangs keep it from the others.
func TestTheListOfOriginsIsRenewedWhoeverGivesUp(t *testing.T) {
	const old, fresh = "https://spa.example.test", "https://new.example.test"
	var s *listing
	bubble(t, func(t testing.TB, r *rig) {
		r.seedSignIn()
		ask := func(ctx context.Context, origin string) bool {
			return r.do(preflight("/oauth2/token", origin).WithContext(ctx)).Header.Get("Access-Control-Allow-Origin") != ""
		}
		if !ask(t.Context(), old) || ask(t.Context(), fresh) {
			t.Fatal("the origin of a redirect URI is not allowed")
		}
		r.changeClient("spa", func(c *storage.Client) { c.RedirectURIs = []string{fresh + "/callback"} })
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(2 * time.Second)
		ask(gone, old)
		if ask(t.Context(), old) || !ask(t.Context(), fresh) {
			t.Error("a request that was given up keeps the old list")
		}

		time.Sleep(2 * time.Second)
		s.hold = make(chan struct{})
		done := make(chan bool)
		go func() { done <- ask(context.Background(), fresh) }()
		synctest.Wait() // it waits for the store
		if !ask(t.Context(), fresh) {
			t.Error("the old list is not answered from while the store hangs")
		}
		close(s.hold)
		if !<-done {
			t.Error("the one who read the list has no answer")
		}
	}, withStore(func(inner storage.Store) storage.Store { s = &listing{Store: inner}; return s }))
}
