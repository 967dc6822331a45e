//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// The e2e_nodes_*_test.go files run several `ingam serve` on one real Redis, and what an operator puts around them. Row
// ids (R5, T18, INV10 …) are those of the catalogue of threats. Every figure is logged in a line that begins with PROMISE.
// INGAM_FULL=1 asks for the figures of the plan instead of the short ones.

// nodes are servers that share one Redis, one master key and one issuer.
type nodes struct {
	all    []*serverNode
	issuer string // where a balancer is, if the test starts one
	front  net.Listener
}

// serverNode is one `ingam serve`. Its data folder (of the admin socket) and its ports outlive its processes.
type serverNode struct {
	*process
	name             string
	dir              string
	public, internal string // URLs
	env              []string
	past             strings.Builder // what earlier processes have logged
}

// nodesFigure is how often something is done.
func nodesFigure(short, full int) int {
	if os.Getenv("INGAM_FULL") == "1" {
		return full
	}
	return short
}

// nodesPromise logs what was measured, and fails the test if the promise was broken.
func nodesPromise(t testing.TB, what string, violations int, counts string, args ...any) {
	t.Helper()
	t.Logf("PROMISE nodes %s: %s violations=%d", what, fmt.Sprintf(counts, args...), violations)
	if violations != 0 {
		t.Errorf("%s: %d violations", what, violations)
	}
}

// nodesWait waits until the condition holds and returns how long that took.
func nodesWait(t testing.TB, what string, most time.Duration, condition func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !condition() {
		if time.Since(begin) > most {
			t.Fatalf("not within %v: %s", most, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(begin)
}

// stallMeter adds up how much too late this machine wakes who sleeps, as far as it is more than usual: that is nobody's
// fault but its own.
type stallMeter struct {
	mu    sync.Mutex
	begin time.Time // of the sleep that goes on
	sum   time.Duration
}

const stallTick, usualLag = 5 * time.Millisecond, 2 * time.Millisecond

func newStallMeter(t testing.TB) *stallMeter {
	t.Helper()
	m, stop := &stallMeter{begin: time.Now()}, make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(stallTick):
				m.mu.Lock()
				m.sum, m.begin = m.sum+m.late(), time.Now()
				m.mu.Unlock()
			}
		}
	}()
	return m
}

// late is by how much the sleep that goes on is too long already. The caller holds mu.
func (m *stallMeter) late() time.Duration { return max(0, time.Since(m.begin)-stallTick-usualLag) }

// total is the sum so far.
func (m *stallMeter) total() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum + m.late()
}

// startNodes sets the Redis at an address up and starts servers on it, all at the same moment.
func startNodes(t testing.TB, count int, redis string, env ...string) *nodes {
	t.Helper()
	c := planNodes(t, count, redis, env...)
	c.initStore(t)
	c.start(t)
	return c
}

// planNodes makes everything that servers need and starts none.
func planNodes(t testing.TB, count int, redis string, env ...string) *nodes {
	t.Helper()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &nodes{issuer: "http://" + front.Addr().String(), front: front}
	dir := t.TempDir()
	key := filepath.Join(dir, "master.key")
	if made := runProgram(nil, nodeProgram(t), "", "keys", "new-master-key", "--out", key); made.status != exitDone {
		t.Fatalf("new-master-key: %+v", made)
	}
	for i := range count {
		public, internal := nodeAddress(t), nodeAddress(t)
		n := &serverNode{
			name: fmt.Sprintf("node%d", i+1), dir: filepath.Join(dir, strconv.Itoa(i+1)),
			public: "http://" + public, internal: "http://" + internal,
		}
		n.env = append([]string{
			"INGAM_ISSUER=" + c.issuer, "INGAM_LISTEN=" + public, "INGAM_ADMIN_LISTEN=" + internal,
			"INGAM_KEYS_MASTER_KEY_FILE=" + key, "INGAM_DATA_DIR=" + n.dir,
			"INGAM_STORAGE_DRIVER=redis", "INGAM_STORAGE_REDIS_ADDRESSES=" + redis,
			"INGAM_STORAGE_REDIS_TIMEOUT=1s", // a busy machine is no fault; the tests of faults have the default
		}, env...)
		c.all = append(c.all, n)
	}
	t.Cleanup(func() {
		_ = front.Close() // a balancer may have closed it
		for _, n := range c.all {
			if n.process == nil {
				continue
			}
			n.kill()
			if t.Failed() {
				t.Logf("%s:\n%s", n.name, lastLines(n.log(), 12))
			}
		}
	})
	return c
}

// initStore runs `ingam store init`, as an operator does once.
func (c *nodes) initStore(t testing.TB) {
	t.Helper()
	if r := runProgram(c.all[0].env, nodeProgram(t), "", "store", "init"); r.status != exitDone {
		t.Fatalf("store init: %+v", r)
	}
}

// start starts all nodes at the same moment and waits until all are ready.
func (c *nodes) start(t testing.TB) {
	t.Helper()
	for _, n := range c.all {
		n.begin(t)
	}
	for _, n := range c.all {
		n.awaitReady(t)
	}
}

// begin starts a process.
func (n *serverNode) begin(t testing.TB) {
	t.Helper()
	if n.process != nil {
		n.past.WriteString(n.stderr.String())
	}
	p := &process{cmd: exec.Command(nodeProgram(t), "serve"), stdout: &syncBuffer{}, stderr: &syncBuffer{}, ended: make(chan struct{})}
	p.cmd.Dir = filepath.Dir(n.dir)
	p.cmd.Env = append(plainEnvironment(), n.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	p.cmd.SysProcAttr = nodeAttributes()
	if err := redistest.StartOnLastingThread(p.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState has the result
		close(p.ended)
	}()
	n.process = p
}

// awaitReady waits until the node says that it is ready.
func (n *serverNode) awaitReady(t testing.TB) {
	t.Helper()
	nodesWait(t, n.name+" is ready", patience, func() bool {
		select {
		case <-n.ended:
			t.Fatalf("%s ended with %d:\n%s", n.name, n.cmd.ProcessState.ExitCode(), lastLines(n.stderr.String(), 20))
		default:
		}
		return n.isReady()
	})
}

// probes has no connections that stay: a node that ends must not wait for them.
var probes = &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// isReady asks the node as a load balancer does.
func (n *serverNode) isReady() bool {
	a, err := ask(probes, http.MethodGet, n.internal+"/readyz", "")
	return err == nil && a.status == http.StatusOK
}

// log is what all processes of the node have logged.
func (n *serverNode) log() string { return n.past.String() + n.stderr.String() }

// cli runs a command that has to succeed, over the admin socket of the node.
func (n *serverNode) cli(t testing.TB, input string, args ...string) string {
	t.Helper()
	r := runProgram(nil, nodeProgram(t), input, append(args, "--data-dir", n.dir)...)
	if r.status != exitDone {
		t.Fatalf("%s: ingam %s: exit %d: %s", n.name, strings.Join(args, " "), r.status, r.stderr)
	}
	return r.stdout
}

// quickRedis never waits for a disk, for tests in which Redis loses nothing anyway: it is not killed.
func quickRedis(t testing.TB) string {
	t.Helper()
	return redistest.Start(t, redistest.AppendFsync("no")).Addr()
}

// nodeSecrets are the secrets of the clients that furnish makes.
type nodeSecrets struct{ web, service string }

// furnish adds carol and four clients, all at the first node: the public "cli", "strict" without a grace window, and the
// confidential "web", which may introspect for the API, and "service".
func (c *nodes) furnish(t testing.TB) (made nodeSecrets) {
	t.Helper()
	n := c.all[0]
	n.cli(t, carolsPassword, "user", "add", "carol", "--password-stdin")
	for _, id := range []string{"cli", "strict"} {
		args := []string{
			"client", "add", id, "--public", "--grant-type", "password,refresh_token", "--scope", "openid profile",
			"--default-scope", "profile", "--audience", apiAudience,
		}
		if id == "strict" {
			args = append(args, "--refresh-grace", "0s")
		}
		n.cli(t, "", args...)
	}
	made.web = n.addWeb(t, "web")
	made.service = secretOf(t, n.cli(t, "", "client", "add", "service", "--grant-type", "client_credentials", "--scope", "reports.read",
		"--audience", apiAudience, "-o", "json"))
	return made
}

// addWeb adds a confidential client and returns its secret.
func (n *serverNode) addWeb(t testing.TB, id string) string {
	t.Helper()
	return secretOf(t, n.cli(t, "", "client", "add", id, "--grant-type", "password,refresh_token", "--scope", "openid profile",
		"--audience", apiAudience, "--resource", apiAudience, "-o", "json"))
}

// secretOf is secretIn for every kind of test.
func secretOf(t testing.TB, stdout string) string {
	t.Helper()
	_, rest, found := strings.Cut(stdout, `"client_secret": "`)
	secret, _, closed := strings.Cut(rest, `"`)
	if !found || !closed || secret == "" {
		t.Fatalf("no client_secret in %s", stdout)
	}
	return secret
}

// nodesClient is an HTTP client with connections of its own, enough for a crowd.
func nodesClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// nodesSignIn signs carol in at a node, or ends the test.
func nodesSignIn(t testing.TB, client *http.Client, at, clientID string) issued {
	t.Helper()
	a, err := signIn(client, at, clientID, "carol", carolsPassword)
	if got := a.tokens(); err == nil && a.status == http.StatusOK && got.Refresh != "" {
		return got
	}
	t.Fatalf("carol signs in at %s: %v, %v", at, a, err)
	return issued{}
}

// askAbout is introspection or revocation (what) by a client with a secret.
func askAbout(client *http.Client, at, what, clientID, secret, token string) (answer, error) {
	return post(client, at+"/oauth2/"+what, "client_id", clientID, "client_secret", secret, "token", token)
}

// serviceToken is the client_credentials grant.
func serviceToken(client *http.Client, at, secret string) (answer, error) {
	return post(client, at+"/oauth2/token", "grant_type", "client_credentials", "client_id", "service", "client_secret", secret)
}

// nodeProgram is program for every kind of test.
func nodeProgram(t testing.TB) string {
	t.Helper()
	dir, err := buildPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "ingam")
}

// nodeAddress returns an address of this machine below the ports that systems give to outgoing connections, so that it
// is still free when a node that was killed starts again.
func nodeAddress(t testing.TB) string {
	t.Helper()
	var errs []error
	for range 50 {
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", 22_000+rand.IntN(10_000)))
		if err == nil {
			err = l.Close()
		}
		if err == nil {
			return l.Addr().String()
		}
		errs = append(errs, err)
	}
	t.Fatal(errors.Join(errs...))
	return ""
}
