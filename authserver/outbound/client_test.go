package outbound

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// TestMain sets proxies that do not exist, before anything can read the environment (net/http reads it once).
func TestMain(m *testing.M) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "https_proxy", "http_proxy"} {
		if err := os.Setenv(name, "http://127.0.0.1:1"); err != nil {
			panic(err)
		}
	}
	m.Run()
}

// party is a client's own server, with how many connections came to it.
type party struct {
	*httptest.Server
	caFile      string
	connections atomic.Int64
}

func newParty(t testing.TB, plain bool, handler http.HandlerFunc) *party {
	t.Helper()
	p := &party{Server: httptest.NewUnstartedServer(handler), caFile: filepath.Join(t.TempDir(), "ca.pem")}
	p.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			p.connections.Add(1)
		}
	}
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	if plain {
		p.Start()
	} else {
		p.StartTLS()
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
		if err := os.WriteFile(p.caFile, block, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(p.Close)
	return p
}

func (p *party) port() string {
	return p.Listener.Addr().(*net.TCPAddr).AddrPort().String()[len("127.0.0.1"):]
}

func newClient(t testing.TB, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// resolver answers look-ups of host names: with what answer gives for "A", and nothing for AAAA.
func resolver(answer func(name string) []netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serveDNS(ours, answer)
		return theirs, nil
	}}
}

// serveDNS speaks DNS over TCP (RFC 1035 §4.2.2) for one question at a time.
func serveDNS(conn net.Conn, answer func(name string) []netip.Addr) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		end, labels := 12, []string{}
		for query[end] != 0 {
			labels = append(labels, string(query[end+1:end+1+int(query[end])]))
			end += 1 + int(query[end])
		}
		question := query[12 : end+5]
		var found []netip.Addr
		if binary.BigEndian.Uint16(query[end+1:]) == 1 { // A
			found = answer(strings.Join(labels, "."))
		}
		reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, byte(len(found)), 0, 0, 0, 0}, question...)
		for _, a := range found {
			reply = append(append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), a.AsSlice()...)
		}
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	}
}

func resolvesTo(addresses ...string) *net.Resolver {
	return resolver(func(string) (list []netip.Addr) {
		for _, a := range addresses {
			list = append(list, netip.MustParseAddr(a))
		}
		return list
	})
}

// G5
func TestANameThatResolvesToThisMachineIsNotCalled(t *testing.T) {
	p := newParty(t, false, hello)
	address := "https://example.com" + p.port() + "/"
	c := newClient(t, Config{CAFile: p.caFile, resolver: resolvesTo("127.0.0.1")})
	_, _, err := c.Get(t.Context(), address, 0)
	wantRule(t, "Get", err, "127.0.0.1 (loopback)")
	if refused := (*RefusedError)(nil); !errors.As(err, &refused) || refused.Host != "example.com" {
		t.Errorf("the error does not name the host: %v", err)
	}
	_, err = c.PostForm(t.Context(), address, url.Values{"a": {"b"}})
	wantRule(t, "PostForm", err, "127.0.0.1 (loopback)")
	// Development does not change that: the name is not the loopback's.
	c = newClient(t, Config{CAFile: p.caFile, AllowLoopbackHTTP: true, resolver: resolvesTo("127.0.0.1")})
	_, _, err = c.Get(t.Context(), address, 0)
	wantRule(t, "in development", err, "127.0.0.1 (loopback)")
	if n := p.connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}

	c = newClient(t, Config{CAFile: p.caFile, AllowedNetworks: loopback, resolver: resolvesTo("127.0.0.1")})
	if body, _, err := c.Get(t.Context(), address, 0); err != nil || string(body) != "hello" {
		t.Errorf("a network that is allowed: %q, %v", body, err)
	}
}

// G5: numbers in every spelling; none reaches a socket.
func TestANumberOfThisMachineOrOfTheMetadataServiceIsNotCalled(t *testing.T) {
	p := newParty(t, false, hello)
	c := newClient(t, Config{CAFile: p.caFile, resolver: resolvesTo()})
	for _, host := range []string{
		"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "169.254.169.254", "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]", "localhost",
	} {
		_, _, err := c.Get(t.Context(), "https://"+host+p.port()+"/", 0)
		wantRule(t, host, err, "resolves to")
	}
	for _, host := range []string{"2130706433", "0x7f000001", "127.1", "0177.0.0.1"} { // names to us, numbers to some resolvers
		if _, _, err := c.Get(t.Context(), "https://"+host+p.port()+"/", 0); err == nil {
			t.Errorf("%s was called", host)
		}
	}
	if n := p.connections.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}

// G5: DNS rebinding. What counts is the answer that the connection is made with.
func TestANameThatAnswersDifferentlyTheSecondTimeGainsNothing(t *testing.T) {
	p := newParty(t, false, hello)
	var asked atomic.Int64
	c := newClient(t, Config{CAFile: p.caFile, AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, resolver: resolver(
		func(string) []netip.Addr {
			if asked.Add(1) == 1 {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")}
		})})
	address := "https://example.com" + p.port() + "/"
	if _, _, err := c.Get(t.Context(), address, 0); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.Get(t.Context(), address, 0)
	wantRule(t, "the second time", err, "127.0.0.2 (loopback)")
	// Of several addresses those that are refused are left out.
	c = newClient(t, Config{CAFile: p.caFile, AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, resolver: resolvesTo("127.0.0.2", "127.0.0.1")})
	if _, _, err := c.Get(t.Context(), address, 0); err != nil {
		t.Error(err)
	}
	if n := p.connections.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// G5
func TestARedirectIsNotFollowed(t *testing.T) {
	target := newParty(t, false, hello)
	for _, status := range []int{301, 302, 303, 307, 308} {
		p := newParty(t, false, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.URL, status) })
		c := newClient(t, Config{CAFile: p.caFile, AllowedNetworks: loopback})
		_, _, err := c.Get(t.Context(), p.URL, 0)
		wantRule(t, "Get", err, "redirect")
		_, err = c.PostForm(t.Context(), p.URL, url.Values{})
		wantRule(t, "PostForm", err, "redirect")
	}
	if n := target.connections.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// G5
func TestAnAnswerThatIsLargeOrSlowOrNotOneIsAnError(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	slow := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"at the limit":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) }, ""},
		"one byte more": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1001)) }, "larger than 1000 bytes"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, "larger than 1000 bytes"},
		"a large header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*maxHeaderBytes))
		}, "exceeded"},
		"no answer": {slow, "in time"},
		"a body that never ends": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			slow(w, r)
			panic(http.ErrAbortHandler) // or the server would write a proper end
		}, "deadline exceeded"},
		"a body cut short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = w.Write([]byte("x"))
		}, "unexpected EOF"},
		"not found":  {http.NotFound, "status 404, not 200"},
		"no content": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "status 204, not 200"},
	} {
		p := newParty(t, false, c.handler)
		client := newClient(t, Config{CAFile: p.caFile, AllowedNetworks: loopback})
		if name == "no answer" || name == "a body that never ends" { // the others must not be late on a slow machine
			client.timeout = 500 * time.Millisecond
		}
		_, _, err := client.Get(t.Context(), p.URL+"/path?key=very-secret", 1000)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error has the query in it: %v", name, err)
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// untilDone is a body that ends when the call does.
type untilDone struct {
	done   <-chan struct{}
	closed atomic.Bool
}

func (b *untilDone) Read([]byte) (int, error) { <-b.done; return 0, io.EOF }
func (b *untilDone) Close() error             { b.closed.Store(true); return nil }

// G5: net/http may hand over an answer that came with the deadline.
func TestAnAnswerThatComesWithTheDeadlineIsNone(t *testing.T) {
	for name, early := range map[string]bool{"the header": false, "the end of the body": true} {
		var last *untilDone
		c := newClient(t, Config{AllowedNetworks: loopback})
		c.timeout = 50 * time.Millisecond
		c.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			if last = (&untilDone{done: r.Context().Done()}); !early {
				<-r.Context().Done()
			}
			return &http.Response{StatusCode: http.StatusOK, Body: last, Request: r}, nil
		})
		if body, _, err := c.Get(t.Context(), "https://example.com/", 0); !errors.Is(err, context.DeadlineExceeded) || !last.closed.Load() {
			t.Errorf("GET, %s: got %q, %v, closed %v", name, body, err, last.closed.Load())
		}
		if early {
			continue // a form is answered with the header
		}
		if status, err := c.PostForm(t.Context(), "https://example.com/", nil); !errors.Is(err, context.DeadlineExceeded) || !last.closed.Load() {
			t.Errorf("POST, %s: got %d, %v, closed %v", name, status, err, last.closed.Load())
		}
	}
	c := newClient(t, Config{AllowedNetworks: loopback})
	c.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("in time")), Request: r}, nil
	})
	if body, _, err := c.Get(t.Context(), "https://example.com/", 0); err != nil || string(body) != "in time" {
		t.Errorf("in time: %q, %v", body, err)
	}
}

// G5
func TestPlainHTTPIsForLoopbackInDevelopmentOnly(t *testing.T) {
	p := newParty(t, true, hello)
	_, _, err := newClient(t, Config{AllowedNetworks: loopback}).Get(t.Context(), p.URL, 0)
	wantRule(t, "without", err, "must be https")
	body, _, err := newClient(t, Config{AllowLoopbackHTTP: true}).Get(t.Context(), p.URL, 0)
	if err != nil || string(body) != "hello" {
		t.Errorf("in development: %q, %v", body, err)
	}
	dev := newClient(t, Config{AllowLoopbackHTTP: true, resolver: resolvesTo("10.0.0.1")})
	_, _, err = dev.Get(t.Context(), "http://app.localhost"+p.port()+"/", 0)
	wantRule(t, "a loopback name that resolves elsewhere", err, "this machine only")
}

func TestOnlyCertificatesOfTheSystemAndOfTheCAFileAreTrusted(t *testing.T) {
	p := newParty(t, false, hello)
	if _, _, err := newClient(t, Config{AllowedNetworks: loopback}).Get(t.Context(), p.URL, 0); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the file: %v", err)
	}
	c := newClient(t, Config{AllowedNetworks: loopback, CAFile: p.caFile})
	if _, _, err := c.Get(t.Context(), p.URL, 0); err != nil {
		t.Errorf("with the file: %v", err)
	}
	c = newClient(t, Config{AllowedNetworks: loopback, CAFile: p.caFile, resolver: resolvesTo("127.0.0.1")})
	if _, _, err := c.Get(t.Context(), "https://other.test"+p.port()+"/", 0); err == nil || !strings.Contains(err.Error(), "other.test") {
		t.Errorf("a certificate of another name: %v", err)
	}

	good, err := os.ReadFile(p.caFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"empty": "", "no PEM": "hello", "a key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"a broken one after a good one": string(good) + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	} {
		file := filepath.Join(t.TempDir(), "bad.pem")
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{CAFile: file}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: got %v, want an error that names the file", name, err)
		}
	}
	if _, err := New(Config{CAFile: "/no/such/file.pem"}); err == nil || !strings.Contains(err.Error(), "/no/such/file.pem") {
		t.Errorf("no such file: %v", err)
	}
}

func TestTLSOlderThan12IsRefused(t *testing.T) {
	for version, want := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		p := &party{Server: httptest.NewUnstartedServer(http.HandlerFunc(hello)), caFile: filepath.Join(t.TempDir(), "ca.pem")}
		p.Config.ErrorLog = log.New(io.Discard, "", 0)
		p.TLS = &tls.Config{MinVersion: version, MaxVersion: version}
		p.StartTLS()
		t.Cleanup(p.Close)
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})
		if err := os.WriteFile(p.caFile, block, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := newClient(t, Config{AllowedNetworks: loopback, CAFile: p.caFile}).Get(t.Context(), p.URL, 0)
		if (err == nil) != want {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// Nothing of one exchange is in the next, no cookie and no connection, and the proxy of the environment is not asked.
func TestARequestSaysWhoWeAreAndNothingElse(t *testing.T) {
	var last *http.Request
	var form url.Values
	p := newParty(t, false, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		last, form = r, r.PostForm
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.Header().Set("Cache-Control", "max-age=7")
		w.WriteHeader(map[string]int{http.MethodGet: 200, http.MethodPost: 400}[r.Method])
	})
	c := newClient(t, Config{CAFile: p.caFile, AllowedNetworks: loopback, UserAgent: "ingam/1", resolver: resolvesTo("127.0.0.1")})
	address := "https://example.com" + p.port() // a proxy of the environment would not be asked for 127.0.0.1
	_, header, err := c.Get(t.Context(), address, 0)
	if err != nil || header.Get("Cache-Control") != "max-age=7" || last.Method != http.MethodGet || last.ContentLength != 0 {
		t.Fatalf("GET: %v, %v", header, err)
	}
	status, err := c.PostForm(t.Context(), address, url.Values{"logout_token": {"a+b&c"}})
	if err != nil || status != 400 || form.Get("logout_token") != "a+b&c" || last.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		t.Errorf("POST: %d, %v, %v", status, form, err)
	}
	if last.UserAgent() != "ingam/1" || len(last.Cookies()) != 0 || last.Header.Get("Referer") != "" {
		t.Errorf("header: %v", last.Header)
	}
	if n := p.connections.Load(); n != 2 {
		t.Errorf("%d connections for 2 requests: one was kept open", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.PostForm(ctx, address, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has given up: %v", err)
	}
}
