package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/spf13/cobra"
)

// newServeCommand is the production server. Everything that is wrong with its configuration is said before a port opens.
func newServeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the authorization server",
		Long: "Run the authorization server until SIGTERM or Ctrl-C; a second signal quits at once.\n\n" +
			"Settings come from flags, then the environment (INGAM_…), then the configuration file, then defaults.\n" +
			"'ingam config init' prints a file with all of them, 'ingam config show' the values in force.",
		Example: "  ingam serve --config /etc/ingam/ingam.yaml\n" +
			"  INGAM_ISSUER=https://login.example.com INGAM_KEYS_MASTER_KEY_FILE=master.key ingam serve\n" +
			"  ingam serve --issuer http://localhost:8080 --keys-master-key-file master.key --log-level debug",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, static, found := a.loadAll(cmd)
			if err := found.asError(); err != nil {
				return err
			}
			return a.serve(cmd.Context(), c, static)
		},
	}
	addSettingFlags(cmd)
	return cmd
}

// loadAll reads and checks everything that `serve` needs and that can be known without the store.
func (a *app) loadAll(cmd *cobra.Command) (*config, staticRecords, problems) {
	c, found := a.loadConfig(cmd)
	found = append(found, c.check(found)...)
	static, wrong := c.loadStatic()
	return c, static, append(found, wrong...)
}

// addSettingFlags gives a command a flag for each setting of the table but the secrets.
func addSettingFlags(cmd *cobra.Command) { addFlagsOf(cmd, new(config).settings()) }

// addFlagsOf gives a command a flag for each of some settings but the secrets.
func addFlagsOf(cmd *cobra.Command, rows []setting) {
	for _, s := range rows {
		if s.secret || s.key == "data_dir" { // data_dir is a flag of every command
			continue
		}
		help := s.help
		if s.oneOf != nil {
			help += fmt.Sprintf(" %v", s.oneOf)
		}
		if s.def != "" {
			help += " (default " + s.def + ")"
		}
		if _, isBool := s.target.(*bool); isBool {
			cmd.Flags().Bool(s.flag(), s.def == "true", help)
			continue
		}
		cmd.Flags().String(s.flag(), "", help)
	}
}

// serve runs the server until ctx ends or a signal comes.
func (a *app) serve(ctx context.Context, c *config, static staticRecords) error {
	ctx, stop := a.untilSignal(ctx)
	defer stop()
	log := a.newLog(c)
	in, err := build(ctx, c, static, nil, log)
	if err != nil {
		return err
	}
	services, pair, err := c.openListeners(ctx, in)
	if err == nil {
		in.warnAbout(ctx, c)
		end := in.background(ctx)
		serving, fail := context.WithCancelCause(ctx)
		defer fail(nil)
		if pair != nil {
			go pair.watch(serving)
		}
		go in.endWithStore(serving, fail)
		err = lifecycle{
			drain: in.public.Drain, delay: c.Shutdown.Delay, timeout: c.Shutdown.Timeout, log: log,
			started: func(context.Context) { logReady(log, c, services) },
		}.run(serving, services)
		end()
	}
	return errors.Join(err, in.store.Close())
}

// endWithStore ends a server whose disk has failed (threats S4): what is on it only a new start can tell.
func (in *instance) endWithStore(ctx context.Context, fail context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
	case <-in.gaveUp:
		fail(errors.New("the store has given up writing because of the disk; see the errors above, and start again"))
	}
}

// openListeners opens the ports and the socket, or none of them. The certificate of the public port, if it has one, is to
// be watched.
func (c *config) openListeners(ctx context.Context, in *instance) (_ []service, pair *certificate, err error) {
	var opened []net.Listener
	defer func() {
		if err != nil {
			closeAll(opened)
		}
	}()
	socket, err := listenAdminSocket(ctx, c.DataDir)
	if err != nil {
		return nil, nil, err
	}
	opened = append(opened, socket)
	// The public port comes last: who can connect to it finds everything else in place.
	internal, err := listen(ctx, c.Admin.Listen, "admin.listen (--admin-listen)")
	if err != nil {
		return nil, nil, err
	}
	opened = append(opened, internal)
	public, err := listen(ctx, c.Listen, "listen (--listen)")
	if err != nil {
		return nil, nil, err
	}
	opened = append(opened, public)
	front, pair, err := c.front(public, in.log)
	if err != nil {
		return nil, nil, err
	}
	return []service{
		newService("public", in.public, in.log, front),
		newService("internal", in.internal, in.log, internal),
		newService("admin socket", in.admin, in.log, socket),
	}, pair, nil
}

// logReady says in one line what an operator looks for first.
func logReady(log *slog.Logger, c *config, services []service) {
	attrs := []any{
		"issuer", c.Issuer, "version", versionText(), "config", orDefault(c.file, "(none)"), "data_dir", c.DataDir, "store", c.storeName(),
	}
	for _, s := range services {
		attrs = append(attrs, s.name, s.listeners[0].Addr().String())
	}
	log.Info("ready", attrs...)
}

// newLog writes to standard error: text for people on a terminal, JSON for everything else.
func (a *app) newLog(c *config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.logLevel()}
	f, isFile := a.stderr.(*os.File)
	if c.Log.Format == "text" || c.Log.Format == "auto" && isFile && isTerminal(f) {
		return slog.New(slog.NewTextHandler(a.stderr, options))
	}
	return slog.New(slog.NewJSONHandler(a.stderr, options))
}
