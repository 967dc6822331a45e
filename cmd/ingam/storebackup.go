package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/backup"
)

func (c *storeCommands) backup() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "backup --out FILE",
		Short: "Write everything to a file",
		Long: "Write everything that the store keeps to a new file of mode 0600, or to stdout for '--out -'. Servers may go on: the " +
			"embedded store is asked through the server that runs on it and gives the state of one moment; of Redis, what is written " +
			"meanwhile may be in the backup or not.\n\nThe backup holds hashes of passwords and the sealed keys. It does not hold the master " +
			"key, which belongs somewhere else, nor the clients and users of files.",
		Example: "  ingam store backup --out ingam-$(date +%F).backup\n  ingam store backup --out - | gpg --encrypt -r ops > ingam.backup.gpg",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usagef("--out is missing; name a file, or - for stdout")
			}
			ctx, stop := c.app.untilSignal(cmd.Context())
			defer stop()
			var tally backup.Tally
			write := func(w io.Writer) (err error) {
				tally, err = c.writeBackup(ctx, cmd, w)
				return err
			}
			if out == "-" {
				return write(c.app.stdout)
			}
			taken := fmt.Errorf("%s exists already and is not overwritten", out)
			if _, err := os.Lstat(out); err == nil { // before everything is read for nothing
				return taken
			}
			switch err := writeNew(out, write); {
			case errors.Is(err, os.ErrExist):
				return taken
			case err != nil:
				return err
			}
			c.out.remark("wrote %d records to %s", tally.Counts.Total(), out)
			return c.printMoved(moved{To: out, Tally: tally})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write to, - for stdout; one that exists is never overwritten")
	return cmd
}

// writeBackup writes a whole backup or fails.
func (c *storeCommands) writeBackup(ctx context.Context, cmd *cobra.Command, w io.Writer) (tally backup.Tally, err error) {
	cfg, err := c.app.storeConfig(cmd)
	if err != nil {
		return tally, err
	}
	verbose, _ := cmd.Flags().GetBool("verbose")
	say := func(way string) {
		if verbose {
			c.out.remark("%s", way)
		}
	}
	var server *adminClient
	if cfg.StorageDriver == driverBolt {
		if server, err = connectSocket(ctx, cfg.DataDir); err != nil {
			return tally, err
		}
	}
	var store storage.Store
	if server == nil {
		store, err = cfg.openOffline(ctx, c.log())
	}
	if err != nil && cfg.StorageDriver == driverBolt {
		// A server that has just started has the store and is at the socket by now.
		server, _ = connectSocket(ctx, cfg.DataDir)
	}
	switch {
	case server != nil:
		say(server.peer)
		tally, err = server.backup(ctx, w)
		return tally, errors.Join(err, server.close())
	case err != nil:
		return tally, err
	}
	say("opened " + cfg.here().name(cfg))
	tally, err = backup.Write(w, cfg.StorageDriver, store.Export(ctx))
	return tally, errors.Join(err, store.Close())
}

// backup copies the backup that a server streams, and checks it on the way. It may take as long as it goes on.
func (c *adminClient) backup(ctx context.Context, w io.Writer) (tally backup.Tally, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/admin/v1/backup", http.NoBody)
	if err != nil {
		return tally, err
	}
	unhurried := *c.http
	unhurried.Timeout = 0
	resp, err := unhurried.Do(r)
	if err != nil {
		return tally, fmt.Errorf("the server does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end, or of no use
	if resp.StatusCode != http.StatusOK {
		data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		return tally, errors.Join(failureOf(resp.StatusCode, data), err)
	}
	_, tally, err = backup.Verify(io.TeeReader(resp.Body, w))
	if err != nil {
		return tally, fmt.Errorf("what the server sent is no whole backup; its log says why: %w", err)
	}
	return tally, nil
}

// reasonRestored is why grants of a backup are revoked when it is restored.
const reasonRestored = "restored from a backup"

func (c *storeCommands) restore() *cobra.Command {
	var in string
	var keepGrants bool
	cmd := &cobra.Command{
		Use:   "restore --in FILE",
		Short: "Fill an empty store from a backup",
		Long: "Fill an empty store from a backup. The backup is checked as a whole before anything is written. The server must be " +
			"stopped if the store is the embedded one; a Redis is set up if need be.\n\nAll sign-ins of the backup end: which of them were " +
			"ended after it was taken, nobody knows any more. People sign in again. --keep-grants lets them go on, and with them " +
			"those that were ended since; whoever has refreshed since has to sign in all the same.\n\nEverything else is as it was " +
			"then, too: users who were disabled or got a new password since, clients and secrets that were removed since, and access " +
			"tokens without a sign-in (client_credentials) that were revoked since. Do those again.\n\n" +
			"The servers need the master key of the time of the backup.",
		Example: "  ingam store restore --in ingam.backup\n  gpg --decrypt ingam.backup.gpg | ingam store restore --in -",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if in == "" {
				return usagef("--in is missing; name a file, or - for stdin")
			}
			cfg, err := c.app.storeConfig(cmd)
			if err != nil {
				return err
			}
			ctx, stop := c.app.untilSignal(cmd.Context())
			defer stop()
			return c.restoreStore(ctx, cfg, in, keepGrants)
		},
	}
	cmd.Flags().StringVar(&in, "in", "", "file to read, - for stdin")
	cmd.Flags().BoolVar(&keepGrants, "keep-grants", false, "let the sign-ins of the backup go on")
	return cmd
}

func (c *storeCommands) restoreStore(ctx context.Context, cfg *config, in string, keepGrants bool) error {
	from, done, err := seekable(in, c.app.stdin)
	if err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	defer done()
	header, _, err := backup.Verify(from)
	if err != nil {
		return fmt.Errorf("%s: %w; nothing was changed", in, err)
	}
	source := &restored{from: from, keepGrants: keepGrants, now: time.Now()}
	compared, err := c.fill(ctx, cfg, cfg.here(), source)
	if err != nil {
		return err
	}
	name := cfg.here().name(cfg)
	c.out.remark("restored %d records into %s from a backup of %s", compared.To.Counts.Total(), name, when(header.Time))
	if source.ended > 0 {
		c.out.remark("ended %d sign-ins: whether they were revoked after the backup is unknown", source.ended)
	}
	return c.printMoved(moved{
		From: in, To: name, Tally: compared.To, EndedGrants: source.ended, NotCompared: compared.LeftOut, Taken: header.Time,
	})
}

// restored yields what a store shall hold after a restore. It can be read any number of times.
type restored struct {
	from       io.ReadSeeker
	keepGrants bool
	now        time.Time // what has ended by then is left out
	ended      int       // grants that were alive in the backup
}

// Export reads the backup from its beginning, and fails at its end if it is not the one that was verified any more.
func (r *restored) Export(ctx context.Context) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		r.ended = 0
		_, err := r.from.Seek(0, io.SeekStart)
		if err != nil {
			yield(storage.Record{}, err)
			return
		}
		reader, err := backup.NewReader(r.from)
		if err != nil {
			yield(storage.Record{}, err)
			return
		}
		for one, err := range reader.Records() {
			if err == nil {
				err = ctx.Err()
			}
			if end, ends := backup.End(one); err == nil && ends && !end.After(r.now) {
				continue
			}
			// Sessions that were ended since, and requests that were used since, would be there again.
			if e := one.Entry; err == nil && e != nil && e.Kind != storage.KindConsent && !r.keepGrants {
				continue
			}
			if g := one.Grant; g != nil && !g.Revoked && !r.keepGrants {
				g.Revoked, g.RevokedReason = true, reasonRestored
				r.ended++
			}
			if !yield(one, err) || err != nil {
				return
			}
		}
	}
}
