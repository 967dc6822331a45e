package redistest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// through returns a proxy before the shared server, with a key prefix.
func through(t *testing.T) (*redistest.Proxy, *redistest.Server, string) {
	t.Helper()
	server, prefix := redistest.Shared(t)
	return redistest.NewProxy(t, server.Addr()), server, prefix
}

// wire is a raw connection that speaks inline commands.
type wire struct {
	*net.TCPConn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wire{conn.(*net.TCPConn), bufio.NewReader(conn)}
}

// say sends a command.
func (w *wire) say(t *testing.T, command string) {
	t.Helper()
	if _, err := w.Write([]byte(command + "\r\n")); err != nil {
		t.Fatal(err)
	}
}

// hear reads a line within the time.
func (w *wire) hear(within time.Duration) (string, error) {
	_ = w.SetReadDeadline(time.Now().Add(within))
	line, err := w.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// must is hear for a reply that is expected.
func (w *wire) must(t *testing.T, want string) {
	t.Helper()
	if got, err := w.hear(patience); err != nil || got != want {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

// silent checks that nothing comes and the connection stays open.
func (w *wire) silent(t *testing.T) {
	t.Helper()
	if got, err := w.hear(100 * time.Millisecond); !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		t.Fatalf("got %q, %v, want silence", got, err)
	}
}

// refused checks that a new connection ends at once; whether already while dialling is a matter of luck.
func refused(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("new connection: %v", err)
		}
		return
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("new connection: %d bytes, %v", n, err)
	}
}

func isTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// fastest returns the shortest time of some tries: a busy machine makes single ones slow.
func fastest(f func()) time.Duration {
	best := time.Hour
	for range 5 {
		begin := time.Now()
		f()
		best = min(best, time.Since(begin))
	}
	return best
}

func TestAProxyWithoutFaultsPassesEverything(t *testing.T) {
	p, _, prefix := through(t)
	c := goredis.NewClient(&goredis.Options{Addr: p.Addr()})
	defer c.Close()
	big := strings.Repeat("0123456789", 300_000)
	if err := c.Set(t.Context(), prefix+"big", big, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(t.Context(), prefix+"big").Result(); err != nil || got != big {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				want := fmt.Sprint(i, j)
				if got, err := c.Echo(t.Context(), want).Result(); err != nil || got != want {
					t.Errorf("%q, %v, want %q", got, err, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestLatencyDelaysEachDirection(t *testing.T) {
	p, _, _ := through(t)
	w := dial(t, p.Addr())
	w.say(t, "PING")
	w.must(t, "+PONG")
	p.Latency(60 * time.Millisecond)
	for range 2 {
		begin := time.Now()
		w.say(t, "PING")
		w.must(t, "+PONG")
		if took := time.Since(begin); took < 120*time.Millisecond {
			t.Errorf("a round trip took %s", took)
		}
	}
	p.Heal()
	if took := fastest(func() {
		w.say(t, "PING")
		w.must(t, "+PONG")
	}); took > 100*time.Millisecond {
		t.Errorf("healed, a round trip took %s", took)
	}
}

func TestLatencyDoesNotAddUpOverPipelinedRequests(t *testing.T) {
	p, _, _ := through(t)
	w := dial(t, p.Addr())
	p.Latency(100 * time.Millisecond)
	if took := fastest(func() {
		for range 20 {
			w.say(t, "PING")
			time.Sleep(time.Millisecond) // reads of their own
		}
		for range 20 {
			w.must(t, "+PONG")
		}
	}); took < 200*time.Millisecond || took > 2*time.Second {
		t.Errorf("20 pipelined requests took %s", took)
	}
}

func TestBandwidthBoundsTheRate(t *testing.T) {
	p, server, prefix := through(t)
	if err := server.Client().Set(t.Context(), prefix+"k", strings.Repeat("x", 20_000), 0).Err(); err != nil {
		t.Fatal(err)
	}
	fetch := func() {
		w := dial(t, p.Addr())
		w.say(t, "GET "+prefix+"k")
		w.must(t, "$20000")
		w.must(t, strings.Repeat("x", 20_000))
	}
	p.Bandwidth(50_000)
	begin := time.Now()
	fetch()
	if took := time.Since(begin); took < 350*time.Millisecond {
		t.Errorf("20 kB at 50 kB/s took %s", took)
	}
	p.Bandwidth(0)
	if took := fastest(fetch); took > 300*time.Millisecond {
		t.Errorf("without a bound it took %s", took)
	}
}

func TestSliceWritesTinyPieces(t *testing.T) {
	p, _, _ := through(t)
	w := dial(t, p.Addr())
	p.Slice(1, 5*time.Millisecond)
	tiny := false
	for try := 0; try < 20 && !tiny; try++ { // a busy machine may come late, and find more than one piece
		begin := time.Now()
		w.say(t, "ECHO abcdefgh") // 15 bytes there, 14 back
		reply := make([]byte, len("$8\r\nabcdefgh\r\n"))
		_ = w.SetReadDeadline(time.Now().Add(patience))
		n, err := w.Read(reply)
		if err == nil {
			tiny = n == 1
			_, err = io.ReadFull(w.TCPConn, reply[n:])
		}
		if err != nil || string(reply) != "$8\r\nabcdefgh\r\n" {
			t.Fatalf("got %q, %v", reply, err)
		}
		if took := time.Since(begin); took < 100*time.Millisecond {
			t.Errorf("29 slices took %s", took)
		}
	}
	if !tiny {
		t.Error("the first read never brought a single byte")
	}
	p.Heal()
	w.say(t, "PING")
	w.must(t, "+PONG")
}

func TestCutSwallowsBytesUntilHealed(t *testing.T) {
	p, server, prefix := through(t)
	lost, quiet := dial(t, p.Addr()), dial(t, p.Addr())
	for _, w := range []*wire{lost, quiet} {
		w.say(t, "PING")
		w.must(t, "+PONG")
	}
	p.Cut()
	lost.say(t, "SET "+prefix+"k v")
	lost.silent(t)
	fresh := dial(t, p.Addr())
	fresh.say(t, "PING")
	fresh.silent(t)
	if n, err := server.Client().Exists(t.Context(), prefix+"k").Result(); err != nil || n != 0 {
		t.Fatalf("the request reached the server: %d, %v", n, err)
	}
	p.Heal()
	if got, err := lost.hear(patience); err == nil || isTimeout(err) {
		t.Errorf("the connection that lost bytes goes on: %q, %v", got, err)
	}
	quiet.say(t, "PING")
	quiet.must(t, "+PONG")
	fresh.must(t, "+PONG")
	if n, err := server.Client().Exists(t.Context(), prefix+"k").Result(); err != nil || n != 0 {
		t.Fatalf("what was swallowed came later: %d, %v", n, err)
	}
}

func TestCutToTheClientLetsRequestsThrough(t *testing.T) {
	p, server, prefix := through(t)
	w := dial(t, p.Addr())
	w.say(t, "PING")
	w.must(t, "+PONG")
	p.Cut(redistest.ToClient)
	w.say(t, "SET "+prefix+"k v")
	w.silent(t)
	if got, err := server.Client().Get(t.Context(), prefix+"k").Result(); err != nil || got != "v" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestStallDeliversLate(t *testing.T) {
	p, server, prefix := through(t)
	w := dial(t, p.Addr())
	w.say(t, "PING")
	w.must(t, "+PONG")
	p.Stall()
	w.say(t, "SET "+prefix+"k v")
	w.silent(t)
	if n, err := server.Client().Exists(t.Context(), prefix+"k").Result(); err != nil || n != 0 {
		t.Fatalf("the request reached the server: %d, %v", n, err)
	}
	w.Close() // the client gives up; its request is still on its way
	p.Heal()
	eventually(t, "the late request is executed", func() bool {
		return server.Client().Exists(t.Context(), prefix+"k").Val() == 1
	})
}

func TestRefuseClosesWhatIsOpenAndWhatIsNew(t *testing.T) {
	p, _, _ := through(t)
	w := dial(t, p.Addr())
	w.say(t, "PING")
	w.must(t, "+PONG")
	p.Refuse()
	if got, err := w.hear(patience); err == nil || isTimeout(err) {
		t.Errorf("open connection: %q, %v", got, err)
	}
	refused(t, p.Addr())
	p.Heal()
	w = dial(t, p.Addr())
	w.say(t, "PING")
	w.must(t, "+PONG")
}

func TestResetEndsWhatIsOpenByRST(t *testing.T) {
	p, _, _ := through(t)
	w := dial(t, p.Addr())
	w.say(t, "PING")
	w.must(t, "+PONG")
	p.Reset()
	if _, err := w.hear(patience); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, want %v", err, syscall.ECONNRESET)
	}
	w = dial(t, p.Addr())
	w.say(t, "PING")
	w.must(t, "+PONG")
}

func TestCutAfterRepliesSwallowsTheNthReplyOfAnExecutedRequest(t *testing.T) {
	p, server, prefix := through(t)
	for n := 1; n <= 4; n++ {
		key := fmt.Sprintf("%s%d", prefix, n)
		w := dial(t, p.Addr())
		w.say(t, "PING") // before: not counted
		w.must(t, "+PONG")
		struck := p.CutAfterReplies(n)
		w.say(t, strings.Repeat("RPUSH "+key+" a\r\n", 3)+"RPUSH "+key+" b") // pipelined: one read, one chunk of replies
		for i := 1; i < n; i++ {
			w.must(t, fmt.Sprintf(":%d", i))
		}
		if got, err := w.hear(patience); !errors.Is(err, io.EOF) || got != "" {
			t.Errorf("n = %d: got %q, %v, want the end", n, got, err)
		}
		<-struck
		if got, err := server.Client().LLen(t.Context(), key).Result(); err != nil || got != 4 {
			t.Errorf("n = %d: the server has executed %d requests of 4, %v", n, got, err)
		}
		again := dial(t, p.Addr()) // it struck once
		again.say(t, "PING")
		again.must(t, "+PONG")
	}
}

func TestCutAfterRepliesCountsOverAllConnectionsButNoPushes(t *testing.T) {
	p, server, prefix := through(t)
	a, b := dial(t, p.Addr()), dial(t, p.Addr())
	a.say(t, "HELLO 3")
	for line := ""; line != "*0"; { // the modules are last
		line, _ = a.hear(patience)
	}
	a.say(t, "CLIENT TRACKING ON BCAST PREFIX "+prefix)
	a.must(t, "+OK")
	struck := p.CutAfterReplies(3)
	b.say(t, "PING")
	b.must(t, "+PONG")
	for range 5 {
		if err := server.Client().Set(t.Context(), prefix+"k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		a.must(t, ">2")
		for range 4 { // $10 invalidate *1 $n, then the key
			if _, err := a.hear(patience); err != nil {
				t.Fatal(err)
			}
		}
		a.must(t, prefix+"k")
	}
	a.say(t, "PING")
	a.must(t, "+PONG")
	select {
	case <-struck:
		t.Fatal("it struck before the third reply")
	default:
	}
	b.say(t, "PING")
	if got, err := b.hear(patience); !errors.Is(err, io.EOF) {
		t.Fatalf("%q, %v, want the end", got, err)
	}
	<-struck
	a.say(t, "PING")
	a.must(t, "+PONG")
}

func TestLimitDataTearsAReply(t *testing.T) {
	p, server, prefix := through(t)
	if err := server.Client().Set(t.Context(), prefix+"k", "0123456789", 0).Err(); err != nil {
		t.Fatal(err)
	}
	w := dial(t, p.Addr())
	struck := p.LimitData(9)
	w.say(t, "GET "+prefix+"k")
	w.must(t, "$10")
	if got, err := w.hear(patience); !errors.Is(err, io.EOF) || got != "0123" {
		t.Errorf("got %q, %v, want the first 4 bytes and the end", got, err)
	}
	<-struck
	w = dial(t, p.Addr())
	w.say(t, "PING")
	w.must(t, "+PONG")
}

func TestHealDisarmsWhatHasNotStruck(t *testing.T) {
	p, _, _ := through(t)
	w := dial(t, p.Addr())
	cut, limit := p.CutAfterReplies(1), p.LimitData(1)
	p.Heal()
	w.say(t, "PING")
	w.must(t, "+PONG")
	select {
	case <-cut:
		t.Error("the reply was swallowed")
	case <-limit:
		t.Error("the reply was torn")
	default:
	}
}

func TestSetTargetSendsNewConnectionsElsewhere(t *testing.T) {
	p, _, _ := through(t)
	other := redistest.Start(t, redistest.AppendFsync("off"))
	first := dial(t, p.Addr())
	first.say(t, "PING")
	first.must(t, "+PONG")
	p.SetTarget(other.Addr())
	second := dial(t, p.Addr())
	for _, w := range []*wire{first, second} {
		w.say(t, "SET where "+"x GET")
	}
	first.must(t, "$-1")
	second.must(t, "$-1")
	if got, err := other.Client().DBSize(t.Context()).Result(); err != nil || got != 1 {
		t.Fatalf("the other server holds %d keys, %v, want that of the second connection", got, err)
	}
	if err := other.Kill(); err != nil {
		t.Fatal(err)
	}
	refused(t, p.Addr())
}

func TestACloseEndsAllGoroutinesWhateverTheFault(t *testing.T) {
	server, _ := redistest.Shared(t)
	eventually(t, "goroutines of other tests end", func() bool { // two counts alike, so that the base is at rest
		n := runtime.NumGoroutine()
		time.Sleep(20 * time.Millisecond)
		return n == runtime.NumGoroutine()
	})
	before := runtime.NumGoroutine()
	for name, fault := range map[string]func(*redistest.Proxy){
		"none": func(*redistest.Proxy) {}, "cut": func(p *redistest.Proxy) { p.Cut() }, "stall": (*redistest.Proxy).Stall,
		"latency": func(p *redistest.Proxy) { p.Latency(time.Hour) }, "refuse": (*redistest.Proxy).Refuse,
		"slice":     func(p *redistest.Proxy) { p.Slice(1, time.Hour) },
		"bandwidth": func(p *redistest.Proxy) { p.Bandwidth(1) }, "reset": (*redistest.Proxy).Reset,
		"replies": func(p *redistest.Proxy) { p.CutAfterReplies(1) }, "data": func(p *redistest.Proxy) { p.LimitData(2) },
	} {
		p := redistest.NewProxy(t, server.Addr())
		var conns []net.Conn
		for range 5 {
			conn, err := net.Dial("tcp", p.Addr())
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		eventually(t, "the proxy has taken the connections", func() bool { return p.Connections() == 5 })
		fault(p)
		for _, conn := range conns {
			_, _ = conn.Write([]byte("PING\r\nPING\r\n"))
		}
		p.Close()
		p.Close()
		for _, conn := range conns {
			conn.Close()
		}
		if n := p.Connections(); n != 0 {
			t.Errorf("%s: %d connections after Close", name, n)
		}
		eventually(t, name+": all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	}
}

func TestFaultsMayComeFromAnyGoroutineAtAnyTime(t *testing.T) {
	p, _, _ := through(t)
	c := goredis.NewClient(&goredis.Options{Addr: p.Addr(), MaxRetries: -1, ReadTimeout: 50 * time.Millisecond, DialTimeout: 50 * time.Millisecond, DialerRetries: 1})
	defer c.Close()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var wrong atomic.Int64
	for i := range 4 {
		wg.Go(func() {
			for j := 0; ; j++ {
				select {
				case <-stop:
					return
				default:
				}
				want := fmt.Sprint(i, j)
				if got, err := c.Echo(t.Context(), want).Result(); err == nil && got != want {
					wrong.Add(1)
				}
			}
		})
	}
	for _, fault := range []func(){
		func() { p.Cut() }, p.Heal, p.Reset, p.Stall, p.Heal, p.Refuse, p.Heal, func() { p.Slice(2, 0) }, func() { p.CutAfterReplies(3) },
		func() { p.LimitData(33) }, func() { p.Latency(time.Millisecond) }, func() { p.Bandwidth(1e6) }, p.Heal,
	} {
		var both sync.WaitGroup
		both.Go(fault)
		both.Go(p.Reset)
		both.Wait()
		time.Sleep(10 * time.Millisecond) // traffic under the fault; nothing to await
	}
	close(stop)
	wg.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d answers were those of other requests", n)
	}
	if err := c.Ping(t.Context()).Err(); err != nil {
		eventually(t, "the healed proxy serves", func() bool { return c.Ping(t.Context()).Err() == nil })
	}
}
