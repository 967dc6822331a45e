package redis

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// torn is a store whose connections can be cut in the reply to a command.
type torn struct {
	*Store
	servers []*redistest.Server

	mu      sync.Mutex
	command []byte // what the reply is to, nil: no cut
	keep    bool   // most of the reply arrives, but not its end
	struck  bool
}

// tornConn cuts as its store says.
type tornConn struct {
	*net.TCPConn
	n    *torn
	next atomic.Bool // the next reply is the one
}

func (c *tornConn) Write(b []byte) (int, error) {
	c.n.mu.Lock()
	if c.n.command != nil && !c.n.struck && bytes.Contains(b, c.n.command) {
		c.n.struck = true
		c.next.Store(true)
	}
	c.n.mu.Unlock()
	return c.TCPConn.Write(b)
}

// Read waits for the reply, so that the server has run the command, and then ends the connection.
func (c *tornConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if err != nil || !c.next.Load() {
		return n, err
	}
	_ = c.TCPConn.Close()
	if c.n.keep && n > 5 {
		c.next.Store(false)
		return n - 5, nil
	}
	return 0, io.EOF
}

// tornSingle is a store on one server.
func tornSingle(t testing.TB) *torn {
	t.Helper()
	server := redistest.Start(t)
	return tear(t, Config{Addresses: []string{server.Addr()}}, []*redistest.Server{server})
}

// tornCluster is a store on a cluster.
func tornCluster(t testing.TB) *torn {
	t.Helper()
	cluster, prefix := redistest.SharedCluster(t)
	return tear(t, clusterConfig(cluster, prefix), cluster.Nodes())
}

func tear(t testing.TB, cfg Config, servers []*redistest.Server) *torn {
	t.Helper()
	n := &torn{servers: servers}
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &tornConn{TCPConn: conn.(*net.TCPConn), n: n}, nil
	}
	n.Store = open(t, cfg)
	return n
}

// knowScripts teaches every primary all scripts, so that each verb is one call.
func (n *torn) knowScripts(t testing.TB) {
	t.Helper()
	for _, sc := range allScripts() {
		for _, server := range n.servers {
			need(t, "SCRIPT LOAD", server.Client().ScriptLoad(t.Context(), sc.source).Err())
		}
	}
}

// calls is how many calls of scripts have reached the servers.
func (n *torn) calls(t testing.TB) int {
	t.Helper()
	sum := 0
	for _, server := range n.servers {
		sum += scriptCalls(t, server)
	}
	return sum
}
