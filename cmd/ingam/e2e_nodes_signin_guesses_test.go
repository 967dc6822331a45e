//go:build unix

package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// Rows L4, L7 and INV8 at the sign-in page: what one server counts, all count, and the page counts what the token endpoint
// counts.
func TestGuessesAtTheSignInPagesOfThreeNodesAreCountedAsOne(t *testing.T) {
	const (
		accountBurst, addressBurst = 20, 30
		home, elsewhere            = "198.51.100.7", "203.0.113.99"
	)
	guesses := nodesFigure(200, 2_000)
	c := startNodes(t, 3, quickRedis(t), slices.Concat(quickHashes, []string{
		"INGAM_TRUSTED_PROXIES=127.0.0.1/32",
		fmt.Sprint("INGAM_GUESSES_ACCOUNT_BURST=", accountBurst), "INGAM_GUESSES_ACCOUNT_EVERY=24h",
		fmt.Sprint("INGAM_GUESSES_ADDRESS_BURST=", addressBurst), "INGAM_GUESSES_ADDRESS_EVERY=24h",
		"INGAM_GUESSES_SUSTAINED_BURST=100000",
	})...)
	c.furnish(t)
	client := nodesClient(t)
	signInFrom := func(n *serverNode, from, password string) nodesPage {
		b := c.browser(t).at(n)
		b.from = from
		return mustPage(t)(b.submit(mustPage(t)(b.open("/login")), "/login", "username", "carol", "password", password))
	}
	if pg := signInFrom(c.all[0], home, carolsPassword); pg.at != "/account" || pg.status != http.StatusOK {
		t.Fatalf("carol at home: at %s: %v", pg.at, pg.answer)
	}
	for _, attack := range []struct {
		what  string
		limit int
		guess func(i int) (username, from string)
	}{
		{"at one account (L7)", accountBurst, func(i int) (string, string) { return "carol", fmt.Sprintf("203.0.%d.%d", i/250, i%250+1) }},
		{"from one address (L4)", addressBurst, func(i int) (string, string) { return fmt.Sprint("nobody", i), "192.0.2.66" }},
	} {
		accepted, throttled := guessAtPages(t, c, guesses, attack.guess)
		over := max(0, accepted-attack.limit-len(c.all))
		nodesPromise(t, "guesses at the sign-in page "+attack.what, over, "guesses=%d over 3 nodes, accepted=%d limit=%d throttled=%d",
			guesses, accepted, attack.limit, throttled)
		if accepted < attack.limit {
			t.Errorf("%s: only %d guesses were accepted of a budget of %d", attack.what, accepted, attack.limit)
		}
	}
	for _, n := range c.all { // none of this stops carol where she has signed in before, and elsewhere it does
		if pg := signInFrom(n, home, carolsPassword); pg.at != "/account" || pg.status != http.StatusOK {
			t.Errorf("carol at home at %s: at %s: %v", n.name, pg.at, pg.answer)
		}
		if pg := signInFrom(n, elsewhere, carolsPassword); pg.status != http.StatusTooManyRequests {
			t.Errorf("carol elsewhere at %s: at %s: %v", n.name, pg.at, pg.answer)
		}
		a := must(t)(ask(client, http.MethodPost, n.public+"/oauth2/token", encode("grant_type", "password", "client_id", "cli",
			"username", "carol", "password", carolsPassword), "Content-Type", "application/x-www-form-urlencoded", "X-Forwarded-For", elsewhere))
		if a.status != http.StatusTooManyRequests {
			t.Errorf("the token endpoint of %s has not counted what the pages have: %v", n.name, a)
		}
		if strings.Contains(n.log(), "a wrong password") {
			t.Errorf("%s has logged a password", n.name)
		}
	}
}

// guessAtPages guesses in 24 browsers at once, each guess at the next node.
func guessAtPages(t *testing.T, c *nodes, guesses int, guess func(i int) (username, from string)) (accepted, throttled int) {
	t.Helper()
	var next, wrong, tooMany atomic.Int64
	allAtOnce(24, func(int) error {
		b := c.browser(t)
		pg, err := b.open("/login")
		for i := int(next.Add(1)); err == nil && i <= guesses; i = int(next.Add(1)) {
			username, from := guess(i)
			b.from = from
			var said nodesPage
			said, err = b.at(c.all[i%len(c.all)]).submit(pg, "/login", "username", username, "password", fmt.Sprint("a wrong password ", i))
			switch {
			case err == nil && said.status == http.StatusUnauthorized:
				wrong.Add(1)
			case err == nil && said.status == http.StatusTooManyRequests && said.header.Get("Retry-After") != "":
				tooMany.Add(1)
			default:
				t.Errorf("guess %d: %v, %v", i, said.answer, err)
				return err
			}
		}
		return err
	})
	return int(wrong.Load()), int(tooMany.Load())
}
