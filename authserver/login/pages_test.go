package login

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// everyPage renders each page and each route there is, signed in and not.
func everyPage(t *testing.T, r *rig, language string) map[string]answer {
	t.Helper()
	b := r.browser()
	b.headers["Accept-Language"] = language
	pages := map[string]answer{"sign-in": b.get("/login"), "request": b.get(request)}
	form := pages["request"].fields(t, "/login")
	form.Set("username", "alice")
	form.Set("password", "wrong")
	pages["wrong password"] = b.post("/login", form)
	pages["forbidden"] = b.post("/login", url.Values{})
	pages["no form"] = b.send(http.MethodPost, "/login", nil)
	pages["method"] = b.send(http.MethodPut, "/login", nil)
	pages["missing"] = b.get("/account/nothing")
	pages["missing asset"] = b.get("/assets/x/nothing")
	pages["language"] = b.post("/language", url.Values{"csrf": {b.csrf()}, "language": {language}, "back": {"/login"}})
	form.Set("password", alicePassword)
	pages["redirect"] = b.post("/login", form)
	pages["account"] = b.get("/account")
	u, err := r.store.User(t.Context(), "usr_alice")
	if err != nil {
		t.Fatal(err)
	}
	ask := Ask{
		Client: testClient(), Continue: request, RedirectURI: redirectURI, User: u, Token: "consent-token",
		Scopes: []string{"openid", "profile", "orders:read"}, NewScopes: []string{"orders:read"}, Claims: []string{"email", "gender", "x"},
	}
	p := r.pages
	for name, show := range map[string]func(http.ResponseWriter, *http.Request){
		"again":   func(w http.ResponseWriter, req *http.Request) { a := ask; a.Again = true; p.SignIn(w, req, a) },
		"choose":  func(w http.ResponseWriter, req *http.Request) { p.Choose(w, req, ask) },
		"consent": func(w http.ResponseWriter, req *http.Request) { p.Consent(w, req, ask) },
		"refuse": func(w http.ResponseWriter, req *http.Request) {
			p.Refuse(w, req, Refusal{
				Status: 400, Code: "invalid_request", Description: "not registered", Parameter: "redirect_uri",
				Value: "https://evil.example/", Client: testClient(),
			})
		},
		"refuse client": func(w http.ResponseWriter, req *http.Request) {
			p.Refuse(w, req, Refusal{Status: 400, Code: "invalid_client", Parameter: "client_id", Value: "nobody"})
		},
		"refuse busy": func(w http.ResponseWriter, req *http.Request) {
			p.Refuse(w, req, Refusal{Status: 429, Code: "slow_down", RetryAfter: time.Second})
		},
		"refuse broken": func(w http.ResponseWriter, req *http.Request) {
			p.Refuse(w, req, Refusal{Status: 503, Code: "temporarily_unavailable", RetryAfter: 2 * time.Second})
		},
		"refuse other": func(w http.ResponseWriter, req *http.Request) { p.Refuse(w, req, Refusal{Code: "invalid_request"}) },
		"form post": func(w http.ResponseWriter, req *http.Request) {
			p.FormPost(w, req, redirectURI, url.Values{"code": {"ac_x"}, "state": {"x+y"}})
		},
		"leave": func(w http.ResponseWriter, req *http.Request) {
			onTheWayFromAForm(req)
			req.Method = http.MethodPost
			p.Leave(w, req, testClient(), nil, redirectURI+"?code=ac_x")
		},
		"form post to an app": func(w http.ResponseWriter, req *http.Request) {
			p.FormPost(w, req, "app:/cb", url.Values{"code": {"ac_secret"}})
		},
		"logout": func(w http.ResponseWriter, req *http.Request) {
			p.AskLogout(w, req, LogoutAsk{Client: testClient(), User: u, Ticket: "ticket", RedirectURI: "https://app.example/out"})
		},
		"logged out": func(w http.ResponseWriter, req *http.Request) { p.ShowLoggedOut(w, req, LoggedOut{}) },
		"logged out and on": func(w http.ResponseWriter, req *http.Request) {
			p.ShowLoggedOut(w, req, LoggedOut{
				Client: testClient(), Continue: "https://app.example/out?state=1&a=b",
				Frames: []string{"https://app.example/fc?iss=i&sid=s", "https://other.example:444/fc", "javascript:alert(1)", "https://x;y/"},
			})
		},
		"clear": func(w http.ResponseWriter, req *http.Request) { p.protect(w, policy{}); p.ClearCookie(w, req) },
	} {
		w := httptest.NewRecorder()
		req := requestOfBrowser(b)
		req.Header.Set("Accept-Language", language)
		req.URL.Path = "/oauth2/auth"
		show(w, req)
		pages[name] = answer{w.Result(), w.Body.String()}
	}
	return pages
}

// A10, A16
func TestEveryAnswerHasTheHeadersThatProtectIt(t *testing.T) {
	for _, issuer := range []string{"https://login.example", "http://localhost:8080"} {
		r := newRig(t, func(c *Config) { c.Issuer = issuer })
		for name, page := range everyPage(t, r, "en") {
			// Where the way leads back to a client, the application may have opened a popup that it waits for. Browsers heed
			// the header of a redirect as well.
			opener := "same-origin"
			if page.StatusCode == http.StatusSeeOther || strings.Contains(page.Header.Get("Content-Security-Policy"), "form-action 'self' ") ||
				!strings.Contains(page.Header.Get("Content-Security-Policy"), "frame-src 'none'") {
				opener = ""
			}
			referrer := "same-origin"
			if name == "leave" { // the code of the client is in its address
				opener, referrer = "", "no-referrer"
			}
			for header, want := range map[string]string{
				"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": referrer,
				"Cache-Control": "no-store", "Cross-Origin-Opener-Policy": opener,
			} {
				if got := page.Header.Get(header); got != want {
					t.Errorf("%s: %s is %q, want %q", name, header, got, want)
				}
			}
			csp := page.Header.Get("Content-Security-Policy")
			for _, want := range []string{
				"default-src 'none'", "script-src 'self';", "style-src 'self';", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
			} {
				if !strings.Contains(csp, want) {
					t.Errorf("%s: the policy lacks %q: %s", name, want, csp)
				}
			}
			if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
				t.Errorf("%s: %s", name, csp)
			}
			if hsts := page.Header.Get("Strict-Transport-Security"); (hsts != "") != r.pages.secure {
				t.Errorf("%s: HSTS %q", name, hsts)
			}
		}
	}
}

func TestThePolicyNamesOnlyWhatThePageNeeds(t *testing.T) {
	r := newRig(t)
	pages := everyPage(t, r, "en")
	for name, want := range map[string]string{
		"sign-in":             "form-action 'self'; frame-src 'none'",
		"request":             "img-src 'self' data:; form-action 'self' https://app.example; frame-src 'none'",
		"consent":             "form-action 'self' https://app.example; frame-src 'none'",
		"form post":           "form-action 'self' https://app.example; frame-src 'none'",
		"form post to an app": "form-action 'self'; frame-src 'none'",
		"leave":               "form-action 'self'; frame-src 'none'",
		"logout":              "form-action 'self' https://app.example; frame-src 'none'",
		"logged out":          "form-action 'self'; frame-src 'none'",
		"logged out and on":   "form-action 'self'; frame-src https://app.example https://other.example:444;",
		"account":             "img-src 'self' data:; form-action 'self'; frame-src 'none'",
	} {
		if csp := pages[name].Header.Get("Content-Security-Policy"); !strings.Contains(csp, want) {
			t.Errorf("%s: %s\nwant %s", name, csp, want)
		}
	}
}

func TestPagesHaveNoInlineScriptOrStyleAndNothingFromElsewhere(t *testing.T) {
	r := newRig(t)
	for name, page := range everyPage(t, r, "en") {
		text := strings.ToLower(page.text)
		for _, bad := range []string{" style=", "<style", " onclick", " onload", "javascript:", "zgotmplz", "<script>", "{{"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %q:\n%s", name, bad, page.text)
			}
		}
		if strings.Count(text, "<script") > 1 {
			t.Errorf("%s has more than our script", name)
		}
		if page.text != "" && !strings.Contains(page.text, `<html lang="en">`) {
			t.Errorf("%s has no language", name)
		}
	}
}

func TestAPageWithItsFilesIsSmallerThan30Kilobytes(t *testing.T) {
	r := newRig(t)
	files := 0
	for _, f := range r.pages.assets.files {
		files += len(f.body)
	}
	for _, language := range languageCodes {
		for name, page := range everyPage(t, r, language) {
			if total := len(page.text) + files; total >= 30_000 {
				t.Errorf("%s in %s: %d bytes", name, language, total)
			}
		}
	}
}

func TestTheConsentPageSaysWhoAsksForWhatAndAsWhom(t *testing.T) {
	page := everyPage(t, newRig(t), "en")["consent"]
	wantText(t, page, "The App asks for access", "you go on to app.example", "Alice Liddell", "alice", "Not you?",
		"see your profile", "your e-mail address", "your gender", "use the permission “orders:read” <span class=\"new\">new</span>",
		`name="remember" value="1" checked`, "take this back", `name="consent_token" value="consent-token"`)
	if strings.Count(page.text, `class="new"`) != 1 {
		t.Error("more than the new scope is marked")
	}
	// Both answers have the same weight.
	wantText(t, page, `<button class="second" name="decision" value="deny">`, `<button class="second" name="decision" value="allow">`)
	form := page.fields(t, "/consent")
	if form.Get("continue") != request || form.Get("csrf") == "" {
		t.Errorf("fields %v", form)
	}
	if other := page.fields(t, "/login/choose"); other.Get("about") == "" || other.Get("continue") != request {
		t.Errorf("not you: %v", other)
	}
}

func TestTheConsentFormKeepsTheProofThatTheRequestCameWith(t *testing.T) {
	r := newRig(t)
	w, req := httptest.NewRecorder(), requestOfBrowser(r.browser())
	r.pages.Consent(w, req, Ask{Client: testClient(), Continue: request + "&ingam_proof=in.1.x", RedirectURI: redirectURI})
	page := answer{w.Result(), w.Body.String()}
	if got := page.fields(t, "/consent").Get("continue"); got != request+"&ingam_proof=in.1.x" {
		t.Errorf("the decision goes on to %q", got)
	}
	if got := page.fields(t, "/login/choose").Get("continue"); got != request {
		t.Errorf("another account goes on to %q", got)
	}
}

func TestAnErrorPageSaysWhatIsWrongAndWhoCanRepairIt(t *testing.T) {
	pages := everyPage(t, newRig(t), "en")
	wantText(t, pages["refuse"], "return address is not registered", "redirect_uri", "https://evil.example/", "not registered", "REQ-1",
		"The App", `href="https://app.example/"`, "developers")
	wantText(t, pages["refuse client"], "This app is not known here", "nobody")
	wantStatus(t, pages["refuse other"], 400)
	wantStatus(t, pages["refuse busy"], 429)
	wantText(t, pages["refuse busy"], "Try again in 1 second.")
	if pages["refuse broken"].Header.Get("Retry-After") != "2" {
		t.Error("no Retry-After")
	}
	if strings.Contains(pages["refuse"].text, `href="https://evil.example`) {
		t.Error("a link to the address that was refused")
	}
}

// RFC 6749 §4.1.2.1: what is wrong is named, and only what is not registered is called so.
func TestOnlyAValueThatIsNotRegisteredIsCalledSo(t *testing.T) {
	r := newRig(t)
	for parameter, said := range map[string]string{
		"client_id": "This app is not known here", "redirect_uri": "return address is not registered",
	} {
		for value, want := range map[string]bool{"unknown": true, "": false} { // "" is missing, repeated or not text
			w := httptest.NewRecorder()
			r.pages.Refuse(w, requestOfBrowser(r.browser()), Refusal{Status: 400, Code: "invalid_request", Parameter: parameter, Value: value})
			if got := strings.Contains(w.Body.String(), said); got != want || got == strings.Contains(w.Body.String(), "request cannot be answered") {
				t.Errorf("%s=%q: %q is there: %v\n%s", parameter, value, said, got, w.Body)
			}
		}
	}
}

func TestALongValueIsCut(t *testing.T) {
	r := newRig(t)
	w := httptest.NewRecorder()
	r.pages.Refuse(w, requestOfBrowser(r.browser()), Refusal{Status: 400, Parameter: "state", Value: strings.Repeat("é", 1<<20)})
	if w.Body.Len() > 10_000 {
		t.Errorf("%d bytes", w.Body.Len())
	}
}

func TestTheFormPostPageCarriesTheAnswerAndWorksWithoutScript(t *testing.T) {
	pages := everyPage(t, newRig(t), "en")
	page := pages["form post"]
	wantText(t, page, `action="https://app.example/cb"`, "data-auto-submit", "<button")
	if form := page.fields(t, redirectURI); form.Get("code") != "ac_x" || form.Get("state") != "x+y" || len(form) != 2 {
		t.Errorf("fields %v", form)
	}
	// CSP Level 3 §2.3.1: the grammar has no word for such a host.
	r, w := newRig(t), httptest.NewRecorder()
	r.pages.FormPost(w, requestOfBrowser(r.browser()), "https://my_app.example/cb", url.Values{"code": {"ac_x"}})
	wantText(t, answer{w.Result(), w.Body.String()}, `action="https://my_app.example/cb"`, "ac_x")
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https:; ") {
		t.Errorf("the policy of a host with an underscore: %s", csp)
	}
	wantStatus(t, pages["form post to an app"], http.StatusBadRequest)
	if strings.Contains(pages["form post to an app"].text, "ac_secret") {
		t.Error("the code is on the error page")
	}
}

func TestTheLoggedOutPageLoadsTheFramesAndGoesOn(t *testing.T) {
	page := everyPage(t, newRig(t), "en")["logged out and on"]
	wantText(t, page, `src="https://app.example/fc?iss=i&amp;sid=s"`, `src="https://other.example:444/fc"`,
		`<a class="main" href="https://app.example/out?state=1&amp;a=b" data-go-on>`, "follow the link")
	// WCAG 2.2, 2.2.1: nothing takes a reader away after a while; the script goes on when the frames are loaded.
	if strings.Contains(page.text, "http-equiv") {
		t.Errorf("the page goes on by itself:\n%s", page.text)
	}
	if strings.Contains(page.text, "alert(1)") {
		t.Error("a frame with a script")
	}
	r := newRig(t)
	w := httptest.NewRecorder()
	r.pages.ShowLoggedOut(w, requestOfBrowser(r.browser()), LoggedOut{Continue: "com.example.app:/out"})
	wantText(t, answer{w.Result(), w.Body.String()}, `href="com.example.app:/out"`, `content="0; url=com.example.app:/out"`)
	if strings.Contains(w.Body.String(), "data-go-on") {
		t.Error("a page without frames waits for the script")
	}
	w = httptest.NewRecorder()
	r.pages.ShowLoggedOut(w, requestOfBrowser(r.browser()), LoggedOut{Continue: "javascript:alert(1)"})
	if strings.Contains(w.Body.String(), "alert") {
		t.Error("a link with a script")
	}
}

func TestFilesAreKeptForeverUnderTheirVersionOnly(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Logo, c.LogoType = []byte("<svg/>"), "image/svg+xml" })
	b := r.browser()
	page := b.get("/login")
	for name, contentType := range map[string]string{
		"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml", "logo": "image/svg+xml",
	} {
		path := "/assets/" + r.pages.assets.version + "/" + name
		if name != "icon.svg" {
			wantText(t, page, path)
		}
		res := b.get(path)
		wantStatus(t, res, 200)
		if res.Header.Get("Content-Type") != contentType || res.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %v", name, res.Header)
		}
		if !strings.Contains(res.Header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s could run as a document", name)
		}
		if old := b.get("/assets/000000000000/" + name); old.StatusCode != http.StatusOK || old.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s of another version: %d %v", name, old.StatusCode, old.Header)
		}
	}
	for path, status := range map[string]int{
		"/assets/accent/ff8800.css": 200, "/assets/accent/FF8800.css": 404, "/assets/accent/ff880.css": 404, "/assets/accent/ff8800": 404,
		"/assets/accent/ff8800}.css": 404, "/assets/accent/": 404, "/assets/": 404, "/assets/x": 404, "/assets/x/../pages.go": 404,
	} {
		if res := b.get(path); res.StatusCode != status && res.StatusCode != http.StatusMovedPermanently && res.StatusCode != http.StatusTemporaryRedirect {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, status)
		}
	}
}

func TestAClientsAccentComesBeforeTheServers(t *testing.T) {
	b := newRig(t, func(c *Config) { c.Accent = "#0A7F3F" }).browser()
	wantText(t, b.get("/login"), "/assets/accent/0a7f3f.css")
	wantText(t, b.get(request), "/assets/accent/ff8800.css")
}

// WCAG 2.2 §1.4.3
func TestEveryAccentCanBeRead(t *testing.T) {
	for r := 0; r < 256; r += 15 {
		for g := 0; g < 256; g += 15 {
			for b := 0; b < 256; b += 15 {
				c := colour{uint8(r), uint8(g), uint8(b)}
				if got := contrast(c, c.on()); got < readable {
					t.Fatalf("text %s on %s: %.2f", c.on(), c, got)
				}
				for _, pair := range [][2]colour{
					{c.towards(black, lightSide), lightSide},
					{c.towards(black, lightSide), white},
					{c.towards(white, darkSide), darkSide},
					{c.towards(white, darkSide), {0x16, 0x16, 0x1b}},
				} {
					if got := contrast(pair[0], pair[1]); got < readable {
						t.Fatalf("accent %s as %s on %s: %.2f", c, pair[0], pair[1], got)
					}
				}
			}
		}
	}
	if got := contrast(black, white); got < 20.99 || got > 21.01 {
		t.Errorf("black on white is %.2f", got)
	}
}

func TestAConfigurationIsCheckedWhole(t *testing.T) {
	_, err := New(Config{
		Issuer: "ftp://x", Accent: "red", Logo: make([]byte, maxLogoBytes+1), LogoType: "text/html", IdleLifetime: -1, RememberLifetime: time.Millisecond,
	}, Dependencies{})
	for _, want := range []string{`issuer "ftp://x"`, `accent "red"`, "image/png", "262145 bytes", "idle lifetime -1ns", "remember lifetime 1ms"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if _, err := New(Config{Issuer: "https://x.example"}, Dependencies{}); err == nil {
		t.Error("no dependencies, no error")
	}
}

func TestWithoutANameOfItsOwnAServerIsCalledByItsHost(t *testing.T) {
	for name, want := range map[string]string{"": "login.example", "Wonderland Ltd": "Wonderland Ltd"} {
		r := newRig(t, func(c *Config) { c.Name = name })
		wantText(t, r.browser().get("/login"), `<span class="brand">`+want+`</span>`, " – "+want+"</title>")
	}
}

func TestFormSourcesAreOriginsOrSchemes(t *testing.T) {
	for address, want := range map[string]string{
		"https://app.example/cb?x":         "https://app.example",
		"https://app.example:8443/cb":      "https://app.example:8443",
		"http://127.0.0.1:1234/cb":         "http://127.0.0.1:1234",
		"http://localhost/cb":              "http://localhost",
		"http://[::1]:1234/cb":             "http:",
		"com.example.app:/cb":              "com.example.app:",
		"com.example.app://x;y/cb":         "com.example.app:",
		"https://app.example;x/cb":         "",
		"https://user@app.example/cb":      "https://app.example",
		"javascript:alert(1)":              "",
		"data:text/html,x":                 "",
		"/cb":                              "",
		"":                                 "",
		"a b:c":                            "",
		"https://xn--bcher-kva.example/cb": "https://xn--bcher-kva.example",
	} {
		if got := formSource(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
	for address, want := range map[string]bool{
		"https://app.example/": true, "http://app.example/": true, "https://app.example; script-src *": false, "data:image/png,x": false,
		"javascript:alert(1)": false, "": false,
	} {
		if got := isWeb(address); got != want {
			t.Errorf("%q: %v, want %v", address, got, want)
		}
	}
}

func TestDevicesAreNamedCoarsely(t *testing.T) {
	r := newRig(t)
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                 "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0":                  "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":                  "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile Safari/604.1":        "Chrome on iOS",
		"Mozilla/5.0 (Linux; Android 15; SM-S931N) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0 Mobile Safari/537.36": "Samsung Internet on Android",
		"curl/8.9.1": "curl",
		"":           "Unknown device",
		"<script>":   "Unknown device",
		"Linux":      "Linux",
	} {
		if got := r.pages.languages.catalogues["en"].device(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}

// A11: what strangers send comes back as text, on every page that shows it.
func FuzzReflectedFieldsStayText(f *testing.F) {
	for _, seed := range []string{
		`"><script>alert(1)</script>`, `' onfocus=alert(1) autofocus x='`, "javascript:alert(1)", `</title><svg onload=alert(1)>`,
		"{{.CSRF}}", "{app}", "\u2028</script>", "&lt;b&gt;", `"><meta http-equiv=refresh content=0;url=//evil>`, "\xff\xfe", "a\x00b", "%00",
		"; script-src *", "\r\nX: y", "]]>", "-->",
	} {
		f.Add(seed)
	}
	p := newRig(f).pages
	f.Fuzz(func(t *testing.T, text string) {
		c := testClient()
		c.Name, c.URI, c.LogoURI, c.Accent = text, text, text, text
		u := storage.User{ID: "usr_alice", Username: text, Claims: map[string]any{"name": text, "email": text}}
		ask := Ask{
			Client: c, Continue: "/oauth2/auth?" + text, RedirectURI: text, LoginHint: text, Locales: []string{text}, User: u,
			Scopes: []string{text}, NewScopes: []string{text}, Claims: []string{text}, Token: text,
		}
		for name, show := range map[string]func(http.ResponseWriter, *http.Request){
			"sign-in": func(w http.ResponseWriter, req *http.Request) { p.SignIn(w, req, ask) },
			"choose":  func(w http.ResponseWriter, req *http.Request) { p.Choose(w, req, ask) },
			"consent": func(w http.ResponseWriter, req *http.Request) { p.Consent(w, req, ask) },
			"refuse": func(w http.ResponseWriter, req *http.Request) {
				p.Refuse(w, req, Refusal{Status: 400, Code: text, Description: text, Parameter: text, Value: text, Client: c})
			},
			"form post": func(w http.ResponseWriter, req *http.Request) {
				p.FormPost(w, req, redirectURI, url.Values{text: {text}})
			},
			"leave": func(w http.ResponseWriter, req *http.Request) {
				onTheWayFromAForm(req)
				req.Method = http.MethodPost
				p.Leave(w, req, c, []string{text}, redirectURI+"?"+url.Values{"state": {text}}.Encode())
			},
			"logout": func(w http.ResponseWriter, req *http.Request) {
				p.AskLogout(w, req, LogoutAsk{Client: c, User: u, Ticket: text, RedirectURI: text})
			},
			"logged out": func(w http.ResponseWriter, req *http.Request) {
				p.ShowLoggedOut(w, req, LoggedOut{Client: c, Continue: text, Frames: []string{text}})
			},
		} {
			w := httptest.NewRecorder()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://login.example/oauth2/auth", nil)
			show(w, req)
			checkReflected(t, name, w)
		}
	})
}

// checkReflected looks at a page as a browser would: tags and attributes are ours, and so is the policy.
func checkReflected(t *testing.T, name string, w *httptest.ResponseRecorder) {
	t.Helper()
	if w.Code != 200 && w.Code != 400 {
		t.Fatalf("%s: status %d", name, w.Code)
	}
	for _, bad := range elements(w.Body.String()) {
		t.Errorf("%s: %s in\n%s", name, bad, w.Body)
	}
	csp := w.Header().Get("Content-Security-Policy")
	if strings.Count(csp, ";") != 7 || strings.ContainsAny(csp, "*\r\n") || strings.Count(csp, "script-src") != 1 {
		t.Errorf("%s: policy %s", name, csp)
	}
}
