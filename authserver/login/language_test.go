package login

import (
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
)

// used finds the keys that templates and code ask for.
func used(t *testing.T, l languages) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	literal := regexp.MustCompile(`"([a-z_]+(?:\.[a-z_]+)+)"`)
	call := regexp.MustCompile(`\{\{[^}]*\bt "([^"]+)"`)
	files := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(path, ".html"):
			files++
			for _, m := range call.FindAllStringSubmatch(string(data), -1) {
				keys[m[1]] = true
			}
			// Several calls in one action.
			for _, m := range regexp.MustCompile(`\bt "([^"]+)"`).FindAllStringSubmatch(string(data), -1) {
				keys[m[1]] = true
			}
		case strings.HasSuffix(path, ".go"):
			files++
			for _, m := range literal.FindAllStringSubmatch(string(data), -1) {
				if _, known := l.catalogues["en"][m[1]]; known || strings.Contains(string(data), `text("`+m[1]) {
					keys[m[1]] = true
				}
			}
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Fatalf("%d files read: %v", files, err)
	}
	return keys
}

func TestEveryTextExistsInEveryLanguageAndIsUsed(t *testing.T) {
	l, err := loadLanguages()
	if err != nil {
		t.Fatal(err)
	}
	keys := used(t, l)
	placeholder := regexp.MustCompile(`\{[a-z]+\}`)
	for code, c := range l.catalogues {
		for key := range keys {
			if strings.TrimSpace(c[key]) == "" {
				t.Errorf("%s lacks %s", code, key)
			}
		}
		for key, text := range c {
			if !keys[key] {
				t.Errorf("%s has %s, which nothing uses", code, key)
			}
			want, got := map[string]bool{}, map[string]bool{}
			for _, p := range placeholder.FindAllString(l.catalogues["en"][key], -1) {
				want[p] = true
			}
			for _, p := range placeholder.FindAllString(text, -1) {
				got[p] = true
			}
			if len(want) != len(got) {
				t.Errorf("%s: %s has the values %v, English has %v", code, key, got, want)
			}
			for p := range want {
				if !got[p] {
					t.Errorf("%s: %s lacks %s", code, key, p)
				}
			}
		}
	}
	hangul := regexp.MustCompile(`\p{Hangul}`)
	for key, text := range l.catalogues["ko"] {
		if rest := placeholder.ReplaceAllString(text, ""); !hangul.MatchString(rest) && strings.ContainsAny(rest, "abcdefghijklmnopqrstuvwxyz") {
			t.Errorf("%s is not Korean: %q", key, text)
		}
	}
}

func TestNoPageShowsAKeyOrAnEmptyPlace(t *testing.T) {
	r := newRig(t)
	hole := regexp.MustCompile(`>[a-z]+\.[a-z_.]+<|\{[a-z]+\}`)
	for _, code := range languageCodes {
		for name, page := range everyPage(t, r, code) {
			if name == "redirect" || name == "language" || name == "clear" {
				continue
			}
			if found := hole.FindString(strings.NewReplacer("app.example", "", "login.example", "").Replace(page.text)); found != "" {
				t.Errorf("%s in %s shows %s", name, code, found)
			}
			if !strings.Contains(page.text, `<html lang="`+code+`">`) || page.Header.Get("Content-Language") != code {
				t.Errorf("%s is not in %s", name, code)
			}
		}
	}
}

func TestTheLanguageIsTheRequestsThenThePersonsThenTheBrowsers(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct{ locales, cookie, accept, want string }{
		{"", "", "", "en"},
		{"", "", "ko", "ko"},
		{"", "", "ko-KR,ko;q=0.9,en;q=0.8", "ko"},
		{"", "", "de, ko;q=0.5, en;q=0.4", "ko"},
		{"", "", "de", "en"},
		{"", "", "en-GB, ko;q=0.9", "en"},
		{"", "", ";;;=", "en"},
		{"", "", "ko" + strings.Repeat(", de-AT;q=0.5", 100), "ko"},
		{"", "", strings.Repeat("k", 100_000), "en"},
		{"", "ko", "en", "ko"},
		{"", "xx", "ko", "ko"},
		{"", strings.Repeat("k", 4000), "en", "en"},
		{"ko", "en", "en", "ko"},
		{"ko-KR", "en", "en", "ko"},
		{"fr ko en", "en", "en", "ko"},
		{"fr de", "ko", "en", "ko"},
		{"../ko <x>", "", "en", "en"},
		{strings.Repeat("fr ", 100) + "ko", "", "en", "en"},
	} {
		b := r.browser()
		b.setCookie(languageCookie, tt.cookie)
		b.headers["Accept-Language"] = tt.accept
		req := requestOfBrowser(b)
		req.Header.Set("Accept-Language", tt.accept)
		if got := r.pages.language(req, strings.Fields(tt.locales)); got != tt.want {
			t.Errorf("%.60q, cookie %.60q, browser %q: %s, want %s", tt.locales, tt.cookie, tt.accept, got, tt.want)
		}
		req.URL.RawQuery = url.Values{"ui_locales": {tt.locales}}.Encode()
		if got := r.pages.language(req, nil); got != tt.want {
			t.Errorf("in the address: %q: %s, want %s", tt.locales, got, tt.want)
		}
	}
}

func TestTheSwitchOfLanguageLeadsNowhereButToPagesOfOurs(t *testing.T) {
	for given, want := range map[string]string{
		"/login": "/login", "/logout": "/logout", "/account": "/account", "/oauth2/auth?x=1": "/oauth2/auth?x=1",
		"/logout?ticket=aA0-_.bB9": "/logout?ticket=aA0-_.bB9",
		"/logout?ticket=":          "/account", "/logout?ticket=a&b=c": "/account", "/logout?ticket=a#b": "/account",
		"/logout?ticket=a\r\nX: y": "/account", "/logout?ticket=a\n": "/account", "/logout?tickets=a": "/account", "//logout?ticket=a": "/account",
		"/logout?ticket=" + strings.Repeat("x", 16385): "/account", "https://evil.example/logout?ticket=a": "/account", "": "/account",
	} {
		if got := safeBack(given); got != want {
			t.Errorf("%.40q: %q, want %q", given, got, want)
		}
	}
}

func TestTheSwitchOfLanguageStaysOnThePage(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	page := b.get(request + "&ui_locales=en")
	wantText(t, page, `lang="ko">한국어</button>`)
	form := page.fields(t, "/language")
	form.Set("language", "ko")
	res := b.post("/language", form)
	wantStatus(t, res, 303)
	// The person's wish is newer than the client's.
	if got := res.Header.Get("Location"); got != request {
		t.Errorf("back to %q", got)
	}
	wantText(t, b.get(request), `<html lang="ko">`, "사용자 이름", "로그인")
	for given, want := range map[string]string{
		"/login": "/login", "/logout": "/logout", "/account": "/account", "//evil.example": "/account", "https://evil.example": "/account",
		"/\\evil.example": "/account", "": "/account", "/oauth2/logout?x": "/account", request: request,
	} {
		form.Set("back", given)
		if got := b.post("/language", form).Header.Get("Location"); got != want {
			t.Errorf("back %q leads to %q, want %q", given, got, want)
		}
	}
	form.Set("language", "xx")
	if b.post("/language", form); b.cookie(languageCookie) != "ko" {
		t.Errorf("an unknown language is kept: %q", b.cookie(languageCookie))
	}
}
