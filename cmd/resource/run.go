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

	"github.com/ingam/ingam/resource"
)

// The exit statuses of the contract.
const (
	statusDone   = 0
	statusFailed = 1
	statusUsage  = 2
)

const (
	// shutdownTimeout is what requests under way get once the program is told to stop. It is
	// within the ten seconds that Docker waits before it kills.
	shutdownTimeout = 8 * time.Second
	// healthTimeout bounds a health check; one that hangs is a failure.
	healthTimeout = 3 * time.Second
)

// run is the whole program but for the process around it. It returns when ctx ends.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "healthcheck" {
		return healthcheck(ctx, args[1:], getenv, stdout, stderr)
	}
	cfg, parseErr := parseConfig(args, getenv)
	if errors.Is(parseErr, flag.ErrHelp) {
		printHelp(stdout)
		return statusDone
	}
	logger := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: cfg.logLevel}))
	// Before any port opens: a server that would refuse everybody must not look alive.
	handler, closeKeys, err := newHandler(cfg, parseErr, logger)
	if err != nil {
		say(stderr, "resource: the configuration is wrong:\n%v\nTry resource --help.\n", err)
		return statusUsage
	}
	defer closeKeys()
	if err := listenAndServe(ctx, cfg.listen, logRequests(logger, handler), logger); err != nil {
		logger.Error("server failed", "error", err)
		return statusFailed
	}
	return statusDone
}

// newHandler makes the handler, or one error of all that is wrong with the configuration,
// parseErr included: who corrects one mistake should not meet the next after it.
func newHandler(cfg config, parseErr error, logger *slog.Logger) (http.Handler, func(), error) {
	verifier, err := resource.New(resource.Config{
		Issuer:            cfg.issuer,
		Audience:          cfg.audience,
		JWKSURL:           cfg.jwksURL,
		Algorithms:        cfg.algorithms,
		InsecureAllowHTTP: cfg.allowHTTP,
		Resource:          cfg.resourceURL,
		Logger:            logger,
	})
	probe := verifier
	if err != nil {
		// What the handler has to say can be heard without the real verifier.
		probe = standInVerifier()
	}
	handler, handlerErr := resource.NewHandler(resource.HandlerConfig{
		Verifier:    probe,
		Scopes:      cfg.scope,
		CORSOrigins: cfg.corsOrigins,
	})
	closeKeys := func() { _ = verifier.Close() } // never fails
	if err := errors.Join(parseErr, err, handlerErr); err != nil {
		closeKeys()
		return nil, nil, err
	}
	return handler, closeKeys, nil
}

// standInVerifier is one with nothing to complain about and no keys.
func standInVerifier() *resource.Verifier {
	const anywhere = "https://invalid.example"
	v, err := resource.New(resource.Config{
		Issuer: anywhere, Audience: []string{anywhere}, Resource: anywhere, Keys: new(resource.StaticKeySet),
	})
	if err != nil {
		panic(err) // cannot be: the values are constants
	}
	return v
}

// listenAndServe serves until ctx ends, then lets open requests finish.
func listenAndServe(ctx context.Context, address string, handler http.Handler, logger *slog.Logger) error {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	// Each limit is there so that a slow or silent client cannot hold a connection for ever.
	server := &http.Server{
		Handler:           endUnsure(handler),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      15 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	logger.Info("listening", "address", listener.Addr().String())
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	logger.Info("shutting down")
	// ctx has ended; the requests under way get time of their own.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(err, server.Close())
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	logger.Info("stopped")
	return nil
}

// endUnsure ends the connection after a request whose end two servers in a row may see in different
// places: net/http drops a Content-Length beside chunks, and a Transfer-Encoding in HTTP/1.0, and
// would go on with what a proxy took for the body. RFC 9112 §6.1 asks to close.
func endUnsure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) && r.ContentLength != 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// logRequests logs each request when the level is debug. It logs neither the query nor
// any header: both are places where tokens are found.
func logRequests(logger *slog.Logger, next http.Handler) http.Handler {
	if !logger.Enabled(context.Background(), slog.LevelDebug) {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(recorder, r)
		logger.DebugContext(r.Context(), "request",
			"method", r.Method, "path", r.URL.Path, "status", recorder.status, "duration", time.Since(start))
	})
}

// statusRecorder remembers the status that was sent.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader is the one call that every handler of package resource answers through, or else
// the status is the 200 that net/http sends.
func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// healthcheck asks a server whether it is alive: exit status 0 if so, else 1.
func healthcheck(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	listen := getenv(envPrefix + "LISTEN")
	if listen == "" {
		listen = defaultListen
	}
	fs := newFlagSet("healthcheck")
	address := fs.String("url", healthURL(listen), "")
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		printHelp(stdout)
		return statusDone
	}
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err != nil {
		say(stderr, "resource healthcheck: %v\nTry resource --help.\n", err)
		return statusUsage
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, *address, nil)
	if err != nil {
		say(stderr, "resource healthcheck: %v\n", err)
		return statusUsage
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		say(stderr, "resource healthcheck: %v\n", err)
		return statusFailed
	}
	_ = resp.Body.Close() // the status is all that matters
	if resp.StatusCode != http.StatusOK {
		say(stderr, "resource healthcheck: %s answers %s\n", *address, resp.Status)
		return statusFailed
	}
	say(stdout, "ok\n")
	return statusDone
}
