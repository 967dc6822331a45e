package authserver_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/ingam/ingam/storage"
)

// silentCode answers a code of a request with prompt=none that the tap lets through; then runs just before it is stored.
func silentCode(p *person, calls *tap, then func()) string {
	p.t.Helper()
	calls.before = func(verb string) error {
		if verb == "CreateGrant" && then != nil {
			run := then
			then = nil
			run()
		}
		return nil
	}
	return p.code(request("rp", rpRedirect, "prompt", "none"))
}

// takeBack does what the account page's button does.
func (p *person) takeBack() {
	p.t.Helper()
	if pg := p.submit(p.form(p.open("/account"), "/account/apps/remove")); pg.at != "/account?done=app" {
		p.t.Fatalf("the browser is at %s (%d)", pg.at, pg.StatusCode)
	}
}

// A17: a request without a page that runs beside the click has read the consent, and stores its code after everything else
// was revoked. That code must not bring back what was taken back.
func TestACodeThatRestsOnAConsentIsWorthNothingWithoutIt(t *testing.T) {
	r, calls := tapped(t)
	r.seedSignIn()
	p := r.person()
	p.code(request("rp", rpRedirect)) // the consent is remembered

	kept := silentCode(p, calls, nil)
	want(t, r.redeem("rp", "rp-secret", rpRedirect, kept), http.StatusOK, "")

	late := silentCode(p, calls, p.takeBack)
	want(t, r.redeem("rp", "rp-secret", rpRedirect, late), http.StatusBadRequest, "invalid_grant")

	// The same beside the form that is remembered.
	pg := p.authorize(request("rp", rpRedirect))
	calls.before = func(verb string) error {
		if verb == "CreateGrant" {
			calls.before = nil
			p.takeBack()
		}
		return nil
	}
	allowed := p.atClient(p.allow(pg), rpRedirect).Get("code")
	want(t, r.redeem("rp", "rp-secret", rpRedirect, allowed), http.StatusBadRequest, "invalid_grant")

	p.code(request("rp", rpRedirect)) // allowed again: by then the codes are burnt
	want(t, r.redeem("rp", "rp-secret", rpRedirect, allowed), http.StatusBadRequest, "invalid_grant")
	want(t, r.redeem("rp", "rp-secret", rpRedirect, late), http.StatusBadRequest, "invalid_grant")
}

// A17: what is allowed anew counts for what it says, not for what was taken back.
func TestACodeIsWorthNothingWhereLessIsAllowedAnew(t *testing.T) {
	r, calls := tapped(t)
	r.seedSignIn()
	p := r.person()
	q := request("rp", rpRedirect, "claims", `{"userinfo":{"email":null}}`)
	p.code(q)
	for name, less := range map[string]storage.Consent{
		"a scope less":   {Scopes: []string{"openid"}, Claims: []string{"email"}},
		"a claim less":   {Scopes: []string{"openid", "profile"}},
		"the very same":  {Scopes: []string{"openid", "profile"}, Claims: []string{"email"}},
		"more than that": {Scopes: []string{"openid", "profile", "phone"}, Claims: []string{"email", "name"}},
	} {
		less.UserID, less.ClientID = "usr_alice", "rp"
		consents := storage.Consents{Entries: r.store}
		p.code(q)
		calls.before = func(verb string) error {
			if verb == "CreateGrant" {
				calls.before = nil
				return errors.Join(consents.Remove(t.Context(), "usr_alice", "rp"), consents.Add(t.Context(), less))
			}
			return nil
		}
		res := r.redeem("rp", "rp-secret", rpRedirect, p.code(q))
		if covered := len(less.Scopes) > 1 && len(less.Claims) > 0; (res.StatusCode == http.StatusOK) != covered {
			t.Errorf("%s: %d %s", name, res.StatusCode, res.raw)
		}
	}
}

// Who was asked, and whose client nobody is asked about, needs no stored consent; and once redeemed, a grant is ended by
// revoking it, not by looking at the consent each time.
func TestOnlyTheRedemptionOfACodeThatRestsOnAConsentLooksAtIt(t *testing.T) {
	r, calls := tapped(t)
	r.seedSignIn()
	p := r.person()
	pg := p.signInAt(p.authorize(request("rp", rpRedirect)), "alice", "wonderland")
	once := p.atClient(p.submit(p.form(pg, "/consent"), "decision", "allow"), rpRedirect).Get("code") // not to be remembered
	want(t, r.redeem("rp", "rp-secret", rpRedirect, once), http.StatusOK, "")
	want(t, r.redeem("ours", "ours-secret", oursURI, p.code(request("ours", oursURI, "prompt", "none"))), http.StatusOK, "")

	p.code(request("rp", rpRedirect))
	res := r.redeem("rp", "rp-secret", rpRedirect, silentCode(p, calls, nil))
	want(t, res, http.StatusOK, "")
	must(t, storage.Consents{Entries: r.store}.Remove(t.Context(), "usr_alice", "rp"))
	var asked []string
	calls.before = func(verb string) error {
		asked = append(asked, verb)
		return nil
	}
	want(t, r.do(basic(form("/oauth2/token", "grant_type", "refresh_token", "refresh_token", res.str("refresh_token")), "rp", "rp-secret")),
		http.StatusOK, "")
	if slices.Contains(asked, "Entry") {
		t.Errorf("a refresh asks for %v", asked)
	}
}

// A failure of the store is never taken for a consent that is gone: the code stays good.
func TestAStoreThatFailsBurnsNoCode(t *testing.T) {
	r, calls := tapped(t)
	r.seedSignIn()
	p := r.person()
	p.code(request("rp", rpRedirect))
	code := silentCode(p, calls, nil)
	calls.before = func(verb string) error {
		if verb == "Entry" {
			return errors.New("away")
		}
		return nil
	}
	want(t, r.redeem("rp", "rp-secret", rpRedirect, code), http.StatusServiceUnavailable, "temporarily_unavailable")
	calls.before = nil
	want(t, r.redeem("rp", "rp-secret", rpRedirect, code), http.StatusOK, "")
}
