package redistest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// Direction is one way of the bytes through a proxy.
type Direction int

// The two directions.
const (
	ToServer Direction = iota
	ToClient
)

// Proxy stands between clients and one Redis server and does to their connections what networks do. Faults count for
// connections that are open and for new ones, until Heal. All methods are safe for concurrent use.
//
// Where clients speak TLS the bytes pass all the same, but replies cannot be counted.
type Proxy struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu        sync.Mutex
	target    string
	closed    bool
	rules     rules
	changed   chan struct{} // closed and replaced whenever the rules change
	links     map[*link]struct{}
	countdown int           // replies until one is swallowed; 0: none will be
	allowance int64         // bytes to clients until a connection is torn; -1: none will be
	replied   chan struct{} // closed when the countdown struck
	limited   chan struct{} // closed when the allowance was used up
}

// rules are the faults that last.
type rules struct {
	latency   time.Duration
	bandwidth int // bytes per second; 0: unbounded
	slice     int // bytes per write; 0: unbounded
	pause     time.Duration
	lost      [2]bool
	stalled   bool
	refuse    bool
}

// NewProxy starts a proxy to target (host:port), which need not run yet. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start a proxy: %v", err)
	}
	p := &Proxy{
		listener: listener, target: target, changed: make(chan struct{}), links: map[*link]struct{}{}, allowance: -1,
	}
	p.wg.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Addr returns host:port of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetTarget sends new connections elsewhere; those that are open stay where they are.
func (p *Proxy) SetTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Connections returns how many connections clients have open through the proxy.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Close ends the proxy and its connections, and waits for its goroutines. Closing twice is no error.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	links := p.open()
	p.mu.Unlock()
	_ = p.listener.Close()
	for _, l := range links {
		l.close()
	}
	p.wg.Wait()
}

// open returns the links. The caller holds p.mu.
func (p *Proxy) open() []*link {
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	return links
}

// change changes the rules and wakes whoever waits by them. It returns the links that were open then.
func (p *Proxy) change(f func(*rules)) []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.rules)
	close(p.changed)
	p.changed = make(chan struct{})
	return p.open()
}

// Latency delays all bytes by d in each direction, so that a round trip takes 2d more.
func (p *Proxy) Latency(d time.Duration) { p.change(func(r *rules) { r.latency = d }) }

// Bandwidth bounds each direction of each connection; 0 ends it.
func (p *Proxy) Bandwidth(bytesPerSecond int) {
	p.change(func(r *rules) { r.bandwidth = bytesPerSecond })
}

// Slice lets bytes through in writes of at most maxBytes with a delay after each; 0 ends it.
func (p *Proxy) Slice(maxBytes int, delay time.Duration) {
	p.change(func(r *rules) { r.slice, r.pause = maxBytes, delay })
}

// Cut is a partition: bytes are swallowed in the given directions, by default in both, and the ends of connections too.
// Connections hang, new ones as well. Those that lost bytes are reset by Heal.
func (p *Proxy) Cut(directions ...Direction) {
	if len(directions) == 0 {
		directions = []Direction{ToServer, ToClient}
	}
	p.change(func(r *rules) {
		for _, d := range directions {
			r.lost[d] = true
		}
	})
}

// Stall holds all bytes back, and Heal delivers them late: a partition that TCP outlives. A request that its client has
// given up may so be executed afterwards.
func (p *Proxy) Stall() { p.change(func(r *rules) { r.stalled = true }) }

// Refuse closes what is open and every new connection at once.
func (p *Proxy) Refuse() {
	for _, l := range p.change(func(r *rules) { r.refuse = true }) {
		l.close()
	}
}

// Reset ends what is open by RST. New connections are served.
func (p *Proxy) Reset() {
	for _, l := range p.change(func(*rules) {}) {
		l.reset()
	}
}

// Heal ends every fault, those of CutAfterReplies and LimitData too if they have not struck.
func (p *Proxy) Heal() {
	p.mu.Lock()
	p.countdown, p.allowance = 0, -1
	p.mu.Unlock()
	for _, l := range p.change(func(r *rules) { *r = rules{} }) {
		if l.torn.Load() {
			l.reset()
		}
	}
}

// CutAfterReplies swallows the n-th reply that begins from now on, counted over all connections from 1, and closes its
// connection: the server has executed the request and the client cannot know. Replies before it are delivered. The
// answers to what a client says when it connects (HELLO, AUTH, CLIENT SETNAME) count, pushes do not. It strikes once, and
// then closes the channel that it returns.
func (p *Proxy) CutAfterReplies(n int) (struck <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.countdown, p.replied = n, make(chan struct{})
	return p.replied
}

// LimitData lets n more bytes through to clients, over all connections, and closes the connection whose reply would be
// the next byte, usually in the middle of a reply. It strikes once, and then closes the channel that it returns.
func (p *Proxy) LimitData(n int64) (struck <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowance, p.limited = n, make(chan struct{})
	return p.limited
}

// accept serves new connections until the listener is closed.
func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		l := newLink(client.(*net.TCPConn))
		p.mu.Lock()
		admit := !p.closed && !p.rules.refuse
		if admit {
			p.links[l] = struct{}{}
		}
		p.mu.Unlock()
		if !admit {
			l.reset()
			continue
		}
		p.wg.Go(func() {
			p.serve(l)
			l.close()
			p.mu.Lock()
			delete(p.links, l)
			p.mu.Unlock()
		})
	}
}
