package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// RFC 9110 §9.3.2: HEAD is GET without the content.
func TestUserinfoIsForGetHeadAndPost(t *testing.T) {
	r := newRig(t).seedSignIn()
	token := r.redeem("rp", "rp-secret", rpRedirect, r.person().code(request("rp", rpRedirect))).str("access_token")
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 200, "PUT": 405, "DELETE": 405, "OPTIONS": 405} {
		req := httptest.NewRequest(method, "/userinfo", nil)
		req.Header.Set("Authorization", "Bearer "+token)
		res := r.do(req)
		if res.StatusCode != want || want == 405 && res.Header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: %d, Allow %q", method, res.StatusCode, res.Header.Get("Allow"))
		}
		if hasBody := res.raw != ""; hasBody != (method != http.MethodHead) {
			t.Errorf("%s: the body is %q", method, res.raw)
		}
	}
	page := r.do(preflight("/userinfo", "https://spa.example.test"))
	if page.StatusCode != http.StatusNoContent || !strings.Contains(page.Header.Get("Access-Control-Allow-Methods"), "GET") {
		t.Errorf("a browser that asks first: %d %v", page.StatusCode, page.Header)
	}
}
