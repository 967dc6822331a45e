package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// changePassword gives the user a new password. The current one is proved through the same door as at a sign-in, so
// that guesses are limited here as there (row L6). Other sessions and all grants end with the user's next epoch, unless
// the person has said otherwise. This session goes on, with a new secret (row L1).
func (p *Pages) changePassword(w http.ResponseWriter, r *http.Request, s storage.Session, u storage.User, form url.Values) {
	again := accountView{KeepOthers: form.Get("end_others") == ""}
	texts := p.languages.catalogues[p.language(r, nil)]
	refuse := func(status int, key string, pairs ...string) {
		again.Error, again.Wrong = texts.text(key, pairs...), wrongFields[key]
		p.showAccount(w, r, s, u, status, again)
	}
	if u.Source != "" {
		refuse(http.StatusConflict, "password.readonly")
		return
	}
	fresh := form.Get("new")
	if key, pairs := whyNot(fresh, form.Get("repeat"), form.Get("current"), u.Username); key != "" {
		refuse(http.StatusBadRequest, key, pairs...)
		return
	}
	proved, err := p.authenticate(r, "", u.Username, form.Get("current"))
	if err == nil && proved.ID != u.ID {
		err = credential.ErrInvalidCredentials // the name has changed hands since the page was read
	}
	if err != nil {
		p.refusePassword(w, r, err, refuse)
		return
	}
	changed, err := p.replacePassword(r.Context(), proved, fresh, !again.KeepOthers)
	switch {
	case err == nil:
		p.audit.Record(r.Context(), audit.Event{
			Name: audit.UserPasswordChanged, UserID: u.ID, Username: u.Username, Address: credential.RemoteAddress(r).String(),
			Reason: "by the user",
		})
		p.afterPassword(w, r, s, changed, !again.KeepOthers)
	case errors.Is(err, storage.ErrReadOnly):
		refuse(http.StatusConflict, "password.readonly")
	case errors.Is(err, storage.ErrConflict), errors.Is(err, storage.ErrNotFound):
		refuse(http.StatusConflict, "password.conflict")
	default:
		p.refusePassword(w, r, err, refuse)
	}
}

// wrongFields are the fields of the form that texts are about, by their ids (WCAG 2.2, 3.3.1). The others are about no field.
var wrongFields = map[string]string{
	"password.wrong":    "current",
	"password.short":    "new",
	"password.long":     "new",
	"password.username": "new",
	"password.common":   "new",
	"password.same":     "new",
	"password.repeat":   "repeat",
}

// refusePassword says why the current password was not taken.
func (p *Pages) refusePassword(
	w http.ResponseWriter, r *http.Request, err error, refuse func(status int, key string, pairs ...string),
) {
	throttled := (*credential.ThrottledError)(nil)
	switch {
	case errors.Is(err, credential.ErrInvalidCredentials):
		// RFC 9110 §15.5.1: the person is signed in; it is the form that is wrong.
		refuse(http.StatusBadRequest, "password.wrong")
	case errors.As(err, &throttled):
		retryLater(w, throttled.RetryAfter)
		wait := p.languages.catalogues[p.language(r, nil)].wait(throttled.RetryAfter)
		refuse(http.StatusTooManyRequests, "signin.throttled", "wait", wait)
	case errors.Is(err, credential.ErrBusy):
		retryLater(w, busyWait)
		refuse(http.StatusServiceUnavailable, "signin.unavailable")
	default:
		p.unavailable(w, r, err)
	}
}

// whyNot answers the text that says why a password cannot be the new one, "" if it can: what [credential.CheckPassword] has
// against it, in the person's language.
func whyNot(fresh, repeated, current, username string) (key string, pairs []string) {
	err := credential.CheckPassword(fresh, username)
	switch {
	case utf8.RuneCountInString(fresh) < credential.MinPasswordLength:
		return "password.short", []string{"n", strconv.Itoa(credential.MinPasswordLength)}
	case len(fresh) > credential.MaxPasswordBytes:
		return "password.long", []string{"n", strconv.Itoa(credential.MaxPasswordBytes)}
	case credential.IsCommon(fresh):
		return "password.common", nil
	case err != nil: // forms are text, so what is left is the username
		return "password.username", nil
	case fresh != repeated:
		return "password.repeat", nil
	case fresh == current:
		return "password.same", nil
	}
	return "", nil
}

// replacePassword stores the new password of a user whose current one was proved. It goes on over changes of other facts
// about the user; if the password itself has changed meanwhile, that one counts.
func (p *Pages) replacePassword(
	ctx context.Context, proved storage.User, password string, endAll bool,
) (storage.User, error) {
	phc, err := p.hasher.Hash(ctx, password)
	if err != nil {
		return storage.User{}, err
	}
	u := proved
	for range attempts {
		if u.PasswordHash != proved.PasswordHash || u.Epoch != proved.Epoch || u.Disabled {
			return storage.User{}, storage.ErrConflict
		}
		after := u
		after.PasswordHash = phc
		if endAll {
			after.Epoch++
		}
		err = p.store.ReplaceUser(ctx, after)
		if err == nil {
			after.Version++
			return after, nil
		}
		if !errors.Is(err, storage.ErrConflict) {
			return storage.User{}, err
		}
		if u, err = p.store.User(ctx, u.ID); err != nil {
			return storage.User{}, err
		}
	}
	return storage.User{}, storage.ErrConflict
}

// afterPassword renews this session and tells the clients of the others. The password is changed by now: what fails
// here is written down, and the person is not told that nothing happened.
func (p *Pages) afterPassword(w http.ResponseWriter, r *http.Request, s storage.Session, u storage.User, endAll bool) {
	ctx := r.Context()
	if endAll {
		if err := p.endOthers(ctx, u.ID, s.ID); storage.IsFailure(err) {
			p.noteFailure(ctx, err)
		}
	}
	encoded, hash := newSecret()
	renewed, err := p.renew(ctx, s, func(s *storage.Session) {
		p.describe(s, r, u, hash)
		if s.ExpiresAt.IsZero() { // it ended meanwhile
			p.limit(s, false)
		}
		p.used(s, time.Now())
	})
	if err != nil {
		p.noteFailure(ctx, err)
		p.showError(w, r, problem{
			status: http.StatusServiceUnavailable, title: "account.done.password", text: "password.sign_in_again", back: "/login",
		})
		return
	}
	p.sendSession(w, renewed, encoded)
	p.redirect(w, account+"?done=password")
}
