package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tlsRig is a listener with a certificate in files, at which it looks when it is told to.
type tlsRig struct {
	t                 *testing.T
	certFile, keyFile string
	address           string
	pair              *certificate
	log               *syncBuffer
}

func newTLSRig(t *testing.T) *tlsRig {
	t.Helper()
	dir := t.TempDir()
	r := &tlsRig{t: t, certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem"), log: &syncBuffer{}}
	writeCertificate(t, r.certFile, r.keyFile)
	past := time.Now().Add(-time.Hour) // or files written within one tick of the file system's clock might look alike
	for _, file := range []string{r.certFile, r.keyFile} {
		if err := os.Chtimes(file, past, past); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	var c config
	c.Limits.MaxConnections, c.TLS.CertFile, c.TLS.KeyFile = 100, r.certFile, r.keyFile
	front, pair, err := c.front(testListener(t), log)
	if err != nil {
		t.Fatal(err)
	}
	r.address, r.pair = front.Addr().String(), pair
	s := newService("public", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.WriteString(w, req.Proto)
	}), slog.New(slog.DiscardHandler), front)
	go func() { _ = s.server.Serve(front) }()
	t.Cleanup(func() { _ = s.server.Close() })
	return r
}

// look is what happens at each tick.
func (r *tlsRig) look() { r.pair.renew(false) }

// handshake connects and returns the certificate shown.
func (r *tlsRig) handshake(change func(*tls.Config)) (tls.ConnectionState, error) {
	conf := &tls.Config{InsecureSkipVerify: true} // the certificate itself is compared
	if change != nil {
		change(conf)
	}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: conf}
	conn, err := dialer.DialContext(r.t.Context(), "tcp", r.address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState(), nil
}

// shown is the certificate of a handshake that must succeed.
func (r *tlsRig) shown() []byte {
	r.t.Helper()
	state, err := r.handshake(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return state.PeerCertificates[0].Raw
}

func TestANewCertificateIsShownWithoutARestart(t *testing.T) {
	r := newTLSRig(t)
	old := r.shown()
	r.look()
	if !bytes.Equal(r.shown(), old) || r.log.String() != "" {
		t.Errorf("nothing changed, and something was done: %s", r.log.String())
	}
	writeCertificate(t, r.certFile, r.keyFile)
	if !bytes.Equal(r.shown(), old) {
		t.Error("the files are read at handshakes")
	}
	r.look()
	if bytes.Equal(r.shown(), old) || !strings.Contains(r.log.String(), "read again") {
		t.Errorf("the old certificate is still shown: %s", r.log.String())
	}
}

func TestASignalMakesTheCertificateBeReadAtOnce(t *testing.T) {
	r := newTLSRig(t)
	ticks, hangup, done := make(chan time.Time), make(chan os.Signal), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() { r.pair.follow(ctx, ticks, hangup); close(done) }()
	defer func() { stop(); <-done }()
	old := r.shown()
	writeCertificate(t, r.certFile, r.keyFile)
	hangup <- syscall.SIGHUP
	ticks <- time.Now() // taken when the signal has been dealt with
	signalled := r.shown()
	if bytes.Equal(signalled, old) {
		t.Error("the old certificate is still shown")
	}
	writeCertificate(t, r.certFile, r.keyFile)
	if err := os.Chtimes(r.certFile, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	ticks <- time.Now()
	hangup <- syscall.SIGHUP // taken when the tick has been dealt with
	if bytes.Equal(r.shown(), signalled) {
		t.Error("a tick is not followed")
	}
}

func TestABrokenCertificateLeavesTheOldOneInForce(t *testing.T) {
	for name, breakIt := range map[string]func(r *tlsRig){
		"no PEM":             func(r *tlsRig) { writeFile(r.t, r.certFile, "half a file") },
		"gone":               func(r *tlsRig) { _ = os.Remove(r.keyFile) },
		"of another key":     func(r *tlsRig) { writeCertificate(r.t, r.certFile, r.keyFile+".other") },
		"empty for a moment": func(r *tlsRig) { writeFile(r.t, r.keyFile, "") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newTLSRig(t)
			old := r.shown()
			breakIt(r)
			r.look()
			r.look()
			if !bytes.Equal(r.shown(), old) {
				t.Error("the certificate changed")
			}
			if n := strings.Count(r.log.String(), "level=ERROR"); n != 1 {
				t.Errorf("said %d times: %s", n, r.log.String())
			}
			writeCertificate(t, r.certFile, r.keyFile)
			r.look()
			if bytes.Equal(r.shown(), old) {
				t.Error("the repaired pair is not in force")
			}
		})
	}
}

func TestOnlyTLSWithForwardSecrecyAndAuthenticatedEncryptionIsSpoken(t *testing.T) {
	r := newTLSRig(t)
	version := func(v uint16) func(*tls.Config) {
		return func(c *tls.Config) { c.MinVersion, c.MaxVersion = v, v }
	}
	suites := func(ids ...uint16) func(*tls.Config) {
		return func(c *tls.Config) {
			c.MinVersion, c.MaxVersion, c.CipherSuites = tls.VersionTLS12, tls.VersionTLS12, ids
		}
	}
	for name, tc := range map[string]struct {
		change func(*tls.Config)
		ok     bool
	}{
		"TLS 1.3":             {version(tls.VersionTLS13), true},
		"TLS 1.2":             {version(tls.VersionTLS12), true},
		"TLS 1.1":             {version(tls.VersionTLS11), false},
		"TLS 1.0":             {version(tls.VersionTLS10), false},
		"1.2 with GCM":        {suites(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384), true},
		"1.2 with ChaCha20":   {suites(tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256), true},
		"1.2 with CBC":        {suites(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA), false},
		"1.2 with CBC-SHA256": {suites(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256), false},
		"1.2 without ECDHE":   {suites(tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384), false},
	} {
		_, err := r.handshake(tc.change)
		if (err == nil) != tc.ok || err != nil && !strings.Contains(err.Error(), "remote error: tls:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An ECDSA certificate cannot show what an RSA one would allow; the list can.
	for _, id := range (&certificate{}).config().CipherSuites {
		if n := tls.CipherSuiteName(id); !strings.HasPrefix(n, "TLS_ECDHE_") || !strings.Contains(n, "GCM") && !strings.Contains(n, "POLY1305") {
			t.Error(n)
		}
	}
}

func TestHTTP2IsSpokenOverTLS(t *testing.T) {
	r := newTLSRig(t)
	transport := &http.Transport{
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Get("https://" + r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "HTTP/2.0" {
		t.Errorf("%q %v", text, err)
	}
}

func TestServeShowsANewCertificateAfterASignal(t *testing.T) {
	// This process is the server: without a handler of its own a signal that comes too early would end it.
	own := make(chan os.Signal, 1)
	signal.Notify(own, syscall.SIGHUP)
	defer signal.Stop(own)
	dir, args := serveArgs(t)
	r := &tlsRig{t: t, certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem")}
	writeCertificate(t, r.certFile, r.keyFile)
	server := start(t, nil, append(args, "--tls-cert-file", r.certFile, "--tls-key-file", r.keyFile)...)
	r.address = server.ready(t)["public"]
	old := r.shown()
	writeCertificate(t, r.certFile, r.keyFile)
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); bytes.Equal(r.shown(), old); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the old certificate is still shown")
		}
		if err := self.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
}
