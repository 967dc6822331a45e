package apps

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	signedIn  = `Signed in as <strong id="name">Alice Liddell</strong>`
	signedOut = "Nobody is signed in here"
)

func TestAPersonSignsInAndSeesTheAnswerOfTheResourceServer(t *testing.T) {
	o := newOP(t)
	_, b := rig(t, o)
	b.sees(signedOut)
	asked := b.begin(o)
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "demo-web", "redirect_uri": b.base + "/callback", "scope": scope, "code_challenge_method": "S256",
	} {
		if got := asked.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	answer, _ := b.get("/callback?" + url.Values{"code": {"c"}, "state": {asked.Get("state")}, "iss": {o.issuer}}.Encode())
	if answer.status != http.StatusSeeOther {
		t.Fatalf("callback: %d", answer.status)
	}
	cookie := setCookie(t, answer)
	if cookie.Name != cookieName || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Secure {
		t.Errorf("the cookie is %v", cookie)
	}
	sent := o.requests[0]
	sum := sha256.Sum256([]byte(sent.Get("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") || o.secrets[0] != "s3cret" || sent.Has("client_secret") {
		t.Errorf("the token endpoint was sent %v with %q", sent, o.secrets[0])
	}
	answer, body := b.get("/")
	for _, want := range []string{signedIn, "alice@example.test", "usr_1", "secret of the resource server", `href="http://localhost:8083"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}
	if strings.Contains(body, "at-") || strings.Contains(body, o.refresh) {
		t.Errorf("a token is on the page:\n%s", body)
	}
	h := answer.header
	if p := h.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || !strings.Contains(p, "form-action 'self' "+o.issuer) ||
		h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("headers: %v", h)
	}
	// Another browser is another person.
	newBrowser(t, b.base).sees(signedOut)
}

// A7 · A8 · A13: an answer that this browser has not asked for, of another server, or for another attempt.
func TestAnAnswerThatDoesNotFitTheQuestionSignsNobodyIn(t *testing.T) {
	for name, tt := range map[string]struct {
		query   func(o *op, asked url.Values) url.Values
		idToken map[string]any
		noIss   bool
		status  int
		says    string
	}{
		"good": {nil, nil, false, 303, ""},
		"another state": {func(o *op, _ url.Values) url.Values {
			return url.Values{"code": {"c"}, "state": {"other"}, "iss": {o.issuer}}
		}, nil, false, 400, "not begun in this browser"},
		"no state": {func(o *op, _ url.Values) url.Values {
			return url.Values{"code": {"c"}, "iss": {o.issuer}}
		}, nil, false, 400, "not begun in this browser"},
		"an error without a state": {func(o *op, _ url.Values) url.Values {
			return url.Values{"error": {"planted"}, "iss": {o.issuer}}
		}, nil, false, 400, "not begun in this browser"},
		"another issuer": {func(_ *op, asked url.Values) url.Values {
			return url.Values{"code": {"c"}, "state": {asked.Get("state")}, "iss": {"https://evil.example"}}
		}, nil, false, 400, "not from the authorization server"},
		"no issuer": {func(_ *op, asked url.Values) url.Values {
			return url.Values{"code": {"c"}, "state": {asked.Get("state")}}
		}, nil, false, 400, "not from the authorization server"},
		"no issuer of a server that sends none": {func(_ *op, asked url.Values) url.Values {
			return url.Values{"code": {"c"}, "state": {asked.Get("state")}}
		}, nil, true, 303, ""},
		"another nonce":         {nil, map[string]any{"nonce": "other"}, false, 502, "could not be completed"},
		"no nonce":              {nil, map[string]any{"nonce": ""}, false, 502, "could not be completed"},
		"for another client":    {nil, map[string]any{"aud": "demo-spa"}, false, 502, "could not be completed"},
		"ID token of another":   {nil, map[string]any{"iss": "https://evil.example"}, false, 502, "could not be completed"},
		"ID token of yesterday": {nil, map[string]any{"exp": time.Now().Unix() - 86400}, false, 502, "could not be completed"},
		"another access token":  {nil, map[string]any{"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, false, 502, "could not be completed"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOP(t)
			o.idToken, o.noIss = tt.idToken, tt.noIss
			_, b := rig(t, o)
			asked := b.begin(o)
			query := url.Values{"code": {"c"}, "state": {asked.Get("state")}, "iss": {o.issuer}}
			if tt.query != nil {
				query = tt.query(o, asked)
			}
			answer, body := b.get("/callback?" + query.Encode())
			if answer.status != tt.status || !strings.Contains(body, tt.says) || strings.Contains(body, "planted") {
				t.Errorf("got %d, want %d with %q:\n%s", answer.status, tt.status, tt.says, body)
			}
			if tt.status == 303 {
				b.sees(signedIn)
			} else {
				b.sees(signedOut)
			}
		})
	}
}

func TestAnAnswerCountsOnceAndInTheBrowserThatAsked(t *testing.T) {
	o := newOP(t)
	_, b := rig(t, o)
	asked := b.begin(o)
	callback := "/callback?" + url.Values{"code": {"c"}, "state": {asked.Get("state")}, "iss": {o.issuer}}.Encode()
	other := newBrowser(t, b.base)
	other.begin(o)
	if answer, _ := other.get(callback); answer.status != 400 {
		t.Errorf("in another browser: %d", answer.status)
	}
	o.set(func() { o.nonce = asked.Get("nonce") })
	for i := range 2 { // the second time is the back button's: who is signed in stays so
		if answer, body := b.get(callback); answer.status != 303 {
			t.Errorf("time %d: %d, want 303:\n%s", i+1, answer.status, body)
		}
	}
	if n := len(o.requests); n != 1 {
		t.Errorf("the token endpoint was asked %d times", n)
	}
	b.sees(signedIn)
}

// L1: the name of the session before signing in is not the one after.
func TestSigningInChangesTheCookie(t *testing.T) {
	o := newOP(t)
	_, b := rig(t, o)
	b.begin(o)
	at, _ := url.Parse(b.base)
	before := b.client.Jar.Cookies(at)[0].Value
	b.signIn(o)
	if after := b.client.Jar.Cookies(at)[0].Value; after == before {
		t.Error("the cookie is the same")
	}
	old := newBrowser(t, b.base)
	old.client.Jar.SetCookies(at, []*http.Cookie{{Name: cookieName, Value: before}})
	old.sees(signedOut)
}

// A11
func TestAnErrorOfTheServerIsShownAsText(t *testing.T) {
	o := newOP(t)
	_, b := rig(t, o)
	asked := b.begin(o)
	answer, body := b.get("/callback?" + url.Values{
		"error": {"access_denied"}, "error_description": {`<script>alert(1)</script>`}, "state": {asked.Get("state")}, "iss": {o.issuer},
	}.Encode())
	if answer.status != http.StatusOK || strings.Contains(body, "<script") || !strings.Contains(body, "&lt;script&gt;") ||
		!strings.Contains(body, "You did not allow") {
		t.Errorf("%d:\n%s", answer.status, body)
	}
	if answer, _ := b.get("/callback?" + url.Values{"code": {"c"}, "state": {asked.Get("state")}, "iss": {o.issuer}}.Encode()); answer.status != 400 {
		t.Errorf("the same state counts twice: %d", answer.status)
	}
	o.set(func() { o.name = `<img src=x onerror=alert(1)>` })
	b.signIn(o)
	if _, body := b.get("/"); strings.Contains(body, "<img") || !strings.Contains(body, "&lt;img") {
		t.Errorf("the name is not escaped:\n%s", body)
	}
}

func TestAnExpiredTokenIsRefreshedOnceByTwoRequestsAtOnce(t *testing.T) {
	o := newOP(t)
	o.life = 1 // at its end for the library, which keeps ten seconds
	_, b := rig(t, o)
	b.signIn(o)
	o.set(func() { o.life = 900 })
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { b.sees("secret of the resource server") })
	}
	wg.Wait()
	if n := len(o.requests); n != 2 || o.requests[1].Get("grant_type") != "refresh_token" {
		t.Errorf("%d requests of the token endpoint: %v", n, o.requests)
	}
}

// The library would find out how to show the secret by trying, and a failed try burns the code.
func TestACodeIsTriedOnce(t *testing.T) {
	o := newOP(t)
	o.revoked = true
	_, b := rig(t, o)
	asked := b.begin(o)
	answer, _ := b.get("/callback?" + url.Values{"code": {"c"}, "state": {asked.Get("state")}, "iss": {o.issuer}}.Encode())
	if answer.status != 502 || len(o.requests) != 1 {
		t.Errorf("%d, %d requests", answer.status, len(o.requests))
	}
}

func TestASignInThatHasEndedAtTheServerEndsHere(t *testing.T) {
	for name, life := range map[string]int{"the access token is refused": 900, "the refresh is refused": 1} {
		o := newOP(t)
		o.life = life
		_, b := rig(t, o)
		b.signIn(o)
		o.set(func() { o.revoked = true })
		b.sees("Your sign-in has ended")
		o.set(func() { o.revoked = false })
		if b.sees(signedOut); t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestUserinfoAboutAnotherPersonIsNotShown(t *testing.T) {
	o := newOP(t)
	_, b := rig(t, o)
	b.signIn(o)
	o.set(func() { o.sub = "usr_2" })
	if answer, body := b.get("/"); answer.status != 503 || strings.Contains(body, "Alice") {
		t.Errorf("%d:\n%s", answer.status, body)
	}
}

func TestTheServerMayStartAfterTheApplication(t *testing.T) {
	o := newOP(t)
	metadata := o.Config.Handler
	o.Config.Handler = http.NotFoundHandler()
	_, b := rig(t, o)
	if answer, body := b.get("/login"); answer.status != 503 || !strings.Contains(body, "try again") {
		t.Errorf("%d:\n%s", answer.status, body)
	}
	b.sees(signedOut)
	o.Config.Handler = metadata
	b.signIn(o)
	b.sees(signedIn)
}

// Inside a container network the issuer has another address; browsers and tokens keep the public one.
func TestTheApplicationAsksAtTheInternalAddressAndSendsTheBrowserToTheIssuer(t *testing.T) {
	o := newOP(t)
	o.issuer = "http://issuer.example:8080"
	_, b := rig(t, o, func(c *WebConfig) { c.InternalURL = o.URL })
	b.signIn(o) // which looks at where the browser is sent
	b.sees(signedIn)
	for _, host := range o.hosts {
		if "http://"+host != o.URL {
			t.Errorf("%s was asked for", host)
		}
	}
}

func TestWhatIsMissingOrNoURLIsNamed(t *testing.T) {
	_, err := NewWeb(WebConfig{Issuer: "ftp://x", BaseURL: "localhost:8082", ResourceURL: "", OtherApp: "http://a/?b"})
	_, spaErr := NewSPA(SPAConfig{Issuer: "http://localhost:8080"})
	if err == nil || spaErr == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{`issuer "ftp://x"`, `base URL "localhost:8082"`, `resource URL ""`, `other application`, "client id is empty", "client secret is empty"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %s in: %v", want, err)
		}
	}
	if strings.Contains(spaErr.Error(), "issuer") || !strings.Contains(spaErr.Error(), "base URL") {
		t.Errorf("%v", spaErr)
	}
}
