package authserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

// take does what a step says and moves the model on. An error is a broken rule.
func (l *lives) take(step lifeStep) error {
	p, u := l.browsers[step.browser], l.users[step.user]
	switch step.what {
	case "sign in":
		return l.signInStep(p, u, step)
	case "authorize":
		return l.authorizeStep(p, step)
	case "wait":
		time.Sleep(step.wait)
	case "wait until the end":
		if s := l.recorded(cookieOf(p)); s != nil {
			until := time.Until(s.idle)
			if step.remember { // one of the two sides
				until -= time.Millisecond
			}
			time.Sleep(until)
		}
	case "sign out":
		return l.signOutStep(p)
	case "new password":
		return l.passwordStep(p, step.remember)
	case "end others":
		return l.endOthersStep(p)
	case "end one":
		return l.endOneStep(p, step.pick)
	case "restore":
		if len(l.cookies) > 0 {
			setCookie(p.jar, l.cookies[step.pick%len(l.cookies)])
		}
	case "disable or enable":
		if u.disabled = !u.disabled; u.disabled {
			u.epoch++
		}
		l.changeUser("usr_"+u.name, func(stored *storage.User) {
			if stored.Disabled = u.disabled; u.disabled {
				stored.Epoch++
			}
		})
	case "operator ends all":
		u.epoch++
		l.changeUser("usr_"+u.name, func(stored *storage.User) { stored.Epoch++ })
	default:
		return fmt.Errorf("no step is called %q", step.what)
	}
	return nil
}

// formOn answers a form of a page, if it is there.
func formOn(pg page, action string) (webForm, bool) {
	for _, f := range pg.forms {
		if f.action == action {
			return f, true
		}
	}
	return webForm{}, false
}

// signInStep signs in for a request, as whoever it is and whoever is signed in.
func (l *lives) signInStep(p *person, u *modelUser, step lifeStep) error {
	client := lifeClients[step.client]
	f, ok := formOn(p.authorize(request(client.id, client.redirect, "prompt", "login")), "/login")
	if !ok {
		return errors.New("prompt=login shows no sign-in form")
	}
	before, old := cookieOf(p), l.recorded(cookieOf(p))
	fields := []string{"username", u.name, "password", u.password}
	if step.wrong {
		fields[3] += "?"
	}
	if step.remember {
		fields = append(fields, "remember", "1")
	}
	pg := p.submit(f, fields...)
	if step.wrong || u.disabled {
		if pg.StatusCode != http.StatusUnauthorized || cookieOf(p) != before {
			return fmt.Errorf("%s signs in with status %d, and must not", u.name, pg.StatusCode)
		}
		return nil
	}
	code, failure := answerTo(pg, client.redirect)
	if code == "" {
		return fmt.Errorf("%s signs in and the client gets %q", u.name, failure)
	}
	if old != nil && old.user != u {
		old.ended = true
		old = nil
	}
	id, _, _ := strings.Cut(cookieOf(p), ".")
	switch {
	case old != nil && id != old.id:
		return fmt.Errorf("%s has signed in again and has session %q besides %q", u.name, id, old.id)
	case old == nil && l.sessions[id] != nil:
		return fmt.Errorf("%s has signed in and got session %q, which was there before", u.name, id)
	case old == nil:
		old = &modelSession{id: id, user: u}
		l.sessions[id] = old
	}
	old.epoch, old.authTime, old.remembered = u.epoch, time.Now().Truncate(time.Second), step.remember
	old.end = time.Now().Add(lifeAbsolute)
	if step.remember {
		old.end = time.Now().Add(3 * lifeRemember)
	}
	old.use()
	if err := l.given(p, old); err != nil {
		return err
	}
	old.join(client.id)
	return l.isOf(code, old)
}

// authorizeStep makes a request and wants the page or the answer that prompt and max_age call for (OIDC Core §3.1.2.1).
func (l *lives) authorizeStep(p *person, step lifeStep) error {
	client, s := lifeClients[step.client], l.counts(cookieOf(p))
	if age := step.maxAge; s != nil && age < -1 {
		step.maxAge = int(time.Since(s.authTime) / time.Second)
		if age == maxAgeLess {
			step.maxAge--
		}
	}
	pairs := []string{"prompt", step.prompt}
	if step.maxAge >= 0 {
		pairs = append(pairs, "max_age", fmt.Sprint(step.maxAge))
	}
	enough := s != nil && step.prompt != "login" && (step.maxAge < 0 || step.maxAge > 0 &&
		time.Since(s.authTime) <= time.Duration(step.maxAge)*time.Second)
	pg := p.authorize(request(client.id, client.redirect, pairs...))
	if !enough {
		_, shown := formOn(pg, "/login")
		if _, failure := answerTo(pg, client.redirect); step.prompt == "none" && failure != "login_required" || step.prompt != "none" && !shown {
			return fmt.Errorf("signed in or not recently enough: %d at %s", pg.StatusCode, pg.at)
		}
		return nil
	}
	if step.prompt == "select_account" {
		f, ok := formOn(pg, "/login/choose")
		if !ok {
			return fmt.Errorf("no choice of accounts: %d at %s", pg.StatusCode, pg.at)
		}
		pg = p.submit(f, "decision", "continue")
	}
	code, failure := answerTo(pg, client.redirect)
	if code == "" {
		return fmt.Errorf("%s is signed in and the client gets %q", s.user.name, failure)
	}
	s.join(client.id)
	if err := l.isOf(code, s); err != nil || !step.prove {
		return err
	}
	res := l.redeem(client.id, client.id+"-secret", client.redirect, code)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the code: %s", res.raw)
	}
	id := l.verify(res.str("id_token"))
	if id.str("sub") != "usr_"+s.user.name || int64(id.num("auth_time")) != s.authTime.Unix() {
		return fmt.Errorf("the ID token says %v, want %s since %v", id.claims, s.user.name, s.authTime)
	}
	return nil
}

// signOutStep signs out by hand.
func (l *lives) signOutStep(p *person) error {
	s := l.counts(cookieOf(p))
	f, asked := formOn(p.open("/logout"), "/logout")
	if asked != (s != nil) {
		return fmt.Errorf("the question whether to sign out is there: %t", asked)
	}
	if asked {
		p.submit(f)
		s.ended = true
		if cookieOf(p) != "" {
			return errors.New("signed out, and the browser has the cookie still")
		}
	}
	return nil
}

// atAccount opens the account page. s is nil if the sign-in form is there instead.
func (l *lives) atAccount(p *person) (s *modelSession, pg page, err error) {
	s, pg = l.counts(cookieOf(p)), p.open("/account")
	if _, shown := formOn(pg, "/account/password"); shown != (s != nil) {
		return nil, pg, fmt.Errorf("the account page is there: %t", shown)
	}
	if s != nil {
		s.join("")
	}
	return s, pg, nil
}

// passwordStep changes the password, and ends the other sessions or lets them be.
func (l *lives) passwordStep(p *person, endOthers bool) error {
	s, pg, err := l.atAccount(p)
	if err != nil || s == nil {
		return err
	}
	l.renamed++
	fresh := fmt.Sprint("quite another one ", l.renamed)
	fields := []string{"current", s.user.password, "new", fresh, "repeat", fresh}
	if endOthers {
		fields = append(fields, "end_others", "1")
	}
	f, _ := formOn(pg, "/account/password")
	if pg = p.submit(f, fields...); pg.at != "/account?done=password" {
		return fmt.Errorf("a new password: %d at %s", pg.StatusCode, pg.at)
	}
	if s.user.password = fresh; endOthers {
		s.user.epoch++
		l.endAllOf(s.user, s)
	}
	s.epoch, s.authTime = s.user.epoch, time.Now().Truncate(time.Second)
	s.use()
	// R14: what is no browser session ends by the epoch.
	stored, err := l.store.User(context.Background(), "usr_"+s.user.name)
	if err != nil {
		return err
	}
	if stored.Epoch != s.user.epoch {
		return fmt.Errorf("after the new password %s has epoch %d, want %d", s.user.name, stored.Epoch, s.user.epoch)
	}
	return l.given(p, s)
}

func (l *lives) endAllOf(u *modelUser, except *modelSession) {
	for _, other := range l.sessions {
		if other.user == u && other != except {
			other.ended = true
		}
	}
}

// endOthersStep ends all sessions of the user but this one. The button is there if there are any.
func (l *lives) endOthersStep(p *person) error {
	s, pg, err := l.atAccount(p)
	if err != nil || s == nil {
		return err
	}
	f, shown := formOn(pg, "/account/sessions/end-others")
	for _, other := range l.sessions {
		if other != s && other.user == s.user && l.counts(other.cookie) != nil && !shown {
			return fmt.Errorf("session %s of %s is not on the account page", other.id, s.user.name)
		}
	}
	if shown {
		p.submit(f)
		l.endAllOf(s.user, s)
	}
	return nil
}

// endOneStep ends one of the sessions on the account page, this one perhaps.
func (l *lives) endOneStep(p *person, pick int) error {
	s, pg, err := l.atAccount(p)
	if err != nil || s == nil {
		return err
	}
	var all []webForm
	for _, f := range pg.forms {
		if f.action == "/account/sessions/end" {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return errors.New("the account page lists no session, not even this one")
	}
	f := all[pick%len(all)]
	p.submit(f)
	other := l.sessions[f.fields.Get("session")]
	if other == nil || other.user != s.user {
		return fmt.Errorf("the account page of %s lists session %q", s.user.name, f.fields.Get("session"))
	}
	if other.ended = true; other == s && cookieOf(p) != "" {
		return errors.New("signed out, and the browser has the cookie still")
	}
	return nil
}
