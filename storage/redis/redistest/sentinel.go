package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// MasterName is the name under which sentinels know the primary.
const MasterName = "ingam-test"

// How sentinels behave, in milliseconds: how long a server is silent until it counts as down, and how long the steps of
// a failover may take. Two failovers on their own account are at least twice the latter apart.
const (
	downAfter       = 1500
	failoverTimeout = 3000
)

// SentinelGroup is a primary with replicas, watched by sentinels. Its methods are safe for concurrent use.
type SentinelGroup struct {
	servers   []*Server // the first one began as primary
	sentinels []*Server
}

// StartSentinel starts a primary with replicas, and sentinels that need a majority of themselves for a failover, and waits
// until all know each other. The options apply to each data server; sentinels take their program and TLS from them.
func StartSentinel(t testing.TB, replicas, sentinels int, opts ...Option) *SentinelGroup {
	t.Helper()
	program := groupProgram(t, opts)
	g, err := launchSentinel(program, replicas, sentinels, opts)
	if err != nil {
		t.Fatalf("start a Sentinel group: %v", err)
	}
	t.Cleanup(func() { finishAll(t, g.all()) })
	return g
}

// groupProgram returns the program that the options name, else the default one.
func groupProgram(t testing.TB, opts []Option) string {
	t.Helper()
	if program := newSpec("", opts).program; program != "" {
		return program
	}
	return Binary(t)
}

var sharedSentinel shared[*SentinelGroup]

// SharedSentinel returns the group of this test binary (2 replicas, 3 sentinels), which the first caller starts, and a key
// prefix that only this caller has. Its servers must not be flushed, killed, paused or reconfigured; Failover is allowed
// where no test runs in parallel.
func SharedSentinel(t testing.TB) (group *SentinelGroup, prefix string) {
	t.Helper()
	program := Binary(t)
	group, err := sharedSentinel.get(func() (*SentinelGroup, error) {
		g, err := launchSentinel(program, 2, 3, nil)
		if err == nil {
			atEnd(func() error { return closeAll(g.all()) })
		}
		return g, err
	})
	if err != nil {
		t.Fatalf("start the shared Sentinel group: %v", err)
	}
	return group, newPrefix()
}

func launchSentinel(program string, replicas, sentinels int, opts []Option) (*SentinelGroup, error) {
	primary, err := launch(newSpec(program, opts))
	if err != nil {
		return nil, err
	}
	g := &SentinelGroup{servers: []*Server{primary}}
	specs := make([]*spec, replicas)
	for i := range specs {
		specs[i] = newSpec(program, append(slices.Clone(opts), ReplicaOf(primary)))
	}
	started, err := launchAll(specs)
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	g.servers = append(g.servers, started...)

	specs = make([]*spec, sentinels)
	for i := range specs {
		specs[i] = newSentinelSpec(primary, sentinels/2+1)
	}
	if g.sentinels, err = launchAll(specs); err != nil {
		return nil, errors.Join(err, g.close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	if err := await(ctx, func() error { return g.ready(ctx) }); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// newSentinelSpec returns the settings of a sentinel that watches primary.
func newSentinelSpec(primary *Server, quorum int) *spec {
	s := &spec{program: primary.spec.program, tls: primary.spec.tls, sentinel: true}
	Config("bind", "127.0.0.1")(s)
	Config("protected-mode", "no")(s)
	Config("sentinel", fmt.Sprintf("monitor %s 127.0.0.1 %d %d", MasterName, primary.port, quorum))(s)
	Config("sentinel", fmt.Sprintf("down-after-milliseconds %s %d", MasterName, downAfter))(s)
	Config("sentinel", fmt.Sprintf("failover-timeout %s %d", MasterName, failoverTimeout))(s)
	Config("sentinel", fmt.Sprintf("parallel-syncs %s 10", MasterName))(s)
	if primary.spec.acl != "" {
		Config("sentinel", fmt.Sprintf("auth-user %s %s", MasterName, adminUser))(s)
		Config("sentinel", fmt.Sprintf("auth-pass %s %s", MasterName, adminPassword()))(s)
	}
	return s
}

func (g *SentinelGroup) all() []*Server { return slices.Concat(g.sentinels, g.servers) }

func (g *SentinelGroup) close() error { return closeAll(g.all()) }

// MasterName returns the name of the primary for a client.
func (g *SentinelGroup) MasterName() string { return MasterName }

// Addresses returns host:port of the sentinels.
func (g *SentinelGroup) Addresses() []string { return addresses(g.sentinels) }

func addresses(servers []*Server) []string {
	list := make([]string, len(servers))
	for i, s := range servers {
		list[i] = s.Addr()
	}
	return list
}

// Sentinels returns the sentinel processes.
func (g *SentinelGroup) Sentinels() []*Server { return slices.Clone(g.sentinels) }

// Servers returns the data servers, whatever their roles.
func (g *SentinelGroup) Servers() []*Server { return slices.Clone(g.servers) }

// Primary returns the server that most of all sentinels name, or fails the test.
func (g *SentinelGroup) Primary(t testing.TB) *Server {
	t.Helper()
	s, err := g.FindPrimary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Replicas returns the servers that are not the primary.
func (g *SentinelGroup) Replicas(t testing.TB) []*Server {
	t.Helper()
	return g.without(g.Primary(t))
}

// without returns the data servers but one.
func (g *SentinelGroup) without(s *Server) []*Server {
	return slices.DeleteFunc(g.Servers(), func(other *Server) bool { return other == s })
}

// FindPrimary is Primary for any goroutine.
func (g *SentinelGroup) FindPrimary(ctx context.Context) (*Server, error) {
	votes := map[string]int{}
	var errs []error
	for _, sentinel := range g.sentinels {
		if !sentinel.running() {
			continue
		}
		addr, err := primaryAt(ctx, sentinel)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if votes[addr]++; votes[addr] <= len(g.sentinels)/2 {
			continue
		}
		if i := slices.Index(addresses(g.servers), addr); i >= 0 {
			return g.servers[i], nil
		}
	}
	return nil, errors.Join(append(errs, fmt.Errorf("no majority of sentinels for one primary: %v", votes))...)
}

// primaryAt returns the address of the primary as one sentinel knows it.
func primaryAt(ctx context.Context, sentinel *Server) (string, error) {
	parts, err := sentinel.admin.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName).StringSlice()
	if err != nil || len(parts) != 2 {
		return "", fmt.Errorf("sentinel %s names no primary: %v, %w", sentinel.Addr(), parts, err)
	}
	return net.JoinHostPort(parts[0], parts[1]), nil
}

// Failover makes the sentinels move the primary, which goes on running, and waits until all of them name the new one, which
// it returns. As in life the old primary goes on taking writes from clients that still talk to it, for about 10 s, until the
// sentinels make it a replica and its newest writes are lost; see Settle.
func (g *SentinelGroup) Failover(t testing.TB) *Server {
	t.Helper()
	old := g.Primary(t)
	waitFor(t, "SENTINEL FAILOVER", func(ctx context.Context) error {
		return g.sentinels[0].admin.Do(ctx, "SENTINEL", "FAILOVER", MasterName).Err() // NOGOODSLAVE, INPROG: soon
	})
	return g.AwaitOtherPrimary(t, old)
}

// Settle makes the servers that run follow the primary at once, instead of when the sentinels are sure that they must, and
// waits until the group is ready.
func (g *SentinelGroup) Settle(t testing.TB) {
	t.Helper()
	primary := g.Primary(t)
	for _, s := range g.without(primary) {
		if !s.running() {
			continue
		}
		info, err := s.Info(t.Context(), "replication")
		if err == nil && info["master_port"] != strconv.Itoa(primary.port) {
			err = s.admin.ReplicaOf(t.Context(), "127.0.0.1", strconv.Itoa(primary.port)).Err()
		}
		if err != nil {
			t.Fatalf("make %s a replica of %s: %v", s.Addr(), primary.Addr(), err)
		}
	}
	g.WaitReady(t)
}

// AwaitOtherPrimary waits until all sentinels that run name the same primary, and another than old, which was killed, say;
// it returns that one.
func (g *SentinelGroup) AwaitOtherPrimary(t testing.TB, old *Server) *Server {
	t.Helper()
	var found *Server
	waitFor(t, "await another primary", func(ctx context.Context) error {
		s, err := g.FindPrimary(ctx)
		if err != nil {
			return err
		}
		if s == old {
			return fmt.Errorf("%s is still the primary", old.Addr())
		}
		for _, sentinel := range g.sentinels {
			if !sentinel.running() {
				continue
			}
			if addr, err := primaryAt(ctx, sentinel); err != nil || addr != s.Addr() {
				return fmt.Errorf("sentinel %s still names %s: %w", sentinel.Addr(), addr, err)
			}
		}
		found = s
		return nil
	})
	return found
}

// WaitReady waits until all sentinels that run agree on the primary, have seen each other and all that runs, and the
// replicas that run have the primary's data.
func (g *SentinelGroup) WaitReady(t testing.TB) {
	t.Helper()
	waitFor(t, "await the Sentinel group", g.ready)
}

// ready tells by an error what is missing.
func (g *SentinelGroup) ready(ctx context.Context) error {
	primary, err := g.FindPrimary(ctx)
	if err != nil {
		return err
	}
	if info, err := primary.Info(ctx, "replication"); err != nil || info["role"] != "master" {
		return fmt.Errorf("%s is no primary: role %q, %w", primary.Addr(), info["role"], err)
	}
	var replicas []*Server
	for _, s := range g.without(primary) {
		if s.running() {
			replicas = append(replicas, s)
		}
	}
	for _, s := range replicas {
		info, err := s.Info(ctx, "replication")
		if err != nil {
			return err
		}
		if info["master_port"] != strconv.Itoa(primary.port) || info["master_link_status"] != "up" {
			return fmt.Errorf("%s does not follow %s yet: %v", s.Addr(), primary.Addr(), info)
		}
	}
	for _, sentinel := range g.sentinels {
		if !sentinel.running() {
			continue
		}
		if err := g.sees(ctx, sentinel, primary, replicas); err != nil {
			return err
		}
	}
	return nil
}

// sees tells by an error what a sentinel does not know yet.
func (g *SentinelGroup) sees(ctx context.Context, sentinel, primary *Server, replicas []*Server) error {
	client := goredis.NewSentinelClient(sentinel.Options())
	defer func() { _ = client.Close() }()
	if addr, err := primaryAt(ctx, sentinel); err != nil || addr != primary.Addr() {
		return fmt.Errorf("sentinel %s names %s: %w", sentinel.Addr(), addr, err)
	}
	master, err := client.Master(ctx, MasterName).Result()
	if err != nil {
		return err
	}
	if master["flags"] != "master" || master["num-other-sentinels"] != strconv.Itoa(len(g.sentinels)-1) {
		return fmt.Errorf("sentinel %s: primary %q, %s others", sentinel.Addr(), master["flags"], master["num-other-sentinels"])
	}
	known, err := client.Replicas(ctx, MasterName).Result()
	if err != nil {
		return err
	}
	for _, s := range replicas {
		if !slices.ContainsFunc(known, func(m map[string]string) bool {
			return m["port"] == strconv.Itoa(s.port) && m["flags"] == "slave"
		}) {
			return fmt.Errorf("sentinel %s does not know replica %s as healthy", sentinel.Addr(), s.Addr())
		}
	}
	others, err := client.Sentinels(ctx, MasterName).Result()
	if err != nil {
		return err
	}
	for _, other := range g.sentinels {
		if other != sentinel && other.running() && !slices.ContainsFunc(others, func(m map[string]string) bool {
			return m["port"] == strconv.Itoa(other.port) && !strings.Contains(m["flags"], "down")
		}) {
			return fmt.Errorf("sentinel %s does not see sentinel %s", sentinel.Addr(), other.Addr())
		}
	}
	return nil
}
