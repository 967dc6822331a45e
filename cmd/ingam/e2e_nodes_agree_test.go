//go:build unix

package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// freshness is ClientFreshness with room for a busy machine.
const freshness = storage.ClientFreshness + 500*time.Millisecond

// Row K4: of nodes that start at the same instant on a store without keys one makes them, and all take them.
func TestNodesThatStartAtTheSameInstantEndWithOneKeyRing(t *testing.T) {
	rounds := nodesFigure(2, 20)
	server := quickRedis(t)
	client := nodesClient(t)
	split, seen := 0, map[string]bool{}
	for round := range rounds {
		c := startNodes(t, 3, server, slices.Concat(quickHashes, []string{fmt.Sprintf("INGAM_STORAGE_REDIS_KEY_PREFIX=k%d:", round)})...)
		keys := must(t)(ask(client, "GET", c.all[0].public+"/.well-known/jwks.json", "")).body
		if strings.Count(keys, `"kid"`) != 1 {
			t.Errorf("a first ring with other than one key: %s", keys)
		}
		seen[keys] = true
		c.furnish(t)
		got := nodesSignIn(t, client, c.all[0].public, "cli")
		for _, n := range c.all {
			if now := must(t)(ask(client, "GET", n.public+"/.well-known/jwks.json", "")).body; now != keys {
				split++
				t.Errorf("%s publishes\n%s\nand node1\n%s", n.name, now, keys)
			}
			// The secret behind refresh tokens is in the ring too, and nobody publishes it.
			a := must(t)(refresh(client, n.public, "cli", got.Refresh))
			if a.status != http.StatusOK {
				split++
				t.Errorf("%s does not take the refresh token of another node: %v", n.name, a)
				continue
			}
			got = a.tokens()
		}
		for _, n := range c.all {
			n.kill()
		}
	}
	if len(seen) != rounds {
		t.Errorf("%d different rings in %d rounds: they were not made anew", len(seen), rounds)
	}
	nodesPromise(t, "one key ring (K4)", split, "%d times 3 nodes started at once,", rounds)
}

func TestThreeNodesOnOneRedisAreOneServer(t *testing.T) {
	c := startNodes(t, 3, quickRedis(t), slices.Concat(quickHashes, manyGuesses)...)
	secrets := c.furnish(t)
	client := nodesClient(t)
	t.Run("public documents are equal byte by byte", func(t *testing.T) {
		for _, path := range []string{
			"/.well-known/jwks.json", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
		} {
			first := must(t)(ask(client, "GET", c.all[0].public+path, ""))
			for _, n := range c.all[1:] {
				a := must(t)(ask(client, "GET", n.public+path, ""))
				if a.status != http.StatusOK || a.body != first.body || a.header.Get("ETag") != first.header.Get("ETag") {
					t.Errorf("%s: %s answers %v, node1 %v", path, n.name, a, first)
				}
			}
		}
	})
	t.Run("a change of a client counts elsewhere within the freshness of clients", func(t *testing.T) { clientChangesTravel(t, c, client) })
	t.Run("a user added at one signs in at another", func(t *testing.T) {
		if a := must(t)(signIn(client, c.all[1].public, "cli", "dave", carolsPassword)); a.tokens().Error != "invalid_grant" {
			t.Errorf("before: %v", a)
		}
		c.all[0].cli(t, carolsPassword, "user", "add", "dave", "--password-stdin")
		for _, n := range c.all {
			if a := must(t)(signIn(client, n.public, "cli", "dave", carolsPassword)); a.status != http.StatusOK {
				t.Errorf("%s: %v", n.name, a)
			}
		}
	})
	t.Run("a sign-in lives at all and dies at all", func(t *testing.T) { signInLivesAndDiesEverywhere(t, c, client, secrets) })
	t.Run("users are ended at all at once", func(t *testing.T) { usersEndEverywhere(t, c, client, secrets) })
	t.Run("a refresh token that is used again at another node ends the sign-in", func(t *testing.T) { reuseIsSeenAcrossNodes(t, c, client) })
}

// clientChangesTravel changes clients at the first node and looks from the others, which have them in memory.
func clientChangesTravel(t *testing.T, c *nodes, client *http.Client) {
	t.Helper()
	first, rest := c.all[0], c.all[1:]
	old := first.addWeb(t, "changing")
	works := func(n *serverNode, secret string) bool {
		a := must(t)(post(client, n.public+"/oauth2/token", "grant_type", "password", "username", "carol", "password", carolsPassword,
			"client_id", "changing", "client_secret", secret))
		switch {
		case a.status == http.StatusOK:
			return true
		case a.tokens().Error != "invalid_client":
			t.Errorf("%s: %v", n.name, a)
		}
		return false
	}
	for _, n := range c.all {
		if !works(n, old) {
			t.Fatalf("%s does not know a client that was just added", n.name)
		}
	}
	fresh := secretOf(t, first.cli(t, "", "client", "rotate-secret", "changing", "--overlap", "0s", "-o", "json"))
	changed := time.Now()
	if works(first, old) || !works(first, fresh) {
		t.Error("the node at which the secret was changed does not know it at once")
	}
	late := 0
	// The last question with a yes counts from when it was asked, however long a busy machine takes for the answer.
	worksFor := func(n *serverNode, secret string) (last time.Duration) {
		nodesWait(t, n.name+" refuses the secret", patience, func() bool {
			asked := time.Since(changed)
			if !works(n, secret) {
				return true
			}
			last = asked
			return false
		})
		return last
	}
	for _, n := range rest {
		if took := worksFor(n, old); took > freshness {
			late++
			t.Errorf("%s takes the old secret for %v", n.name, took)
		}
		if !works(n, fresh) {
			t.Errorf("%s refuses the old secret and the new one", n.name)
		}
	}
	took := time.Since(changed)
	first.cli(t, "", "client", "remove", "changing")
	changed = time.Now()
	if works(first, fresh) {
		t.Error("the node at which the client was removed serves it")
	}
	for _, n := range rest {
		if took := worksFor(n, fresh); took > freshness {
			late++
			t.Errorf("%s serves a removed client for %v", n.name, took)
		}
	}
	nodesPromise(t, "changes of clients", late, "a new secret counted at all after %v, a removal after %v, bound %v,",
		took.Round(time.Millisecond), time.Since(changed).Round(time.Millisecond), storage.ClientFreshness)
}

// everywhereDead counts the nodes that still take a refresh token or call an access token active.
func everywhereDead(t *testing.T, c *nodes, client *http.Client, secrets nodeSecrets, got issued) (alive int) {
	t.Helper()
	for _, n := range c.all {
		a := must(t)(askAbout(client, n.public, "introspect", "web", secrets.web, got.Access))
		if strings.TrimSpace(a.body) != `{"active":false}` {
			alive++
			t.Errorf("%s: introspection: %v", n.name, a)
		}
		if a := must(t)(refresh(client, n.public, "cli", got.Refresh)); a.tokens().Error != "invalid_grant" {
			alive++
			t.Errorf("%s: refresh: %v", n.name, a)
		}
	}
	return alive
}

// signInLivesAndDiesEverywhere: rows R10, INV5.
func signInLivesAndDiesEverywhere(t *testing.T, c *nodes, client *http.Client, secrets nodeSecrets) {
	t.Helper()
	alive, rounds := 0, nodesFigure(10, 500)
	for i := range rounds {
		one, two, three := c.all[i%3], c.all[(i+1)%3], c.all[(i+2)%3]
		first := nodesSignIn(t, client, one.public, "cli")
		a := must(t)(refresh(client, two.public, "cli", first.Refresh))
		got := a.tokens()
		if a.status != http.StatusOK {
			t.Fatalf("a sign-in at %s, refreshed at %s: %v", one.name, two.name, a)
		}
		for _, token := range []string{first.Access, got.Access} {
			a := must(t)(askAbout(client, three.public, "introspect", "web", secrets.web, token))
			if !strings.Contains(a.body, `"active":true`) || !strings.Contains(a.body, `"username":"carol"`) {
				t.Fatalf("introspected at %s: %v", three.name, a)
			}
		}
		if a := must(t)(post(client, three.public+"/oauth2/revoke", "client_id", "cli", "token", got.Refresh)); a.status != http.StatusOK {
			t.Fatalf("revoked at %s: %v", three.name, a)
		}
		alive += everywhereDead(t, c, client, secrets, got)
	}
	nodesPromise(t, "revoked at one, dead at all (R10, INV5)", alive, "%d sign-ins,", rounds)
}

// usersEndEverywhere: rows R10 and R14.
func usersEndEverywhere(t *testing.T, c *nodes, client *http.Client, secrets nodeSecrets) {
	t.Helper()
	alive := 0
	ends := []struct {
		what string
		end  func(n *serverNode)
		back func(n *serverNode)
	}{
		{"disabled", func(n *serverNode) { n.cli(t, "", "user", "disable", "carol") }, func(n *serverNode) {
			n.cli(t, "", "user", "enable", "carol")
		}},
		{"new password", func(n *serverNode) { n.cli(t, carolsPassword, "user", "passwd", "carol", "--password-stdin") }, func(*serverNode) {}},
		{"removed", func(n *serverNode) { n.cli(t, "", "user", "remove", "carol") }, func(n *serverNode) {
			n.cli(t, carolsPassword, "user", "add", "carol", "--password-stdin")
		}},
	}
	for i, e := range ends {
		before := make([]issued, len(c.all))
		for j, n := range c.all { // every node has the user in its memory, and a sign-in that it refreshed itself
			before[j] = must(t)(refresh(client, n.public, "cli", nodesSignIn(t, client, n.public, "cli").Refresh)).tokens()
			if before[j].Refresh == "" {
				t.Fatalf("%s: no refresh", n.name)
			}
		}
		e.end(c.all[i%len(c.all)])
		for _, got := range before {
			alive += everywhereDead(t, c, client, secrets, got)
		}
		e.back(c.all[(i+1)%len(c.all)])
		for _, got := range before { // what died stays dead
			alive += everywhereDead(t, c, client, secrets, got)
		}
		for _, n := range c.all {
			nodesSignIn(t, client, n.public, "cli")
		}
	}
	nodesPromise(t, "a user ended at one is ended at all (R10, R14)", alive,
		"%d ways, %d sign-ins each, asked at 3 nodes,", len(ends), len(c.all))
}

// reuseIsSeenAcrossNodes: row R6.
func reuseIsSeenAcrossNodes(t *testing.T, c *nodes, client *http.Client) {
	t.Helper()
	for _, clientID := range []string{"cli", "strict"} { // with a grace window, the successor has to be used first
		first := nodesSignIn(t, client, c.all[0].public, clientID)
		second := must(t)(refresh(client, c.all[1].public, clientID, first.Refresh)).tokens()
		third := must(t)(refresh(client, c.all[0].public, clientID, second.Refresh)).tokens()
		if third.Refresh == "" {
			t.Fatalf("%s: the honest client was stopped", clientID)
		}
		if a := must(t)(refresh(client, c.all[2].public, clientID, first.Refresh)); a.tokens().Error != "invalid_grant" {
			t.Errorf("%s: a used token at another node: %v", clientID, a)
		}
		for _, n := range c.all {
			if a := must(t)(refresh(client, n.public, clientID, third.Refresh)); a.tokens().Error != "invalid_grant" {
				t.Errorf("%s: the family lives at %s: %v", clientID, n.name, a)
			}
		}
	}
	if n := strings.Count(c.all[2].log(), "refresh.reused"); n != 2 {
		t.Errorf("%d audit events at the node that saw it, want 2", n)
	}
}
