package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// What people and their browsers ask for, by the public handler on the embedded store:
//
//	go test -run '^$' -bench 'Page|Authorize|UserInfo' -benchmem ./authserver

// BenchmarkPageSignIn is the sign-in page up to its last byte. The hash of a password is not in it: that is POST /login.
func BenchmarkPageSignIn(b *testing.B) {
	r := benchRig(b).seedSignIn()
	address := "/oauth2/auth?" + request("rp", rpRedirect).Encode()
	benchGet(b, r, address, nil, http.StatusOK)
}

// BenchmarkAuthorize is a request of a client that has everything: a session and a remembered consent. The grant of the code
// is on the disk when it is answered.
func BenchmarkAuthorize(b *testing.B) {
	r := benchRig(b).seedSignIn()
	p := r.person()
	q := request("rp", rpRedirect)
	p.code(q)
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range p.jar.Cookies(home) {
		req.AddCookie(c)
	}
	benchGet(b, r, "/oauth2/auth?"+q.Encode(), req.Header, http.StatusSeeOther)
}

// BenchmarkUserInfo is one check of a signature and one read.
func BenchmarkUserInfo(b *testing.B) {
	r := benchRig(b).seedSignIn()
	res := r.redeem("rp", "rp-secret", rpRedirect, r.person().code(request("rp", rpRedirect)))
	benchGet(b, r, "/userinfo", http.Header{"Authorization": {"Bearer " + res.str("access_token")}}, http.StatusOK)
}

func benchGet(b *testing.B, r *rig, address string, header http.Header, status int) {
	b.Helper()
	reportCPU(b)
	for b.Loop() {
		req := httptest.NewRequest(http.MethodGet, address, nil)
		for name, values := range header {
			req.Header[name] = values
		}
		rec := httptest.NewRecorder()
		r.ServeHTTP(rec, req)
		if rec.Code != status {
			b.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
}
