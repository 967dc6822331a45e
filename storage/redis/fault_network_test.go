package redis

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// trouble is what a network does, with what must and what cannot come of it.
type trouble struct {
	name  string
	cause func(p *redistest.Proxy)
	// answers: some verbs get through; fails: some do not.
	answers, fails bool
}

func troubles() []trouble {
	return []trouble{
		{"latency 200 ms", func(p *redistest.Proxy) { p.Latency(100 * time.Millisecond) }, true, false},
		{"latency 2 s", func(p *redistest.Proxy) { p.Latency(time.Second) }, false, true},
		{"bandwidth", func(p *redistest.Proxy) { p.Bandwidth(2000) }, true, false},
		{"cut", func(p *redistest.Proxy) { p.Cut() }, false, true},
		{"cut to the server", func(p *redistest.Proxy) { p.Cut(redistest.ToServer) }, false, true},
		{"cut to the client", func(p *redistest.Proxy) { p.Cut(redistest.ToClient) }, false, true},
		{"stall", func(p *redistest.Proxy) { p.Stall() }, false, true},
		{"refuse", func(p *redistest.Proxy) { p.Refuse() }, false, true},
		{"reset", func(p *redistest.Proxy) { p.Reset() }, true, false},
		{"slicer", func(p *redistest.Proxy) { p.Slice(3, time.Millisecond) }, true, false},
		{"limit data", func(p *redistest.Proxy) { p.LimitData(150) }, true, true},
		{"reply cut", func(p *redistest.Proxy) { p.CutAfterReplies(7) }, true, true},
	}
}

// T9, S9, S10: whatever the network does, each verb ends in time with the right answer or a failure, and when the network is
// well again, so is the store.
func TestABadNetworkMakesFailuresInTimeAndNeverWrongAnswers(t *testing.T) {
	before := runtime.NumGoroutine()
	s := startShaky(t, 32)
	var all answers
	var slowest time.Duration
	afterwards, rounds := 0, figure(2, 64)
	for _, tr := range troubles() {
		var a, well answers
		var healed time.Duration
		missed := func() bool { return tr.answers && a.right == 0 || tr.fails && a.failed == 0 }
		for round := 0; round < rounds || missed() && round < manyCycles; round++ {
			list := s.probes(t, fmt.Sprint(tr.name, round))
			tr.cause(s.proxy)
			a.ask(t, s.cfg.Timeout, list)
			s.proxy.Heal()
			healed = max(healed, recovery(t, s.Store))
			// And all of it works, unless this machine stands still.
			before := well.failed
			lag := well.ask(t, s.cfg.Timeout, s.probes(t, fmt.Sprint(tr.name, round, " healed")))
			if failed := well.failed - before; failed > 0 && lag < 50*time.Millisecond {
				afterwards++
				t.Errorf("%s, healed: %d failures", tr.name, failed)
			}
		}
		t.Logf("%-20s right=%d failed=%d wrong=%d late=%d p99=%v recovery_max=%v failed_afterwards=%d", tr.name, a.right, a.failed,
			a.wrong, a.late, a.p99(), healed.Round(time.Millisecond), well.failed)
		if missed() {
			t.Errorf("%s: %d right, %d failed: not the trouble that was meant", tr.name, a.right, a.failed)
		}
		all.right, all.failed, all.wrong, all.late = all.right+a.right, all.failed+a.failed, all.wrong+a.wrong, all.late+a.late
		all.wrong, all.late = all.wrong+well.wrong, all.late+well.late
		all.took = append(all.took, a.took...)
		slowest = max(slowest, healed)
	}
	need(t, "close", errors.Join(s.Close(), s.aside.Close()))
	s.proxy.Close()
	eventually(t, "goroutines return to base", func() error {
		if now := runtime.NumGoroutine(); now > before+2 { // the server's client has some
			return fmt.Errorf("%d goroutines, %d before", now, before)
		}
		return nil
	})
	promised(t, "single", "network faults", all.wrong+all.late+afterwards+int(s.conns.open.Load()),
		"faults=%d verbs=%d right=%d failures=%d wrong=%d late=%d p99=%v connections_max=%d connections_left=%d failed_afterwards=%d "+
			"recovery_max=%v",
		len(troubles()), len(all.took), all.right, all.failed, all.wrong, all.late, all.p99(), s.conns.most.Load(),
		s.conns.open.Load(), afterwards, slowest.Round(time.Millisecond))
}

// S9, S10: a server that answers nothing costs each caller one timeout, and the process no more connections than the pool has.
func TestAServerThatHangsCostsOneTimeoutAndABoundedPool(t *testing.T) {
	const poolSize, callers = 16, 200
	s := startShaky(t, poolSize)
	for _, tr := range []trouble{
		{name: "cut", cause: func(p *redistest.Proxy) { p.Cut() }},
		{name: "stalled", cause: func(p *redistest.Proxy) { p.Stall() }},
	} {
		proxyAll := make([]probe, 0, callers)
		for i := 0; len(proxyAll) < callers; i++ {
			proxyAll = append(proxyAll, s.probes(t, fmt.Sprint(tr.name, i))...)
		}
		goroutines := runtime.NumGoroutine()
		tr.cause(s.proxy)
		var a answers
		a.ask(t, s.cfg.Timeout, proxyAll[:callers])
		s.proxy.Heal()
		again := recovery(t, s.Store)
		eventually(t, "goroutines return to base", func() error {
			now, conns := runtime.NumGoroutine(), s.conns.open.Load()
			if now > goroutines+5*poolSize || conns > poolSize { // five of the proxy for each connection
				return fmt.Errorf("%d goroutines, %d before; %d connections", now, goroutines, conns)
			}
			return nil
		})
		// The driver gives a place in the pool away a moment before it closes the connection that had it.
		promised(t, "single", "server hangs ("+tr.name+")", a.late+a.wrong+max(0, int(s.conns.most.Load())-2*poolSize),
			"callers=%d failures=%d late=%d p99=%v pool=%d connections_max=%d recovery=%v", callers, a.failed, a.late, a.p99(),
			poolSize, s.conns.most.Load(), again.Round(time.Millisecond))
		if a.failed != callers {
			t.Errorf("%d of %d callers got an answer from a server that hangs", callers-a.failed, callers)
		}
	}
}

// A server that is there again is used within a second or so, though the driver, after as many refused connections as its
// pool has places, tries only once in a second.
func TestAServerThatRefusedForLongIsUsedAgainSoon(t *testing.T) {
	s := startShaky(t, DefaultPoolSize)
	s.proxy.Refuse()
	refused := 0
	for range 300 {
		if err := s.Ping(t.Context()); err == nil || strings.Contains(err.Error(), "no longer holds") {
			t.Fatalf("a server that is not there: %v", err)
		}
		refused++
	}
	s.proxy.Heal()
	stalled := stalls()
	again := recovery(t, s.Store)
	late := 0
	if again > 1500*time.Millisecond+stalled() {
		late = 1
	}
	promised(t, "single", "server comes back", late, "refused=%d recovery=%v", refused, again.Round(time.Millisecond))
}

// S10, R15: a request that its caller has given up may be run later all the same, after the caller has tried again. Within the
// window that logs nobody out; without one (0) it can, which is counted here and no promise.
func TestARequestThatIsRunLateLogsNobodyOutWithinTheWindow(t *testing.T) {
	server := redistest.Start(t, redistest.AppendFsync("no"))
	s := open(t, Config{Addresses: []string{server.Addr()}, Timeout: DefaultTimeout})
	aside := reopen(t, Config{Addresses: []string{server.Addr()}}) // has more time
	u := aUser(t, aside, "u")
	late := map[time.Duration]int{}
	rounds := figure(2, 50)
	for round := range rounds {
		for _, window := range []time.Duration{0, 10 * time.Second} {
			id := fmt.Sprint("late", round, window)
			need(t, "create a grant", aside.CreateGrant(t.Context(), aGrant(id, u, 1)))
			ask := func(attempt string) (storage.Outcome, storage.Grant, error) {
				r := aRotation(id, u, 1, attempt)
				r.Grace = window
				return s.Rotate(t.Context(), r)
			}
			need(t, "pause", server.Pause())
			if _, _, err := ask("first"); !storage.IsFailure(err) {
				t.Errorf("a server that hangs: %v", err)
			}
			need(t, "resume", server.Resume()) // and what it was sent is run now, or after what comes next
			var outcome storage.Outcome
			var g storage.Grant
			eventually(t, "an answer", func() (err error) { outcome, g, err = ask("second"); return err })
			if window > 0 && (!success(outcome) || g.Generation != 2) {
				t.Errorf("asked again within the window: %v, generation %d", outcome, g.Generation)
			}
			if g, err := aside.Grant(t.Context(), id); err != nil || g.Revoked {
				late[window]++
			}
		}
	}
	promised(t, "single", "request run late", late[10*time.Second], "runs=%d logged_out=%d logged_out_with_window_0=%d", rounds,
		late[10*time.Second], late[0])
}

// S6, T9: a Redis that was restarted has ended all connections. The driver sees that before it uses one; not so under TLS,
// where each connection of the pool fails one request. That is counted, and no promise but this: not more than that.
func TestConnectionsThatARestartHasEndedFailAtMostOneRequestEach(t *testing.T) {
	for _, on := range []struct {
		topology string
		options  []redistest.Option
	}{{"single", nil}, {"single-tls", []redistest.Option{redistest.TLS()}}} {
		server := redistest.Start(t, append(on.options, redistest.AppendFsync("everysec"))...)
		s := open(t, Config{Addresses: []string{server.Addr()}, TLS: server.TLSConfig()})
		pooled := 0
		for n := 0; pooled < 2 && n < manyCycles; n++ { // a busy machine may let one after the other go
			parallel(100, func(int) {
				if err := s.Ping(t.Context()); err != nil {
					t.Error(err)
				}
			})
			pooled = int(s.client.PoolStats().IdleConns)
		}
		need(t, "restart", server.Restart())
		failed := 0
		for range 2 * pooled {
			if s.Ping(t.Context()) != nil {
				failed++
			}
		}
		tolerated := 0
		if s.cfg.TLS != nil {
			tolerated = pooled
		}
		promised(t, on.topology, "connections ended by a restart", max(0, failed-tolerated), "connections=%d failed=%d", pooled, failed)
		if pooled < 2 {
			t.Errorf("%d connections: this test proves nothing", pooled)
		}
	}
}
