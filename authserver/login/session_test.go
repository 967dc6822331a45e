package login

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
)

// L3
func TestASessionEndsWhenItIsIdleOrOld(t *testing.T) {
	for _, tt := range []struct {
		name     string
		remember string
		use      time.Duration // between two uses
		lives    time.Duration // alive at the last use before this, dead after
	}{
		{"unused", "", 0, 24 * time.Hour},
		{"used each 20 hours", "", 20 * time.Hour, 7 * 24 * time.Hour},
		{"remembered and unused", "1", 0, 30 * 24 * time.Hour},
		{"remembered and used each 20 days", "1", 20 * 24 * time.Hour, 90 * 24 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				b := r.browser()
				born := time.Now()
				b.mustSignIn("alice", alicePassword, "remember", tt.remember)
				id, value := b.session().ID, b.cookie(sessionCookie)
				keep := r.browser() // its jar forgets nothing by itself
				keep.setCookie(sessionCookie, value)
				keep.setCookie(browserCookie, b.cookie(browserCookie))
				for tt.use > 0 && time.Since(born)+tt.use < tt.lives {
					time.Sleep(tt.use)
					if who := keep.who(); who != "alice" {
						t.Fatalf("after %v: %q", time.Since(born), who)
					}
					if err := r.pages.Join(requestOfBrowser(keep), keep.session(), "app"); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(tt.lives - time.Since(born) - time.Second)
				if tt.use == 0 && keep.who() != "alice" {
					t.Error("dead a second early")
				}
				time.Sleep(time.Second)
				if who := keep.who(); who != "" {
					t.Errorf("after %v still %q", time.Since(born), who)
				}
				wantRedirect(t, keep.get("/account"), "/login")
				if _, err := r.pages.sessions.Session(t.Context(), id); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("in the store: %v", err)
				}
			})
		})
	}
}

// L3: what happens to the user ends the session, on a node that remembers the user of before as well.
func TestADisabledUserAndOneOfAnotherEpochAreNobody(t *testing.T) {
	for name, change := range map[string]func(*storage.User){
		"disabled":    func(u *storage.User) { u.Disabled = true },
		"other epoch": func(u *storage.User) { u.Epoch++ },
	} {
		r := newRig(t)
		b := r.browser()
		b.mustSignIn("alice", alicePassword)
		u, err := r.store.User(t.Context(), "usr_alice")
		if err != nil {
			t.Fatal(err)
		}
		before := u
		change(&u)
		if err := r.store.ReplaceUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if who := b.who(); who != "" {
			t.Errorf("%s: still %s", name, who)
		}
		// The node still thinks of the user as they were: pages of ours ask the store.
		r.store.recalled = &before
		wantRedirect(t, b.get("/account"), "/login")
		form := url.Values{"csrf": {b.csrf()}, "session": {b.session().ID}}
		wantRedirect(t, b.post("/account/sessions/end", form), "/login")
	}
}

func TestAnOldMemoryOfTheUserEndsNoSession(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	r.store.recalled = &storage.User{ID: "usr_alice", Username: "alice", Disabled: true}
	if b.who() != "alice" {
		t.Error("a memory has decided")
	}
	if err := r.store.DeleteUser(t.Context(), "usr_alice"); err != nil {
		t.Fatal(err)
	}
	if who := b.who(); who != "" {
		t.Errorf("a user who is gone is %s", who)
	}
}

func TestJoinWritesOnlyWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		b := r.browser()
		b.mustSignIn("alice", alicePassword)
		join := func(client string) storage.Session {
			t.Helper()
			if err := r.pages.Join(requestOfBrowser(b), b.session(), client); err != nil {
				t.Fatal(err)
			}
			return b.session()
		}
		first := join("app")
		if first.Version != 2 || len(first.Clients) != 1 {
			t.Fatalf("a new client: version %d, clients %v", first.Version, first.Clients)
		}
		if again := join("app"); again.Version != 2 {
			t.Errorf("the same client at once: version %d", again.Version)
		}
		if second := join("other"); second.Version != 3 || fmt.Sprint(second.Clients) != "[app other]" {
			t.Errorf("another client: %d %v", second.Version, second.Clients)
		}
		time.Sleep(time.Minute)
		if later := join("app"); later.Version != 4 || !later.IdleExpiresAt.After(first.IdleExpiresAt) || !later.ExpiresAt.Equal(first.ExpiresAt) {
			t.Errorf("a minute later: %+v", later)
		}
	})
}

func TestWhereSessionsEndWithinAMinuteWhoeverUsesOneKeepsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.IdleLifetime = 20 * time.Second })
		b := r.browser()
		b.mustSignIn("alice", alicePassword)
		for range 4 {
			time.Sleep(10 * time.Second)
			if err := r.pages.Join(requestOfBrowser(b), b.session(), ""); err != nil {
				t.Fatal(err)
			}
		}
		if who := b.who(); who != "alice" {
			t.Errorf("a session in use is %q's", who)
		}
		time.Sleep(20 * time.Second)
		if who := b.who(); who != "" {
			t.Errorf("an unused session is %q's", who)
		}
	})
}

func TestJoinsAtOnceLoseNoClient(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	s, req := b.session(), requestOfBrowser(b)
	var wait sync.WaitGroup
	for i := range 6 {
		wait.Go(func() {
			if err := r.pages.Join(req, s, fmt.Sprintf("app%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := b.session().Clients; len(got) != 6 {
		t.Errorf("clients %v", got)
	}
	if _, err := r.pages.sessions.End(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.pages.Join(req, s, "late"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a session that has ended: %v", err)
	}
}

func TestARememberedSessionOutlivesTheBrowserAndAnotherDoesNot(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	for _, tt := range []struct {
		remember string
		seconds  int
	}{{"1", 90 * 24 * 3600}, {"", 0}} {
		res := b.signIn("alice", alicePassword, "remember", tt.remember)
		for _, c := range res.Cookies() {
			if c.Name == "__Host-ingam" && c.MaxAge != tt.seconds {
				t.Errorf("remember %q: Max-Age %d", tt.remember, c.MaxAge)
			}
		}
		if b.session().Remembered != (tt.remember != "") {
			t.Errorf("remember %q: %+v", tt.remember, b.session())
		}
	}
}

func TestASignInAfterAnEndedEpochGoesOnInTheSessionOfThisBrowser(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	before := b.session()
	u, _ := r.store.User(t.Context(), "usr_alice")
	u.Epoch++
	if err := r.store.ReplaceUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	b.mustSignIn("alice", alicePassword)
	if s := b.session(); s.ID != before.ID || s.UserEpoch != u.Epoch || b.who() != "alice" {
		t.Errorf("session %+v", s)
	}
}

func TestASessionThatEndsDuringASignInIsMadeAnew(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	old := b.session()
	if _, err := r.pages.sessions.End(t.Context(), old.ID); err != nil {
		t.Fatal(err)
	}
	s, err := r.pages.renew(t.Context(), old, func(s *storage.Session) {
		r.pages.describe(s, requestOfBrowser(b), storage.User{ID: "usr_alice", Epoch: 1}, []byte("hash"))
		r.pages.limit(s, false)
	})
	if err != nil || s.ID == old.ID {
		t.Fatalf("session %s, %v", s.ID, err)
	}
}

// A17: a proof counts for one request, in one session, in one state, for a while.
func TestAProofCountsForItsRequestAndItsSessionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		b, other := r.browser(), r.browser()
		b.mustSignIn("alice", alicePassword)
		other.mustSignIn("alice", alicePassword)
		s := b.session()
		proof := r.pages.prove(proofIn, s, request)
		for name, p := range map[string]Proven{
			"another browser": r.pages.Proven(other.session(), request, proof),
			"another request": r.pages.Proven(s, request+"&scope=more", proof),
			"nobody":          r.pages.Proven(storage.Session{}, request, proof),
			"another kind":    r.pages.Proven(s, request, "chosen"+strings.TrimPrefix(proof, "in")),
			"unknown kind":    r.pages.Proven(s, request, "x"+strings.TrimPrefix(proof, "in")),
			"longer":          r.pages.Proven(s, request, strings.Replace(proof, ".", ".1", 1)),
			"no MAC":          r.pages.Proven(s, request, proof[:strings.LastIndex(proof, ".")+1]),
			"cut":             r.pages.Proven(s, request, proof[:len(proof)-2]),
			"empty":           r.pages.Proven(s, request, ""),
			"dots":            r.pages.Proven(s, request, "in.."),
		} {
			if p != (Proven{}) {
				t.Errorf("%s: %+v", name, p)
			}
		}
		one, two := r.pages.Proven(s, request, proof), r.pages.Proven(s, request+"&ingam_proof="+proof, proof)
		if !one.SignedIn || one != two {
			t.Errorf("the same proof: %+v, %+v", one, two)
		}
		r.pages.keys = fakeKeys{older: true}
		if p := r.pages.Proven(s, request, proof); !p.SignedIn {
			t.Error("a key that is no longer the newest counts for nothing")
		}
		time.Sleep(proofLifetime - time.Second)
		if p := r.pages.Proven(s, request, proof); !p.SignedIn {
			t.Error("dead early")
		}
		time.Sleep(time.Second)
		if p := r.pages.Proven(s, request, proof); p.SignedIn {
			t.Error("alive after its end")
		}
		fresh := r.pages.prove(proofIn, s, request)
		b.mustSignIn("alice", alicePassword)
		if p := r.pages.Proven(b.session(), request, fresh); p.SignedIn {
			t.Error("it counts after another sign-in")
		}
	})
}

func TestClearCookieSignsTheBrowserOut(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.mustSignIn("alice", alicePassword)
	b.handler = http.HandlerFunc(r.pages.ClearCookie)
	b.get("/out")
	if c := b.cookie(sessionCookie); c != "" {
		t.Errorf("cookie %q", c)
	}
}
