package authserver_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/storagetest/property"
)

// lives is what a run of the machine goes by: two users, two browsers, two clients, and a model of what they should see.
type lives struct {
	*rig
	users    map[string]*modelUser
	browsers []*person
	sessions map[string]*modelSession // by id
	cookies  []string                 // all that were ever given
	dead     map[string]bool          // those of them that were worth nothing at some time
	renamed  int                      // passwords so far
}

// modelUser is what decides whether a user's sessions count.
type modelUser struct {
	name, password string
	epoch          uint64
	disabled       bool
}

// modelSession is a session as it should be.
type modelSession struct {
	id, cookie string // the one cookie that is worth something
	user       *modelUser
	epoch      uint64
	authTime   time.Time
	remembered bool
	seen       time.Time
	idle, end  time.Time
	clients    []string
	ended      bool
}

// Limits that are different from each other and from the defaults.
const (
	lifeIdle     = 12 * time.Hour
	lifeAbsolute = 3 * 24 * time.Hour
	lifeRemember = 10 * 24 * time.Hour
)

// lifeClients are first-party clients: nobody is asked for consent.
var lifeClients = []struct{ id, redirect string }{
	{"modes", "https://modes.example.test/cb"}, {"plain", "https://plain.example.test/cb"},
}

// liveThrough runs the steps in a bubble of their own and answers which rule broke.
func liveThrough(t *testing.T, wrap func(storage.Store) storage.Store, steps []lifeStep) (broken error) {
	t.Helper()
	testRing() // outside: its keys are shared by all bubbles
	synctest.Test(t, func(t *testing.T) {
		l := newLives(t, wrap)
		for i, step := range steps {
			err := l.take(step)
			if err == nil {
				err = l.hold(i)
			}
			if err != nil {
				broken = fmt.Errorf("step %d, %v: %w", i, step, err)
				return
			}
		}
		broken = l.allDead()
	})
	return broken
}

func newLives(t *testing.T, wrap func(storage.Store) storage.Store) *lives {
	t.Helper()
	r := newRig(t, withStore(wrap), func(c *authserver.Config, d *authserver.Dependencies) {
		c.SessionIdleLifetime, c.SessionAbsoluteLifetime, c.SessionRememberLifetime = lifeIdle, lifeAbsolute, lifeRemember
		many := credential.Rate{Burst: 1000, Every: time.Second} // guesses are no part of this
		d.Authenticator = &credential.Authenticator{
			Users: d.Store, Limits: d.Store, Hasher: testHasher(t), Log: d.Log,
			Guesses: credential.GuessLimits{Address: many, Account: many, Device: many, Sustained: many},
		}
	}).seedSignIn()
	return &lives{
		rig: r, sessions: map[string]*modelSession{}, dead: map[string]bool{},
		users: map[string]*modelUser{
			"alice": {name: "alice", password: "wonderland"}, "bob": {name: "bob", password: "builder"},
		},
		browsers: []*person{r.person(), r.person()},
	}
}

// cookieOf is the session cookie that a browser has.
func cookieOf(p *person) string {
	for _, c := range p.jar.Cookies(home) {
		if c.Name == "ingam" {
			return c.Value
		}
	}
	return ""
}

func setCookie(jar *cookiejar.Jar, value string) {
	jar.SetCookies(home, []*http.Cookie{{Name: "ingam", Value: value, Path: "/"}})
}

// recorded answers the session that a cookie proves, whether or not it counts for its user.
func (l *lives) recorded(cookie string) *modelSession {
	id, _, _ := strings.Cut(cookie, ".")
	s := l.sessions[id]
	if s == nil || s.ended || s.cookie != cookie || !time.Now().Before(s.idle) || !time.Now().Before(s.end) {
		return nil
	}
	return s
}

// counts answers the session that a cookie signs its user in with.
func (l *lives) counts(cookie string) *modelSession {
	if s := l.recorded(cookie); s != nil && !s.user.disabled && s.user.epoch == s.epoch {
		return s
	}
	return nil
}

// use moves the idle end on.
func (s *modelSession) use() {
	idle := lifeIdle
	if s.remembered {
		idle = lifeRemember
	}
	s.seen = time.Now()
	if s.idle = s.seen.Add(idle); s.idle.After(s.end) {
		s.idle = s.end
	}
}

// join is a use by a client or, with "", of the account page; the minute of the last use is not written again.
func (s *modelSession) join(client string) {
	isNew := client != "" && !slices.Contains(s.clients, client)
	if isNew {
		s.clients = append(s.clients, client)
	}
	if isNew || time.Since(s.seen) >= time.Minute {
		s.use()
	}
}

// given takes over the cookie that a browser got for a session.
func (l *lives) given(p *person, s *modelSession) error {
	s.cookie = cookieOf(p)
	if id, _, _ := strings.Cut(s.cookie, "."); id != s.id {
		return fmt.Errorf("the browser has the cookie of session %q, want %q", id, s.id)
	}
	if slices.Contains(l.cookies, s.cookie) {
		return errors.New("a cookie was given twice (L1)")
	}
	l.cookies = append(l.cookies, s.cookie)
	return nil
}

// answerTo answers what a client got: a code or an error.
func answerTo(pg page, redirect string) (code, failure string) {
	rest, ok := strings.CutPrefix(pg.at, redirect+"?")
	if !ok {
		return "", fmt.Sprintf("a page (%d at %s)", pg.StatusCode, pg.at)
	}
	q, err := url.ParseQuery(rest)
	if err != nil {
		return "", err.Error()
	}
	return q.Get("code"), q.Get("error")
}

// isOf tells whether a code is of the session: its user, and the moment when they signed in. The grant behind it is what
// every token gets these from.
func (l *lives) isOf(code string, s *modelSession) error {
	id, _, _ := strings.Cut(strings.TrimPrefix(code, "ac_"), ".")
	g, err := l.store.Grant(context.Background(), id)
	if err != nil {
		return fmt.Errorf("the grant of code %q: %w", code, err)
	}
	if g.UserID != "usr_"+s.user.name || !g.AuthTime.Equal(s.authTime) || g.SessionID != s.id {
		return fmt.Errorf("the code is of %s, auth_time %v, session %s; want %s, %v, %s",
			g.UserID, g.AuthTime, g.SessionID, s.user.name, s.authTime, s.id)
	}
	return nil
}

// hold checks what must be true after each step: prompt=none answers a code exactly when the browser is signed in, and a
// cookie that was ever worth nothing never is again.
func (l *lives) hold(turn int) error {
	for i, p := range l.browsers {
		if err := l.silently(p, lifeClients[(turn+i)%len(lifeClients)]); err != nil {
			return fmt.Errorf("browser %d: %w", i, err)
		}
	}
	var dead []string
	for _, cookie := range l.cookies {
		if l.counts(cookie) == nil {
			l.dead[cookie] = true
		} else if l.dead[cookie] {
			return errors.New("the model brings a dead cookie back to life")
		}
		if l.dead[cookie] {
			dead = append(dead, cookie)
		}
	}
	if len(dead) == 0 {
		return nil
	}
	return l.isDead(dead[turn%len(dead)])
}

func (l *lives) silently(p *person, client struct{ id, redirect string }) error {
	s := l.counts(cookieOf(p))
	code, failure := answerTo(p.authorize(request(client.id, client.redirect, "prompt", "none")), client.redirect)
	switch {
	case s == nil && failure != "login_required":
		return fmt.Errorf("prompt=none answers %q %q, and nobody is signed in (L3)", code, failure)
	case s == nil:
		return nil
	case code == "":
		return fmt.Errorf("prompt=none answers %q, and %s is signed in", failure, s.user.name)
	}
	s.join(client.id)
	return l.isOf(code, s)
}

func (l *lives) isDead(cookie string) error {
	p := l.person()
	setCookie(p.jar, cookie)
	if err := l.silently(p, lifeClients[0]); err != nil {
		return fmt.Errorf("an old cookie works again (L1, L3): %w", err)
	}
	return nil
}

// allDead tries every old cookie.
func (l *lives) allDead() error {
	for _, cookie := range l.cookies {
		if l.dead[cookie] {
			if err := l.isDead(cookie); err != nil {
				return err
			}
		}
	}
	return nil
}

// lifeStep is one thing that happens. Which of the fields count depends on what it is.
type lifeStep struct {
	what                   string
	browser, client, pick  int
	user                   string
	remember, wrong, prove bool
	prompt                 string
	maxAge                 int // seconds, or one of the two below; below 0 there is none
	wait                   time.Duration
}

// Values of lifeStep.maxAge that depend on the session: as many whole seconds as the sign-in is old, and one less.
const (
	maxAgeExact = -2
	maxAgeLess  = -3
)

func (s lifeStep) String() string {
	return fmt.Sprintf("%s in browser %d by %s at %s (remember=%t wrong=%t prompt=%q max_age=%d wait=%v pick=%d)",
		s.what, s.browser, s.user, lifeClients[s.client].id, s.remember, s.wrong, s.prompt, s.maxAge, s.wait, s.pick)
}

// lifeSteps draws them: signing in and waiting come most often. What is drawn first is what a failing run is reduced to, and
// that is to wait for a moment.
func lifeSteps() *rapid.Generator[[]lifeStep] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) lifeStep {
		return lifeStep{
			what: rapid.SampledFrom([]string{
				"wait", "wait", "wait until the end", "sign in", "sign in", "sign in", "sign in", "authorize", "authorize", "sign out",
				"new password", "end others", "end one", "restore", "disable or enable", "operator ends all",
			}).Draw(t, "what"),
			browser: rapid.IntRange(0, 1).Draw(t, "browser"), client: rapid.IntRange(0, 1).Draw(t, "client"),
			pick: rapid.IntRange(0, 20).Draw(t, "pick"), user: rapid.SampledFrom([]string{"alice", "alice", "bob"}).Draw(t, "user"),
			remember: rapid.Bool().Draw(t, "remember"), wrong: rapid.IntRange(0, 9).Draw(t, "wrong") == 9,
			prove:  rapid.IntRange(0, 19).Draw(t, "prove") == 19,
			prompt: rapid.SampledFrom([]string{"", "none", "login", "select_account"}).Draw(t, "prompt"),
			maxAge: rapid.SampledFrom([]int{-1, -1, 0, 60, 3600, 86400, maxAgeExact, maxAgeLess}).Draw(t, "max_age"),
			wait: rapid.SampledFrom([]time.Duration{
				time.Millisecond, 59 * time.Second, time.Minute, time.Hour, lifeIdle - time.Second, lifeIdle, 25 * time.Hour, 4 * 24 * time.Hour,
				lifeRemember - time.Second, lifeRemember,
			}).Draw(t, "wait"),
		}
	}), 8, property.Count(20, 40))
}
