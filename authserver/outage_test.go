package authserver_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
)

var errDisk = errors.New("the disk is full")

// failNth makes the nth call fail, and no other. hit tells whether it came to that.
func failNth(n int) (fail func(string) error, hit func() bool) {
	calls := 0
	return func(string) error {
		if calls++; calls == n {
			return errDisk
		}
		return nil
	}, func() bool { return calls >= n }
}

// steps is the life of a sign-in. Each step is asked once more when it was answered with 503, as a client would.
type steps struct {
	r           *rig
	t           *testing.T
	where       string
	unavailable int
}

// ask fails the test unless the answer is ok or, once in a life, 503 and then ok.
func (s *steps) ask(name string, send func() response, ok func(response) bool) response {
	s.t.Helper()
	res := send()
	if res.StatusCode == http.StatusServiceUnavailable {
		wantDocument(s.t, res, http.StatusServiceUnavailable)
		if res.Header.Get("Retry-After") == "" {
			s.t.Errorf("%s: %s: 503 without Retry-After", s.where, name)
		}
		s.unavailable++
		res = send()
	}
	if !ok(res) {
		s.t.Fatalf("%s: %s: got %d %s", s.where, name, res.StatusCode, res.raw)
	}
	return res
}

func issued(res response) bool {
	return res.StatusCode == http.StatusOK && res.str("access_token") != ""
}

func answered(active bool) func(response) bool {
	return func(res response) bool { return res.StatusCode == http.StatusOK && res.body["active"] == active }
}

func (s *steps) live() {
	s.t.Helper()
	r := s.r
	web := func(pairs ...string) response { return r.do(basic(form("/oauth2/token", pairs...), "web", webPlain)) }
	refresh := func(token string) func() response {
		return func() response { return web("grant_type", "refresh_token", "refresh_token", token) }
	}
	first := s.ask("sign in", func() response {
		return web("grant_type", "password", "username", "alice", "password", "wonderland", "scope", "openid profile")
	}, issued)
	old := first.str("refresh_token")
	second := s.ask("refresh", refresh(old), issued)
	again := s.ask("refresh again", refresh(old), issued)
	if again.str("refresh_token") != second.str("refresh_token") {
		s.t.Errorf("%s: the retry got another successor (R15)", s.where)
	}
	third := s.ask("refresh the successor", refresh(second.str("refresh_token")), issued)
	access, last := third.str("access_token"), third.str("refresh_token")
	for _, token := range []string{access, last} {
		s.ask("introspect", func() response { return r.introspect("web", webPlain, token) }, answered(true))
	}
	s.ask("revoke", func() response { return r.revoke("web", webPlain, last) }, func(res response) bool {
		return res.StatusCode == http.StatusOK && res.raw == ""
	})
	s.ask("introspect after", func() response { return r.introspect("web", webPlain, access) }, answered(false))
	s.ask("refresh after", refresh(last), func(res response) bool { return res.str("error") == "invalid_grant" })

	service := s.ask("client credentials", func() response {
		return r.do(basic(form("/oauth2/token", "grant_type", "client_credentials"), "service", svcPlain))
	}, issued).str("access_token")
	s.ask("introspect", func() response { return r.introspect("service", svcPlain, service) }, answered(true))
	s.ask("revoke", func() response { return r.revoke("service", svcPlain, service) }, func(res response) bool { return res.StatusCode == http.StatusOK })
	s.ask("introspect after", func() response { return r.introspect("service", svcPlain, service) }, answered(false))
}

// R15: whatever call of the store fails in the life of a sign-in, before or after it took effect, the answer is 503 or
// right, never 400, 401 or active:false, and asking again is answered as if nothing had happened.
func TestAFailureOfTheStoreIs503AndARetryHealsIt(t *testing.T) {
	for _, when := range []string{"before", "after"} {
		for n := 1; ; n++ {
			r, store := tapped(t)
			fail, hit := failNth(n)
			if when == "before" {
				store.before = fail
			} else {
				store.after = fail
			}
			s := &steps{r: r, t: t, where: fmt.Sprintf("call %d failed %s it took effect", n, when)}
			s.live()
			if s.unavailable > 1 {
				t.Errorf("%s: %d answers were 503", s.where, s.unavailable)
			}
			if !hit() {
				if n < 20 {
					t.Errorf("the whole life makes only %d calls", n-1)
				}
				break
			}
		}
	}
}

// A store that is away for good is 503 everywhere, and what does not need it goes on.
func TestWithoutItsStoreEveryEndpointIs503(t *testing.T) {
	r, store := tapped(t)
	first := r.signIn("alice", "wonderland")
	store.before = func(string) error { return errDisk }
	for name, res := range map[string]response{
		"sign in":    r.signIn("alice", "wonderland"),
		"login":      r.login("alice", "wonderland"),
		"refresh":    r.refresh(first.str("refresh_token")),
		"revoke":     r.revoke("cli", "", first.str("refresh_token")),
		"introspect": r.introspect("web", webPlain, first.str("access_token")),
		"service":    r.do(basic(form("/oauth2/token", "grant_type", "client_credentials"), "service", svcPlain)),
	} {
		wantDocument(t, res, http.StatusServiceUnavailable)
		if res.str("error") == "invalid_grant" || res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s", name, res.raw)
		}
	}
	want(t, r.do(get("/.well-known/jwks.json")), http.StatusOK, "")
	want(t, r.do(get("/.well-known/openid-configuration")), http.StatusOK, "")
	store.before = nil
	r.wantLive(first.str("refresh_token"))
}
