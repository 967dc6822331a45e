//go:build unix

package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// crowdOf sends one refresh token to all nodes at once, many times, and returns the answers.
func crowdOf(t *testing.T, c *nodes, client *http.Client, clientID, token string, attempts int) []answer {
	t.Helper()
	answers, begin := make([]answer, attempts), make(chan struct{})
	var wg sync.WaitGroup
	for i := range answers {
		at := c.all[i%len(c.all)].public
		wg.Go(func() {
			<-begin
			a, err := refresh(client, at, clientID, token)
			if err != nil {
				t.Errorf("refresh at %s: %v", at, err)
			}
			answers[i] = a
		})
	}
	close(begin)
	wg.Wait()
	return answers
}

// successorsIn counts the answers with tokens, and collects the different refresh tokens in them. All others have to be
// invalid_grant.
func successorsIn(t *testing.T, answers []answer) (won int, successors []string) {
	t.Helper()
	for _, a := range answers {
		switch got := a.tokens(); {
		case a.status == http.StatusOK && got.Refresh != "":
			won++
			if !slices.Contains(successors, got.Refresh) {
				successors = append(successors, got.Refresh)
			}
		case got.Error != "invalid_grant":
			t.Errorf("neither tokens nor invalid_grant: %v", a)
		}
	}
	return won, successors
}

// Rows R4 and R5.
func TestSixtyFourParallelRefreshesOverThreeNodesHaveOneSuccessor(t *testing.T) {
	const attempts = 64
	c := startNodes(t, 3, quickRedis(t), slices.Concat(quickHashes, manyGuesses)...)
	c.furnish(t)
	client := nodesClient(t)
	rounds := nodesFigure(5, 100)
	forked, refused := 0, 0
	for range rounds {
		token := nodesSignIn(t, client, c.all[0].public, "cli").Refresh
		won, successors := successorsIn(t, crowdOf(t, c, client, "cli", token, attempts))
		forked += max(0, len(successors)-1)
		refused += attempts - won
		if len(successors) != 1 || won != attempts {
			t.Fatalf("window 10 s: %d of %d have tokens, %d successors", won, attempts, len(successors))
		}
		// The one successor lives, at every node, as one.
		if won, next := successorsIn(t, crowdOf(t, c, client, "cli", successors[0], 3)); won != 3 || len(next) != 1 {
			t.Errorf("the successor: %d of 3 nodes take it, %d successors", won, len(next))
		}
	}
	nodesPromise(t, "refresh race, window 10 s (R5)", forked+refused, "%d times %d attempts over 3 nodes, forked=%d refused=%d",
		rounds, attempts, forked, refused)

	twice, survivors := 0, 0
	for range rounds {
		token := nodesSignIn(t, client, c.all[0].public, "strict").Refresh
		won, successors := successorsIn(t, crowdOf(t, c, client, "strict", token, attempts))
		if won != 1 {
			twice += max(0, won-1)
			t.Fatalf("window 0: %d of %d have tokens", won, attempts)
		}
		alive, _ := successorsIn(t, crowdOf(t, c, client, "strict", successors[0], 3))
		survivors += alive
	}
	nodesPromise(t, "refresh race, window 0 (R4)", twice+survivors,
		"%d times %d attempts over 3 nodes, redeemed twice=%d families alive after=%d",
		rounds, attempts, twice, survivors)
}

// Row T2, over HTTP and processes.
func TestRefreshGenerationsRacedOverThreeNodesAreRedeemedOnceAndLogNobodyOut(t *testing.T) {
	const attempts, families = 8, 6
	c := startNodes(t, 3, quickRedis(t), slices.Concat(quickHashes, manyGuesses)...)
	c.furnish(t)
	client := nodesClient(t)
	perFamily := nodesFigure(300, 10_000)/families + 1

	var generations, twice, loggedOut atomic.Int64
	var wg sync.WaitGroup
	for range families {
		token := nodesSignIn(t, client, c.all[0].public, "cli").Refresh
		wg.Go(func() {
			for range perFamily {
				won, successors := successorsIn(t, crowdOf(t, c, client, "cli", token, attempts))
				generations.Add(1)
				loggedOut.Add(int64(attempts - won))
				if len(successors) != 1 {
					twice.Add(int64(max(0, len(successors)-1)))
					return
				}
				token = successors[0]
			}
		})
	}
	wg.Wait()
	nodesPromise(t, "generations raced, window 10 s (T2)", int(twice.Load()+loggedOut.Load()),
		"generations=%d attempts=%d, redeemed twice=%d honest clients logged out=%d",
		generations.Load(), attempts, twice.Load(), loggedOut.Load())
	if want := int64(perFamily * families); generations.Load() != want {
		t.Errorf("%d generations, want %d", generations.Load(), want)
	}

	// Without a window each race ends its family, so each generation is that of a sign-in of its own.
	generations.Store(0)
	twice.Store(0)
	var nobody atomic.Int64
	for range families {
		wg.Go(func() {
			for range perFamily {
				a, err := signIn(client, c.all[0].public, "strict", "carol", carolsPassword)
				token := a.tokens().Refresh
				if err != nil || token == "" {
					t.Errorf("a sign-in: %v, %v", a, err)
					return
				}
				won, _ := successorsIn(t, crowdOf(t, c, client, "strict", token, attempts))
				generations.Add(1)
				if twice.Add(int64(max(0, won-1))); won == 0 {
					nobody.Add(1)
				}
			}
		})
	}
	wg.Wait()
	nodesPromise(t, "generations raced, window 0 (T2)", int(twice.Load()+nobody.Load()),
		"generations=%d attempts=%d, redeemed twice=%d by nobody=%d",
		generations.Load(), attempts, twice.Load(), nobody.Load())
}

// Rows T15 and INV8: what one server counts, all count.
func TestGuessesOverThreeNodesAreCountedAsOne(t *testing.T) {
	const (
		accountBurst, addressBurst = 20, 30
		home                       = "198.51.100.7"
	)
	guesses := nodesFigure(500, 5_000)
	c := startNodes(t, 3, quickRedis(t), slices.Concat(quickHashes, []string{
		"INGAM_TRUSTED_PROXIES=127.0.0.1/32",
		fmt.Sprint("INGAM_GUESSES_ACCOUNT_BURST=", accountBurst), "INGAM_GUESSES_ACCOUNT_EVERY=24h",
		fmt.Sprint("INGAM_GUESSES_ADDRESS_BURST=", addressBurst), "INGAM_GUESSES_ADDRESS_EVERY=24h",
		"INGAM_GUESSES_SUSTAINED_BURST=100000",
	})...)
	c.furnish(t)
	client := nodesClient(t)
	guess := func(node int, username, password, from string) (answer, error) {
		return ask(client, "POST", c.all[node].public+"/oauth2/token", encode("grant_type", "password", "client_id", "cli",
			"username", username, "password", password), "Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-For", from)
	}
	if a := must(t)(guess(0, "carol", carolsPassword, home)); a.status != http.StatusOK {
		t.Fatalf("carol at home: %v", a)
	}
	for _, attack := range []struct {
		what  string
		limit int
		guess func(i int) (username, from string)
	}{
		{"at one account", accountBurst, func(i int) (string, string) { return "carol", fmt.Sprintf("203.0.%d.%d", i/250, i%250+1) }},
		{"from one address", addressBurst, func(i int) (string, string) { return fmt.Sprint("nobody", i), "192.0.2.66" }},
	} {
		var next, accepted, throttled atomic.Int64
		var wg sync.WaitGroup
		for range 24 {
			wg.Go(func() {
				for i := int(next.Add(1)); i <= guesses; i = int(next.Add(1)) {
					username, from := attack.guess(i)
					a, err := guess(i%len(c.all), username, fmt.Sprint("a wrong password ", i), from)
					switch {
					case err == nil && a.status == http.StatusBadRequest && a.tokens().Error == "invalid_grant":
						accepted.Add(1)
					case err == nil && a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") != "":
						throttled.Add(1)
					default:
						t.Errorf("%s: guess %d: %v, %v", attack.what, i, a, err)
						return
					}
				}
			})
		}
		wg.Wait()
		over := max(0, int(accepted.Load())-attack.limit-len(c.all))
		nodesPromise(t, "guesses "+attack.what+" (T15, INV8)", over, "guesses=%d over 3 nodes, accepted=%d limit=%d throttled=%d",
			guesses, accepted.Load(), attack.limit, throttled.Load())
		if int(accepted.Load()) < attack.limit {
			t.Errorf("%s: only %d guesses were accepted of a budget of %d", attack.what, accepted.Load(), attack.limit)
		}
	}
	for i, n := range c.all { // none of this stops carol where she has signed in before, and elsewhere it does
		if a := must(t)(guess(i, "carol", carolsPassword, home)); a.status != http.StatusOK {
			t.Errorf("carol at home at %s: %v", n.name, a)
		}
		if a := must(t)(guess(i, "carol", carolsPassword, "203.0.113.99")); a.status != http.StatusTooManyRequests {
			t.Errorf("carol elsewhere at %s: %v", n.name, a)
		}
		if strings.Contains(n.log(), "a wrong password") {
			t.Errorf("%s has logged a password", n.name)
		}
	}
}
