package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const carolsPassword = "a password of carol's that nobody guesses"

// Rows S1, R4, R8 and R15: a server that is killed at any moment, under load, has lost nothing that it had answered and
// redeems no refresh token twice.
func TestKillMinusNineLosesNothingAcknowledgedAndRedeemsNothingTwice(t *testing.T) {
	// A minute of grace: the retry after a lost answer comes after the restart, and machines that run tests are busy.
	s := newServer(t, slices.Concat(quickHashes, manyGuesses, []string{"INGAM_TOKENS_REFRESH_GRACE=60s"})...)
	s.want(t, carolsPassword, "user", "add", "carol", "--password-stdin")
	s.publicClient(t, "strict", "--refresh-grace", "0s")
	s.publicClient(t, "lenient")
	client := newClient(t)
	keys := must(t)(ask(client, "GET", s.issuer+"/.well-known/jwks.json", "")).body
	_, api := spawnResource(t, s.issuer, apiAudience)
	oldest := mustSignIn(t, client, s.issuer, "strict", "carol", carolsPassword)

	l := &killLoad{server: s, client: client, redeemed: map[string]int{}, users: []string{"carol"}, clients: []string{"strict", "lenient"}}
	const cycles, families = 5, 8
	for i := range families {
		f := &family{client: "strict"}
		if i >= families/2 {
			f.client = "lenient"
		}
		f.begin(t, l)
		l.families = append(l.families, f)
	}
	for cycle := range cycles {
		killed := l.runAndKill(t, cycle, 50*time.Millisecond+rand.N(350*time.Millisecond))
		s.start(t)
		client.CloseIdleConnections()
		if now := must(t)(ask(client, "GET", s.issuer+"/.well-known/jwks.json", "")).body; now != keys {
			t.Fatalf("the keys were\n%s\nand are\n%s", keys, now)
		}
		if a := must(t)(secureData(client, api, oldest.Access)); a.status != 200 || !strings.Contains(a.body, `"carol"`) {
			t.Errorf("an access token from before: %v", a)
		}
		l.assertRecords(t)
		for i, f := range l.families {
			l.assertFamily(t, f, i%2 == cycle%2)
		}
		t.Logf("cycle %d: killed after %v, %d refreshes so far", cycle, killed, len(l.redeemed))
	}
	// Somebody who begins now finds the same server.
	_, late := spawnResource(t, s.issuer, apiAudience)
	if a := must(t)(secureData(client, late, oldest.Access)); a.status != 200 {
		t.Errorf("the first access token at a new resource server: %v", a)
	}
	if len(l.redeemed) < cycles*families {
		t.Errorf("only %d refreshes: there was no load", len(l.redeemed))
	}
	for token, times := range l.redeemed {
		if times > 1 {
			t.Errorf("%s was redeemed %d times", token, times)
		}
	}
}

// family is one sign-in and what its client knows of it.
type family struct {
	client  string
	current string
	spent   []string // redeemed, and the answer came
	unsure  bool     // the last answer was lost: current may have been redeemed
}

func (f *family) begin(t *testing.T, l *killLoad) {
	t.Helper()
	got := mustSignIn(t, l.client, l.server.issuer, f.client, "carol", carolsPassword)
	f.current, f.spent, f.unsure = got.Refresh, nil, false
}

// killLoad is what happens to a server, and what its clients remember of it.
type killLoad struct {
	server   *server
	client   *http.Client
	families []*family

	mu       sync.Mutex
	redeemed map[string]int // how often a token of the strict client got an answer with tokens
	users    []string       // acknowledged
	clients  []string       // acknowledged
}

// present shows a refresh token and counts the answer.
func (l *killLoad) present(clientID, token string) (answer, error) {
	a, err := refresh(l.client, l.server.issuer, clientID, token)
	if err == nil && a.status == http.StatusOK {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.redeemed[token]++; clientID != "strict" {
			l.redeemed[token] = 1 // within the grace window it gets the same successor as often as it likes
		}
	}
	return a, err
}

// refreshes is how many tokens were redeemed so far.
func (l *killLoad) refreshes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.redeemed)
}

// runAndKill refreshes every family and adds users and clients until the server is killed, after some time under load.
func (l *killLoad) runAndKill(t *testing.T, cycle int, after time.Duration) time.Duration {
	t.Helper()
	var wg sync.WaitGroup
	var refreshing atomic.Int64
	enough := l.refreshes() + len(l.families)
	refreshing.Store(int64(len(l.families)))
	for _, f := range l.families {
		wg.Go(func() { l.refreshUntilKilled(t, f); refreshing.Add(-1) })
	}
	wg.Go(func() {
		for i := 0; ; i++ {
			user, id := fmt.Sprintf("user-%d-%d", cycle, i), fmt.Sprintf("client-%d-%d", cycle, i)
			if r := l.server.command(t, carolsPassword, "user", "add", user, "--password-stdin"); r.status != exitDone {
				return
			}
			l.users = append(l.users, user)
			if r := l.server.command(t, "", "client", "add", id, "--grant-type", "client_credentials"); r.status != exitDone {
				return
			}
			l.clients = append(l.clients, id)
			select {
			case <-l.server.ended: // the commands would go on without it
				return
			default:
			}
		}
	})
	for l.refreshes() < enough && refreshing.Load() > 0 { // a busy machine takes a while until it is under way
		time.Sleep(time.Millisecond)
	}
	time.Sleep(after)
	l.server.kill()
	wg.Wait()
	return after
}

func (l *killLoad) refreshUntilKilled(t *testing.T, f *family) {
	t.Helper()
	for {
		a, err := l.present(f.client, f.current)
		switch {
		case err != nil || a.status == http.StatusServiceUnavailable:
			f.unsure = true
			return
		case a.status != http.StatusOK:
			t.Errorf("%s: an acknowledged token is refused under load: %v", f.client, a)
			f.unsure = true
			return
		}
		f.spent, f.current = append(f.spent, f.current), a.tokens().Refresh
	}
}

// assertRecords wants every user and client whose making was acknowledged.
func (l *killLoad) assertRecords(t *testing.T) {
	t.Helper()
	list := l.server.want(t, "", "user", "list", "-o", "json") + l.server.want(t, "", "client", "list", "-o", "json")
	for field, names := range map[string][]string{"username": l.users, "client_id": l.clients} {
		for _, name := range names {
			if !strings.Contains(list, fmt.Sprintf("%q: %q", field, name)) {
				t.Errorf("the %s %s is lost", field, name)
			}
		}
	}
	last := l.users[len(l.users)-1]
	mustSignIn(t, l.client, l.server.issuer, "strict", last, carolsPassword)
}

// assertFamily looks at one sign-in after a restart. One way it goes on with it, the other it attacks it.
func (l *killLoad) assertFamily(t *testing.T, f *family, attack bool) {
	t.Helper()
	switch {
	case f.client == "lenient":
		// A lost answer is no loss: the retry gets a successor, whether or not the first attempt counted.
		a := must(t)(l.present(f.client, f.current))
		if a.status != http.StatusOK {
			t.Errorf("lenient, unsure %v: %v", f.unsure, a)
			f.begin(t, l)
			return
		}
		f.spent, f.current, f.unsure = append(f.spent, f.current), a.tokens().Refresh, false
	case attack:
		l.attack(t, f)
		f.begin(t, l)
	default:
		a := must(t)(l.present(f.client, f.current))
		if a.status != http.StatusOK {
			if !f.unsure {
				t.Errorf("strict: the acknowledged token is refused: %v", a)
			}
			f.begin(t, l)
			return
		}
		f.spent, f.current, f.unsure = append(f.spent, f.current), a.tokens().Refresh, false
	}
}

// attack shows the current token four times at once, and then one that was redeemed before the crash.
func (l *killLoad) attack(t *testing.T, f *family) {
	t.Helper()
	won := make([]bool, 4)
	var wg sync.WaitGroup
	for i := range won {
		wg.Go(func() {
			a, err := l.present(f.client, f.current)
			if won[i] = err == nil && a.status == http.StatusOK; !won[i] && a.tokens().Error != "invalid_grant" {
				t.Errorf("a loser gets %v, %v", a, err)
			}
		})
	}
	wg.Wait()
	winners := len(slices.DeleteFunc(slices.Clone(won), func(w bool) bool { return !w }))
	if winners > 1 || winners == 0 && !f.unsure {
		t.Errorf("%d of 4 redeem a token, unsure %v", winners, f.unsure)
	}
	if len(f.spent) > 0 {
		old := f.spent[rand.IntN(len(f.spent))]
		if a := must(t)(l.present(f.client, old)); a.tokens().Error != "invalid_grant" {
			t.Errorf("a token that was redeemed before the crash: %v", a)
		}
	}
}
