//go:build unix

package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// Row S17.
func TestAnEmptiedRedisIsNoticedAndNeverTakenForANewServer(t *testing.T) {
	server := redistest.Start(t)
	c := startNodes(t, 2, server.Addr(), slices.Concat(quickHashes, manyGuesses)...)
	c.furnish(t)
	client := nodesClient(t)
	keys := must(t)(ask(client, "GET", c.all[0].public+"/.well-known/jwks.json", "")).body
	got := nodesSignIn(t, client, c.all[0].public, "cli")
	rings := func() int64 { return server.Client().Exists(t.Context(), "ingam:ring").Val() }
	if rings() != 1 {
		t.Fatal("the key ring is not where it is looked for below")
	}
	if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	assertLost := func(when string) {
		t.Helper()
		for _, n := range c.all {
			if n.isReady() {
				t.Errorf("%s: %s is ready", when, n.name)
			}
			for what, a := range map[string]answer{
				"sign-in": must(t)(signIn(client, n.public, "cli", "carol", carolsPassword)),
				"refresh": must(t)(refresh(client, n.public, "cli", got.Refresh)),
			} {
				// "Unknown client" or "wrong token" would make honest clients throw away what a backup brings back (INV10).
				if a.status != http.StatusServiceUnavailable {
					t.Errorf("%s: %s: %s: %v, want 503", when, n.name, what, a)
				}
			}
			a := must(t)(ask(client, "GET", n.public+"/.well-known/jwks.json", ""))
			if a.body != keys {
				t.Errorf("%s: %s has another identity: %v", when, n.name, a)
			}
			if !strings.Contains(n.log(), `"msg":"not ready"`) || !strings.Contains(n.log(), "no longer holds the data") {
				t.Errorf("%s: %s does not say why", when, n.name)
			}
		}
	}
	assertLost("emptied")
	if rings() != 0 {
		t.Error("somebody has stored a key ring")
	}

	// A restart is refused, with what to do.
	if status := c.all[0].terminate(t); status != exitDone {
		t.Errorf("exit %d", status)
	}
	c.all[0].begin(t)
	if status := c.all[0].exit(t); status != exitFailed || !strings.Contains(c.all[0].stderr.String(), "ingam store init") ||
		!strings.Contains(c.all[0].stderr.String(), "ingam store restore") {
		t.Errorf("exit %d, %s", status, c.all[0].stderr)
	}
	// Somebody follows the hint without thinking: who was running before is still not part of the new store.
	c.initStore(t)
	c.all = c.all[1:]
	assertLost("set up anew")
	// A restart is the decision of an operator, and then it is another server.
	if status := c.all[0].terminate(t); status != exitDone {
		t.Errorf("exit %d", status)
	}
	c.all[0].begin(t)
	c.all[0].awaitReady(t)
	if now := must(t)(ask(client, "GET", c.all[0].public+"/.well-known/jwks.json", "")).body; now == keys {
		t.Error("the keys are back: where were they?")
	}
}
