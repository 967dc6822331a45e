package login

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/text/language"
)

//go:embed locales/*.json
var localeFiles embed.FS

// languageCodes are the languages of the pages, the fallback first. Each has a catalogue in locales/.
var languageCodes = []string{"en", "ko"}

// catalogue is all text in one language, by key. {name} stands for a value.
type catalogue map[string]string

// languages is all text.
type languages struct {
	catalogues map[string]catalogue
	matcher    language.Matcher
}

func loadLanguages() (languages, error) {
	l := languages{catalogues: map[string]catalogue{}}
	tags := make([]language.Tag, 0, len(languageCodes))
	for _, code := range languageCodes {
		data, err := localeFiles.ReadFile("locales/" + code + ".json")
		if err != nil {
			return l, fmt.Errorf("login: %w", err)
		}
		var c catalogue
		if err := json.Unmarshal(data, &c); err != nil {
			return l, fmt.Errorf("login: locales/%s.json: %w", code, err)
		}
		l.catalogues[code] = c
		tags = append(tags, language.Make(code))
	}
	l.matcher = language.NewMatcher(tags)
	return l, nil
}

// text answers the text of a key, with pairs of names and values filled in.
func (c catalogue) text(key string, pairs ...string) string {
	text, ok := c[key]
	if !ok {
		return key
	}
	if len(pairs) == 0 {
		return text
	}
	replacements := make([]string, 0, len(pairs))
	for i := 0; i+1 < len(pairs); i += 2 {
		replacements = append(replacements, "{"+pairs[i]+"}", pairs[i+1])
	}
	return strings.NewReplacer(replacements...).Replace(text)
}

// maxLocales bounds what is looked at of a stranger's list.
const maxLocales = 10

// language answers the language of a page: what the request asks for (ui_locales, OIDC Core §3.1.2.1), else what the person
// chose here, else what the browser prefers (RFC 9110 §12.5.4), else the first of ours.
func (p *Pages) language(r *http.Request, locales []string) string {
	if locales == nil && len(r.URL.RawQuery) <= maxForm {
		locales = strings.Fields(r.URL.Query().Get("ui_locales"))
	}
	if len(locales) > maxLocales {
		locales = locales[:maxLocales]
	}
	for _, list := range [][]string{locales, {p.readCookie(r, languageCookie)}} {
		for _, wanted := range list {
			if code, ok := p.languages.match(wanted); ok {
				return code
			}
		}
	}
	accepted := r.Header.Get("Accept-Language")
	if len(accepted) > 200 {
		accepted = accepted[:max(strings.LastIndexByte(accepted[:200], ','), 0)]
	}
	tags, _, err := language.ParseAcceptLanguage(accepted)
	if err != nil {
		return languageCodes[0]
	}
	_, index, _ := p.languages.matcher.Match(tags...)
	return languageCodes[index]
}

// match answers which of our languages a BCP 47 tag means.
func (l languages) match(wanted string) (string, bool) {
	if wanted == "" || len(wanted) > 35 {
		return "", false
	}
	tag, err := language.Parse(wanted)
	if err != nil {
		return "", false
	}
	_, index, confidence := l.matcher.Match(tag)
	return languageCodes[index], confidence >= language.High
}

// ServeLanguage answers POST /language: the choice goes into a cookie and the browser back to the page.
func (p *Pages) ServeLanguage(w http.ResponseWriter, r *http.Request) {
	if !p.method(w, r, http.MethodPost) {
		return
	}
	form, ok := p.CheckForm(w, r)
	if !ok {
		return
	}
	if code, ok := p.languages.match(form.Get("language")); ok {
		p.setCookie(w, languageCookie, code, 365*24*time.Hour)
	}
	// The person's own wish is newer than the client's.
	p.redirect(w, withoutParameter(safeBack(form.Get("back")), "ui_locales"))
}

// safeBack answers the page that a language is chosen on: one of those that a browser can come back to with GET.
func safeBack(given string) string {
	if given == "/login" || given == "/logout" {
		return given
	}
	if ticket, ok := strings.CutPrefix(given, logoutQuestion); ok && len(ticket) <= maxTicket && ticketPattern.MatchString(ticket) {
		return given
	}
	return safeContinue(given)
}

// logoutQuestion is the address of the question whether to sign out, up to the ticket that says where to go afterwards.
const logoutQuestion = "/logout?ticket="

// maxTicket is far more than a ticket has.
const maxTicket = 16 << 10

var ticketPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// back answers what safeBack takes for the page at hand, "" where there is no way back.
func back(r *http.Request, continueURL string) string {
	if strings.HasPrefix(continueURL, authorize) {
		return continueURL
	}
	if u := (&url.URL{Path: r.URL.Path}).String(); r.Method == http.MethodGet && safeBack(u) == u {
		return u
	}
	if continueURL == account && strings.HasPrefix(r.URL.Path, "/login") {
		return "/login"
	}
	return ""
}
