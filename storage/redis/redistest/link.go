package redistest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueLength   = 256                   // reads on their way in one direction
	readSize      = 32 << 10              // bytes of one read
	bandwidthTick = 20 * time.Millisecond // how long one write under a bound of bandwidth lasts
)

// link is one connection through a proxy.
type link struct {
	client *net.TCPConn
	done   chan struct{} // closed with the link
	torn   atomic.Bool   // bytes were swallowed, so the streams no longer fit
	over   atomic.Bool   // the client was sent the end; what it still says is nobody's business
	scan   replyScanner  // used by the writer to the client only

	mu     sync.Mutex
	server *net.TCPConn // nil until connected
	ended  bool
}

// parcel is what one read brought: bytes, or the end of the stream if there are none.
type parcel struct {
	data []byte
	due  time.Time
}

func newLink(client *net.TCPConn) *link { return &link{client: client, done: make(chan struct{})} }

// close ends both connections.
func (l *link) close() { l.end(false) }

// reset ends both connections by RST.
func (l *link) reset() { l.end(true) }

func (l *link) end(hard bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	close(l.done)
	for _, conn := range []*net.TCPConn{l.client, l.server} {
		if conn == nil {
			continue
		}
		if hard {
			_ = conn.SetLinger(0)
		}
		_ = conn.Close()
	}
}

// connected notes the connection to the server, or closes it when the link has ended meanwhile.
func (l *link) connected(server *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = server.Close()
		return false
	}
	l.server = server
	return true
}

// sleep waits unless the link ends before.
func (l *link) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.done:
		return false
	}
}

// serve connects a client with the target and copies until one of them ends.
func (p *Proxy) serve(l *link) {
	// In a partition the request for a connection is lost on its way like all else.
	if !p.passable(l, func(r rules) bool { return !r.stalled && !r.lost[ToServer] && !r.lost[ToClient] }) {
		return
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", target)
	if err != nil {
		l.reset()
		return
	}
	server := conn.(*net.TCPConn)
	if !l.connected(server) {
		return
	}
	var wg sync.WaitGroup
	for _, way := range []struct {
		d        Direction
		from, to *net.TCPConn
	}{{ToServer, l.client, server}, {ToClient, server, l.client}} {
		queue := make(chan parcel, queueLength)
		wg.Go(func() { p.read(l, way.from, queue) })
		wg.Go(func() {
			p.write(l, way.d, way.to, queue)
			if !l.over.Load() {
				l.close()
			}
		})
	}
	wg.Wait()
}

// passable waits until the rules allow what ok says; false means that the link ended.
func (p *Proxy) passable(l *link, ok func(rules) bool) bool {
	for {
		p.mu.Lock()
		rules, changed := p.rules, p.changed
		p.mu.Unlock()
		if ok(rules) {
			return true
		}
		select {
		case <-changed:
		case <-l.done:
			return false
		}
	}
}

// read puts what arrives into the queue, and at last the end of the stream.
func (p *Proxy) read(l *link, from *net.TCPConn, queue chan<- parcel) {
	defer close(queue)
	buf := make([]byte, readSize)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		due := time.Now().Add(p.rules.latency)
		p.mu.Unlock()
		if n > 0 {
			select {
			case queue <- parcel{data: append([]byte(nil), buf[:n]...), due: due}:
			case <-l.done:
				return
			}
		}
		if err != nil {
			select {
			case queue <- parcel{due: due}:
			case <-l.done:
			}
			return
		}
	}
}

// write delivers a queue until the stream or the link ends.
func (p *Proxy) write(l *link, d Direction, to *net.TCPConn, queue <-chan parcel) {
	for item := range queue {
		if !l.sleep(time.Until(item.due)) {
			return
		}
		if len(item.data) == 0 {
			p.passable(l, func(r rules) bool { return !r.stalled && !r.lost[d] })
			if d == ToServer && l.over.Load() {
				l.close() // the client has seen the end that it was sent
			}
			return
		}
		for rest := item.data; len(rest) > 0 && !l.over.Load(); {
			if !p.passable(l, func(r rules) bool { return !r.stalled }) {
				return
			}
			v := p.judge(l, d, rest)
			if len(v.pass) > 0 {
				if _, err := to.Write(v.pass); err != nil && !l.over.Load() {
					return
				}
			}
			if len(v.struck) > 0 {
				l.tear()
				for _, struck := range v.struck {
					close(struck)
				}
				break
			}
			rest = rest[v.used:]
			if !l.sleep(v.pause) {
				return
			}
		}
	}
}

// verdict is what becomes of the bytes that are next.
type verdict struct {
	pass   []byte          // is written
	used   int             // so many bytes are done with, written or swallowed
	pause  time.Duration   // until the next ones
	struck []chan struct{} // if any: the rest is swallowed, the connection ends, and then these are closed
}

// judge decides under the rules of this moment.
func (p *Proxy) judge(l *link, d Direction, data []byte) verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rules
	if r.lost[d] {
		l.torn.Store(true) // under the lock, so that Heal sees it
		return verdict{used: len(data)}
	}
	v := verdict{}
	if r.slice > 0 && len(data) > r.slice {
		data = data[:r.slice]
	}
	if r.slice > 0 {
		v.pause = r.pause
	}
	if r.bandwidth > 0 {
		data = data[:min(len(data), max(1, int(int64(r.bandwidth)*int64(bandwidthTick)/int64(time.Second))))]
		v.pause += time.Duration(len(data)) * time.Second / time.Duration(r.bandwidth)
	}
	v.pass, v.used = data, len(data)
	if d == ToClient {
		p.count(l, &v)
	}
	return v
}

// count follows the replies of a link and lets the two faults strike that count. The caller holds p.mu.
func (p *Proxy) count(l *link, v *verdict) {
	for n := 0; n < len(v.pass); {
		if l.scan.between() && v.pass[n] != '>' && p.countdown > 0 {
			if p.countdown--; p.countdown == 0 {
				v.pass, v.struck = v.pass[:n], append(v.struck, p.replied)
				break
			}
		}
		n += l.scan.scan(v.pass[n:])
	}
	switch {
	case p.allowance < 0:
	case int64(len(v.pass)) > p.allowance:
		v.pass, v.struck = v.pass[:p.allowance], append(v.struck, p.limited)
		p.allowance = -1
	default:
		p.allowance -= int64(len(v.pass))
	}
}

// tear ends the connection to the server, and the client's after what was written to it: closing at once could take that
// away again.
func (l *link) tear() {
	l.over.Store(true)
	_ = l.client.CloseWrite()
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.server.Close()
}
