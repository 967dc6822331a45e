package oidc

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

// Keys is what logout needs of the server's keys; *keys.Ring is one.
type Keys interface {
	Signer
	Deriver
	// Verify answers the payload of a token that Sign made with one of the typs, by a key that is still published.
	Verify(token string, typs ...string) ([]byte, error)
}

// Pages is what people see of logout; *login.Pages does it.
type Pages interface {
	// SignedIn answers the live browser session of the request's cookie and its user; the zero Session when nobody is signed
	// in. An error is a failure of the store.
	SignedIn(r *http.Request) (storage.Session, storage.User, error)
	// ClearCookie makes the browser forget the cookie of the session.
	ClearCookie(w http.ResponseWriter, r *http.Request)
	// CheckForm answers the form that a page of ours posted. One that comes from elsewhere is refused: then it has shown a
	// page and answers false.
	CheckForm(w http.ResponseWriter, r *http.Request) (url.Values, bool)
	// AskLogout asks whether to sign out; the form posts the ticket to /logout.
	AskLogout(w http.ResponseWriter, r *http.Request, ask LogoutAsk)
	// ShowLoggedOut tells that nobody is signed in any more.
	ShowLoggedOut(w http.ResponseWriter, r *http.Request, done LoggedOut)
	// Leave sends the browser on to a client, at an address that was validated.
	Leave(w http.ResponseWriter, r *http.Request, client storage.Client, locales []string, target string)
	// Refuse shows an error.
	Refuse(w http.ResponseWriter, r *http.Request, refusal Refusal)
}

// LogoutAsk is the question whether to sign out.
type LogoutAsk struct {
	// Client is who asks for it; zero for nobody.
	Client storage.Client
	User   storage.User
	// Ticket goes into the form; see [Logout.ServeLogout].
	Ticket string
	// Locales is ui_locales.
	Locales []string
	// RedirectURI is where the answer to the form may lead, "" for nowhere: for form-action of the page's CSP.
	RedirectURI string
}

// LoggedOut is the page after it.
type LoggedOut struct {
	Client storage.Client
	// Frames are addresses that the page loads in iframes (OIDC Front-Channel Logout §2); its CSP has to allow them.
	Frames []string
	// Continue is where the page leads on to, by itself when the frames have had their time; "" is nowhere.
	Continue string
	Locales  []string
}

// Refusal is an error page.
type Refusal struct {
	Status            int
	Code, Description string
	// Parameter and Value are what is wrong, if it is a parameter.
	Parameter, Value string
	Client           storage.Client
	RetryAfter       time.Duration
}

// SessionEnded is told to the audit.
type SessionEnded struct{ UserID, SessionID string }

// Logout ends browser sessions: at the request of a client (OIDC RP-Initiated Logout 1.0), of the person, or of whoever
// calls End. All fields but the last three are required. Safe for concurrent use.
type Logout struct {
	Issuer   string
	Store    storage.Store
	Keys     Keys
	Subjects Subjects
	Pages    Pages

	// Courier, if not nil, is told at once when there is something to deliver.
	Courier *Courier
	// Audit, if not nil, hears of each session that ended.
	Audit func(ctx context.Context, ended SessionEnded)
	// Log receives failures; nil discards.
	Log *slog.Logger
}

// ServeEndSession answers GET and POST /oauth2/logout (OIDC RP-Initiated Logout §2).
//
// A person who is signed in is asked, unless the client has shown an ID token of this very session: otherwise any page on
// the web could sign people out (threats L15).
func (l *Logout) ServeEndSession(w http.ResponseWriter, r *http.Request) {
	params, refusal := endSessionParams(w, r)
	var t ticket
	if refusal == nil {
		t, refusal = l.understand(r.Context(), params)
	}
	if refusal != nil {
		l.Pages.Refuse(w, r, *refusal)
		return
	}
	if r.Method == http.MethodPost {
		// A form of another site comes without our cookie (SameSite). What it asks for goes on with a GET, which has it.
		l.redirect(w, l.Issuer+"/logout?ticket="+l.seal(t))
		return
	}
	l.decide(w, r, t)
}

// ServeLogout answers /logout: GET is the question by itself, or what is left of a request that came by POST; POST is the
// answer of the form, whose ticket says which session is meant and where to go afterwards.
func (l *Logout) ServeLogout(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		var t ticket
		if sealed := r.URL.Query().Get("ticket"); sealed != "" {
			opened, ok := l.open(sealed)
			// A ticket that is not ours, or too old, is as good as none: the person is asked, and stays here.
			if ok && time.Now().Before(opened.expiry()) {
				t = opened
			}
		}
		l.decide(w, r, t)
	case http.MethodPost:
		form, ok := l.Pages.CheckForm(w, r)
		if !ok {
			return
		}
		l.confirmed(w, r, form.Get("ticket"))
	default:
		l.refuseMethod(w, r)
	}
}

func (l *Logout) refuseMethod(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", "GET, POST") // RFC 9110 §15.5.6
	l.Pages.Refuse(w, r, wrongMethod())
}

// decide ends the session, asks, or has nothing to do.
func (l *Logout) decide(w http.ResponseWriter, r *http.Request, t ticket) {
	session, user, err := l.Pages.SignedIn(r)
	if err != nil {
		l.unavailable(w, r, err)
		return
	}
	c, err := l.clientOf(r.Context(), &t)
	switch {
	case err != nil:
		l.unavailable(w, r, err)
	case session.ID == "":
		l.finish(w, r, t, c, nil)
	case l.isAbout(t, c, session):
		l.endNow(w, r, t, c, session)
	default:
		l.ask(w, r, t, c, session, user)
	}
}

// isAbout tells whether the request has shown an ID token of this session.
func (l *Logout) isAbout(t ticket, c storage.Client, s storage.Session) bool {
	return c.ID != "" && t.Subject != "" && t.Subject == l.Subjects.Subject(c, s.UserID) && t.SID == l.Subjects.SID(s.ID, c.ID)
}

func (l *Logout) ask(w http.ResponseWriter, r *http.Request, t ticket, c storage.Client, s storage.Session, u storage.User) {
	// What the request has shown was not enough, and the form is about the session and nothing else.
	t.Subject, t.SID, t.SessionID = "", "", s.ID
	t.Expires = time.Now().Add(ticketLifetime).Unix()
	l.Pages.AskLogout(w, r, LogoutAsk{Client: c, User: u, Ticket: l.seal(t), Locales: t.Locales, RedirectURI: t.target()})
}

// confirmed ends the session that the question was about.
func (l *Logout) confirmed(w http.ResponseWriter, r *http.Request, sealed string) {
	t, ok := l.open(sealed)
	if !ok || t.SessionID == "" {
		l.Pages.Refuse(w, r, Refusal{
			Status: http.StatusBadRequest, Code: "invalid_request", Parameter: "ticket",
			Description: "This form is not one that this server has made. Open the page once more.",
		})
		return
	}
	session, user, err := l.Pages.SignedIn(r)
	if err != nil {
		l.unavailable(w, r, err)
		return
	}
	c, err := l.clientOf(r.Context(), &t)
	switch {
	case err != nil:
		l.unavailable(w, r, err)
	case session.ID == "": // ended in another tab, or this form was sent twice
		l.finish(w, r, t, c, nil)
	case session.ID != t.SessionID || !time.Now().Before(t.expiry()):
		l.ask(w, r, t, c, session, user) // somebody else has signed in since, or it was long ago
	default:
		l.endNow(w, r, t, c, session)
	}
}

func (l *Logout) endNow(w http.ResponseWriter, r *http.Request, t ticket, c storage.Client, s storage.Session) {
	frames, err := l.End(r.Context(), s)
	if err != nil {
		l.unavailable(w, r, err)
		return
	}
	l.Pages.ClearCookie(w, r)
	l.finish(w, r, t, c, frames)
}

// finish leads on to where the client wants it (OIDC RP-Initiated Logout §3), by way of a page if there are frames to load.
func (l *Logout) finish(w http.ResponseWriter, r *http.Request, t ticket, c storage.Client, frames []string) {
	if len(frames) == 0 && t.RedirectURI != "" {
		l.Pages.Leave(w, r, c, t.Locales, t.target())
		return
	}
	l.Pages.ShowLoggedOut(w, r, LoggedOut{Client: c, Frames: frames, Continue: t.target(), Locales: t.Locales})
}

// redirect goes to an address of this server. It is a 303, which is a GET whatever it answers (RFC 9110 §15.4.4).
func (*Logout) redirect(w http.ResponseWriter, to string) {
	h := w.Header()
	h.Set("Location", to)
	h.Set("Cache-Control", "no-store")
	// The address of the request holds an ID token, which is nobody else's business.
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// clientOf reads the client of a ticket as it is now. One that is gone, or has given the address up, is not led to.
func (l *Logout) clientOf(ctx context.Context, t *ticket) (storage.Client, error) {
	if t.ClientID == "" {
		return storage.Client{}, nil
	}
	c, err := l.Store.Client(ctx, t.ClientID)
	if storage.IsFailure(err) {
		return storage.Client{}, err
	}
	if err != nil || !slices.Contains(c.PostLogoutRedirectURIs, t.RedirectURI) {
		t.RedirectURI, t.State = "", ""
	}
	return c, nil
}

func (l *Logout) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	l.log().ErrorContext(r.Context(), "logout failed", "error", err)
	l.Pages.Refuse(w, r, storeRefusal())
}

func (l *Logout) log() *slog.Logger {
	if l.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l.Log
}

// withQuery adds parameters to an address whose every byte stays as it is registered.
func withQuery(uri string, params ...string) string {
	base, fragment, hasFragment := strings.Cut(uri, "#")
	for i := 0; i < len(params); i += 2 {
		switch {
		case !strings.Contains(base, "?"):
			base += "?"
		case !strings.HasSuffix(base, "?") && !strings.HasSuffix(base, "&"):
			base += "&"
		}
		base += url.QueryEscape(params[i]) + "=" + url.QueryEscape(params[i+1])
	}
	if hasFragment {
		base += "#" + fragment
	}
	return base
}
