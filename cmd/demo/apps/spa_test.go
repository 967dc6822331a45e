package apps

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheSinglePageApplicationIsServedWithAStrictPolicy(t *testing.T) {
	handler, err := NewSPA(SPAConfig{
		Issuer: "http://localhost:8080/tenant", ClientID: "demo-spa", BaseURL: "http://localhost:8083", ResourceURL: "http://localhost:8081",
		OtherApp: "http://localhost:8082",
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		kind, holds string
		status      int
	}{
		"/":                         {"text/html; charset=utf-8", `<script type="module" src="/app.js">`, 200},
		"/callback?code=c&state=s":  {"text/html; charset=utf-8", `<script type="module" src="/app.js">`, 200},
		"/app.js":                   {"text/javascript; charset=utf-8", "code_challenge_method: 'S256'", 200},
		"/oauth4webapi.js":          {"text/javascript; charset=utf-8", "export", 200},
		"/oauth4webapi.LICENSE.txt": {"text/plain; charset=utf-8", "MIT", 200},
		"/style.css":                {"text/css; charset=utf-8", "prefers-color-scheme: dark", 200},
		"/icon.svg":                 {"image/svg+xml", "<svg", 200},
		"/healthz":                  {"text/plain; charset=utf-8", "ok", 200},
		"/index.html":               {"text/plain; charset=utf-8", "404", 404},
		"/spa/app.js":               {"text/plain; charset=utf-8", "404", 404},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want.status || w.Header().Get("Content-Type") != want.kind || !strings.Contains(w.Body.String(), want.holds) {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		if got := w.Header().Get("Content-Security-Policy"); got != "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"connect-src 'self' http://localhost:8080 http://localhost:8081; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" {
			t.Errorf("%s: %s", path, got)
		}
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/config.json", nil))
	var got map[string]string
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got["redirect_uri"] != "http://localhost:8083/callback" ||
		got["post_logout_redirect_uri"] != "http://localhost:8083/" || got["issuer"] != "http://localhost:8080/tenant" {
		t.Errorf("%v: %s", err, w.Body)
	}
}

// The policy forbids scripts and styles inside the pages; this says it before a browser does.
func TestThePagesHaveNothingInline(t *testing.T) {
	index, err := spaFiles.ReadFile("spa/index.html")
	if err != nil {
		t.Fatal(err)
	}
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script(\s[^>]*)?>[^<]|javascript:`)
	for name, text := range map[string]string{"index.html": string(index), "web.html": webHTML} {
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s has %q", name, found)
		}
	}
	script, err := spaFiles.ReadFile("spa/app.js")
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{"innerHTML", "insertAdjacentHTML", "localStorage", "document.write", "eval("} {
		if strings.Contains(string(script), never) {
			t.Errorf("app.js uses %s", never)
		}
	}
}

func TestTheVendoredLibraryIsTheFileOfThePackage(t *testing.T) {
	library, err := spaFiles.ReadFile("spa/oauth4webapi.js")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(library)
	if line := regexp.MustCompile(`oauth4webapi (\S+), sha256 ([0-9a-f]{64})`).FindStringSubmatch(string(readme)); line == nil ||
		line[2] != hex.EncodeToString(sum[:]) || !strings.Contains(string(library), "'v"+line[1]+"'") {
		t.Errorf("README.md says %v, the file has %x", line, sum)
	}
}

func TestSessionsAndSignInsInProgressAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for range maxSessions + 10 {
			time.Sleep(time.Millisecond)
			s.start(httptest.NewRecorder(), r, false)
		}
		if n := len(s.all); n > maxSessions || n < maxSessions/2 {
			t.Errorf("%d sessions", n)
		}
		w := httptest.NewRecorder()
		mine := s.start(w, r, false)
		r.AddCookie(w.Result().Cookies()[0])
		for _, state := range strings.Split("abcdefghij", "") {
			time.Sleep(time.Second)
			mine.begin(state, attempt{born: time.Now()})
		}
		if _, ok := mine.take("a"); ok || len(mine.attempts) != maxAttempts {
			t.Errorf("%d sign-ins in progress", len(mine.attempts))
		}
		if _, ok := mine.take("j"); !ok {
			t.Error("the newest is gone")
		}
		time.Sleep(attemptLife)
		if _, ok := mine.take("i"); ok {
			t.Error("an old one counts")
		}
		if time.Sleep(sessionLife - attemptLife - time.Minute); s.of(r) != mine {
			t.Error("the session has ended too early")
		}
		if time.Sleep(2 * time.Minute); s.of(r) != nil {
			t.Error("the session goes on for ever")
		}
	})
}
