package authserver

import (
	"net/http"

	"github.com/ingam/ingam/authserver/login"
	"github.com/ingam/ingam/authserver/oauth"
	"github.com/ingam/ingam/authserver/oidc"
	"github.com/ingam/ingam/storage"
)

// The rooms do not know each other: each says in an interface of its own what it asks of another. Where structs cross, both
// sides declare them with the same fields, so that a conversion is all it takes and the compiler notices a difference.

// enginePages are the pages as the engine asks for them.
type enginePages struct{ *login.Pages }

var _ oauth.Pages = enginePages{}

func (p enginePages) Proven(s storage.Session, continueURL, proof string) oauth.Proven {
	return oauth.Proven(p.Pages.Proven(s, continueURL, proof))
}

func (p enginePages) SignIn(w http.ResponseWriter, r *http.Request, ask oauth.Ask) {
	p.Pages.SignIn(w, r, login.Ask(ask))
}

func (p enginePages) Choose(w http.ResponseWriter, r *http.Request, ask oauth.Ask) {
	p.Pages.Choose(w, r, login.Ask(ask))
}

func (p enginePages) Consent(w http.ResponseWriter, r *http.Request, ask oauth.Ask) {
	p.Pages.Consent(w, r, login.Ask(ask))
}

func (p enginePages) Refuse(w http.ResponseWriter, r *http.Request, refusal oauth.Refusal) {
	p.Pages.Refuse(w, r, login.Refusal(refusal))
}

// logoutPages are the pages as logout asks for them.
type logoutPages struct{ *login.Pages }

var _ oidc.Pages = logoutPages{}

func (p logoutPages) Refuse(w http.ResponseWriter, r *http.Request, refusal oidc.Refusal) {
	p.Pages.Refuse(w, r, login.Refusal(refusal))
}

func (p logoutPages) AskLogout(w http.ResponseWriter, r *http.Request, ask oidc.LogoutAsk) {
	p.Pages.AskLogout(w, r, login.LogoutAsk(ask))
}

func (p logoutPages) ShowLoggedOut(w http.ResponseWriter, r *http.Request, done oidc.LoggedOut) {
	p.Pages.ShowLoggedOut(w, r, login.LoggedOut(done))
}
