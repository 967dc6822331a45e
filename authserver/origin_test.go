package authserver_test

import (
	"net/http"
	"net/url"
	"testing"
)

// A13: forms come from pages of this server only. A reverse proxy may send on another Host than browsers know, and browsers
// that reach http addresses send no Sec-Fetch-Site: then Origin is the issuer's, and that is enough.
func TestAFormOfOurOwnPageIsTakenBehindAProxyThatNamesAnotherHost(t *testing.T) {
	r := newRig(t).seedSignIn()
	for name, c := range map[string]struct {
		origin, site string
		taken        bool
	}{
		"of our page":                        {issuer, "", true},
		"of our page, by a newer browser":    {issuer, "same-origin", true},
		"of another site":                    {"https://evil.example.test", "", false},
		"of another site, by a newer one":    {"https://evil.example.test", "cross-site", false},
		"of another port of this host":       {"http://localhost:9999", "", false},
		"of a page that hides where it is":   {"null", "cross-site", false},
		"of the address behind the proxy":    {"http://10.0.0.7:8080", "", true}, // the address that was asked for
		"of our name with something more":    {issuer + ".evil.example.test", "", false},
		"of our host with another scheme":    {"https://localhost:8080", "", false},
		"of another site, without saying so": {"null", "", false},
	} {
		p := r.person()
		f := p.form(p.open("/login"), "/login")
		req := p.post(f, "username", "alice", "password", "wonderland")
		req.Host = "10.0.0.7:8080"
		req.Header.Set("Origin", c.origin)
		req.Header.Del("Sec-Fetch-Site")
		if c.site != "" {
			req.Header.Set("Sec-Fetch-Site", c.site)
		}
		res := p.send(req)
		if taken := res.StatusCode == http.StatusSeeOther; taken != c.taken {
			t.Errorf("%s: %d, taken %t", name, res.StatusCode, taken)
		}
		if !c.taken && (res.StatusCode != http.StatusForbidden || len(p.jar.Cookies(&url.URL{Scheme: "http", Host: "localhost:8080"})) > 1) {
			t.Errorf("%s: %d, cookies %v", name, res.StatusCode, p.jar.Cookies(home))
		}
	}
}
