package authserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver"
)

// RFC 9110 §12.5.1: a browser names HTML, a program takes anything or JSON.
func TestAnUnknownAddressIsAPageForPeopleAndJSONForPrograms(t *testing.T) {
	for _, path := range []string{"", "/sign/in"} {
		r := newRig(t, func(c *authserver.Config, _ *authserver.Dependencies) { c.Issuer += path })
		// The second is not canonical, the last lies outside of the issuer's path if it has one.
		for _, address := range []string{path + "/nothing", path + "/a//b", path + "/oauth2/nothing", "/elsewhere"} {
			for accept, media := range map[string]string{
				"text/html,application/xhtml+xml,*/*;q=0.8": "text/html; charset=utf-8",
				"*/*": "application/json", "application/json": "application/json", "": "application/json",
			} {
				req := get(address)
				req.Header.Set("Accept", accept)
				res := r.do(req)
				if res.StatusCode != http.StatusNotFound || res.Header.Get("Content-Type") != media || res.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s for %q: %d %v", address, accept, res.StatusCode, res.Header)
				}
				isPage := strings.Contains(res.raw, "There is nothing here") && strings.Contains(res.raw, `href="`+path+`/account"`)
				isJSON := strings.Contains(res.raw, `"error":"not_found"`)
				if isPage == isJSON || isPage != strings.HasPrefix(media, "text/html") {
					t.Errorf("%s for %q: %s", address, accept, res.raw)
				}
			}
		}
	}
}
