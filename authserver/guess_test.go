package authserver_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// guess tries a password by one of the two paths.
func (r *rig) guess(path, address, username, password string) response {
	r.t.Helper()
	if path == "/login" {
		return r.do(from(address, jsonLogin(fmt.Sprintf(`{"username":%q,"password":%q}`, username, password))))
	}
	return r.do(from(address, form(path, "grant_type", "password", "client_id", "cli", "username", username, "password", password)))
}

var signInPaths = []string{"/oauth2/token", "/login"}

// wantThrottled fails unless the answer is 429 with a Retry-After of at least a second.
func wantThrottled(t testing.TB, res response) {
	t.Helper()
	wantDocument(t, res, http.StatusTooManyRequests)
	if n, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || n < 1 {
		t.Errorf("Retry-After is %q", res.Header.Get("Retry-After"))
	}
}

// L10: nothing in an answer, nor in what the store is asked, tells one kind of failure from another.
func TestEveryFailedSignInLooksTheSame(t *testing.T) {
	for _, path := range signInPaths {
		bubbleTapped(t, func(t testing.TB, r *rig, store *tap) {
			answers, asked := map[string]string{}, map[string]string{}
			for i, c := range [][2]string{
				{"alice", "wrong"},
				{"ALICE", "wrong"},
				{"nobody", "wrong"},
				{"dora", "disabled"},
				{"dora", "wrong"},
				{"nora", "wrong"},
				{"nora", "nora"},
				{"not a name", "wrong"},
				{"alice", strings.Repeat("x", 2000)},
				{"nobody", strings.Repeat("x", 2000)},
				{strings.Repeat("n", 300), "x"},
			} {
				verbs := store.record()
				res := r.guess(path, fmt.Sprintf("192.0.2.%d:1", i+1), c[0], c[1])
				answers[answerOf(res)] = c[0]
				if c[0] == "alice" || c[0] == "nobody" || c[0] == "dora" || c[0] == "nora" {
					asked[strings.Join(*verbs, " ")] = c[0]
				}
			}
			if len(answers) != 1 {
				t.Errorf("%s: %d different answers: %v", path, len(answers), answers)
			}
			if len(asked) != 1 {
				t.Errorf("%s: the store is asked differently: %v", path, asked)
			}
		})
	}
}

func bubbleTapped(t *testing.T, test func(t testing.TB, r *rig, store *tap), options ...option) {
	t.Helper()
	var store *tap
	wrap := withStore(func(inner storage.Store) storage.Store { store = &tap{Store: inner}; return store })
	bubble(t, func(t testing.TB, r *rig) { test(t, r, store) }, append(options, wrap)...)
}

// L10: nor do the answers when the budget is empty, and then the right password fares like a wrong one.
func TestAnEmptyBudgetLooksTheSameForUsersThereAreAndThereAreNot(t *testing.T) {
	for _, path := range signInPaths {
		bubble(t, func(t testing.TB, r *rig) {
			answers := map[string]string{}
			for i, c := range [][2]string{{"alice", "wonderland"}, {"nobody", "wrong"}, {"dora", "disabled"}, {"nora", "x"}, {"alice", "x"}} {
				last := response{}
				for n := range 11 {
					password := "wrong"
					if n == 10 {
						password = c[1]
					}
					last = r.guess(path, fmt.Sprintf("192.0.2.%d:1", i+1), c[0], password)
				}
				wantThrottled(t, last)
				answers[answerOf(last)] = c[0]
			}
			if len(answers) != 1 {
				t.Errorf("%s: %d different answers: %v", path, len(answers), answers)
			}
		})
	}
}

// L6: all paths and all spellings take from one budget, of 20.
func TestPathsAndSpellingsShareOneBudget(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		spellings := []string{"alice", "ALICE", "Alice", "ａｌｉｃｅ", "aLiCe"}
		for n := range 20 {
			address := fmt.Sprintf("192.0.2.%d:1", n+1)
			res := r.guess(signInPaths[n%2], address, spellings[n%len(spellings)], "wrong")
			if res.str("error") != "invalid_grant" {
				t.Fatalf("guess %d: %s", n, res.raw)
			}
		}
		for i, path := range signInPaths {
			for _, spelling := range spellings {
				wantThrottled(t, r.guess(path, fmt.Sprintf("198.51.100.%d:1", i+1), spelling, "wrong"))
			}
		}
		want(t, r.guess("/login", "203.0.113.1:1", "bob", "builder"), http.StatusOK, "")
		time.Sleep(time.Minute) // and one comes back each minute
		want(t, r.guess("/login", "203.0.113.1:1", "alice", "wonderland"), http.StatusOK, "")
	})
}

// L4: one address may guess 30 times, whomever it tries, and others are not held up.
func TestOnePasswordTriedOnManyUsersMeetsTheLimitOfTheAddress(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		for n := range 40 {
			res := r.guess(signInPaths[n%2], "192.0.2.1:"+strconv.Itoa(1000+n), "user"+strconv.Itoa(n), "Summer2026!")
			if n < 30 && res.str("error") != "invalid_grant" {
				t.Fatalf("guess %d: %s", n, res.raw)
			}
			if n >= 30 {
				wantThrottled(t, res)
			}
		}
		wantThrottled(t, r.guess("/login", "192.0.2.1:1", "alice", "wonderland"))
		wantThrottled(t, r.guess("/login", "[::ffff:192.0.2.1]:1", "alice", "wonderland")) // RFC 4291 §2.5.5.2
		want(t, r.guess("/login", "192.0.2.2:1", "alice", "wonderland"), http.StatusOK, "")
	})
}

// L5: many addresses that try one user meet a limit, and cannot lock the user out of where they usually are.
func TestManyAddressesMeetTheLimitOfTheAccountButDoNotLockItsOwnerOut(t *testing.T) {
	bubble(t, func(t testing.TB, r *rig) {
		want(t, r.guess("/login", "192.0.2.7:1", "alice", "wonderland"), http.StatusOK, "")
		let := 0
		for n := range 200 {
			res := r.guess("/oauth2/token", fmt.Sprintf("198.51.%d.%d:1", n/200, n%200), "alice", "guess"+strconv.Itoa(n))
			if res.StatusCode != http.StatusTooManyRequests {
				let++
			}
		}
		if let != 20 {
			t.Errorf("%d guesses were let through, want 20", let)
		}
		wantThrottled(t, r.guess("/login", "203.0.113.9:1", "alice", "wonderland"))
		want(t, r.guess("/login", "192.0.2.7:2", "alice", "wonderland"), http.StatusOK, "")
	})
}

// L7: parallel guesses do not overtake the counter.
func TestParallelGuessesNeverPassTheLimit(t *testing.T) {
	inBubbles(t, func(t testing.TB, store storage.Store) {
		nodes := []*rig{newRigOn(t, store), newRigOn(t, store)}
		var wg sync.WaitGroup
		var mu sync.Mutex
		statuses := map[int]int{}
		start := make(chan struct{})
		for n := range 200 {
			wg.Go(func() {
				<-start
				res := nodes[n%2].guess(signInPaths[n%2], fmt.Sprintf("192.0.2.%d:1", n), "alice", "wrong")
				mu.Lock()
				defer mu.Unlock()
				statuses[res.StatusCode]++
			})
		}
		close(start)
		wg.Wait()
		if let := statuses[400] + statuses[401]; let != 20 || statuses[429] != 180 {
			t.Errorf("statuses %v, want 20 guesses let through", statuses)
		}
	})
}

// L8: without its limits the server does not let people guess, and says that it is its own fault.
func TestWhenLimitsCannotBeCountedSignInIs503(t *testing.T) {
	r, store := tapped(t)
	for _, verb := range []string{"Spend", "Remembered", "UserByName"} {
		store.before = failing(verb)
		for _, path := range signInPaths {
			res := r.guess(path, "192.0.2.1:1", "alice", "wonderland")
			wantDocument(t, res, http.StatusServiceUnavailable)
			if res.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		store.before = nil
		r.wantSignedIn("alice", "wonderland")
	}
	// What is owed after the password was proved does not stand in its way.
	for _, verb := range []string{"Refund", "Remember"} {
		store.before = failing(verb)
		r.wantSignedIn("bob", "builder")
	}
}

// failing makes a tap fail every call of a verb.
func failing(verb string) func(string) error {
	return func(v string) error {
		if v == verb {
			return errors.New("the disk is full")
		}
		return nil
	}
}

// L11: more than the server can compute is 503 with Retry-After, never a wrong answer.
func TestAFloodOfSignInsIsRefusedInAnOrderlyWay(t *testing.T) {
	r := newRig(t, func(_ *authserver.Config, d *authserver.Dependencies) {
		hasher, err := credential.NewHasher(credential.HasherConfig{
			Params: credential.Params{MemoryKiB: 4096, Time: 1, Parallelism: 1}, MaxHashes: 1, MaxQueue: 1, MaxWait: time.Nanosecond,
		})
		must(t, err)
		d.Authenticator = &credential.Authenticator{Users: d.Store, Limits: d.Store, Hasher: hasher}
	})
	token := r.refreshTokenOf("alice")
	var wg sync.WaitGroup
	results := make(chan response, 60)
	for n := range 60 {
		wg.Go(func() { results <- r.guess(signInPaths[n%2], fmt.Sprintf("192.0.2.%d:1", n), "bob", "builder") })
	}
	wg.Wait()
	close(results)
	for res := range results {
		switch res.StatusCode {
		case http.StatusOK:
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
			wantDocument(t, res, res.StatusCode)
			if res.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		default:
			t.Errorf("got %d %s", res.StatusCode, res.raw)
		}
	}
	r.wantLive(token) // refreshing does not wait for passwords
}

// refreshTokenOf signs in as often as it takes to get past a busy hasher.
func (r *rig) refreshTokenOf(username string) string {
	r.t.Helper()
	password := map[string]string{"alice": "wonderland", "bob": "builder"}[username]
	for range 100 {
		if res := r.signIn(username, password); res.StatusCode == http.StatusOK {
			return res.str("refresh_token")
		}
	}
	r.t.Fatal("nobody can sign in")
	return ""
}

// The limits are on wrong passwords: a load test, or a gateway with one address, is not turned away.
func TestSixtyFourRightPasswordsAtOnceAllGetTokens(t *testing.T) {
	r := newRig(t)
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			if res := r.signIn("alice", "wonderland"); res.StatusCode != http.StatusOK {
				t.Errorf("%d %s", res.StatusCode, res.raw)
			}
		})
	}
	all.Wait()
}
