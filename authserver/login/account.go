package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// maxListed is how many sessions of a user are shown, and how many sessions, consents or grants are asked for first.
const maxListed = 500

// accountView is what account.html shows.
type accountView struct {
	Name, Username, Email string
	Sessions              []sessionView
	Others                bool // there are other sessions
	Apps                  []appAccess
	Done                  string // what has just been done
	Error                 string // why the password was not changed
	Wrong                 string // the id of the field that the error is about; "" is none
	ReadOnly              bool   // the password is in a file of the operator
	KeepOthers            bool   // the person has taken the mark off "end other sessions"
}

type sessionView struct {
	ID, Device, Address string
	Seen, Since         moment
	Current             bool
}

// appAccess is a client that has access to something of the user.
type appAccess struct {
	ClientID string
	App      app
	Scopes   []permission
	Used     moment
}

// moment is a time for people, and for the script that shows it in their own time zone.
type moment struct{ Text, Machine string }

// dones are what the account page may say after a redirect; the parameter is one of these words or says nothing.
var dones = map[string]string{
	"password": "account.done.password",
	"session":  "account.done.session",
	"sessions": "account.done.sessions",
	"app":      "account.done.app",
}

// ServeAccount answers GET /account and the forms on it: POST /account/password, /account/sessions/end,
// /account/sessions/end-others and /account/apps/remove.
func (p *Pages) ServeAccount(w http.ResponseWriter, r *http.Request) {
	action := map[string]accountAction{
		account + "/password":            p.changePassword,
		account + "/sessions/end":        p.endSession,
		account + "/sessions/end-others": p.endOtherSessions,
		account + "/apps/remove":         p.removeApp,
	}[r.URL.Path]
	switch {
	case action != nil:
		p.act(w, r, action)
	case r.URL.Path != account:
		p.Missing(w, r)
	case p.method(w, r, http.MethodGet, http.MethodHead):
		p.serveAccountPage(w, r)
	}
}

// accountAction is one form of the account page, sent by the user of the session.
type accountAction func(w http.ResponseWriter, r *http.Request, s storage.Session, u storage.User, form url.Values)

func (p *Pages) act(w http.ResponseWriter, r *http.Request, action accountAction) {
	if !p.method(w, r, http.MethodPost) {
		return
	}
	form, ok := p.CheckForm(w, r)
	if !ok {
		return
	}
	s, u, err := p.signedIn(r)
	switch {
	case err != nil:
		p.unavailable(w, r, err)
	case s.ID == "":
		p.redirect(w, "/login")
	default:
		action(w, r, s, u, form)
	}
}

// ToAccount leads to the account page.
func (p *Pages) ToAccount(w http.ResponseWriter) { p.redirect(w, account) }

func (p *Pages) serveAccountPage(w http.ResponseWriter, r *http.Request) {
	s, u, err := p.signedIn(r)
	if err == nil && s.ID == "" {
		p.redirect(w, "/login")
		return
	}
	if err == nil {
		err = p.Join(r, s, "")
	}
	if storage.IsFailure(err) {
		p.unavailable(w, r, err)
		return
	}
	p.showAccount(w, r, s, u, http.StatusOK, accountView{Done: dones[r.URL.Query().Get("done")]})
}

// showAccount shows the page; v brings what has happened.
func (p *Pages) showAccount(
	w http.ResponseWriter, r *http.Request, s storage.Session, u storage.User, status int, v accountView,
) {
	lang := p.language(r, nil)
	texts := p.languages.catalogues[lang]
	v.Name, v.Username, v.ReadOnly = displayName(u), u.Username, u.Source != ""
	v.Email, _ = u.Claims["email"].(string)
	if v.Done != "" {
		v.Done = texts.text(v.Done)
	}
	list, err := all(func(limit int) ([]storage.Session, error) { return p.sessions.Of(r.Context(), u.ID, limit) })
	if err == nil {
		v.Sessions = texts.sessions(list, s, u)
		v.Others = len(v.Sessions) > 1
		v.Apps, err = p.apps(r.Context(), texts, u)
	}
	if err != nil {
		p.unavailable(w, r, err)
		return
	}
	p.render(w, r, show{
		name: "account", status: status, lang: lang, title: texts.text("account.title"), back: account, body: v,
	})
}

// sessions answers the sessions that count, this one first, then the last used first, as many as are shown.
func (c catalogue) sessions(list []storage.Session, current storage.Session, u storage.User) []sessionView {
	slices.SortStableFunc(list, func(a, b storage.Session) int {
		if (a.ID == current.ID) != (b.ID == current.ID) {
			if a.ID == current.ID {
				return -1
			}
			return 1
		}
		return b.SeenAt.Compare(a.SeenAt)
	})
	var views []sessionView
	for _, s := range list {
		if s.Holds(u) && len(views) < maxListed {
			views = append(views, sessionView{
				ID: s.ID, Device: c.device(s.UserAgent), Address: s.Address, Seen: c.moment(s.SeenAt),
				Since: c.moment(s.BornAt), Current: s.ID == current.ID,
			})
		}
	}
	return views
}

func (c catalogue) moment(t time.Time) moment {
	t = t.UTC()
	return moment{Text: t.Format(c.text("time.format")), Machine: t.Format(time.RFC3339)}
}

// all reads a list that is in no order until it has seen the whole: an application that asks anew at each load of a page has
// many entries, and they must not hide those of another.
func all[T any](list func(limit int) ([]T, error)) ([]T, error) {
	for limit := maxListed; ; limit *= 2 {
		found, err := list(limit)
		if err != nil || len(found) < limit {
			return found, err
		}
	}
}

func (p *Pages) consentsOf(ctx context.Context, userID string) ([]storage.Consent, error) {
	return all(func(limit int) ([]storage.Consent, error) { return p.consents.Of(ctx, userID, limit) })
}

func (p *Pages) grantsOf(ctx context.Context, userID string) ([]storage.Grant, error) {
	return all(func(limit int) ([]storage.Grant, error) { return p.store.GrantsOf(ctx, userID, limit) })
}

// apps answers the clients that have something of the user: a remembered consent, or a grant that lives.
func (p *Pages) apps(ctx context.Context, texts catalogue, u storage.User) ([]appAccess, error) {
	consents, err := p.consentsOf(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	grants, err := p.grantsOf(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	type access struct {
		scopes []string
		used   time.Time
	}
	found := map[string]*access{}
	add := func(clientID string, scopes []string, used time.Time) {
		a := found[clientID]
		if a == nil {
			a = &access{}
			found[clientID] = a
		}
		for _, scope := range scopes {
			if !slices.Contains(a.scopes, scope) {
				a.scopes = append(a.scopes, scope)
			}
		}
		if used.After(a.used) {
			a.used = used
		}
	}
	for _, c := range consents {
		add(c.ClientID, c.Scopes, c.GrantedAt)
	}
	for _, g := range grants {
		// Generation 0 is a code that nobody has redeemed: its client has nothing yet.
		if g.UserEpoch == u.Epoch && g.Generation > 0 {
			add(g.ClientID, g.Scopes, g.BornAt)
			add(g.ClientID, nil, g.RotatedAt)
		}
	}
	var list []appAccess
	for id, a := range found {
		client, err := p.store.Client(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			client = storage.Client{ID: id} // removed: nothing can be done with what is left, and it can be taken back
		} else if err != nil {
			return nil, err
		}
		one := appAccess{ClientID: id, App: p.appOf(client, ""), Used: texts.moment(a.used)}
		for _, scope := range a.scopes {
			one.Scopes = append(one.Scopes, permission{Text: texts.scope(scope)})
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b appAccess) int {
		if a.Used.Machine != b.Used.Machine {
			return strings.Compare(b.Used.Machine, a.Used.Machine)
		}
		return strings.Compare(a.ClientID, b.ClientID)
	})
	return list, nil
}

// endSession ends one session of the user, this one or another. Whose it is counts, not who names it.
func (p *Pages) endSession(w http.ResponseWriter, r *http.Request, s storage.Session, u storage.User, form url.Values) {
	var other storage.Session
	err := storage.ErrNotFound
	if id := form.Get("session"); isSessionID(id) {
		other, err = p.sessions.Session(r.Context(), id)
	}
	if err == nil && other.UserID != u.ID {
		err = storage.ErrNotFound
	}
	var frames []string
	if err == nil {
		frames, err = p.end(r.Context(), other)
	}
	switch {
	case storage.IsFailure(err):
		p.unavailable(w, r, err)
	case err == nil && other.ID == s.ID:
		p.ClearCookie(w, r)
		p.ShowLoggedOut(w, r, LoggedOut{Frames: frames})
	default: // gone already is as good
		p.redirect(w, account+"?done=session")
	}
}

func (p *Pages) endOtherSessions(w http.ResponseWriter, r *http.Request, s storage.Session, u storage.User, _ url.Values) {
	if err := p.endOthers(r.Context(), u.ID, s.ID); storage.IsFailure(err) {
		p.unavailable(w, r, err)
		return
	}
	p.redirect(w, account+"?done=sessions")
}

// revokedByUser is the reason in a grant.
const revokedByUser = "taken back by the user"

// removeApp takes back what a client was allowed. First the consent, so that no grant can be made anew meanwhile: a code that
// is just being made needs it when it is redeemed.
func (p *Pages) removeApp(w http.ResponseWriter, r *http.Request, _ storage.Session, u storage.User, form url.Values) {
	clientID := form.Get("client_id")
	found, err := p.takeBack(r.Context(), u.ID, clientID)
	if err != nil {
		p.unavailable(w, r, err)
		return
	}
	if found { // or else the id is whatever was sent
		p.audit.Record(r.Context(), audit.Event{
			Name: audit.ConsentWithdrawn, ClientID: clientID, UserID: u.ID, Username: u.Username, Address: credential.RemoteAddress(r).String(),
		})
	}
	p.redirect(w, account+"?done=app")
}

// takeBack answers whether there was anything.
func (p *Pages) takeBack(ctx context.Context, userID, clientID string) (found bool, err error) {
	// What is not in the list of the page names nothing, whatever it is.
	consents, err := p.consentsOf(ctx, userID)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(consents, func(c storage.Consent) bool { return c.ClientID == clientID }) {
		if err := p.consents.Remove(ctx, userID, clientID); err != nil {
			return true, err
		}
		found = true
	}
	revoked, err := p.revokeAll(ctx, userID, clientID)
	return found || revoked, err
}

// revokeAtOnce is how many grants are ended at a time: one by one, thousands would take longer than a browser waits, and all
// together would keep the store from everybody else.
const revokeAtOnce = 16

// revokeAll ends all grants of a user at a client. After a failure it begins no more of them: the person tries again.
func (p *Pages) revokeAll(ctx context.Context, userID, clientID string) (found bool, err error) {
	grants, err := p.grantsOf(ctx, userID)
	if err != nil {
		return false, err
	}
	grants = slices.DeleteFunc(grants, func(g storage.Grant) bool { return g.ClientID != clientID })
	var (
		group  sync.WaitGroup
		failed atomic.Bool
		room   = make(chan struct{}, revokeAtOnce)
		errs   = make([]error, len(grants))
	)
	for i, g := range grants {
		room <- struct{}{}
		if failed.Load() {
			break
		}
		group.Go(func() {
			defer func() { <-room }()
			if errs[i] = p.store.RevokeGrant(ctx, g.ID, revokedByUser); errs[i] != nil {
				failed.Store(true)
			}
		})
	}
	group.Wait()
	return len(grants) > 0, errors.Join(errs...)
}
