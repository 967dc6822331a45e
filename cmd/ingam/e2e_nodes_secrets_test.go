//go:build unix

package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// Rows T19 and G1 (S20 beside them: all runs as the documented ACL user). With log level debug and behind a balancer, after
// a flow that shows every kind of secret in right and in wrong places, none of them is in what Redis was told, keeps or
// logs, nor in what two nodes say.
func TestNoSecretIsInRedisOrInTheOutputOfNodes(t *testing.T) {
	c := canaries{}
	redis := redistest.Start(t, redistest.ACLFile("user default off\n"+documentedUser(t, c.make("the Redis password"))))
	dir := t.TempDir()
	adminToken, redisPassword := filepath.Join(dir, "admin.token"), filepath.Join(dir, "redis.password")
	writeFile(t, adminToken, c.make("the admin token"))
	writeFile(t, redisPassword, c["the Redis password"])
	monitor := startMonitor(t, redis)
	pair := startNodes(t, 2, redis.Addr(), slices.Concat(quickHashes, manyGuesses, []string{
		"INGAM_LOG_LEVEL=debug", "INGAM_FIRST_PARTY_CLIENT=cli", "INGAM_ADMIN_TOKEN_FILE=" + adminToken,
		"INGAM_STORAGE_REDIS_USERNAME=ingam", "INGAM_STORAGE_REDIS_PASSWORD_FILE=" + redisPassword,
	})...)
	pair.balance(t)
	node := pair.all[0]
	master, err := os.ReadFile(filepath.Join(filepath.Dir(node.dir), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	c["the master key"] = strings.TrimSpace(string(master))
	outputs := map[string]string{}
	api, at := spawnResource(t, pair.issuer, apiAudience, "--log-level", "debug")

	node.cli(t, c.make("the first password"), "user", "add", "carol", "--password-stdin")
	password := c.make("the password")
	node.cli(t, password, "user", "passwd", "carol", "--password-stdin")
	node.cli(t, "", "client", "add", "cli", "--public", "--grant-type", "password,refresh_token", "--scope", "openid profile",
		"--default-scope", "profile", "--audience", apiAudience)
	c["the first client secret"] = node.addWeb(t, "web")
	c["the client secret"] = secretOf(t, node.cli(t, "", "client", "rotate-secret", "web", "-o", "json"))
	outputs["ingam list"] = node.cli(t, "", "user", "list", "-o", "json") + node.cli(t, "", "client", "show", "web", "-o", "json")
	for _, command := range []string{"doctor", "init"} { // init fails: that was done
		r := runProgram(node.env, nodeProgram(t), "", "store", command)
		outputs["ingam store "+command] = r.stdout + r.stderr
	}
	wrong := slices.Concat(node.env, []string{
		"INGAM_STORAGE_REDIS_PASSWORD_FILE=", "INGAM_STORAGE_REDIS_PASSWORD=" + c.make("a wrong Redis password"),
	})
	r := runProgram(wrong, nodeProgram(t), "", "store", "doctor")
	if outputs["ingam store doctor with a wrong password"] = r.stdout + r.stderr; r.status != exitFailed {
		t.Errorf("a wrong password: %+v", r)
	}

	// Once at each node, and once from one to the other.
	for where, url := range map[string]string{"node1": pair.all[0].public, "node2": pair.all[1].public, "both": pair.issuer} {
		flow := maps.Clone(c)
		flow.showEverything(t, &server{process: node.process, issuer: url, internal: strings.TrimPrefix(node.internal, "http://")}, at, password)
		for what, secret := range flow {
			if c[what] != secret {
				c[what+" at "+where] = secret
			}
		}
	}
	for _, n := range pair.all {
		assertArgumentsHold(t, n.process, c)
		if status := n.terminate(t); status != exitDone {
			t.Errorf("exit %d", status)
		}
		outputs[n.name] = n.log() + n.stdout.String()
	}
	outputs["the resource server"] = api.stderr.String()
	commands := monitor(t)
	outputs["the log of Redis"] = redis.Log()
	readFolder(t, filepath.Join(redis.Dir(), "appendonlydir"), outputs)
	for what, secret := range maps.Clone(c) { // usernames are looked for in lower case
		if strings.HasPrefix(what, "a password typed as the username") {
			c[what+", in lower case"] = strings.ToLower(secret)
		}
	}
	hits := countFailures(t, func() {
		assertNowhere(t, c, outputs)
		assertNowhere(t, c.withoutNames(), map[string]string{"MONITOR": commands})
	})
	nodesPromise(t, "canary secrets (T19, G1)", hits,
		"secrets=%d in %d outputs, MONITOR of %d KiB,", len(c), len(outputs)+1, len(commands)>>10)
	// The search does find what is there.
	for where, what := range map[string]string{
		"node1": `"username":"carol"`, "node2": `"username":"carol"`, "appendonly.aof.1.incr.aof": "carol",
		"ingam list": "carol", "ingam store doctor": "maxmemory-policy", "ingam store doctor with a wrong password": "WRONGPASS",
	} {
		if !strings.Contains(outputs[where], what) {
			t.Errorf("%s is not in %s: what was searched?", what, where)
		}
	}
	if !strings.Contains(commands, `"EVALSHA"`) || !strings.Contains(commands, `"ingam:{users}:name:carol"`) {
		t.Errorf("MONITOR has not seen the nodes: %.500s", commands)
	}
}

// withoutNames leaves out what was typed where a name belongs. Redis is asked by that name whether there is such a client or
// user, in plain text; it keeps nothing of it, which the search through its files shows.
func (c canaries) withoutNames() canaries {
	rest := canaries{}
	for what, secret := range c {
		if !strings.HasPrefix(what, "a secret typed as the client_id") && !strings.HasPrefix(what, "a password typed as the username") {
			rest[what] = secret
		}
	}
	return rest
}

// countFailures runs checks and tells whether they failed; how often is in the log of the test.
func countFailures(t *testing.T, checks func()) int {
	t.Helper()
	before := t.Failed()
	if checks(); t.Failed() && !before {
		return 1
	}
	return 0
}

// documentedUser is the user of storage/redis/acl.txt with a password. WAITAOF is left out: servers before 7.2 take no rule
// for a command that they do not have, and durability local does not use it.
func documentedUser(t *testing.T, password string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "storage", "redis", "acl.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "user ingam ") && strings.Contains(line, " >CHANGE-ME ") {
			return strings.NewReplacer("CHANGE-ME", password, " +waitaof", "").Replace(strings.TrimSpace(line))
		}
	}
	t.Fatalf("no user in\n%s", text)
	return ""
}

// startMonitor records every command that Redis is told. The function that it returns ends that and has them all.
func startMonitor(t *testing.T, server *redistest.Server) func(t *testing.T) string {
	t.Helper()
	o := server.Options()
	conn, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it was only read
	var recorded syncBuffer
	go func() { _, _ = io.Copy(&recorded, conn) }() // until it is closed
	if _, err := fmt.Fprintf(conn, "AUTH %s %s\r\nMONITOR\r\n", o.Username, o.Password); err != nil {
		t.Fatal(err)
	}
	nodesWait(t, "MONITOR begins", patience, func() bool { return strings.HasPrefix(recorded.String(), "+OK\r\n+OK\r\n") })
	return func(t *testing.T) string {
		t.Helper()
		last := rand.Text()
		if err := server.Client().Echo(t.Context(), last).Err(); err != nil {
			t.Fatal(err)
		}
		nodesWait(t, "MONITOR has everything", patience, func() bool { return strings.Contains(recorded.String(), last) })
		return recorded.String()
	}
}
