package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// slack is how much longer than its timeout a verb may take: the machine has other things to do, too.
const slack = 100 * time.Millisecond

// shaky is a server behind a proxy, with a store that goes through it, and one beside it that makes what is asked for.
type shaky struct {
	*Store
	proxy *redistest.Proxy
	aside *Store
	conns gauge
}

func startShaky(t testing.TB, poolSize int) *shaky {
	t.Helper()
	server := redistest.Start(t, redistest.AppendFsync("no")) // time is measured here, not the disk
	s := &shaky{proxy: redistest.NewProxy(t, server.Addr())}
	s.aside = open(t, Config{Addresses: []string{server.Addr()}})
	s.Store = reopen(t, Config{Addresses: []string{s.proxy.Addr()}, Timeout: DefaultTimeout, Dial: s.conns.dial, PoolSize: poolSize})
	return s
}

// probe is one verb on something that exists. It returns what is wrong with an answer; failures are no business of its.
type probe struct {
	name string
	ask  func(ctx context.Context) (wrong string, err error)
}

// probes asks every verb, with records of its own that are made first.
func (s *shaky) probes(t testing.TB, round string) []probe {
	t.Helper()
	return slices.Concat(s.readProbes(t, round), s.grantProbes(t, round), s.writeProbes(t, round), s.entryProbes(t, round))
}

// unless says that an answer is not the one.
func unless(right bool, format string, args ...any) string {
	if right {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func (s *shaky) readProbes(t testing.TB, round string) []probe {
	t.Helper()
	ctx := t.Context()
	u := aUser(t, s.aside, "user"+round)
	need(t, "create a client", s.aside.CreateClient(ctx, storage.Client{ID: "client" + round, Name: round}))
	_, err := s.aside.Remember(ctx, "seen"+round, time.Now().Add(time.Hour))
	need(t, "remember", err)
	return []probe{
		{"Client", func(ctx context.Context) (string, error) {
			c, err := s.Client(ctx, "client"+round)
			return unless(c.Name == round, "%+v", c), err
		}},
		{"Clients", func(ctx context.Context) (string, error) {
			list, err := s.Clients(ctx, "", 5)
			return unless(len(list) > 0, "no clients"), err
		}},
		{"User", func(ctx context.Context) (string, error) {
			got, err := s.User(ctx, u.ID)
			return unless(got.ID == u.ID && got.Version == 1, "%+v", got), err
		}},
		{"UserByName", func(ctx context.Context) (string, error) {
			got, err := s.UserByName(ctx, u.Username)
			return unless(got.ID == u.ID, "%+v", got), err
		}},
		{"Users", func(ctx context.Context) (string, error) {
			list, err := s.Users(ctx, "", 5)
			return unless(len(list) > 0, "no users"), err
		}},
		{"KeyRing", func(ctx context.Context) (string, error) {
			ring, err := s.KeyRing(ctx)
			return unless(ring.Version > 0, "%+v", ring), err
		}},
		{"Remembered", func(ctx context.Context) (string, error) {
			seen, err := s.Remembered(ctx, "seen"+round)
			return unless(seen, "forgotten"), err
		}},
		{"Ping", func(ctx context.Context) (string, error) { return "", s.Ping(ctx) }},
	}
}

func (s *shaky) grantProbes(t testing.TB, round string) []probe {
	t.Helper()
	u := aUser(t, s.aside, "owner"+round)
	born := func(kind string, generation uint64) string {
		need(t, "create a grant", s.aside.CreateGrant(t.Context(), aGrant(kind+round, u, generation)))
		return kind + round
	}
	code, refresh, revoked, dead, read, recalled := born("code", 0), born("refresh", 3), born("revoked", 1), born("dead", 1),
		born("read", 2), born("recalled", 2)
	need(t, "revoke", s.aside.RevokeGrant(t.Context(), dead, "before"))
	rotate := func(r storage.Rotation, want storage.Outcome) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			outcome, _, err := s.Rotate(ctx, r)
			return unless(outcome == want, "%v", outcome), err
		}
	}
	return []probe{
		{"Rotate a code", rotate(aRotation(code, u, 0, "a"), storage.Rotated)},
		{"Rotate", rotate(aRotation(refresh, u, 3, "a"), storage.Rotated)},
		{"Rotate what is dead", rotate(aRotation(dead, u, 1, "a"), storage.Dead)},
		{"Grant", func(ctx context.Context) (string, error) {
			g, err := s.Grant(ctx, read)
			return unless(g.Generation == 2 && !g.Revoked, "%+v", g), err
		}},
		{"RecallGrant", func(ctx context.Context) (string, error) {
			g, err := s.RecallGrant(ctx, recalled)
			return unless(g.Generation == 2 && !g.Revoked, "%+v", g), err
		}},
		{"RevokeGrant", func(ctx context.Context) (string, error) { return "", s.RevokeGrant(ctx, revoked, "why") }},
		{"CreateGrant", func(ctx context.Context) (string, error) {
			return "", s.CreateGrant(ctx, aGrant("new"+round, u, 1))
		}},
	}
}

func (s *shaky) entryProbes(t testing.TB, round string) []probe {
	t.Helper()
	u := aUser(t, s.aside, "entries of"+round)
	grant := "both" + round
	need(t, "create a grant", s.aside.CreateGrant(t.Context(), aGrant(grant, u, 2)))
	made := func(kind string) storage.Entry {
		e := testEntry(kind+round, time.Time{})
		e.Owner = kind + u.ID
		need(t, "create an entry", s.aside.CreateEntry(t.Context(), e))
		e.Version = 1
		return e
	}
	read, replaced, taken := made("read"), made("replaced"), made("taken")
	return []probe{
		{"Entry", func(ctx context.Context) (string, error) {
			e, err := s.Entry(ctx, read.Kind, read.ID)
			return unless(e.Owner == read.Owner && e.Version == 1, "%+v", e), err
		}},
		{"EntriesOf", func(ctx context.Context) (string, error) {
			list, err := s.EntriesOf(ctx, read.Kind, read.Owner, 5)
			return unless(len(list) == 1, "%+v", list), err
		}},
		{"CreateEntry", func(ctx context.Context) (string, error) {
			return "", s.CreateEntry(ctx, testEntry("new"+round, time.Time{}))
		}},
		{"ReplaceEntry", func(ctx context.Context) (string, error) { return "", s.ReplaceEntry(ctx, replaced) }},
		{"TakeEntry", func(ctx context.Context) (string, error) {
			e, err := s.TakeEntry(ctx, taken.Kind, taken.ID)
			return unless(e.ID == taken.ID, "%+v", e), err
		}},
		{"GrantAndUser", func(ctx context.Context) (string, error) {
			g, got, err := s.GrantAndUser(ctx, grant, u.ID)
			return unless(g.Generation == 2 && got.ID == u.ID, "%+v %+v", g, got), err
		}},
		{"GrantsOf", func(ctx context.Context) (string, error) {
			list, err := s.GrantsOf(ctx, u.ID, 5)
			return unless(len(list) == 1, "%+v", list), err
		}},
	}
}

func (s *shaky) writeProbes(t testing.TB, round string) []probe {
	t.Helper()
	u := aUser(t, s.aside, "changed"+round)
	ring, err := s.aside.KeyRing(t.Context())
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	need(t, "put a ring", s.aside.PutKeyRing(t.Context(), ring)) // so that there is one to read
	ring.Version++
	budget := storage.Budget{Key: "budget" + round, Burst: 2, Every: time.Hour}
	return []probe{
		{"CreateUser", func(ctx context.Context) (string, error) {
			return "", s.CreateUser(ctx, storage.User{ID: "new" + round, Username: "new" + round})
		}},
		{"ReplaceUser", func(ctx context.Context) (string, error) { return "", s.ReplaceUser(ctx, u) }},
		{"CreateClient", func(ctx context.Context) (string, error) {
			return "", s.CreateClient(ctx, storage.Client{ID: "new" + round})
		}},
		{"PutKeyRing", func(ctx context.Context) (string, error) { return "", s.PutKeyRing(ctx, ring) }},
		{"Spend", func(ctx context.Context) (string, error) {
			wait, err := s.Spend(ctx, budget)
			return unless(wait == 0, "wait %v", wait), err
		}},
		{"Refund", func(ctx context.Context) (string, error) {
			return "", s.Refund(ctx, storage.Refund{Budget: budget, Units: 1})
		}},
		{"Remember", func(ctx context.Context) (string, error) {
			first, err := s.Remember(ctx, "new"+round, time.Now().Add(time.Hour))
			return unless(first, "not the first"), err
		}},
	}
}

// answers is what became of many probes.
type answers struct {
	sync.Mutex
	right, failed, wrong, late int
	took                       []time.Duration
}

// stalls adds up, until stop, how much too late this machine wakes who sleeps, as far as it is more than usual: that is
// nobody's fault but its own.
func stalls() (stop func() time.Duration) {
	done, lost := make(chan struct{}), make(chan time.Duration)
	go func() {
		var sum time.Duration
		const tick, usual = 5 * time.Millisecond, 2 * time.Millisecond
		for begin := time.Now(); ; begin = time.Now() {
			select {
			case <-done:
				lost <- sum + max(0, time.Since(begin)-tick-usual)
				return
			case <-time.After(tick):
				sum += max(0, time.Since(begin)-tick-usual)
			}
		}
	}()
	return func() time.Duration { close(done); return <-lost }
}

// ask runs probes side by side and judges each: in time, and right or a failure (INV10). It returns how long the machine
// stalled meanwhile.
func (a *answers) ask(t testing.TB, timeout time.Duration, list []probe) (lag time.Duration) {
	t.Helper()
	var wg sync.WaitGroup
	late := map[string]time.Duration{}
	stalled := stalls()
	defer func() {
		lag = stalled()
		for name, took := range late {
			if took > timeout+slack+lag {
				a.late++
				t.Errorf("%s took %v (the machine stalled for %v)", name, took, lag)
			}
		}
	}()
	for _, p := range list {
		wg.Go(func() {
			begin := time.Now()
			wrong, err := p.ask(t.Context())
			took := time.Since(begin)
			a.Lock()
			defer a.Unlock()
			a.took = append(a.took, took)
			switch {
			case storage.IsFailure(err):
				a.failed++
			case err != nil || wrong != "":
				a.wrong++
				t.Errorf("%s: a wrong answer: %v %s", p.name, err, wrong)
			default:
				a.right++
			}
			if took > timeout+slack {
				late[p.name] = took
			}
		})
	}
	wg.Wait()
	return 0 // see above
}

func (a *answers) p99() time.Duration {
	slices.Sort(a.took)
	return a.took[len(a.took)*99/100].Round(time.Millisecond)
}

// gauge counts the connections that a store has open.
type gauge struct{ open, most atomic.Int64 }

func (g *gauge) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	now := g.open.Add(1)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
	return &gaugedConn{TCPConn: conn.(*net.TCPConn), closed: sync.OnceFunc(func() { g.open.Add(-1) })}, nil
}

// gaugedConn is still a connection of the operating system: the driver looks whether it was closed by the other side before
// it uses it.
type gaugedConn struct {
	*net.TCPConn
	closed func()
}

func (c *gaugedConn) Close() error {
	c.closed()
	return c.TCPConn.Close()
}
