package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ingam/ingam/authserver"
	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/authserver/audit"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/keys"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/bolt"
)

// instance is an authorization server with everything behind it, before any port opens.
type instance struct {
	store    storage.Store
	ring     *keys.Ring
	public   *authserver.Server
	admin    http.Handler // for the socket
	internal http.Handler
	health   *health         // of a store that other servers share, else nil
	gaveUp   <-chan struct{} // closed when the embedded store has given up writing; nil for others
	log      *slog.Logger
}

// build makes an instance from a configuration without problems and the records of its folders. prepare, if not nil,
// may fill the store before the server sees it. The caller closes the instance's store.
func build(
	ctx context.Context, c *config, static staticRecords, prepare func(storage.Store) error, log *slog.Logger,
) (_ *instance, err error) {
	if err := makeDataDir(c.DataDir, log); err != nil {
		return nil, err
	}
	store, watch, err := c.openStore(ctx, log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, store.Close())
		}
	}()
	// Before the keys are opened: a first run that stops in between repeats it.
	if prepare != nil {
		if err := prepare(store); err != nil {
			return nil, err
		}
	}
	master, err := keys.ParseMasterKey(c.Keys.MasterKey)
	if err != nil {
		return nil, usageError{err}
	}
	ring, err := keys.Open(ctx, keys.Config{Store: store, Master: master})
	if errors.Is(err, keys.ErrWrongMasterKey) {
		return nil, usagef("keys.master_key (%s) is not the key under which the store in %s was made: %w",
			c.origin("keys.master_key"), c.storeName(), err)
	}
	if err != nil {
		return nil, err
	}
	hasher, err := credential.NewHasher(c.hasher())
	if err != nil {
		return nil, usageError{err}
	}
	// Keys stay in the store itself; clients, users and all that follows see the files laid over it.
	all, err := static.over(store)
	if err != nil {
		return nil, err
	}
	recorder := &audit.Recorder{Log: log}
	public, err := c.newServer(authserver.Dependencies{
		Store: all, Keys: ring, Audit: recorder, Log: log,
		Authenticator: &credential.Authenticator{Users: all, Limits: all, Hasher: hasher, Guesses: c.guesses(), Log: log},
	})
	if err != nil {
		return nil, err
	}
	in := &instance{store: all, ring: ring, public: public, health: watch, log: log}
	if embedded, ok := store.(*bolt.Store); ok {
		in.gaveUp = embedded.GaveUp()
	}
	spool := ""
	if c.StorageDriver != driverRedis {
		spool = c.DataDir
	}
	in.admin = admin.New(admin.Config{
		Store: all, Hasher: hasher, Audit: recorder, Log: log, Source: c.StorageDriver, SpoolDir: spool, EndSessions: public.EndSessions,
	})
	// On the socket the file mode decides who may administer; over TCP a token does, and without one the API is not there.
	var overTCP http.Handler
	if c.Admin.Token != "" {
		overTCP = requireBearer(c.Admin.Token, in.admin)
	}
	in.internal = public.Internal(overTCP)
	return in, nil
}

// staticRecords are the clients and users of configuration files.
type staticRecords struct {
	clients []storage.Client
	users   []storage.User
}

// loadStatic reads both folders.
func (c *config) loadStatic() (staticRecords, problems) {
	clients, found := loadClients(c.ClientsDir)
	users, more := loadUsers(c.UsersDir)
	static := staticRecords{clients, users}
	if found = append(found, more...); len(found) == 0 {
		if _, err := static.over(nil); err != nil { // like one id for two usernames
			found = problems{{message: err.Error()}}
		}
	}
	return static, found
}

// over lays the records over a store.
func (s staticRecords) over(store storage.Store) (storage.Store, error) {
	if len(s.clients) == 0 && len(s.users) == 0 {
		return store, nil
	}
	all, err := storage.WithStatic(store, s.clients, s.users)
	if err != nil {
		return nil, usageError{err}
	}
	return all, nil
}

// makeDataDir makes the data folder for its owner only. One that others can look into is left as the operator made
// it, with a warning: the files in it are closed by themselves.
func makeDataDir(dir string, log *slog.Logger) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data_dir %s: %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("data_dir %s: %w", dir, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		log.Warn("data_dir can be entered by other users of this machine; chmod 700 it",
			"data_dir", dir, "mode", info.Mode().Perm().String())
	}
	return nil
}

// newServer makes the public server with everything that the configuration adds to its rooms.
func (c *config) newServer(d authserver.Dependencies) (*authserver.Server, error) {
	conf := c.server()
	var err error
	if conf.Branding, err = c.branding(); err != nil {
		return nil, err
	}
	if d.Outbound, err = c.outbound(); err != nil {
		return nil, err
	}
	s, err := authserver.New(conf, d)
	if err != nil {
		return nil, usageError{err}
	}
	return s, nil
}

// server is the part of the configuration that package authserver takes.
func (c *config) server() authserver.Config {
	return authserver.Config{
		Issuer:                  c.Issuer,
		FirstPartyClient:        c.FirstPartyClient,
		DefaultAudience:         c.DefaultAudience,
		AccessTokenLifetime:     c.Tokens.Access,
		IDTokenLifetime:         c.Tokens.ID,
		RefreshIdleLifetime:     c.Tokens.RefreshIdle,
		RefreshAbsoluteLifetime: c.Tokens.RefreshAbsolute,
		RefreshGrace:            &c.Tokens.RefreshGrace,
		SessionIdleLifetime:     c.Session.Idle,
		SessionAbsoluteLifetime: c.Session.Absolute,
		SessionRememberLifetime: c.Session.Remember,
		CORSOrigins:             c.CORSOrigins,
		TrustedProxies:          c.TrustedProxies,
		DevMode:                 isDevDir(c.DataDir), // serve refuses such a folder
	}
}

// hasher is the part that says what passwords may cost. The table bounds the numbers, so that they fit.
func (c *config) hasher() credential.HasherConfig {
	return credential.HasherConfig{
		Params: credential.Params{
			MemoryKiB: uint32(c.Passwords.MemoryKiB), Time: uint32(c.Passwords.Time), Parallelism: uint8(c.Passwords.Parallelism),
		},
		MaxHashes: c.Passwords.MaxHashes, MaxQueue: c.Passwords.MaxQueue, MaxWait: c.Passwords.MaxWait,
	}
}

// guesses is the part that says how often a password may be tried.
func (c *config) guesses() credential.GuessLimits {
	return credential.GuessLimits{
		Address: credential.Rate(c.Guesses.Address), Account: credential.Rate(c.Guesses.Account),
		Device: credential.Rate(c.Guesses.Device), Sustained: credential.Rate(c.Guesses.Sustained),
	}
}

// requireBearer lets only requests with the token through (RFC 6750 §2.1). Digests are compared, so that the time
// tells nothing about the token, not even its length.
func requireBearer(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers := r.Header.Values("Authorization")
		scheme, shown := "", ""
		if len(headers) == 1 {
			scheme, shown, _ = strings.Cut(headers[0], " ")
		}
		got := sha256.Sum256([]byte(shown))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !strings.EqualFold(scheme, "Bearer") {
			w.Header().Set("WWW-Authenticate", `Bearer realm="ingam admin"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			// A failed write means that the caller has gone.
			_, _ = w.Write([]byte(`{"error":"unauthorized","error_description":"send Authorization: Bearer and the admin token"}` + "\n"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

const (
	housekeepingEvery = time.Minute
	sweepBatch        = 500
)

// background does what no request waits for, until stop is called, which returns when all of it has ended: what is under
// way may still write to the store.
func (in *instance) background(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { in.housekeeping(ctx) })
	running.Go(func() { in.public.Run(ctx) })
	if in.health != nil {
		running.Go(func() { in.health.watch(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// housekeeping removes what has expired and looks for new keys, until ctx ends.
func (in *instance) housekeeping(ctx context.Context) {
	ticker := time.NewTicker(housekeepingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := in.ring.Reload(ctx); err != nil && ctx.Err() == nil {
			in.log.Error("the key ring could not be read again; the keys so far stay in use", "error", err)
		}
		if err := in.sweep(ctx); err != nil && ctx.Err() == nil {
			in.log.Error("expired records could not be removed", "error", err)
		}
	}
}

// sweep goes in small batches with pauses, so that sign-ins never wait long behind it.
func (in *instance) sweep(ctx context.Context) error {
	for {
		removed, err := in.store.Sweep(ctx, sweepBatch)
		if err != nil || removed < sweepBatch {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// warnAbout logs what is allowed and probably a mistake.
func (in *instance) warnAbout(ctx context.Context, c *config) {
	if c.FirstPartyClient != "" {
		if _, err := in.store.Client(ctx, c.FirstPartyClient); errors.Is(err, storage.ErrNotFound) {
			in.log.Warn("first_party_client does not exist yet: POST /login fails until it is made", "client_id", c.FirstPartyClient)
		}
	}
	if strings.HasPrefix(c.Issuer, "https:") && c.TLS.CertFile == "" && len(c.TrustedProxies) == 0 {
		in.log.Warn("trusted_proxies is empty though something else must end TLS here: " +
			"all sign-ins come from one address and share its budget of guesses")
	}
	if unused := c.unusedRedis(); len(unused) > 0 {
		in.log.Warn("storage.redis is configured and not used: storage.driver is "+c.StorageDriver, "settings", unused)
	}
	if c.InsecureHTTPIssuer {
		in.log.Warn("insecure_http_issuer is on: anyone on the network can read passwords and tokens", "issuer", c.Issuer)
	}
}

// isDevDir tells whether a data folder was made by `ingam dev`, whose users have published passwords. One that cannot be
// looked into counts as one.
func isDevDir(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, devMarker))
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}
