package redistest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Slots is the number of hash slots of a cluster.
const Slots = 16384

// nodeTimeout is how long a node of a cluster is silent until it counts as failing; Config("cluster-node-timeout", …)
// among the options changes it. It is long enough that a busy machine makes no failovers of its own.
const nodeTimeout = 2 * time.Second

// ClusterGroup is a Redis Cluster. Its methods are safe for concurrent use.
type ClusterGroup struct {
	nodes []*Server
	ids   map[*Server]string
	admin *goredis.ClusterClient
}

// StartCluster starts a cluster of primaries, between which the slots are split evenly, each with its part of the replicas,
// and waits until every node takes part and every replica has its primary's data. The options apply to each node.
func StartCluster(t testing.TB, primaries, replicas int, opts ...Option) *ClusterGroup {
	t.Helper()
	g, err := launchCluster(groupProgram(t, opts), primaries, replicas, opts)
	if err != nil {
		t.Fatalf("start a cluster: %v", err)
	}
	t.Cleanup(func() {
		if err := g.admin.Close(); err != nil {
			t.Errorf("close the client of the cluster: %v", err)
		}
		finishAll(t, g.nodes)
	})
	return g
}

var sharedCluster shared[*ClusterGroup]

// SharedCluster returns the cluster of this test binary (3 primaries, 3 replicas), which the first caller starts, and a key
// prefix that only this caller has. Its nodes must not be flushed, killed, paused or reconfigured; moving slots is allowed.
func SharedCluster(t testing.TB) (group *ClusterGroup, prefix string) {
	t.Helper()
	program := Binary(t)
	group, err := sharedCluster.get(func() (*ClusterGroup, error) {
		g, err := launchCluster(program, 3, 3, nil)
		if err == nil {
			atEnd(g.close)
		}
		return g, err
	})
	if err != nil {
		t.Fatalf("start the shared cluster: %v", err)
	}
	return group, newPrefix()
}

func launchCluster(program string, primaries, replicas int, opts []Option) (*ClusterGroup, error) {
	if primaries < 3 {
		return nil, fmt.Errorf("%d primaries: a cluster needs 3", primaries)
	}
	opts = append([]Option{clusterNode(nodeTimeout)}, opts...)
	specs := make([]*spec, primaries+replicas)
	for i := range specs {
		specs[i] = newSpec(program, opts)
	}
	nodes, err := launchAll(specs)
	if err != nil {
		return nil, err
	}
	g := &ClusterGroup{nodes: nodes, ids: map[*Server]string{}}
	o := nodes[0].Options()
	g.admin = goredis.NewClusterClient(&goredis.ClusterOptions{
		Addrs: g.Addresses(), Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, DisableIdentity: true,
		DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries, MaintNotificationsConfig: noMaintenance(),
	})
	ctx, cancel := context.WithTimeout(context.Background(), groupTimeout)
	defer cancel()
	if err := g.form(ctx, primaries); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// form makes single nodes one cluster.
func (g *ClusterGroup) form(ctx context.Context, primaries int) error {
	for i, node := range g.nodes {
		id, err := node.admin.ClusterMyID(ctx).Result()
		if err != nil {
			return err
		}
		g.ids[node] = id
		// Epochs that differ from the start spare the primaries to settle who of them gives way.
		if err := node.admin.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			return err
		}
		if i < primaries {
			if err := node.admin.ClusterAddSlotsRange(ctx, i*Slots/primaries, (i+1)*Slots/primaries-1).Err(); err != nil {
				return err
			}
		}
	}
	// Everybody meets everybody: gossip would take seconds to introduce them.
	for i, node := range g.nodes {
		for _, other := range g.nodes[:i] {
			if err := node.admin.ClusterMeet(ctx, "127.0.0.1", strconv.Itoa(other.port)).Err(); err != nil {
				return err
			}
		}
	}
	for i, node := range g.nodes[primaries:] {
		primary := g.ids[g.nodes[i%primaries]]
		if err := await(ctx, func() error { return node.admin.ClusterReplicate(ctx, primary).Err() }); err != nil {
			return fmt.Errorf("make %s a replica: %w", node.Addr(), err)
		}
	}
	return await(ctx, func() error { return g.ready(ctx) })
}

func (g *ClusterGroup) close() error { return errors.Join(g.admin.Close(), closeAll(g.nodes)) }

// Addresses returns host:port of all nodes.
func (g *ClusterGroup) Addresses() []string { return addresses(g.nodes) }

// Nodes returns all nodes, whatever their roles.
func (g *ClusterGroup) Nodes() []*Server { return slices.Clone(g.nodes) }

// Client returns the package's own client of the cluster, with every right; it ends with the cluster.
func (g *ClusterGroup) Client() *goredis.ClusterClient { return g.admin }

// WaitReady waits until every node that runs finds the cluster healthy, all agree on who serves which slot, and the replicas
// that run have the data of their primaries.
func (g *ClusterGroup) WaitReady(t testing.TB) {
	t.Helper()
	waitFor(t, "await the cluster", g.ready)
}

// ready tells by an error what is missing.
func (g *ClusterGroup) ready(ctx context.Context) error {
	first := ""
	for _, node := range g.nodes {
		if !node.running() {
			continue
		}
		text, err := node.admin.ClusterInfo(ctx).Result()
		if err != nil {
			return err
		}
		info := fields(text)
		if info["cluster_state"] != "ok" || info["cluster_slots_ok"] != strconv.Itoa(Slots) ||
			info["cluster_known_nodes"] != strconv.Itoa(len(g.nodes)) {
			return fmt.Errorf("%s: state %q, %s slots, %s nodes", node.Addr(), info["cluster_state"],
				info["cluster_slots_ok"], info["cluster_known_nodes"])
		}
		view, err := g.view(ctx, node)
		if err != nil {
			return err
		}
		if first == "" {
			first = view
		}
		if view != first {
			return fmt.Errorf("%s sees another cluster than the first node:\n%s\n%s", node.Addr(), view, first)
		}
		repl, err := node.Info(ctx, "replication")
		if err != nil {
			return err
		}
		if repl["role"] == "slave" && repl["master_link_status"] != "up" {
			return fmt.Errorf("%s has no link to its primary", node.Addr())
		}
	}
	return nil
}

// view returns the roles and slots of all nodes as one of them sees them, or an error while it misses or suspects one that
// runs.
func (g *ClusterGroup) view(ctx context.Context, node *Server) (string, error) {
	text, err := node.admin.ClusterNodes(ctx).Result()
	if err != nil {
		return "", err
	}
	var lines []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " [") // slots on the move
		words := strings.Fields(line)
		if len(words) < 8 {
			return "", fmt.Errorf("CLUSTER NODES says %q", line)
		}
		flags := strings.TrimPrefix(words[2], "myself,")
		if server := g.byID(words[0]); server == nil || flags != "master" && flags != "slave" && server.running() {
			return "", fmt.Errorf("%s sees %s as %s", node.Addr(), words[1], words[2])
		}
		lines = append(lines, strings.Join(append([]string{words[0], flags, words[3]}, words[8:]...), " "))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}

func (g *ClusterGroup) byID(id string) *Server {
	for server, its := range g.ids {
		if its == id {
			return server
		}
	}
	return nil
}

// Primaries returns the nodes that serve slots, in the order of Nodes, as the first node that runs sees it.
func (g *ClusterGroup) Primaries(t testing.TB) []*Server {
	t.Helper()
	owners, err := g.owners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(g.Nodes(), func(node *Server) bool { return !slices.Contains(owners[:], node) })
}

// PrimaryOf returns the node that serves the slot of key.
func (g *ClusterGroup) PrimaryOf(t testing.TB, key string) *Server {
	t.Helper()
	slot, err := g.anyNode().admin.ClusterKeySlot(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	owners, err := g.owners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if owners[slot] == nil {
		t.Fatalf("nobody serves slot %d of %q", slot, key)
	}
	return owners[slot]
}

// ReplicasOf returns the replicas of a primary.
func (g *ClusterGroup) ReplicasOf(t testing.TB, primary *Server) []*Server {
	t.Helper()
	text, err := g.anyNode().admin.ClusterNodes(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	var replicas []*Server
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 3 && words[3] == g.ids[primary] {
			replicas = append(replicas, g.byID(words[0]))
		}
	}
	return replicas
}

// anyNode returns a node that runs, else the first one, which will say what is wrong.
func (g *ClusterGroup) anyNode() *Server {
	for _, node := range g.nodes {
		if node.running() {
			return node
		}
	}
	return g.nodes[0]
}

// SlotsOf returns the slots that a node serves, in order.
func (g *ClusterGroup) SlotsOf(t testing.TB, node *Server) []int {
	t.Helper()
	owners, err := g.owners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slotsOf(owners, node)
}

func slotsOf(owners *[Slots]*Server, node *Server) []int {
	var slots []int
	for slot, owner := range owners {
		if owner == node {
			slots = append(slots, slot)
		}
	}
	return slots
}

// owners returns the primary of each slot, nil where nobody serves it.
func (g *ClusterGroup) owners(ctx context.Context) (*[Slots]*Server, error) {
	text, err := g.anyNode().admin.ClusterNodes(ctx).Result()
	if err != nil {
		return nil, err
	}
	owners := new([Slots]*Server)
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " [") // slots on the move
		words := strings.Fields(line)
		for _, word := range words[min(8, len(words)):] {
			first, last, isRange := strings.Cut(word, "-")
			if !isRange {
				last = first
			}
			from, err1 := strconv.Atoi(first)
			to, err2 := strconv.Atoi(last)
			if err := errors.Join(err1, err2); err != nil || from < 0 || to >= Slots {
				return nil, fmt.Errorf("CLUSTER NODES says %q: %w", line, err)
			}
			for slot := from; slot <= to; slot++ {
				owners[slot] = g.byID(words[0])
			}
		}
	}
	return owners, nil
}
