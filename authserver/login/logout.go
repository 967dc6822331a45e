package login

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// logoutView is what logout.html and loggedout.html show.
type logoutView struct {
	App            app
	ForApp         bool
	Name, Username string
	Ticket         string
	Frames         []template.URL
	Continue       template.URL
}

// AskLogout asks whether to sign out. The form goes to POST /logout with the fields ticket and csrf.
func (p *Pages) AskLogout(w http.ResponseWriter, r *http.Request, ask LogoutAsk) {
	lang := p.language(r, ask.Locales)
	again := back(r, "")
	if ask.Ticket != "" && len(ask.Locales) == 0 { // the languages that a client asked for are in the ticket, and would stay
		again = logoutQuestion + ask.Ticket
	}
	p.render(w, r, show{
		name: "logout", status: http.StatusOK, lang: lang, title: p.languages.catalogues[lang].text("logout.title"),
		client: ask.Client, back: again, allow: policyOf(ask.RedirectURI),
		body: logoutView{
			App: p.appOf(ask.Client, ask.RedirectURI), ForApp: ask.Client.ID != "", Name: displayName(ask.User),
			Username: ask.User.Username, Ticket: ask.Ticket,
		},
	})
}

// ShowLoggedOut says that nobody is signed in any more, loads the front-channel logout addresses of the clients (OIDC
// Front-Channel Logout §3) and goes on to the next page, if there is one: by the script once the frames are loaded, or at once
// where there are none. Without a script the frames have whatever time the person takes for the link: a page that goes on
// by itself after a while can be too quick for a reader (WCAG 2.2, 2.2.1).
func (p *Pages) ShowLoggedOut(w http.ResponseWriter, r *http.Request, done LoggedOut) {
	lang := p.language(r, done.Locales)
	v := logoutView{App: p.appOf(done.Client, done.Continue), ForApp: done.Client.ID != "", Continue: link(done.Continue)}
	allow, refresh := policyOf(""), v.Continue
	for _, frame := range done.Frames {
		source := frameSource(frame)
		if source == "" {
			continue
		}
		v.Frames, refresh = append(v.Frames, link(frame)), ""
		if !slices.Contains(allow.frame, source) {
			allow.frame = append(allow.frame, source)
		}
	}
	p.render(w, r, show{
		name: "loggedout", status: http.StatusOK, lang: lang, title: p.languages.catalogues[lang].text("loggedout.title"),
		client: done.Client, allow: allow, refresh: refresh, body: v,
	})
}

// frameSource answers the origin of an http or https address as a source expression, its scheme where the grammar has no
// word for the host (IPv6), "" for everything else.
func frameSource(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return ""
	}
	return formSource(address)
}

// formPostView is what formpost.html shows.
type formPostView struct {
	Action template.URL
	Fields []field
}

type field struct{ Name, Value string }

// FormPost shows the page that posts an answer to the client (OAuth 2.0 Form Post Response Mode §2): by script, or by the
// person where there is none.
func (p *Pages) FormPost(w http.ResponseWriter, r *http.Request, action string, params url.Values) {
	if !isHTTP(action) {
		p.showError(w, r, problem{
			status: http.StatusBadRequest, title: "error.request.title", text: "error.request.text",
			detail: "response_mode=form_post needs a redirect_uri with http or https", parameter: "redirect_uri", value: action,
		})
		return
	}
	lang := p.language(r, nil)
	v := formPostView{Action: link(action)}
	for name, values := range params {
		for _, value := range values {
			v.Fields = append(v.Fields, field{name, value})
		}
	}
	slices.SortStableFunc(v.Fields, func(a, b field) int { return strings.Compare(a.Name, b.Name) })
	source := formSource(action)
	if source == "" { // a host like my_app.example, for which the grammar has no word
		name, _, _ := strings.Cut(action, ":")
		source = strings.ToLower(name) + ":"
	}
	p.render(w, r, show{
		name: "formpost", status: http.StatusOK, lang: lang, title: p.languages.catalogues[lang].text("formpost.title"),
		allow: policy{form: source}, body: v,
	})
}
