package login

import (
	"net/http"
)

// chooseView is what choose.html shows.
type chooseView struct {
	App             app
	ForApp          bool
	Name, Username  string
	User            string // the id: going on as somebody else is no choice
	Continue, About string
}

// Choose asks whether to go on as the user who is signed in.
func (p *Pages) Choose(w http.ResponseWriter, r *http.Request, ask Ask) {
	ask.Continue = requestOf(ask.Continue)
	lang := p.language(r, ask.Locales)
	p.render(w, r, show{
		name: "choose", status: http.StatusOK, lang: lang, title: p.languages.catalogues[lang].text("choose.title"),
		client: ask.Client, back: back(r, ask.Continue), allow: policyOf(ask.RedirectURI),
		body: chooseView{
			App: p.appOf(ask.Client, ask.RedirectURI), ForApp: ask.Client.ID != "", Name: displayName(ask.User),
			Username: ask.User.Username, User: ask.User.ID, Continue: ask.Continue, About: p.sealAbout(ask),
		},
	})
}

// ServeChoose answers POST /login/choose. "continue" goes on as the user who is signed in. Everything else shows the
// sign-in form: the session of before stays until somebody has signed in.
func (p *Pages) ServeChoose(w http.ResponseWriter, r *http.Request) {
	if !p.method(w, r, http.MethodPost) {
		return
	}
	form, ok := p.CheckForm(w, r)
	if !ok {
		return
	}
	continueURL := requestOf(form.Get("continue"))
	ask, err := p.openAbout(r.Context(), form.Get("about"), continueURL)
	if err != nil {
		p.unavailable(w, r, err)
		return
	}
	s, u, err := p.signedIn(r)
	switch {
	case err != nil:
		p.unavailable(w, r, err)
	case form.Get("decision") == "continue" && s.ID != "" && u.ID == form.Get("user"):
		p.goOn(w, proofChosen, s, continueURL)
	default:
		ask.Again = false
		p.SignIn(w, r, ask)
	}
}
