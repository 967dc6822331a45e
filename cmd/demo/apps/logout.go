package apps

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
)

// logout signs out here and at the authorization server, and so of every application. OIDC RP-Initiated Logout §2
func (a *web) logout(w http.ResponseWriter, r *http.Request) {
	idToken := ""
	if s := a.sessions.of(r); s != nil {
		s.mu.Lock()
		if s.login != nil {
			idToken = s.login.idToken
		}
		s.mu.Unlock()
	}
	s := a.sessions.start(w, r, a.secureCookies())
	p, err := a.provider.discover(r.Context())
	if err != nil {
		a.problem(w, http.StatusServiceUnavailable,
			"You are signed out here, but the authorization server does not answer: you are still signed in there.", err)
		return
	}
	if idToken == "" || p.endSession == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	state := rand.Text()
	s.mu.Lock()
	s.leaving = state
	s.mu.Unlock()
	query := url.Values{
		"id_token_hint":            {idToken},
		"post_logout_redirect_uri": {a.BaseURL + "/"},
		"state":                    {state},
	}
	http.Redirect(w, r, p.endSession+"?"+query.Encode(), http.StatusSeeOther)
}

// backchannelLogout hears from the authorization server that somebody has signed out elsewhere.
// OIDC Back-Channel Logout §2.5
func (a *web) backchannelLogout(w http.ResponseWriter, r *http.Request) {
	p, err := a.provider.discover(r.Context())
	if err != nil {
		answerJSON(w, http.StatusServiceUnavailable, "temporarily_unavailable", "the keys to check the token with cannot be fetched")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxAnswer)
	token, err := p.verifier.VerifyLogout(a.provider.context(r.Context()), r.PostFormValue("logout_token"))
	if err != nil {
		a.Log.Warn("demo-web: a logout token was refused", "error", err)
		answerJSON(w, http.StatusBadRequest, "invalid_request", "logout_token is missing or not valid")
		return
	}
	// §2.4: with a session, that one; without, all of the person. A token that comes twice ends nothing twice.
	ended := a.sessions.endWhere(func(l *login) bool {
		if token.SessionID != "" {
			return l.sid == token.SessionID && (token.Subject == "" || l.subject == token.Subject)
		}
		return l.subject == token.Subject
	})
	a.Log.Info("demo-web: signed out by the back channel", "sessions", ended)
	w.WriteHeader(http.StatusOK)
}

// frontchannelLogout is shown in a hidden frame by the authorization server's page. It needs no cookie: who knows the sid
// is the authorization server or has the ID token. OIDC Front-Channel Logout §2
func (a *web) frontchannelLogout(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	secure(w, "default-src 'none'; frame-ancestors "+a.origin)
	sid := query.Get("sid")
	if query.Get("iss") != a.Issuer || sid == "" {
		http.Error(w, "iss must be the issuer, and sid must be there", http.StatusBadRequest)
		return
	}
	ended := a.sessions.endWhere(func(l *login) bool { return l.sid == sid })
	a.Log.Info("demo-web: signed out by the front channel", "sessions", ended)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("signed out\n"))
}

func answerJSON(w http.ResponseWriter, status int, code, description string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": description})
}
