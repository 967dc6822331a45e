package authserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

// Every form of the account page and of signing out, with each call to the store failing in turn: the answer is the one of
// always, or a page with 503 that says when to try again. Nobody is taken for a stranger, and nothing is half told.
func TestAFailingStoreIsAPageWith503WhateverAPersonDoes(t *testing.T) {
	for name, do := range map[string]func(p *person, account page) response{
		"the account page": func(p *person, _ page) response { return p.send(get("/account")) },
		"the sign-in page": func(p *person, _ page) response { return p.send(get("/login")) },
		"a new password": func(p *person, account page) response {
			return p.send(p.post(p.form(account, "/account/password"), "current", "wonderland",
				"new", "through the looking glass", "repeat", "through the looking glass", "end_others", "1"))
		},
		"an end of a session": func(p *person, account page) response {
			return p.send(p.post(p.form(account, "/account/sessions/end")))
		},
		"the end of all others": func(p *person, account page) response {
			return p.send(p.post(p.form(account, "/account/sessions/end-others")))
		},
		"an app taken back": func(p *person, account page) response {
			return p.send(p.post(p.form(account, "/account/apps/remove")))
		},
		"the logout question": func(p *person, _ page) response { return p.send(get("/logout")) },
	} {
		for _, when := range []string{"before", "after"} {
			for n := 1; n < 60; n++ {
				r, store := tapped(t)
				r.seedSignIn()
				p, other := r.person(), r.person()
				other.signInAt(other.open("/login"), "alice", "wonderland")
				p.code(request("rp", rpRedirect))
				account := p.open("/account")
				fail, hit := failNth(n)
				if store.before = fail; when == "after" {
					store.before, store.after = nil, fail
				}
				res := do(p, account)
				store.before, store.after = nil, nil
				switch res.StatusCode {
				case http.StatusServiceUnavailable:
					if res.Header.Get("Retry-After") == "" && !strings.Contains(res.raw, "Your password is changed") {
						t.Errorf("%s, call %d (%s): 503 without Retry-After", name, n, when)
					}
				case http.StatusOK:
				case http.StatusSeeOther:
					if to := res.Header.Get("Location"); strings.HasPrefix(to, "/login") {
						t.Errorf("%s, call %d (%s): taken for a stranger", name, n, when)
					}
				default:
					t.Errorf("%s, call %d (%s): %d %s", name, n, when, res.StatusCode, res.raw)
				}
				if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") && res.StatusCode != http.StatusSeeOther {
					t.Errorf("%s, call %d (%s): %s", name, n, when, res.Header.Get("Content-Type"))
				}
				if strings.Contains(res.raw, errDisk.Error()) {
					t.Errorf("%s, call %d (%s): the page tells of the disk", name, n, when)
				}
				if !hit() {
					if n < 2 {
						t.Errorf("%s asked the store nothing", name)
					}
					break
				}
			}
		}
	}
}

// A user of a file is like any other, but for the password.
func TestAUserOfAFileHasTheWholeJourney(t *testing.T) {
	hash, err := testHasher(t).Hash(t.Context(), "from-a-file-2026")
	must(t, err)
	filed := storage.User{ID: "usr_frida", Username: "frida", PasswordHash: hash, Source: "users.d/frida.yaml"}
	r := newRig(t, withStore(func(s storage.Store) storage.Store {
		both, err := storage.WithStatic(s, nil, []storage.User{filed})
		must(t, err)
		return both
	})).seedSignIn()
	p, other := r.person(), r.person()
	pg := p.signInAt(p.authorize(request("rp", rpRedirect, "scope", "openid profile offline_access")), "frida", "from-a-file-2026")
	code := p.atClient(p.allow(pg), rpRedirect).Get("code")
	tokens := r.redeem("rp", "rp-secret", rpRedirect, code)
	if res := r.userinfo(tokens.str("access_token")); tokens.StatusCode != http.StatusOK || res.StatusCode != http.StatusOK || res.str("sub") != "usr_frida" {
		t.Fatalf("%d %s, %d %s", tokens.StatusCode, tokens.raw, res.StatusCode, res.raw)
	}
	other.signInAt(other.open("/login"), "frida", "from-a-file-2026")
	account := p.open("/account")
	if !strings.Contains(account.text, "kept in a file") || account.has("/account/password") || !account.has("/account/apps/remove") {
		t.Errorf("the account page: %s", account.text)
	}
	forged := p.form(account, "/account/sessions/end-others")
	forged.action = "/account/password"
	const again = "through the looking glass"
	if res := p.submit(forged, "current", "from-a-file-2026", "new", again, "repeat", again); res.StatusCode != http.StatusConflict {
		t.Errorf("a form that is not there: %d", res.StatusCode)
	}
	p.submit(p.form(account, "/account/sessions/end-others"))
	if pg := other.open("/account"); pg.at != "/login" {
		t.Errorf("the other browser is at %s", pg.at)
	}
	p.submit(p.form(account, "/account/apps/remove"))
	if res := r.userinfo(tokens.str("access_token")); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the app was removed: %d", res.StatusCode)
	}
	if pg := p.submit(p.form(p.open("/logout"), "/logout")); !strings.Contains(pg.text, "You are signed out") {
		t.Errorf("%s", pg.text)
	}
}
