//go:build unix

package main

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// Rows S10 and S11: what one node has sent to Redis hangs in the network, and its client tries again at another node. Then
// the network delivers what it held back. It would look like a used token that somebody has stolen; but it says until when
// it was waited for, and Redis leaves it alone.
func TestARequestThatReachesRedisLateIsNoTheft(t *testing.T) {
	server := redistest.Start(t, redistest.AppendFsync("no"))
	proxy := redistest.NewProxy(t, server.Addr())
	c := planNodes(t, 2, server.Addr(), slices.Concat(quickHashes, manyGuesses)...)
	other, cutOff := c.all[0], c.all[1]
	cutOff.env = append(cutOff.env, "INGAM_STORAGE_REDIS_ADDRESSES="+proxy.Addr(), "INGAM_STORAGE_REDIS_TIMEOUT=300ms")
	c.initStore(t)
	c.start(t)
	c.furnish(t)
	other.cli(t, "", "client", "add", "brief", "--public", "--grant-type", "password,refresh_token", "--scope", "profile",
		"--refresh-grace", "500ms")
	client := nodesClient(t)
	next := func(clientID, token string) string {
		return must(t)(refresh(client, other.public, clientID, token)).tokens().Refresh
	}
	// The node has client, user and grant in its memory then, so that the first thing it sends is the redemption.
	warm := func(clientID string) (token string) {
		nodesWait(t, "the node that is to be cut off refreshes", patience, func() bool { // its timeout is short
			got := must(t)(signIn(client, cutOff.public, clientID, "carol", carolsPassword)).tokens()
			token = must(t)(refresh(client, cutOff.public, clientID, got.Refresh)).tokens().Refresh
			return token != ""
		})
		return token
	}
	for _, late := range []struct {
		what, client string
		meanwhile    func(retried string) (current string)
	}{
		{"within the window, the successor unused", "cli", func(retried string) string { return retried }},
		{"after the successor was used", "cli", func(retried string) string { return next("cli", retried) }},
		{"after the window", "brief", func(retried string) string {
			time.Sleep(600 * time.Millisecond) // the window is over by the clock of Redis, which is this machine's
			return retried
		}},
	} {
		rounds, loggedOut := nodesFigure(2, 20), 0
		for range rounds {
			first := warm(late.client)
			proxy.Stall()
			if a := must(t)(refresh(client, cutOff.public, late.client, first)); a.status != http.StatusServiceUnavailable {
				t.Fatalf("a node that does not reach Redis: %v", a)
			}
			retried := next(late.client, first)
			current := late.meanwhile(retried)
			if retried == "" || current == "" {
				t.Fatal("the node that reaches Redis does not refresh")
			}
			before := scriptsRun(t, server)
			proxy.Heal()
			nodesWait(t, "what was held back is run", patience, func() bool { return scriptsRun(t, server) > before })
			if next(late.client, current) == "" {
				loggedOut++
			}
			nodesWait(t, "the node reaches Redis", patience, cutOff.isReady)
		}
		nodesPromise(t, "late at Redis "+late.what+" (S10, S11)", loggedOut, "runs=%d honest clients logged out=%d", rounds, loggedOut)
	}
}

var evalshaCalls = regexp.MustCompile(`calls=(\d+)`)

// scriptsRun is how many scripts a server has run.
func scriptsRun(t *testing.T, server *redistest.Server) int {
	t.Helper()
	stats, err := server.Info(t.Context(), "commandstats")
	if err != nil {
		t.Fatal(err)
	}
	found := evalshaCalls.FindStringSubmatch(stats["cmdstat_evalsha"])
	if found == nil {
		return 0
	}
	calls, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return calls
}
