package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// CSP Level 3 §6.4.1: a browser holds every redirect behind a form to form-action of the form's page, also those that the
// client's address makes. So the way from each form of ours to a client ends on a page, and every other way is a redirect.
func TestABrowserComesFromEachFormToTheClientByAPage(t *testing.T) {
	r := newRig(t).seedSignIn()
	r.seedLogout("")
	browser := func(req *http.Request) *http.Request {
		for name, value := range map[string]string{"Mode": "navigate", "Dest": "document", "Site": "same-origin"} {
			req.Header.Set("Sec-Fetch-"+name, value)
		}
		return req
	}
	goesOn := func(from string, res response, to, with string) {
		t.Helper()
		_, rest, found := strings.Cut(res.raw, `<meta http-equiv="refresh" content="0; url=`+to)
		query, _, _ := strings.Cut(rest, `"`)
		if res.StatusCode != http.StatusOK || !found || !strings.Contains(query, with) || res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %s", from, res.StatusCode, res.Header, res.raw)
		}
	}
	p := r.person()

	// The sign-in form at a client without consent: the redirect after the form.
	pg := p.open("/oauth2/auth?" + request("ours", oursURI).Encode())
	res := p.send(browser(p.post(p.form(pg, "/login"), "username", "alice", "password", "wonderland")))
	proven := res.Header.Get("Location")
	if res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(proven, "/oauth2/auth?") {
		t.Fatalf("the form leads with %d to %s", res.StatusCode, proven)
	}
	goesOn("sign-in", p.send(browser(get(proven))), oursURI, "code=ac_")
	// The client's own redirect, now that somebody is signed in, and a program's.
	link := browser(get("/oauth2/auth?" + request("ours", oursURI).Encode()))
	link.Header.Set("Sec-Fetch-Site", "cross-site")
	// HtmlUnit, which certification suites drive, says of every request what a browser says of one after a form of ours.
	simulated := browser(get("/oauth2/auth?" + request("ours", oursURI).Encode()))
	for from, req := range map[string]*http.Request{
		"a link": link, "a program": get("/oauth2/auth?" + request("ours", oursURI).Encode()), "a simulated browser": simulated,
	} {
		if res := p.send(req); res.StatusCode != http.StatusSeeOther || !strings.HasPrefix(res.Header.Get("Location"), oursURI+"?") {
			t.Errorf("%s: %d to %s", from, res.StatusCode, res.Header.Get("Location"))
		}
	}
	// The consent form, allowed and denied.
	for _, c := range []struct{ decision, with string }{{"allow", "code=ac_"}, {"deny", "error=access_denied"}} {
		pg = p.authorize(request("rp", rpRedirect, "prompt", "consent"))
		goesOn(c.decision, p.send(browser(p.post(p.form(pg, "/consent"), "decision", c.decision))), rpRedirect, c.with)
	}
	// The same form sent twice: the request begins again, and the way still leads from a form.
	twice := p.form(p.authorize(request("rp", rpRedirect, "prompt", "consent")), "/consent")
	p.send(browser(p.post(twice, "decision", "allow")))
	res = p.send(browser(p.post(twice, "decision", "allow", "remember", "1")))
	if again := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || !strings.HasSuffix(again, "&ingam_proof=") {
		t.Errorf("sent twice: %d to %s", res.StatusCode, again)
	}
	// The question whether to sign out.
	pg = p.open("/oauth2/logout?" + url.Values{"client_id": {"ours"}, "post_logout_redirect_uri": {"https://ours.example.test/bye"}}.Encode())
	goesOn("logout", p.send(browser(p.post(p.form(pg, "/logout")))), "https://ours.example.test/bye", "")
	if pg := p.authorize(request("ours", oursURI)); !pg.has("/login") {
		t.Error("still signed in")
	}
}
