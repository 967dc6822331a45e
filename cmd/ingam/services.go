package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// A service is one HTTP server with its listeners. Services end in the order of the list they are run from.
type service struct {
	name      string
	server    *http.Server
	listeners []net.Listener
}

// newService bounds what one connection can cost (threats O1: slow headers, slow bodies, slow readers, idle floods).
func newService(name string, handler http.Handler, log *slog.Logger, listeners ...net.Listener) service {
	return service{name: name, listeners: listeners, server: &http.Server{
		Handler:           endUnsure(handler),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}
}

// endUnsure ends the connection after a request whose end two servers in a row may see in different places (threats
// P12): net/http drops a Content-Length beside chunks without a word, and a Transfer-Encoding in HTTP/1.0, and would go
// on with what a proxy took for the body. RFC 9112 §6.1 asks to close; which of them had both cannot be seen here, and
// clients that send chunks at all are few.
func endUnsure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) && r.ContentLength != 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// lifecycle says what happens around the time that services run.
type lifecycle struct {
	started func(context.Context) // called once when all are served
	drain   func()                // turns readiness off
	delay   time.Duration
	timeout time.Duration
	log     *slog.Logger
}

// run serves until ctx ends or one service fails, and then lets requests finish: readiness goes off first, so that load
// balancers look elsewhere, then one service after the other is shut down.
func (l lifecycle) run(ctx context.Context, services []service) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, s := range services {
		for _, listener := range s.listeners {
			wg.Go(func() {
				if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
					cancel(fmt.Errorf("%s listener: %w", s.name, err))
				}
			})
		}
	}
	l.started(ctx)
	<-ctx.Done()
	failure := context.Cause(ctx)
	if errors.Is(failure, context.Canceled) {
		failure = nil // asked to end
	}
	l.drain()
	l.log.Info("stopping", "delay", l.delay.String(), "timeout", l.timeout.String())
	if failure == nil {
		time.Sleep(l.delay)
	}
	l.shutdown(context.WithoutCancel(ctx), services)
	wg.Wait()
	return failure
}

func (l lifecycle) shutdown(ctx context.Context, services []service) {
	ctx, done := context.WithTimeout(ctx, l.timeout)
	defer done()
	for _, s := range services {
		if err := s.server.Shutdown(ctx); err != nil {
			l.log.Warn("requests were cut off", "listener", s.name, "error", err)
			_ = s.server.Close() // Shutdown has given up; nothing more can be learnt from Close
		}
	}
}

// limited bounds how many connections are open at once; more wait in the operating system's queue.
func limited(l net.Listener, most int) net.Listener { return netutil.LimitListener(l, most) }

// listen opens a port. setting names what chooses another one.
func listen(ctx context.Context, address, setting string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		_, port, _ := net.SplitHostPort(address)
		return nil, fmt.Errorf("port %s is taken by another program; stop that one, or choose another port with %s", port, setting)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (%s): %w", address, setting, err)
	}
	return l, nil
}

// listenLoopback opens a port on this machine only. "localhost" means both families of addresses, since programs
// differ in which one they try; a machine without IPv6 is fine.
func listenLoopback(ctx context.Context, host, port, setting string) ([]net.Listener, error) {
	if host != "localhost" {
		l, err := listen(ctx, net.JoinHostPort(host, port), setting)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	four, err := listen(ctx, net.JoinHostPort("127.0.0.1", port), setting)
	if err != nil {
		return nil, err
	}
	_, port, _ = net.SplitHostPort(four.Addr().String())
	six, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("::1", port))
	switch {
	case err == nil:
		return []net.Listener{four, six}, nil
	case errors.Is(err, syscall.EADDRINUSE):
		_ = four.Close() // never used
		return nil, fmt.Errorf("port %s of ::1 is taken by another program; stop that one, or choose another port with %s", port, setting)
	}
	return []net.Listener{four}, nil
}

// closeAll closes listeners that will not be served.
func closeAll(listeners ...[]net.Listener) {
	for _, l := range slices.Concat(listeners...) {
		_ = l.Close() // nobody has connected
	}
}
