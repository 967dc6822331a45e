//go:build unix

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver/admin"
)

// logoutsCountEverywhere: rows L3 and R10.
func (c *signInNodes) logoutsCountEverywhere(t *testing.T) {
	rounds, alive := nodesFigure(20, 500), 0
	still := func(n *serverNode, what string, pg nodesPage) {
		alive++
		t.Errorf("%s: %s: at %s: %v", n.name, what, pg.at, pg.answer)
	}
	for range rounds {
		b := c.browser(t).at(c.all[0])
		a := must(t)(c.own.redeem(c.client, c.all[0], b.code(t, signInRequest("own", ownURI), ownURI)))
		got := a.tokens()
		thief := b.copied(t, c.nodes) // the cookie of before
		for _, n := range c.all[1:] { // all have session, user and sign-in in their memory
			if pg := mustPage(t)(thief.at(n).open(signInRequest("own", ownURI, "prompt", "none"))); pg.arrived(ownURI, "code") == "" {
				t.Fatalf("%s: not signed in: at %s: %v", n.name, pg.at, pg.answer)
			}
			if a = must(t)(c.own.refresh(c.client, n, got.Refresh)); a.status != http.StatusOK {
				t.Fatalf("%s: %v", n.name, a)
			}
			got.Refresh = a.tokens().Refresh
		}
		if pg := mustPage(t)(b.open("/oauth2/logout?" + encode("id_token_hint", got.ID))); pg.status != http.StatusOK || len(pg.forms) != 0 {
			t.Fatalf("logout: at %s: %v", pg.at, pg.answer)
		}
		for _, n := range c.all[1:] {
			if pg := mustPage(t)(thief.at(n).open(signInRequest("own", ownURI))); pg.forms["/login"] == nil {
				still(n, "a page", pg)
			}
			if pg := mustPage(t)(thief.at(n).open(signInRequest("own", ownURI, "prompt", "none"))); pg.arrived(ownURI, "error") != "login_required" {
				still(n, "prompt=none", pg)
			}
			if a := must(t)(c.own.refresh(c.client, n, got.Refresh)); a.tokens().Error != "invalid_grant" {
				still(n, "a refresh that is bound to the session", nodesPage{answer: a})
			}
		}
	}
	nodesPromise(t, "signed out at one, signed out at all (L3, R10)", alive, "%d sign-outs, asked at the 2 other nodes,", rounds)
}

// logoutReceiver is a client's back channel. It takes logout tokens only once it is told to.
type logoutReceiver struct {
	url    string
	mu     sync.Mutex
	open   bool
	hold   chan struct{} // if not nil, tries wait here while it is not open
	tried  int
	tokens []string
}

func newLogoutReceiver(t *testing.T) *logoutReceiver {
	t.Helper()
	l := &logoutReceiver{}
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	l.url = s.URL + "/logout"
	return l
}

func (l *logoutReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := r.PostFormValue("logout_token")
	l.mu.Lock()
	l.tried++
	open, hold := l.open, l.hold
	if open {
		l.tokens = append(l.tokens, token)
	}
	l.mu.Unlock()
	if open {
		return
	}
	if hold != nil {
		<-hold
	}
	w.WriteHeader(http.StatusServiceUnavailable)
}

func (l *logoutReceiver) seen() (tried int, tokens []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tried, slices.Clone(l.tokens)
}

func (l *logoutReceiver) set(open bool, hold chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.hold = open, hold
}

// logoutOutlivesItsNode: OIDC Back-Channel Logout §2.5. The node at which the session ends dies between a try that failed
// and the next; with INGAM_FULL also in the middle of a try, whose lease has to end then (half a minute).
func (c *signInNodes) logoutOutlivesItsNode(t *testing.T, told webClient, at *logoutReceiver) {
	t.Helper()
	for _, amid := range []bool{false, true}[:nodesFigure(1, 2)] {
		at.set(false, nil)
		if amid {
			hold := make(chan struct{})
			at.set(false, hold)
			defer close(hold)
		}
		before, had := at.seen()
		first, second := c.all[0], c.all[1]
		b := c.browser(t).at(first)
		got := must(t)(told.redeem(c.client, first, b.code(t, signInRequest(told.id, told.redirect), told.redirect))).tokens()
		mustPage(t)(b.open("/oauth2/logout?" + encode("id_token_hint", got.ID)))
		nodesWait(t, "the first try", patience, func() bool { tried, _ := at.seen(); return tried > before })
		var list []admin.Logout
		listed := func() []admin.Logout {
			list = nil
			if err := json.Unmarshal([]byte(second.cli(t, "", "logouts", "list", "-o", "json")), &list); err != nil {
				t.Fatal(err)
			}
			return list
		}
		if !amid {
			nodesWait(t, "it failed", patience, func() bool { l := listed(); return len(l) == 1 && l[0].LastError != "" })
		}
		first.kill()
		at.set(true, nil)
		took := nodesWait(t, "the outbox is empty", patience, func() bool { return len(listed()) == 0 })
		first.begin(t) // and it does not tell it again
		first.awaitReady(t)
		_, tokens := at.seen()
		tokens = tokens[len(had):]
		violations := 0
		if len(tokens) != 1 || claimOf(tokens[0], "sid") == "" || claimOf(tokens[0], "sid") != claimOf(got.ID, "sid") ||
			claimOf(tokens[0], "aud") != told.id {
			violations++
			t.Errorf("%d logout tokens were taken, want one of session %q for %s: %v", len(tokens), claimOf(got.ID, "sid"), told.id, tokens)
		}
		nodesPromise(t, "a logout is told after its node died", violations, "amid a try=%t, told once by another node within %v,",
			amid, took.Round(time.Millisecond))
	}
}
