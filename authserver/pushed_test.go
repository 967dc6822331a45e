package authserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// pushed pushes a request of a confidential client and answers the address to open.
func (r *rig) pushed(client, redirect string, pairs ...string) string {
	r.t.Helper()
	q := request(client, redirect, pairs...)
	q.Del("client_id")
	var flat []string
	for name := range q {
		flat = append(flat, name, q.Get(name))
	}
	res := r.do(basic(form("/oauth2/par", flat...), client, client+"-secret"))
	want(r.t, res, http.StatusCreated, "")
	return "/oauth2/auth?" + url.Values{"client_id": {client}, "request_uri": {res.str("request_uri")}}.Encode()
}

// RFC 9126 §2.2, §4: 90 seconds are for the browser to come. The person who then types or reads has as long as a sign-in form is
// good, counted from the first page, and no longer however often it is loaded.
func TestAPushedRequestThatWasOpenedInTimeWaitsForThePerson(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		r.seedSignIn()
		unopened, opened, reloaded := r.pushed("ours", oursURI), r.pushed("ours", oursURI), r.pushed("ours", oursURI)
		p := r.person()
		time.Sleep(80 * time.Second)
		pg, again := p.open(opened), p.open(reloaded)
		if !pg.has("/login") || !again.has("/login") {
			t.Fatalf("opened after 80 s: %d %s", pg.StatusCode, pg.raw)
		}
		time.Sleep(10 * time.Second)
		if pg := r.person().open(unopened); pg.StatusCode != http.StatusBadRequest || !strings.Contains(pg.text, "request_uri") {
			t.Errorf("opened after 90 s: %d at %s", pg.StatusCode, pg.at)
		}
		time.Sleep(210 * time.Second)
		p.atClient(p.signInAt(pg, "alice", "wonderland"), oursURI)
		if pg := p.open(opened); pg.StatusCode != http.StatusBadRequest {
			t.Errorf("used again: %d at %s", pg.StatusCode, pg.at)
		}
		stranger := r.person()
		time.Sleep(380*time.Second - time.Millisecond) // ten minutes after the first page
		if pg := stranger.open(reloaded); !pg.has("/login") {
			t.Errorf("loaded again just before its end: %d %s", pg.StatusCode, pg.raw)
		}
		time.Sleep(time.Millisecond)
		if pg := stranger.open(reloaded); pg.StatusCode != http.StatusBadRequest {
			t.Errorf("loaded again, and kept alive by that: %d at %s", pg.StatusCode, pg.at)
		}
	})
}

// As above, for who is signed in and only asked.
func TestAPushedRequestWaitsForThePersonWhoChoosesOrConsents(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		r.seedSignIn()
		p := r.person()
		p.code(request("ours", oursURI))
		consent, choose := r.pushed("rp", rpRedirect), r.pushed("ours", oursURI, "prompt", "select_account")
		time.Sleep(80 * time.Second)
		consentPage, choosePage := p.open(consent), p.open(choose)
		time.Sleep(5 * time.Minute)
		if code := p.atClient(p.allow(consentPage), rpRedirect).Get("code"); code == "" {
			t.Error("no code after the consent")
		}
		if code := p.atClient(p.submit(p.form(choosePage, "/login/choose"), "decision", "continue"), oursURI).Get("code"); code == "" {
			t.Error("no code after the choice of an account")
		}
	})
}

// INV10: moving the end is a question to the store like any other; that somebody else has moved it is as good.
func TestTheEndOfAPushedRequestThatCannotBeMovedIsToldAsItIs(t *testing.T) {
	r, calls := tapped(t)
	r.seedSignIn()
	for name, row := range map[string]struct {
		before func(id string) error
		status int
	}{
		"a second browser was first": {func(id string) error {
			pushed := storage.PushedRequests{Entries: calls.Store}
			p, err := pushed.Request(context.Background(), id)
			return errors.Join(err, pushed.Replace(context.Background(), p))
		}, http.StatusOK},
		"it was used meanwhile": {func(id string) error {
			return storage.PushedRequests{Entries: calls.Store}.Take(context.Background(), id)
		}, http.StatusBadRequest},
		"the store is away": {func(string) error { return errors.New("away") }, http.StatusServiceUnavailable},
	} {
		address := r.pushed("ours", oursURI)
		_, id, _ := strings.Cut(address, url.QueryEscape("request_uri:"))
		calls.before = func(verb string) error {
			if verb == "ReplaceEntry" {
				return row.before(id)
			}
			return nil
		}
		if pg := r.person().open(address); pg.StatusCode != row.status || pg.has("/login") != (row.status == http.StatusOK) {
			if row.status != http.StatusServiceUnavailable || !strings.Contains(pg.at, "error=temporarily_unavailable") {
				t.Errorf("%s: %d at %s: %s", name, pg.StatusCode, pg.at, pg.raw)
			}
		}
		calls.before = nil
	}
}

// RFC 9126 §7: whoever has an IPv6 address has 2^64 of them (RFC 6177), and pushes as one.
func TestTheAddressesOfOneSubscriberPushFromOneBudget(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		r.seedSignIn()
		push := func(address string) response {
			return r.do(from(address, form("/oauth2/par", "client_id", "spa", "redirect_uri", spaURI, "response_type", "code",
				"code_challenge", challenge(verifier), "code_challenge_method", "S256")))
		}
		for i := range 300 {
			address := "[2001:db8:0:1::1]:50000"
			if i%2 == 1 {
				address = "[2001:db8:0:1:ffff::2]:50000"
			}
			want(t, push(address), http.StatusCreated, "")
		}
		want(t, push("[2001:db8:0:1:abcd::3]:50000"), http.StatusTooManyRequests, "temporarily_unavailable")
		want(t, push("[2001:db8:0:2::1]:50000"), http.StatusCreated, "")
	})
}
