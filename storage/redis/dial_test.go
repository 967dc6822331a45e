package redis

import (
	"context"
	"net"
	"sync/atomic"
)

// countingDialer counts on all its connections the writes, and the turns: reads that follow a write.
type countingDialer struct{ writes, turns atomic.Int64 }

func (d *countingDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	return &countingConn{Conn: conn, counts: d}, err
}

type countingConn struct {
	net.Conn
	counts *countingDialer
	asked  atomic.Bool
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.counts.writes.Add(1)
	c.asked.Store(true)
	return c.Conn.Write(b)
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.asked.Swap(false) {
		c.counts.turns.Add(1)
	}
	return n, err
}
