package apps

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	// Cookies do not know ports: all that runs on localhost shares them, so the name is this application's own.
	cookieName  = "demo_web"
	sessionLife = 12 * time.Hour
	attemptLife = 10 * time.Minute
	// Limits of memory: sessions in all, and sign-ins that one browser has begun, in many tabs for instance.
	maxSessions = 10_000
	maxAttempts = 8
)

// session is what the application remembers of one browser. The browser has its name only.
type session struct {
	mu       sync.Mutex
	born     time.Time
	attempts map[string]attempt // by state
	// leaving is the state of a logout under way.
	leaving string
	login   *login
}

// attempt is a sign-in that was begun and must come back to the browser it was begun in.
type attempt struct {
	nonce, verifier string
	born            time.Time
}

// login is a finished sign-in.
type login struct {
	token    *oauth2.Token
	idToken  string
	subject  string
	sid      string
	authTime time.Time
}

// sessions are all of them, in memory.
type sessions struct {
	mu  sync.Mutex
	all map[string]*session
}

func newSessions() *sessions { return &sessions{all: map[string]*session{}} }

// of returns the session of a request, or nil.
func (s *sessions) of(r *http.Request) *session {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.all[cookie.Value]
	if found != nil && time.Since(found.born) > sessionLife {
		delete(s.all, cookie.Value)
		return nil
	}
	return found
}

// start makes a session under a new name and sets its cookie. What the browser had before is gone.
func (s *sessions) start(w http.ResponseWriter, r *http.Request, secure bool) *session {
	made, name := &session{born: time.Now(), attempts: map[string]attempt{}}, rand.Text()
	s.mu.Lock()
	if cookie, err := r.Cookie(cookieName); err == nil {
		delete(s.all, cookie.Value)
	}
	if len(s.all) >= maxSessions {
		s.makeRoom()
	}
	s.all[name] = made
	s.mu.Unlock()
	// Lax: the way back from the authorization server is a link from another site.
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure goes with the scheme; localhost has http
		Name: cookieName, Value: name, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	})
	return made
}

// makeRoom drops the oldest half. s.mu is held.
func (s *sessions) makeRoom() {
	var born []time.Time
	for _, one := range s.all {
		born = append(born, one.born)
	}
	slices.SortFunc(born, time.Time.Compare)
	middle := born[len(born)/2]
	for name, one := range s.all {
		if !one.born.After(middle) {
			delete(s.all, name)
		}
	}
}

// endWhere signs out every session whose login is chosen, and tells how many.
func (s *sessions) endWhere(chosen func(*login) bool) (n int) {
	s.mu.Lock()
	var all []*session
	for _, one := range s.all {
		all = append(all, one)
	}
	s.mu.Unlock()
	// Not under s.mu: a session may be busy with a call over the network.
	for _, one := range all {
		one.mu.Lock()
		if one.login != nil && chosen(one.login) {
			one.login = nil
			n++
		}
		one.mu.Unlock()
	}
	return n
}

// begin notes a sign-in.
func (s *session) begin(state string, a attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := ""
	for name, one := range s.attempts {
		if time.Since(one.born) > attemptLife {
			delete(s.attempts, name)
		} else if oldest == "" || one.born.Before(s.attempts[oldest].born) {
			oldest = name
		}
	}
	if len(s.attempts) >= maxAttempts {
		delete(s.attempts, oldest)
	}
	s.attempts[state] = a
}

// take returns the sign-in of a state, once.
func (s *session) take(state string) (attempt, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.attempts[state]
	delete(s.attempts, state)
	return found, ok && time.Since(found.born) <= attemptLife
}

// signedIn answers whether the session is somebody's.
func (s *session) signedIn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.login != nil
}

// secureCookies: a cookie of an https application never travels over http.
func (a *web) secureCookies() bool { return strings.HasPrefix(a.BaseURL, "https://") }
