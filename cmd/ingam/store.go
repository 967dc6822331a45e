package main

import (
	"fmt"
	"log/slog"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/storage/backup"
)

// storeCommands are the commands below `ingam store`.
type storeCommands struct {
	app *app
	out printer
}

// newStoreCommand builds `ingam store`.
func newStoreCommand(a *app) *cobra.Command {
	c := &storeCommands{app: a, out: printer{app: a}}
	cmd := group(&cobra.Command{
		Use:   "store",
		Short: "Set up, examine, copy, back up and restore where data is kept",
		Long: "Set up, examine, copy, back up and restore where data is kept.\n\nWhich store that is, storage.driver says: the embedded " +
			"one in data_dir, or Redis by the settings storage.redis.…; they come from flags, the environment (INGAM_STORAGE_…) and the " +
			"configuration file. Passwords come from files or the environment, never from flags.",
		Example: "  ingam store doctor\n  ingam store backup --out ingam.backup\n  ingam store copy --from bolt:/var/lib/ingam --to redis",
	})
	c.out.addTo(cmd)
	cmd.SetFlagErrorFunc(secretFlagError)
	cmd.AddCommand(c.init(), c.doctor(), c.copy(), c.backup(), c.restore())
	for _, sub := range cmd.Commands() {
		addFlagsOf(sub, new(config).storageSettings())
	}
	return cmd
}

// log is where the store reports what happens in the background.
func (c *storeCommands) log() *slog.Logger { return slog.New(slog.NewTextHandler(c.app.stderr, nil)) }

// storeMade is the JSON of `ingam store init`.
type storeMade struct {
	Store   string `json:"store"`
	Created bool   `json:"created"`
}

func (c *storeCommands) init() *cobra.Command {
	var ifMissing bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Set up an empty Redis as a store, once for all servers",
		Long: "Set up an empty Redis as a store, once for all servers. A server refuses to start on a Redis that was never set up or " +
			"has been emptied: it would make new keys and know no users under the name of the old one.\n\n" +
			"The embedded store needs no setting up; 'ingam serve' makes it.",
		Example: "  ingam store init --storage-driver redis --storage-redis-addresses 127.0.0.1:6379\n  ingam store init --if-missing",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.app.storeConfig(cmd)
			if err != nil {
				return err
			}
			made := storeMade{Store: cfg.storeName()}
			if cfg.StorageDriver == driverBolt {
				return c.out.print(made, func(*tabwriter.Writer) {
					c.out.remark("storage.driver is bolt: the embedded store needs no setting up, 'ingam serve' makes it")
				})
			}
			if made.Created, err = cfg.initRedis(cmd.Context(), c.log()); err != nil {
				return err
			}
			if !made.Created && !ifMissing {
				return fmt.Errorf("%s is already initialised; nothing was changed", made.Store)
			}
			return c.out.print(made, func(*tabwriter.Writer) {
				if made.Created {
					c.out.remark("set up %s", made.Store)
				} else {
					c.out.remark("%s is set up already; it stays as it is", made.Store)
				}
			})
		},
	}
	cmd.Flags().BoolVar(&ifMissing, "if-missing", false, "do nothing if it was done before")
	return cmd
}

// moved is the JSON of the commands that move records.
type moved struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	backup.Tally
	// EndedGrants are sign-ins that a restore has ended.
	EndedGrants int `json:"ended_grants,omitempty"`
	// NotCompared are records that ended while both sides were read, or soon after.
	NotCompared int       `json:"not_compared,omitempty"`
	Taken       time.Time `json:"backup_taken,omitzero"` // when the backup was written
}

// printMoved prints what was moved.
func (c *storeCommands) printMoved(m moved) error {
	return c.out.print(m, func(w *tabwriter.Writer) {
		for _, kind := range []struct {
			name string
			n    int
		}{
			{"clients", m.Counts.Clients},
			{"users", m.Counts.Users},
			{"grants", m.Counts.Grants},
			{"key rings", m.Counts.KeyRings},
			{"budgets", m.Counts.Budgets},
			{"marks", m.Counts.Marks},
			{"entries", m.Counts.Entries},
		} {
			row(w, kind.name, strconv.Itoa(kind.n))
		}
		row(w, "digest", m.Digest.String())
	})
}
