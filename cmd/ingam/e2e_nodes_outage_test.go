//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

const (
	answerWithin = 1500 * time.Millisecond // the promise
	busyMargin   = 500 * time.Millisecond  // what the machine that runs tests may add, besides what it stalls
	outagePool   = 8                       // connections of each node to Redis
)

// outage is two nodes whose way to Redis goes through a proxy, and what their clients hold.
type outage struct {
	*nodes
	server  *redistest.Server
	proxy   *redistest.Proxy
	client  *http.Client
	stalls  *stallMeter
	secrets nodeSecrets
	access  string // of the client web
	refresh string // of the client web, from before
	doomed  string // a refresh token of web that is revoked meanwhile

	slowest atomic.Int64 // nanoseconds, of all that was asked
	lies    atomic.Int64 // answers that say what nobody can know
	late    atomic.Int64
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{server: redistest.Start(t), stalls: newStallMeter(t)}
	o.proxy = redistest.NewProxy(t, o.server.Addr())
	o.nodes = startNodes(t, 2, o.proxy.Addr(), slices.Concat(quickHashes, manyGuesses, []string{
		fmt.Sprint("INGAM_STORAGE_REDIS_POOL_SIZE=", outagePool),
		"INGAM_TOKENS_REFRESH_GRACE=2m", // an outage lasts longer than a lost answer
	})...)
	o.secrets = o.furnish(t)
	for _, n := range o.all { // only now, so that a busy machine makes what is needed
		n.kill()
		n.env = append(n.env, "INGAM_STORAGE_REDIS_TIMEOUT=300ms")
	}
	o.start(t)
	o.client = nodesClient(t)
	o.access, o.refresh = o.webSignIn(t)
	_, o.doomed = o.webSignIn(t)
	return o
}

// webSignIn waits for a store that may just have come back: bookkeeping after a password may still fail.
func (o *outage) webSignIn(t *testing.T) (access, refresh string) {
	t.Helper()
	nodesWait(t, "carol signs in", patience, func() bool {
		a := must(t)(post(o.client, o.all[0].public+"/oauth2/token", "grant_type", "password", "client_id", "web",
			"client_secret", o.secrets.web, "username", "carol", "password", carolsPassword))
		access, refresh = a.tokens().Access, a.tokens().Refresh
		return refresh != ""
	})
	return access, refresh
}

// refreshAt presents the refresh token of web.
func (o *outage) refreshAt(n *serverNode) (answer, error) {
	return post(o.client, n.public+"/oauth2/token", "grant_type", "refresh_token", "client_id", "web", "client_secret", o.secrets.web,
		"refresh_token", o.refresh)
}

// timed notes how long an answer took.
func (o *outage) timed(t *testing.T, what string, send func() (answer, error)) answer {
	t.Helper()
	begin, stalled := time.Now(), o.stalls.total()
	a, err := send()
	took := time.Since(begin)
	stalled = o.stalls.total() - stalled
	if err != nil {
		o.lies.Add(1)
		t.Errorf("%s: no answer: %v", what, err)
	}
	if took > answerWithin+busyMargin+stalled {
		o.late.Add(1)
		t.Errorf("%s: answered after %v (the machine stalled for %v)", what, took, stalled)
	}
	for slowest := o.slowest.Load(); int64(took) > slowest && !o.slowest.CompareAndSwap(slowest, int64(took)); {
		slowest = o.slowest.Load()
	}
	return a
}

// unknown wants the answer of a server that cannot know (INV10).
func (o *outage) unknown(t *testing.T, what string, a answer) {
	t.Helper()
	var said struct {
		Error string `json:"error"`
	}
	err := json.Unmarshal([]byte(a.body), &said)
	if a.status != http.StatusServiceUnavailable || err != nil || said.Error != "temporarily_unavailable" ||
		a.header.Get("Retry-After") == "" || !strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		o.lies.Add(1)
		t.Errorf("%s: %v, Retry-After %q", what, a, a.header.Get("Retry-After"))
	}
}

// assertAway asks a node for everything, once, while its Redis is away.
func (o *outage) assertAway(t *testing.T, n *serverNode) {
	t.Helper()
	asks := map[string]func() (answer, error){
		"refresh":          func() (answer, error) { return o.refreshAt(n) },
		"password":         func() (answer, error) { return signIn(o.client, n.public, "cli", "carol", carolsPassword) },
		"a wrong password": func() (answer, error) { return signIn(o.client, n.public, "cli", "carol", "wrong") },
		"introspect": func() (answer, error) {
			return askAbout(o.client, n.public, "introspect", "web", o.secrets.web, o.access)
		},
		"introspect refresh": func() (answer, error) {
			return askAbout(o.client, n.public, "introspect", "web", o.secrets.web, o.refresh)
		},
		"revoke": func() (answer, error) { return askAbout(o.client, n.public, "revoke", "web", o.secrets.web, o.doomed) },
	}
	var wg sync.WaitGroup
	for what, send := range asks {
		wg.Go(func() { o.unknown(t, n.name+": "+what, o.timed(t, what, send)) })
	}
	for url, status := range map[string]int{
		n.public + "/.well-known/jwks.json": http.StatusOK, n.public + "/.well-known/openid-configuration": http.StatusOK,
		n.internal + "/healthz": http.StatusOK, n.internal + "/readyz": http.StatusServiceUnavailable,
	} {
		wg.Go(func() {
			a := o.timed(t, url, func() (answer, error) { return ask(o.client, "GET", url, "") })
			if a.status != status {
				o.lies.Add(1)
				t.Errorf("%s: %v, want %d", url, a, status)
			}
		})
	}
	wg.Wait()
	// A token from before is as good as it was: nobody has to ask us for that. One for a client alone needs nothing but the
	// client, which may come from memory for a while; afterwards nobody knows whether it is still registered.
	a := o.timed(t, "client_credentials", func() (answer, error) { return serviceToken(o.client, n.public, o.secrets.service) })
	if a.status != http.StatusOK {
		o.unknown(t, n.name+": client_credentials", a)
	}
}

// assertBack wants both nodes to work within two seconds, without a restart and with the refresh token from before, which
// has one successor however often it was asked for.
func (o *outage) assertBack(t *testing.T) (slowest time.Duration) {
	t.Helper()
	begin, stalled, successor := time.Now(), o.stalls.total(), ""
	for _, n := range o.all {
		nodesWait(t, n.name+" refreshes", patience, func() bool {
			a := must(t)(o.refreshAt(n))
			if a.status == http.StatusServiceUnavailable {
				return false
			}
			next := a.tokens().Refresh
			if next == "" || successor != "" && next != successor {
				t.Fatalf("%s: a refresh token from before: %v, and elsewhere %q", n.name, a, successor)
			}
			successor = next
			return true
		})
		nodesWait(t, n.name+" is ready", patience, n.isReady)
		slowest = time.Since(begin)
	}
	if stalled = o.stalls.total() - stalled; slowest > 2*time.Second+busyMargin+stalled {
		o.late.Add(1)
		t.Errorf("back after %v (the machine stalled for %v)", slowest, stalled)
	}
	return slowest
}

// Rows S9, S10 and INV10, and S6 for the Redis that is killed.
func TestWhileRedisIsAwayNodesSayThatTheyCannotKnowAndComeBackByThemselves(t *testing.T) {
	o := newOutage(t)
	rounds := nodesFigure(1, 10)
	for _, fault := range []struct {
		name       string
		begin, end func() error
	}{
		{"killed", o.server.Kill, o.server.Restart},
		{"hangs", o.server.Pause, o.server.Resume},
		{"swallowed by the network", func() error { o.proxy.Cut(); return nil }, func() error { o.proxy.Heal(); return nil }},
		{"refuses connections", func() error { o.proxy.Refuse(); return nil }, func() error { o.proxy.Heal(); return nil }},
		{"2 s away", func() error { o.proxy.Latency(time.Second); return nil }, func() error { o.proxy.Heal(); return nil }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			o.slowest.Store(0)
			o.lies.Store(0)
			o.late.Store(0)
			var back time.Duration
			for range rounds {
				o.access, o.refresh = o.webSignIn(t)
				if err := fault.begin(); err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for _, n := range o.all {
					wg.Go(func() {
						o.assertAway(t, n) // it finds connections that were good, and then none
						o.assertAway(t, n)
					})
				}
				wg.Wait()
				if err := fault.end(); err != nil {
					t.Fatal(err)
				}
				back = max(back, o.assertBack(t))
				o.assertNothingLost(t)
			}
			nodesPromise(t, "Redis "+fault.name+" (S9, S10, INV10)", int(o.lies.Load()+o.late.Load()),
				"%d outages, slowest answer %v, works again after %v, lies=%d late=%d", rounds,
				time.Duration(o.slowest.Load()).Round(time.Millisecond), back.Round(time.Millisecond), o.lies.Load(), o.late.Load())
		})
	}
	// A client that is not asked for is forgotten while Redis is away, instead of being trusted for ever.
	o.proxy.Cut()
	time.Sleep(storage.ClientFreshness)
	for _, n := range o.all {
		a := must(t)(serviceToken(o.client, n.public, o.secrets.service))
		o.unknown(t, n.name+": client_credentials for a client that may have been removed", a)
	}
	o.proxy.Heal()
	o.assertBack(t)
}

// settled asks until the answer is not 503: on a busy machine a node that is well again may miss its timeout.
func (o *outage) settled(t *testing.T, what string, send func() (answer, error)) (a answer) {
	t.Helper()
	nodesWait(t, what, patience, func() bool {
		a = must(t)(send())
		return a.status != http.StatusServiceUnavailable
	})
	return a
}

// assertNothingLost looks for users and clients, and ends what was to be revoked.
func (o *outage) assertNothingLost(t *testing.T) {
	t.Helper()
	for _, n := range o.all {
		a := o.settled(t, "client_credentials", func() (answer, error) { return serviceToken(o.client, n.public, o.secrets.service) })
		if a.status != http.StatusOK {
			t.Errorf("%s: client_credentials: %v", n.name, a)
		}
	}
	// What was answered 503 may have happened; asking again settles it (RFC 7009 §2.2.1).
	about := func(n *serverNode, what string) answer {
		return o.settled(t, what, func() (answer, error) {
			return askAbout(o.client, n.public, what, "web", o.secrets.web, o.doomed)
		})
	}
	if a := about(o.all[0], "revoke"); a.status != http.StatusOK {
		t.Errorf("revoke: %v", a)
	}
	a := about(o.all[1], "introspect")
	if strings.TrimSpace(a.body) != `{"active":false}` {
		t.Errorf("a token that was revoked at the other node: %v", a)
	}
	_, o.doomed = o.webSignIn(t)
}
