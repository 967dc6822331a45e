package login

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ingam/ingam/storage"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the pages in one language, by name.
type templates map[string]*template.Template

var pageNames = []string{"signin", "choose", "consent", "account", "logout", "loggedout", "error", "formpost", "leave"}

func loadTemplates(l languages) (map[string]templates, error) {
	all := map[string]templates{}
	for code, texts := range l.catalogues {
		functions := template.FuncMap{"t": texts.text}
		all[code] = templates{}
		for _, name := range pageNames {
			t, err := template.New("layout.html").Funcs(functions).ParseFS(templateFiles, "templates/layout.html", "templates/"+name+".html")
			if err != nil {
				return nil, fmt.Errorf("login: %w", err)
			}
			all[code][name] = t
		}
	}
	return all, nil
}

// page is what the layout shows, around Body.
type page struct {
	Language  string
	Languages []languageChoice // other languages; none where there is no way back
	Back      string
	Brand     string
	Logo      string
	Base      string // goes before each address of ours
	Assets    string
	Accent    string // the address of the accent's stylesheet
	CSRF      string
	Title     string
	Dev       bool
	Refresh   template.URL // where the page goes on to at once by itself
	Body      any
}

type languageChoice struct{ Code, Name string }

// show is one page that is about to be rendered.
type show struct {
	name    string
	status  int
	lang    string
	title   string // text, not a key
	back    string
	refresh template.URL
	client  storage.Client
	allow   policy
	body    any
}

// render writes a page. It is rendered whole before anything is sent.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, s show) {
	accent := p.cfg.Accent
	if _, ok := parseColour(s.client.Accent); ok {
		accent = strings.ToLower(s.client.Accent)
	}
	data := page{
		Language: s.lang, Back: s.back, Brand: p.cfg.Name, Base: p.base, Assets: p.base + "/assets/" + p.assets.version,
		Accent: p.base + "/assets/accent/" + strings.TrimPrefix(accent, "#") + ".css",
		Title:  s.title, Dev: p.cfg.DevMode, Refresh: s.refresh, Body: s.body,
	}
	if !s.allow.leave { // that one has no form, so it needs no cookie
		data.CSRF = p.csrfToken(w, r)
	}
	if _, ok := p.assets.files["logo"]; ok {
		data.Logo = data.Assets + "/logo"
	}
	if s.back != "" {
		data.Languages = p.otherLanguages(s.lang)
	}
	var body bytes.Buffer
	if err := p.templates[s.lang][s.name].ExecuteTemplate(&body, "layout.html", data); err != nil {
		p.log.ErrorContext(r.Context(), "a page could not be rendered", "page", s.name, "error", err)
		p.protect(w, policy{})
		http.Error(w, "This page could not be shown.", http.StatusInternalServerError)
		return
	}
	p.protect(w, s.allow)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", s.lang)
	w.WriteHeader(s.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes())
	}
}

func (p *Pages) otherLanguages(current string) []languageChoice {
	var others []languageChoice
	for _, code := range languageCodes {
		if code != current {
			others = append(others, languageChoice{code, p.languages.catalogues[code].text("language.name")})
		}
	}
	return others
}

// app is a client as pages name it.
type app struct {
	Name string
	Host string // where the browser returns to: a host, or the scheme of an app
	Logo string
	Link string // the client's own address, for the way back
}

func (p *Pages) appOf(c storage.Client, redirectURI string) app {
	a := app{Name: c.Name, Logo: p.logoOf(c)}
	if a.Name == "" {
		a.Name = c.ID
	}
	if isWeb(c.URI) {
		a.Link = c.URI
	}
	if u, err := url.Parse(redirectURI); err == nil && redirectURI != "" {
		if a.Host = u.Host; a.Host == "" {
			a.Host = u.Scheme + ":"
		}
	}
	return a
}

// policyOf is what a page about a client's request may do.
func policyOf(redirectURI string) policy {
	return policy{form: formSource(redirectURI)}
}

// link makes an address that was validated elsewhere usable in a page, app schemes included.
func link(address string) template.URL {
	u, err := url.Parse(address)
	if err != nil || !scheme.MatchString(u.Scheme) || slices.Contains(unsafeSchemes, u.Scheme) {
		return ""
	}
	return template.URL(u.String()) //nolint:gosec // the scheme is checked above, and the template still escapes the attribute
}
