package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/ingam/ingam/cmd/demo/apps"
)

// The exit statuses of the contract.
const (
	statusDone   = 0
	statusFailed = 1
	statusUsage  = 2
)

const (
	// shutdownTimeout is within the ten seconds that Docker waits before it kills.
	shutdownTimeout = 8 * time.Second
	// healthTimeout bounds a health check; one that hangs is a failure.
	healthTimeout = 3 * time.Second
)

// run is the whole program but for the process around it. It returns when ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	check := len(args) > 0 && args[0] == "healthcheck"
	if check {
		args = args[1:]
	}
	cfg, err := parseConfig(args, getenv)
	if errors.Is(err, flag.ErrHelp) {
		printHelp(stdout)
		return statusDone
	}
	if check && err == nil {
		return healthcheck(ctx, cfg, stdout, stderr)
	}
	logger := slog.New(slog.NewJSONHandler(stderr, nil))
	web, webErr := apps.NewWeb(apps.WebConfig{
		Issuer: cfg.issuer, InternalURL: cfg.internalURL, ClientID: cfg.webClient, ClientSecret: cfg.secret,
		BaseURL: cfg.webURL, ResourceURL: cfg.resourceInternal, OtherApp: cfg.spaURL, Log: logger,
	})
	spa, spaErr := apps.NewSPA(apps.SPAConfig{
		Issuer: cfg.issuer, ClientID: cfg.spaClient, BaseURL: cfg.spaURL, ResourceURL: cfg.resourceURL, OtherApp: cfg.webURL,
	})
	// Both make their own complaints, and what is wrong for both is said twice.
	if err := errors.Join(err, named("web", webErr), named("spa", spaErr)); err != nil {
		say(stderr, "demo: the configuration is wrong:\n%v\nTry demo --help.\n", err)
		return statusUsage
	}
	err = serve(ctx, logger, []app{{cfg.listenWeb, web}, {cfg.listenSPA, spa}})
	if err != nil {
		logger.Error("server failed", "error", err)
		return statusFailed
	}
	return statusDone
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// app is a handler and where it listens.
type app struct {
	address string
	handler http.Handler
}

// serve serves all until ctx ends or one of them fails, then lets open requests finish.
func serve(ctx context.Context, logger *slog.Logger, all []app) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var lc net.ListenConfig
	var listeners []net.Listener
	for _, a := range all {
		l, err := lc.Listen(ctx, "tcp", a.address)
		if err != nil {
			for _, open := range listeners {
				_ = open.Close() // nobody has connected
			}
			return err
		}
		listeners = append(listeners, l)
	}
	var servers []*http.Server
	ended := make(chan struct{}, len(all))
	for i, a := range all {
		// Each limit is there so that a slow or silent client cannot hold a connection for ever. Writing may wait for
		// three calls to other servers.
		s := &http.Server{
			Handler:           a.handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       60 * time.Second,
			MaxHeaderBytes:    32 << 10,
			ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		}
		servers = append(servers, s)
		go func() {
			if err := s.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
			ended <- struct{}{}
		}()
		logger.Info("listening", "address", listeners[i].Addr().String())
	}
	<-ctx.Done()
	failure := context.Cause(ctx)
	if errors.Is(failure, context.Canceled) {
		failure = nil // asked to end
	}
	logger.Info("shutting down")
	// ctx has ended; the requests under way get time of their own.
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer done()
	for _, s := range servers {
		if err := s.Shutdown(grace); err != nil {
			failure = errors.Join(failure, err, s.Close())
		}
	}
	for range servers {
		<-ended
	}
	logger.Info("stopped")
	return failure
}

// healthcheck asks both applications on this machine whether they are alive: exit status 0 if so, else 1.
func healthcheck(ctx context.Context, cfg config, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	for _, listen := range []string{cfg.listenWeb, cfg.listenSPA} {
		address := healthURL(listen)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			say(stderr, "demo healthcheck: %v\n", err)
			return statusUsage
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			say(stderr, "demo healthcheck: %v\n", err)
			return statusFailed
		}
		_ = resp.Body.Close() // the status is all that matters
		if resp.StatusCode != http.StatusOK {
			say(stderr, "demo healthcheck: %s answers %s\n", address, resp.Status)
			return statusFailed
		}
	}
	say(stdout, "ok\n")
	return statusDone
}
