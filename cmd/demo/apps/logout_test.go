package apps

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

func TestSigningOutGoesToTheServerWithTheIDTokenAndComesBack(t *testing.T) {
	o := newOP(t)
	_, b := rig(t, o)
	b.signIn(o)
	answer, _ := b.do("POST", "/logout", url.Values{})
	at, err := url.Parse(answer.header.Get("Location"))
	if err != nil || answer.status != http.StatusSeeOther || !strings.HasPrefix(at.String(), o.issuer+"/logout?") {
		t.Fatalf("%d %s", answer.status, at)
	}
	q := at.Query()
	if strings.Count(q.Get("id_token_hint"), ".") != 2 || q.Get("post_logout_redirect_uri") != b.base+"/" || q.Get("state") == "" {
		t.Errorf("the server is asked %v", q)
	}
	b.sees(signedOut)
	if _, body := b.get("/?state=forged"); strings.Contains(body, "You are signed out") {
		t.Error("any state is believed")
	}
	if _, body := b.get("/?state=" + q.Get("state")); !strings.Contains(body, "You are signed out") {
		t.Errorf("after coming back:\n%s", body)
	}
	// Nobody is signed in: nothing to ask the server for.
	if answer, _ := b.do("POST", "/logout", url.Values{}); answer.header.Get("Location") != "/" {
		t.Errorf("the second time: %s", answer.header.Get("Location"))
	}
}

// L15
func TestAnotherSiteCannotSignAnybodyOut(t *testing.T) {
	o := newOP(t)
	_, b := rig(t, o)
	b.signIn(o)
	if answer, _ := b.do("POST", "/logout", url.Values{}, "Sec-Fetch-Site", "cross-site"); answer.status != 403 {
		t.Errorf("a form of another site: %d", answer.status)
	}
	if answer, _ := b.get("/logout"); answer.status != 405 {
		t.Errorf("a link: %d", answer.status)
	}
	b.sees(signedIn)
	if answer, _ := b.do("POST", "/logout", url.Values{}, "Sec-Fetch-Site", "same-origin"); answer.status != http.StatusSeeOther {
		t.Errorf("the form of the page: %d", answer.status)
	}
	b.sees(signedOut)
}

// A logout token is checked as OIDC Back-Channel Logout §2.6 says, and what fails ends nothing.
func TestALogoutTokenEndsTheSessionItNamesAndNoOther(t *testing.T) {
	o := newOP(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	real := o.key
	for name, tt := range map[string]struct {
		change map[string]any
		key    *rsa.PrivateKey
		status int
		ends   bool
	}{
		"good":                           {nil, real, 200, true},
		"of the person, without session": {map[string]any{"sid": nil}, real, 200, true},
		"of the session, without person": {map[string]any{"sub": nil}, real, 200, true},
		"of another session":             {map[string]any{"sid": "sid-2"}, real, 200, false},
		"of another person":              {map[string]any{"sub": "usr_2"}, real, 200, false},
		"of another person, no session":  {map[string]any{"sub": "usr_2", "sid": nil}, real, 200, false},
		"of nobody":                      {map[string]any{"sub": nil, "sid": nil}, real, 400, false},
		"with a nonce":                   {map[string]any{"nonce": "n"}, real, 400, false},
		"without the event":              {map[string]any{"events": nil}, real, 400, false},
		"without jti":                    {map[string]any{"jti": nil}, real, 400, false},
		"of another issuer":              {map[string]any{"iss": "https://evil.example"}, real, 400, false},
		"for another client":             {map[string]any{"aud": "demo-spa"}, real, 400, false},
		"at its end":                     {map[string]any{"exp": time.Now().Unix() - 60}, real, 400, false},
		"signed by a stranger":           {nil, stranger, 400, false},
	} {
		_, b := rig(t, o)
		b.signIn(o)
		now := time.Now().Unix()
		claims := map[string]any{
			"iss": o.issuer, "aud": "demo-web", "iat": now, "exp": now + 120, "jti": "j-1", "sub": "usr_1", "sid": "sid-1",
			"events": map[string]any{logoutEvent: map[string]any{}},
		}
		for claim, value := range tt.change {
			if claims[claim] = value; value == nil {
				delete(claims, claim)
			}
		}
		o.key = tt.key
		token := o.sign(claims)
		o.key = real
		// The server has no cookie.
		answer, body := newBrowser(t, b.base).do("POST", "/backchannel-logout", url.Values{"logout_token": {token}})
		if answer.status != tt.status || answer.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, want %d: %s", name, answer.status, tt.status, body)
		}
		if _, page := b.get("/"); strings.Contains(page, signedOut) != tt.ends {
			t.Errorf("%s: signed out is %t", name, !tt.ends)
		}
	}
}

func TestAnIDTokenOrNothingIsNoLogoutToken(t *testing.T) {
	o := newOP(t)
	_, b := rig(t, o)
	b.signIn(o)
	answer, _ := b.do("POST", "/logout", url.Values{})
	at, _ := url.Parse(answer.header.Get("Location"))
	b.signIn(o)
	for _, token := range []string{at.Query().Get("id_token_hint"), "", "a.b.c", strings.Repeat("x", 1<<20)} {
		if answer, _ := b.do("POST", "/backchannel-logout", url.Values{"logout_token": {token}}); answer.status != 400 {
			t.Errorf("%.20s: %d", token, answer.status)
		}
	}
	b.sees(signedIn)
}

func TestTheFrontChannelEndsTheSessionItNames(t *testing.T) {
	o := newOP(t)
	_, b := rig(t, o)
	b.signIn(o)
	frame := newBrowser(t, b.base) // third-party frames have no cookies
	for _, query := range []url.Values{
		{"sid": {"sid-1"}}, {"iss": {o.issuer}}, {"iss": {"https://evil.example"}, "sid": {"sid-1"}}, {"iss": {o.issuer}, "sid": {""}},
	} {
		if answer, _ := frame.get("/frontchannel-logout?" + query.Encode()); answer.status != 400 {
			t.Errorf("%v: %d", query, answer.status)
		}
	}
	frame.get("/frontchannel-logout?" + url.Values{"iss": {o.issuer}, "sid": {"sid-2"}}.Encode())
	b.sees(signedIn)
	answer, _ := frame.get("/frontchannel-logout?" + url.Values{"iss": {o.issuer}, "sid": {"sid-1"}}.Encode())
	if p := answer.header.Get("Content-Security-Policy"); answer.status != http.StatusOK || p != "default-src 'none'; frame-ancestors "+o.issuer {
		t.Errorf("%d, %s", answer.status, p)
	}
	b.sees(signedOut)
}
