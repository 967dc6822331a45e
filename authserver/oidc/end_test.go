package oidc

import (
	"context"
	"crypto/rand"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// setFront gives the client spa a front channel.
func (r *logoutRig) setFront(uri string) {
	r.t.Helper()
	c, err := r.store.Client(r.t.Context(), "spa")
	must(r.t, err)
	c.FrontchannelLogoutURI = uri
	must(r.t, r.store.ReplaceClient(r.t.Context(), c))
}

func TestTheEndOfASessionTellsItsClients(t *testing.T) {
	r := newLogoutRig(t)
	r.setFront(frontURI)
	frames, err := r.End(t.Context(), r.browser.session)
	must(t, err)
	waiting := outbox(t, r.store)
	if len(waiting) != 1 || waiting[0].ClientID != "web" || waiting[0].URI != backURI || waiting[0].Subject != "usr_1" ||
		waiting[0].SessionID != r.Subjects.SID("ses_1", "web") || waiting[0].ExpiresAt.Sub(waiting[0].CreatedAt) < 24*time.Hour {
		t.Errorf("outbox %+v", waiting)
	}
	// OIDC Front-Channel Logout §2: iss and sid beside what is registered.
	if len(frames) != 1 {
		t.Fatalf("frames %v", frames)
	}
	u, err := url.Parse(frames[0])
	must(t, err)
	if q := u.Query(); u.Host != "spa.example.test" || u.Path != "/front" || q.Get("a") != "b" || q.Get("iss") != issuer || q.Get("sid") != r.Subjects.SID("ses_1", "spa") {
		t.Errorf("frame %s", frames[0])
	}
	if r.alive("ses_1") || len(r.ended) != 1 {
		t.Errorf("ended %v", r.ended)
	}
}

func TestTheSubOfALogoutTokenIsTheOneTheClientKnows(t *testing.T) {
	r := newLogoutRig(t)
	c, err := r.store.Client(t.Context(), "spa")
	must(t, err)
	c.BackchannelLogoutURI = "https://spa.example.test/back"
	must(t, r.store.ReplaceClient(t.Context(), c))
	_, err = r.End(t.Context(), r.browser.session)
	must(t, err)
	for _, d := range outbox(t, r.store) {
		if c, err := r.store.Client(t.Context(), d.ClientID); err != nil || d.Subject != r.Subjects.Subject(c, "usr_1") || (d.Subject == "usr_1") != (d.ClientID == "web") {
			t.Errorf("%+v %v", d, err)
		}
	}
}

// OIDC Front-Channel Logout §2: frames are loaded by the page, which then leads on.
func TestFramesAreShownBeforeTheBrowserGoesOn(t *testing.T) {
	r := newLogoutRig(t)
	r.setFront(frontURI)
	res := r.get("id_token_hint", r.idToken("web", "ses_1", nil), "post_logout_redirect_uri", afterLogout, "state", "x")
	if d := r.browser.done; res.Header().Get("Location") != "" || d == nil || len(d.Frames) != 1 || d.Continue != afterLogout+"&state=x" || !r.browser.cleared {
		t.Errorf("%q %+v", res.Header().Get("Location"), r.browser)
	}
}

func TestOnlyWhatABrowserLoadsInAFrameIsAFrame(t *testing.T) {
	for _, uri := range []string{"", "javascript:alert(1)", "data:text/html,x", "com.example.app:/x", "/relative", "%zz"} {
		r := newLogoutRig(t)
		r.setFront(uri)
		if frames, err := r.End(t.Context(), r.browser.session); err != nil || len(frames) != 0 {
			t.Errorf("%q: %v %v", uri, frames, err)
		}
	}
}

func TestASessionThatIsEndedTwiceTellsItsClientsOnce(t *testing.T) {
	r := newLogoutRig(t)
	var mu sync.Mutex
	r.Audit = func(_ context.Context, ended SessionEnded) {
		mu.Lock()
		defer mu.Unlock()
		r.ended = append(r.ended, ended)
	}
	var both sync.WaitGroup
	for range 8 {
		both.Go(func() {
			if _, err := r.End(t.Context(), r.browser.session); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if len(outbox(t, r.store)) != 1 || len(r.ended) != 1 || r.alive("ses_1") {
		t.Errorf("outbox %v, ended %v", outbox(t, r.store), r.ended)
	}
}

func TestAClientThatJoinedAMomentAgoIsToldAsWell(t *testing.T) {
	r := newLogoutRig(t)
	old := r.browser.session
	old.Clients = nil // as it was read before web and spa joined
	_, err := r.End(t.Context(), old)
	must(t, err)
	if waiting := outbox(t, r.store); len(waiting) != 1 || waiting[0].ClientID != "web" {
		t.Errorf("outbox %v", waiting)
	}
}

func TestAllSessionsOfAUserButOneEnd(t *testing.T) {
	r := newLogoutRig(t)
	r.signIn("ses_2")
	r.signIn("ses_3")
	now := time.Now().Add(time.Hour)
	must(t, storage.Sessions{Entries: r.store}.Create(t.Context(), storage.Session{ID: "ses_bob", UserID: "usr_2", IdleExpiresAt: now, ExpiresAt: now}))
	must(t, r.EndAllOf(t.Context(), "usr_1", "ses_2"))
	if r.alive("ses_1") || !r.alive("ses_2") || r.alive("ses_3") || !r.alive("ses_bob") || len(outbox(t, r.store)) != 2 {
		t.Errorf("ended %v, outbox %v", r.ended, outbox(t, r.store))
	}
	must(t, r.EndAllOf(t.Context(), "usr_1", ""))
	if r.alive("ses_2") || !r.alive("ses_bob") {
		t.Errorf("ended %v", r.ended)
	}
	r.Store = &flakyStore{Store: r.store, down: true}
	if err := r.EndAllOf(t.Context(), "usr_2", ""); !storage.IsFailure(err) || !r.alive("ses_bob") {
		t.Errorf("got %v", err)
	}
}

func TestManySessionsAreEndedInRounds(t *testing.T) {
	store := memory.New()
	end := time.Now().Add(time.Hour)
	for range 2*sessionsAtOnce + 1 {
		must(t, storage.Sessions{Entries: store}.Create(t.Context(), storage.Session{ID: rand.Text(), UserID: "usr_1", IdleExpiresAt: end, ExpiresAt: end}))
	}
	l := &Logout{Issuer: issuer, Store: store, Subjects: Subjects{Keys: secrets{"only"}}}
	must(t, l.EndAllOf(t.Context(), "usr_1", "ses_none"))
	if left, err := (storage.Sessions{Entries: store}).Of(t.Context(), "usr_1", 1000); err != nil || len(left) != 0 {
		t.Errorf("%d left, %v", len(left), err)
	}
}

// The whole way, from the end of the session to the client.
func TestTheEndOfASessionReachesTheClientAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := memory.New(), &postman{}
		must(t, store.CreateClient(t.Context(), storage.Client{ID: "web", BackchannelLogoutURI: backURI}))
		end := time.Now().Add(time.Hour)
		s := storage.Session{ID: "ses_1", UserID: "usr_1", IdleExpiresAt: end, ExpiresAt: end, Clients: []string{"web"}}
		must(t, storage.Sessions{Entries: store}.Create(t.Context(), s))
		l := &Logout{
			Issuer: issuer, Store: store, Subjects: Subjects{Keys: secrets{"only"}}, Courier: couriers(t, store, p, 1, nil)[0],
		}
		synctest.Wait()
		_, err := l.End(t.Context(), s)
		must(t, err)
		synctest.Wait()
		if calls := p.seen(); len(calls) != 1 || calls[0].url != backURI || payload(t, "logout+jwt", calls[0].token)["sid"] != l.Subjects.SID("ses_1", "web") {
			t.Errorf("%v", calls)
		}
	})
}
