package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

// OAuth 2.0 Form Post Response Mode: a page cannot post to an app's own scheme. That is said before a code is made for it.
func TestAFormIsNotPostedToAnApp(t *testing.T) {
	const scheme = "com.example.app:/cb"
	r, calls := tapped(t)
	r.seedSignIn()
	r.changeClient("app", func(c *storage.Client) { c.RedirectURIs = append(c.RedirectURIs, scheme) })
	p := r.person()
	made := 0
	calls.before = func(verb string) error {
		if verb == "CreateGrant" {
			made++
		}
		return nil
	}
	got := p.wantError(p.authorize(request("app", scheme, "response_mode", "form_post")), scheme, "invalid_request")
	if got.Get("state") != "st" || !strings.Contains(got.Get("error_description"), "form_post") {
		t.Errorf("got %v", got)
	}
	push := func(redirect string) response {
		q := request("app", redirect, "response_mode", "form_post")
		var flat []string
		for name, values := range q {
			flat = append(flat, name, values[0])
		}
		return r.do(form("/oauth2/par", flat...))
	}
	want(t, push(scheme), http.StatusBadRequest, "invalid_request")
	want(t, push(appURI), http.StatusCreated, "")
	if made > 0 {
		t.Errorf("%d codes were made", made)
	}

	if p.code(request("app", scheme)) == "" || p.code(request("app", scheme, "response_mode", "query")) == "" {
		t.Error("an app gets no code in the query")
	}
	for client, redirect := range map[string]string{"app": appURI, "modes": "https://modes.example.test/cb"} {
		pg := p.authorize(request(client, redirect, "response_mode", "form_post"))
		if pg.has("/consent") {
			pg = p.allow(pg)
		}
		fields := url.Values{}
		if pg.StatusCode == http.StatusOK && pg.has(redirect) {
			fields = p.form(pg, redirect).fields
		}
		if fields.Get("code") == "" {
			t.Errorf("%s: %d at %s", client, pg.StatusCode, pg.at)
		}
	}
}
