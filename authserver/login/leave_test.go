package login

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// onTheWayFromAForm makes a request what a browser sends after a form of ours, redirects included (Fetch Metadata §2).
func onTheWayFromAForm(req *http.Request) {
	for name, value := range map[string]string{"Mode": "navigate", "Dest": "document", "Site": "same-origin"} {
		req.Header.Set("Sec-Fetch-"+name, value)
	}
}

// leave answers a request that ends at a client.
func leave(r *rig, target string, headers ...string) answer {
	req := httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, r.pages.origin+request+"&ingam_proof=x", nil)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.pages.Leave(w, req, testClient(), []string{"en"}, target)
	return answer{w.Result(), w.Body.String()}
}

var fromAForm = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "same-origin"}

// CSP Level 3 §6.4.1: form-action of the form's page holds for every redirect behind it, those of the application included.
// Threats A16: the address with the code is told to nobody.
func TestTheWayFromAFormToAClientEndsOnAPageThatGoesOnByItself(t *testing.T) {
	r := newRig(t)
	for _, target := range []string{redirectURI + "?code=ac_x&state=s", "http://127.0.0.1:1/cb#code=ac_x", "https://my_app.example/cb?code=ac_x"} {
		page := leave(r, target, fromAForm...)
		wantStatus(t, page, http.StatusOK)
		wantText(t, page, `<meta http-equiv="refresh" content="0; url=`+html.EscapeString(target)+`">`,
			`href="`+html.EscapeString(target)+`"`, "Continue to The App")
		for header, want := range map[string]string{
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Set-Cookie": "", "Location": "", "Cross-Origin-Opener-Policy": "",
			"X-Frame-Options": "DENY", "Content-Type": "text/html; charset=utf-8",
		} {
			if got := page.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", target, header, got, want)
			}
		}
		if strings.Contains(page.text, "<form") {
			t.Errorf("%s: a form without a token:\n%s", target, page.text)
		}
	}
	korean := leave(r, redirectURI+"?code=ac_x", append([]string{"Accept-Language", "ko"}, fromAForm...)...)
	wantText(t, korean, "Continue to The App") // ui_locales come first
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, r.pages.origin+"/consent", nil)
	onTheWayFromAForm(req)
	w := httptest.NewRecorder()
	r.pages.Leave(w, req, testClient(), []string{"ko"}, redirectURI)
	wantText(t, answer{w.Result(), w.Body.String()}, `<html lang="ko">`, "The App 앱으로 계속하기")
}

// RFC 9700 §4.12
func TestEveryOtherWayToAClientIsARedirect(t *testing.T) {
	r := newRig(t)
	change := func(name, value string) []string {
		headers := append([]string{}, fromAForm...)
		return append(headers, "Sec-Fetch-"+name, value)
	}
	for name, headers := range map[string][]string{
		"a program or an old browser":            nil,
		"a program that says half":               {"Sec-Fetch-Site", "same-origin"},
		"a link of the application":              change("Site", "cross-site"),
		"a link of a neighbour":                  change("Site", "same-site"),
		"an address that was typed":              change("Site", "none"),
		"a frame of an application of this host": change("Dest", "iframe"),
		"a script":                               change("Mode", "cors"),
	} {
		res := leave(r, redirectURI+"?code=ac_x&state=%22", headers...)
		wantStatus(t, res, http.StatusSeeOther)
		if res.Header.Get("Location") != redirectURI+"?code=ac_x&state=%22" || res.text != "" || res.Header.Get("Cache-Control") != "no-store" ||
			res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Set-Cookie") != "" || res.Header.Get("Cross-Origin-Opener-Policy") != "" {
			t.Errorf("%s: %v %q", name, res.Header, res.text)
		}
	}
	for _, app := range []string{"com.example.app:/cb?code=ac_x", "com.example.app://cb/?code=ac_x"} {
		res := leave(r, app, fromAForm...)
		wantStatus(t, res, http.StatusSeeOther)
		if res.Header.Get("Location") != app {
			t.Errorf("%s: to %q", app, res.Header.Get("Location"))
		}
	}
}

var refreshElement = regexp.MustCompile(`<meta http-equiv="refresh" content="([^"]*)">`)

// refreshTarget reads an address as browsers do (HTML Living Standard, "shared declarative refresh steps").
func refreshTarget(t *testing.T, page answer) string {
	t.Helper()
	found := refreshElement.FindAllStringSubmatch(page.text, -1)
	if len(found) != 1 {
		t.Fatalf("%d refreshes:\n%s", len(found), page.text)
	}
	seconds, rest, _ := strings.Cut(html.UnescapeString(found[0][1]), ";")
	name, target, _ := strings.Cut(strings.TrimLeft(rest, " \t\n\f\r"), "=")
	if seconds != "0" || name != "url" {
		t.Fatalf("after %q seconds, %q", seconds, name)
	}
	if target != "" && strings.ContainsAny(target[:1], `"'`) { // a quoted address ends at the next quote
		target, _, _ = strings.Cut(target[1:], target[:1])
	}
	return target
}

// A11: whatever stands in the address of a client or in its state arrives as it is, and nothing of it becomes markup.
func TestTheAddressOfAClientArrivesWholeWhateverIsInIt(t *testing.T) {
	r := newRig(t)
	for _, state := range []string{
		`";url=https://evil.example`, `'; url='https://evil.example`, "a;b,c", `"><script>alert(1)</script>`, "0; url=//evil", "<&amp;>", "한국 \t\r\n", "%22+%2B",
	} {
		query := url.Values{"code": {"ac_x"}, "state": {state}}.Encode()
		for _, target := range []string{
			redirectURI + "?" + query, redirectURI + "#" + query, redirectURI + `?a=';b=x,y;url=z&c=("d")&` + query, "https://app.example/it's;v=1,2/cb?" + query,
		} {
			page := leave(r, target, fromAForm...)
			got := refreshTarget(t, page)
			u, err := url.Parse(got)
			if err != nil || got != target {
				t.Fatalf("%q became %q (%v)", target, got, err)
			}
			values := u.Query()
			if strings.Contains(target, "#") {
				values, err = url.ParseQuery(u.EscapedFragment())
			}
			if !strings.Contains(target, ";b=") && (err != nil || values.Get("state") != state) {
				t.Errorf("state %q became %q (%v)", state, values.Get("state"), err)
			}
			if bad := elements(page.text); len(bad) > 0 {
				t.Errorf("%q: %v in\n%s", target, bad, page.text)
			}
		}
	}
}

// Engines that know no modules, like HtmlUnit's, must run the script: without it a form_post answer waits for a click.
func TestTheScriptOfThePagesNeedsNoModernEngine(t *testing.T) {
	r := newRig(t)
	page := r.browser().get("/login")
	wantText(t, page, `<script defer src="/assets/`+r.pages.assets.version+`/page.js"></script>`)
	script := r.pages.assets.files["page.js"].body
	modern := regexp.MustCompile("=>|`|\\?\\.|\\?\\?|\\.\\.\\.|\\b(const|let|class|import|export|async|await)\\b|for \\([^;)]* of ")
	code := regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAll(script, nil)
	for _, word := range modern.FindAll(code, -1) {
		t.Errorf("page.js has %q, which is newer than ECMAScript 5", word)
	}
	for sample, want := range map[string]bool{"x = () => 1": true, "a?.b": true, "for (const a of b)": true, "let a": true, "var letter = a ? b : c": false} {
		if modern.MatchString(sample) != want {
			t.Errorf("the check itself is wrong about %q", sample)
		}
	}
}
