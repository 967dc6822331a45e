package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// certificateEvery is how often the files of the certificate are looked at. Tools that renew certificates replace files
// and do not always tell.
const certificateEvery = 10 * time.Second

// A certificate is the pair of files of tls.cert_file and tls.key_file, read again when they change. It is safe for
// concurrent use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]

	// Of the one goroutine that watches: the files as they were when last read with success, and what was last complained
	// about.
	seen    [2]fileState
	problem string
}

// fileState tells one content of a file from another without reading it.
type fileState struct {
	size     int64
	modified time.Time
}

// openCertificate reads the pair for the first time; then there must be a good one.
func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	return c, c.load()
}

// load reads the pair. The state of the files is taken before: a change while they are read is seen the next time.
func (c *certificate) load() error {
	state, err := c.state()
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.current.Store(&pair)
	c.seen = state
	return nil
}

func (c *certificate) state() (state [2]fileState, err error) {
	for i, path := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(path) // follows links: container platforms replace a link
		if err != nil {
			return state, err
		}
		state[i] = fileState{info.Size(), info.ModTime()}
	}
	return state, nil
}

// watch reads the pair again when its files change, and on SIGHUP in any case, until ctx ends.
func (c *certificate) watch(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	ticker := time.NewTicker(certificateEvery)
	defer ticker.Stop()
	c.follow(ctx, ticker.C, hangup)
}

// follow is watch with the clock and the signal of its caller.
func (c *certificate) follow(ctx context.Context, ticks <-chan time.Time, hangup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			c.problem = "" // who asks is told again
			c.renew(true)
		case <-ticks:
			c.renew(false)
		}
	}
}

// renew puts the pair of the files in force. A broken one changes nothing and is said once: certificate and key are two
// files, and between their replacements they do not fit.
func (c *certificate) renew(asked bool) {
	state, err := c.state()
	if err == nil {
		if state == c.seen && !asked {
			return
		}
		err = c.load()
	}
	switch {
	case err == nil:
		c.problem = ""
		c.log.Info("the certificate was read again", "cert_file", c.certFile, "not_after", c.notAfter())
	case err.Error() != c.problem:
		c.problem = err.Error()
		c.log.Error("the new certificate cannot be used; the one so far stays in use",
			"cert_file", c.certFile, "key_file", c.keyFile, "not_after", c.notAfter(), "error", err)
	}
}

// notAfter is when the certificate in force ends.
func (c *certificate) notAfter() string {
	leaf := c.current.Load().Leaf
	if leaf == nil {
		return "unknown"
	}
	return leaf.NotAfter.UTC().Format(time.RFC3339)
}

// config is TLS for a listener: 1.3, and 1.2 with forward secrecy and authenticated encryption only (RFC 9325 §4.2).
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

// over serves TLS on a listener, HTTP/2 included.
func (c *certificate) over(l net.Listener) net.Listener { return tls.NewListener(l, c.config()) }

// front is the public listener with what stands before it. The limit counts connections before TLS, so that handshakes
// are counted as well. Without a certificate there is no TLS and nothing to watch.
func (c *config) front(public net.Listener, log *slog.Logger) (net.Listener, *certificate, error) {
	front := limited(public, c.Limits.MaxConnections)
	if c.TLS.CertFile == "" {
		return front, nil, nil
	}
	pair, err := openCertificate(c.TLS.CertFile, c.TLS.KeyFile, log)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("tls.cert_file: %w", err)}
	}
	return pair.over(front), pair, nil
}
