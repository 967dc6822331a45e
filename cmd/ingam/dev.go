package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/keys"
	"github.com/ingam/ingam/resource"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/bolt"
)

const (
	devDataDir = ".ingam-dev"
	// devMarker is a file that says that a folder was made by `ingam dev`. Without it nothing is seeded or deleted.
	devMarker     = "INGAM-DEV"
	devMasterKey  = "master.key"
	devResourceID = "http://localhost:8081" // the audience in the demo files
)

// devOptions are the flags of `ingam dev`.
type devOptions struct {
	listen                        string
	port, adminPort, resourcePort string
	webPort, spaPort              string
	dataDir, output, logLevel     string
	fresh                         bool
}

// newDevCommand is for the first five minutes and for work on client applications. Its flags are few on purpose: what
// needs a configuration is `serve`.
func newDevCommand(a *app) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine, ready to try",
		Long: "Run the authorization server, a resource server and two client applications on this machine only, with demo\n" +
			"users and clients whose passwords are published, and print what to open and what to paste. Data is kept in\n" +
			devDataDir + " between runs.",
		Example: "  ingam dev\n  ingam dev --fresh\n" +
			"  ingam dev --port 9000 --resource-port 9001 --web-port 9002 --spa-port 9003 --admin-port 9004\n" +
			"  ingam dev -o json | jq -r .issuer",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("config") {
				return usagef("dev takes no configuration file; run 'ingam serve' with it")
			}
			o.dataDir = devDataDir
			if f := cmd.Flags().Lookup("data-dir"); f.Changed {
				o.dataDir = f.Value.String()
			}
			return a.dev(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "localhost", "loopback address to listen on: localhost, 127.0.0.1 or ::1, also with a port")
	f.StringVar(&o.port, "port", "8080", "port of the authorization server; 0 takes any that is free")
	f.StringVar(&o.adminPort, "admin-port", "9080", "port of /healthz and /readyz")
	f.StringVar(&o.resourcePort, "resource-port", "8081", "port of the resource server")
	f.StringVar(&o.webPort, "web-port", "8082", "port of the demo application that runs on a server")
	f.StringVar(&o.spaPort, "spa-port", "8083", "port of the demo application that runs in the browser")
	f.BoolVar(&o.fresh, "fresh", false, "empty the data folder first")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVarP(&o.output, "output", "o", "text", "text, or json for one JSON document with the same facts")
	return cmd
}

// check resolves --listen and refuses every address that other machines can reach.
func (o *devOptions) check() error {
	host := o.listen
	if h, port, err := net.SplitHostPort(o.listen); err == nil {
		host, o.port = h, port
	}
	if !isLoopbackHost(host) {
		return usagef("--listen %q can be reached from other machines, and everybody knows the passwords of dev mode; "+
			"use localhost, 127.0.0.1 or ::1, or run 'ingam serve'", o.listen)
	}
	if o.listen = strings.Trim(host, "[]"); o.output != "text" && o.output != "json" {
		return usagef("--output %q is not one of text, json%s", o.output, didYouMean(o.output, []string{"text", "json"}))
	}
	return nil
}

// checkPorts refuses what is no port while nothing has been made yet.
func (o *devOptions) checkPorts() error {
	for _, p := range []struct{ flag, port string }{
		{"--port", o.port},
		{"--admin-port", o.adminPort},
		{"--resource-port", o.resourcePort},
		{"--web-port", o.webPort},
		{"--spa-port", o.spaPort},
	} {
		if _, err := strconv.ParseUint(p.port, 10, 16); err != nil {
			return usagef("%s %q is not a port from 0 to 65535", p.flag, p.port)
		}
	}
	return nil
}

// dev runs all of it until ctx ends or a signal comes.
func (a *app) dev(ctx context.Context, o devOptions) error {
	if err := errors.Join(o.check(), o.checkPorts()); err != nil {
		return err
	}
	ctx, stop := a.untilSignal(ctx)
	defer stop()
	c, err := o.config(ctx)
	if err != nil {
		return err
	}
	log := a.newLog(c)
	// Ports before the store: with port 0 the issuer is known only now, and a port that is taken is the likeliest mistake.
	ports, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer ports.close() // once more does no harm
	facts := ports.facts(o)
	c.Issuer, c.CORSOrigins, c.Branding.Name = facts.Issuer, facts.Apps.origins(), "Ingam"
	in, err := build(ctx, c, staticRecords{}, func(s storage.Store) error {
		if err := seed(ctx, s); err != nil {
			return err
		}
		return fitDemoClients(ctx, s, facts.Apps)
	}, log)
	if err != nil {
		return err
	}
	err = a.runDev(ctx, c, o, in, ports, facts)
	return errors.Join(err, in.store.Close())
}

// runDev serves an instance, and the resource server and the applications beside it.
func (a *app) runDev(ctx context.Context, c *config, o devOptions, in *instance, ports devPorts, facts devFacts) error {
	socket, err := listenAdminSocket(ctx, c.DataDir)
	if err != nil {
		return err
	}
	defer closeAll([]net.Listener{socket})
	api, verifier, err := newDemoAPI(facts, in.log)
	if err != nil {
		return err
	}
	defer verifier.Close() //nolint:errcheck // it only ends a goroutine
	web, spa, err := newDemoApps(facts, in)
	if err != nil {
		return err
	}
	defer in.background(ctx)()
	return lifecycle{
		drain: in.public.Drain, timeout: c.Shutdown.Timeout, log: in.log,
		started: func(ctx context.Context) {
			awaitKeys(ctx, verifier)
			facts.print(a.stdout, o.output)
		},
	}.run(ctx, []service{ // who asks others ends before them
		newService("demo web application", web, in.log, ports.web...),
		newService("demo single-page application", spa, in.log, ports.spa...),
		newService("resource server", api, in.log, ports.resource...),
		newService("public", in.public, in.log, ports.public...),
		newService("internal", in.internal, in.log, ports.internal...),
		newService("admin socket", in.admin, in.log, socket),
	})
}

// newDemoAPI is a resource server that knows the authorization server by its address only: what it checks tokens with
// comes over the wire, as it would on another machine.
func newDemoAPI(facts devFacts, log *slog.Logger) (http.Handler, *resource.Verifier, error) {
	verifier, err := resource.New(resource.Config{
		Issuer:   facts.Issuer,
		Audience: []string{devResourceID, facts.Resource},
		Resource: facts.Resource,
		Logger:   log,
	})
	if err != nil {
		return nil, nil, err
	}
	handler, err := resource.NewHandler(resource.HandlerConfig{Verifier: verifier, CORSOrigins: facts.Apps.origins()})
	if err != nil {
		return nil, nil, errors.Join(err, verifier.Close())
	}
	return handler, verifier, nil
}

// awaitKeys waits until the resource server has fetched the keys, so that what is printed works when it is pasted.
func awaitKeys(ctx context.Context, v *resource.Verifier) {
	for end := time.Now().Add(3 * time.Second); v.Ready() != nil && ctx.Err() == nil && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// config makes the data folder and a configuration for it.
func (o *devOptions) config(ctx context.Context) (*config, error) {
	c := newConfig()
	c.DataDir, c.FirstPartyClient = o.dataDir, demoFirstParty
	c.Shutdown.Timeout = 3 * time.Second // nobody waits for a developer's requests
	for _, s := range c.settings() {
		if s.key == "log.level" {
			if wrong := s.set(o.logLevel); wrong != "" {
				return nil, usagef("--log-level %q %s", o.logLevel, wrong)
			}
		}
	}
	if err := prepareDevDir(ctx, o.dataDir, o.fresh); err != nil {
		return nil, err
	}
	key, err := devKey(filepath.Join(o.dataDir, devMasterKey))
	c.Keys.MasterKey = key
	return c, err
}

// prepareDevDir makes the data folder. A folder with other things in it is neither used nor emptied: demo users with
// published passwords do not belong into somebody's data.
func prepareDevDir(ctx context.Context, dir string, fresh bool) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fmt.Errorf("data folder %s: %w", dir, err)
	case len(entries) > 0 && !isDevDir(dir):
		return usagef("%s holds something that 'ingam dev' has not made (there is no file %s in it); choose another --data-dir",
			dir, devMarker)
	case fresh:
		if conn, err := dialAdminSocket(ctx, dir); err == nil {
			_ = conn.Close() // only asked whether somebody is there
			return fmt.Errorf("a server is running on %s; stop it before --fresh", dir)
		}
		if err := storeIsFree(ctx, dir); err != nil {
			return err
		}
		if err := emptyDevDir(dir, entries); err != nil {
			return fmt.Errorf("empty %s: %w", dir, err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	// The marker comes first: a folder with something in it and no marker would be refused at the next start.
	for _, file := range []struct{ name, text string }{
		{devMarker, "This folder was made by 'ingam dev' and holds nothing of value; 'ingam dev --fresh' empties it.\n"},
		{".gitignore", "*\n"},
	} {
		if err := os.WriteFile(filepath.Join(dir, file.name), []byte(file.text), 0o600); err != nil {
			return fmt.Errorf("data folder: %w", err)
		}
	}
	return nil
}

// storeIsFree refuses a folder whose store another process holds, also one whose socket is not there yet. A store that
// cannot be opened for another reason is in nobody's use.
func storeIsFree(ctx context.Context, dir string) error {
	path := filepath.Join(dir, storeFile)
	if _, err := os.Stat(path); err != nil {
		return nil //nolint:nilerr // no store, no holder
	}
	store, err := bolt.Open(ctx, path, bolt.Options{})
	switch {
	case errors.Is(err, storage.ErrInUse):
		return fmt.Errorf("%s is in use by another process; stop it before --fresh", path)
	case err != nil:
		return nil //nolint:nilerr // nobody holds it, and it is to be removed
	}
	return store.Close()
}

// emptyDevDir removes everything but the marker: without it, what a run that was cut off has left of the demo users
// would pass for data that `serve` may use.
func emptyDevDir(dir string, entries []os.DirEntry) error {
	for _, e := range entries {
		if e.Name() == devMarker {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// devKey reads the master key of the folder, after making one if there is none.
func devKey(path string) (string, error) {
	if _, err := writeMasterKey(path, true); err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("master key of dev mode: %w", err)
	}
	if _, err := keys.ParseMasterKey(string(text)); err != nil {
		return "", fmt.Errorf("%s: %w; --fresh starts anew", path, err)
	}
	return string(text), nil
}
