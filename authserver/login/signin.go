package login

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// busyWait is what a person is told to wait when the server has no room.
const busyWait = 2 * time.Second

// signInView is what signin.html shows.
type signInView struct {
	App      app
	ForApp   bool // a client asks; otherwise it is the account page
	Again    bool
	User     string // who must prove themselves again
	Username string
	Remember bool
	Continue string
	About    string
	Error    string
	Wrong    bool // the error is about what was typed
}

// attemptOutcome is how a form went that has to be shown again.
type attemptOutcome struct {
	status   int
	username string
	remember bool
	errorKey string
	wait     time.Duration
	wrong    bool
}

// SignIn shows the sign-in form for a request.
func (p *Pages) SignIn(w http.ResponseWriter, r *http.Request, ask Ask) {
	ask.Continue = requestOf(ask.Continue)
	outcome := attemptOutcome{status: http.StatusOK, username: ask.LoginHint}
	if ask.Again {
		outcome.username = ask.User.Username
		if s, err := p.cookieSession(r); err == nil {
			outcome.remember = s.Remembered // confirming a sign-in does not shorten it
		}
	}
	p.showSignIn(w, r, ask, outcome)
}

// ServeSignIn answers GET /login, which leads to the account page, and the form's POST /login.
func (p *Pages) ServeSignIn(w http.ResponseWriter, r *http.Request) {
	if !p.method(w, r, http.MethodGet, http.MethodHead, http.MethodPost) {
		return
	}
	if r.Method == http.MethodPost {
		if form, ok := p.CheckForm(w, r); ok {
			p.signIn(w, r, form)
		}
		return
	}
	s, _, err := p.signedIn(r)
	switch {
	case err != nil:
		p.unavailable(w, r, err)
	case s.ID != "":
		p.redirect(w, account)
	default:
		p.SignIn(w, r, Ask{Continue: account})
	}
}

// signIn checks what was typed.
func (p *Pages) signIn(w http.ResponseWriter, r *http.Request, form url.Values) {
	continueURL := requestOf(form.Get("continue"))
	ask, err := p.openAbout(r.Context(), form.Get("about"), continueURL)
	if err != nil {
		p.unavailable(w, r, err)
		return
	}
	outcome := attemptOutcome{username: form.Get("username"), remember: form.Get("remember") != ""}
	user, err := p.authenticate(r, ask.Client.ID, form.Get("username"), form.Get("password"))
	if err == nil {
		var s storage.Session
		if s, err = p.begin(w, r, user, outcome.remember); err == nil {
			p.goOn(w, proofIn, s, continueURL)
			return
		}
	}
	outcome.explain(err)
	if outcome.status == http.StatusServiceUnavailable {
		p.noteFailure(r.Context(), err)
	}
	p.showSignIn(w, r, ask, outcome)
}

// authenticate asks whether the password is right, and writes down how it went. clientID is who sent the person here, "" for
// nobody.
func (p *Pages) authenticate(r *http.Request, clientID, username, password string) (storage.User, error) {
	address := credential.RemoteAddress(r)
	event := audit.Event{ClientID: clientID, Address: address.String()}
	user, err := p.passwords.Authenticate(r.Context(), credential.Attempt{Username: username, Password: password, Address: address})
	throttled := (*credential.ThrottledError)(nil)
	switch {
	case err == nil:
		event.Name, event.UserID, event.Username = audit.SignInSucceeded, user.ID, user.Username
	case errors.Is(err, credential.ErrInvalidCredentials):
		event.Name, event.Reason = audit.SignInFailed, "wrong username or password"
	case errors.As(err, &throttled):
		event.Name, event.Reason = audit.SignInThrottled, "too many guesses"
	default:
		return user, err
	}
	p.audit.Record(r.Context(), event)
	return user, err
}

// explain turns a failed attempt into what the form says. Whoever the user is, or is not, it says the same (row L10).
//
// A wrong password is 401 and not 200: browsers and password managers take an answer of 4xx for a failed sign-in and do
// not offer to save what was typed.
func (o *attemptOutcome) explain(err error) {
	throttled := (*credential.ThrottledError)(nil)
	switch {
	case errors.Is(err, credential.ErrInvalidCredentials):
		o.status, o.errorKey, o.wrong = http.StatusUnauthorized, "signin.wrong", true
	case errors.As(err, &throttled):
		o.status, o.errorKey, o.wait = http.StatusTooManyRequests, "signin.throttled", throttled.RetryAfter
	default:
		o.status, o.errorKey, o.wait = http.StatusServiceUnavailable, "signin.unavailable", busyWait
	}
}

func (p *Pages) showSignIn(w http.ResponseWriter, r *http.Request, ask Ask, o attemptOutcome) {
	lang := p.language(r, ask.Locales)
	texts := p.languages.catalogues[lang]
	v := signInView{
		App: p.appOf(ask.Client, ask.RedirectURI), ForApp: ask.Client.ID != "", Again: ask.Again, User: displayName(ask.User),
		Username: strings.ToValidUTF8(bounded(o.username, 4*credential.MaxUsernameBytes), ""), Remember: o.remember,
		Continue: ask.Continue, About: p.sealAbout(ask), Wrong: o.wrong,
	}
	title := "signin.title"
	if ask.Again {
		title = "signin.again.title"
	}
	if o.errorKey != "" {
		v.Error = texts.text(o.errorKey, "wait", texts.wait(o.wait))
	}
	retryLater(w, o.wait)
	if o.status == http.StatusUnauthorized {
		// RFC 9110 §15.5.2 wants a challenge with each 401. Basic would open the browser's own dialog; this one tells
		// programs that a form is what signs in, and browsers show the page.
		w.Header().Set("WWW-Authenticate", `Cookie realm="sign-in", form-action="`+p.base+`/login", cookie-name="`+
			p.cookieName(sessionCookie)+`"`)
	}
	p.render(w, r, show{
		name: "signin", status: o.status, lang: lang, title: texts.text(title), client: ask.Client,
		back: back(r, ask.Continue), allow: policyOf(ask.RedirectURI), body: v,
	})
}

// displayName is how pages call a user.
func displayName(u storage.User) string {
	if name, ok := u.Claims["name"].(string); ok && name != "" {
		return shortened(name)
	}
	return u.Username
}

// asSeconds is a wait in whole seconds, rounded up.
func asSeconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
