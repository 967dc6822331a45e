package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/backup"
	"github.com/ingam/ingam/storage/bolt"
)

// A place is where a store is: a file of the embedded store, or the Redis of the configuration.
type place struct {
	path string // "" for Redis
}

// parsePlace reads the SPEC of a flag.
func parsePlace(flag, spec string) (place, error) {
	path, isBolt := strings.CutPrefix(spec, driverBolt+":")
	switch {
	case spec == driverRedis:
		return place{}, nil
	case !isBolt || path == "":
		return place{}, usagef("--%s takes bolt:FOLDER, bolt:FILE, or redis for the Redis of the settings storage.redis.…", flag)
	}
	return place{boltFile(path)}, nil
}

// boltFile is the file that a path means: a folder, or a name that is not there and does not look like a file, is a data
// folder.
func boltFile(path string) string {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() || err != nil && filepath.Ext(path) == filepath.Ext(storeFile) {
		return filepath.Clean(path)
	}
	return filepath.Join(path, storeFile)
}

// here is the store of the configuration.
func (c *config) here() place {
	if c.StorageDriver == driverRedis {
		return place{}
	}
	return place{filepath.Join(c.DataDir, storeFile)}
}

// name is for messages.
func (p place) name(c *config) string {
	if p.path == "" {
		return c.Redis.where()
	}
	return p.path
}

func (c *storeCommands) copy() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "copy --from SPEC --to SPEC",
		Short: "Move everything from one store to another, and compare both",
		Long: "Move everything from one store to another, empty one, read both again and compare counts and digests. The source stays " +
			"as it is. SPEC is bolt:FOLDER (a data folder), bolt:FILE, or redis: the Redis of the settings storage.redis.…, which is " +
			"set up if need be.\n\nStop every server that uses the source first, and do not start one on it again: sign-ins that go on at " +
			"both would take each other for thieves. Records that end within two minutes, or more where reading takes longer, " +
			"are copied and not compared.",
		Example: "  ingam store copy --from bolt:/var/lib/ingam --to redis\n  ingam store copy --from redis --to bolt:/srv/ingam-data",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, err := parsePlace("from", from)
			if err != nil {
				return err
			}
			target, err := parsePlace("to", to)
			if err != nil {
				return err
			}
			if source == target {
				return usagef("--from and --to are the same store")
			}
			cfg, err := c.app.storeConfig(cmd)
			if err != nil {
				return err
			}
			ctx, stop := c.app.untilSignal(cmd.Context())
			defer stop()
			return c.copyStore(ctx, cfg, source, target)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "where the data is: bolt:FOLDER, bolt:FILE or redis")
	cmd.Flags().StringVar(&to, "to", "", "where it shall be, the same way")
	return cmd
}

func (c *storeCommands) copyStore(ctx context.Context, cfg *config, source, target place) (err error) {
	from, err := c.openSource(ctx, cfg, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	compared, err := c.fill(ctx, cfg, target, from)
	if err != nil {
		return err
	}
	c.out.remark("copied %s to %s; both have the same digest", source.name(cfg), target.name(cfg))
	return c.printMoved(moved{
		From: source.name(cfg), To: target.name(cfg), Tally: compared.To, NotCompared: compared.LeftOut,
	})
}

// openSource opens a store that is there.
func (c *storeCommands) openSource(ctx context.Context, cfg *config, p place) (storage.Store, error) {
	if p.path == "" {
		return cfg.openRedis(ctx, c.log())
	}
	if _, err := os.Stat(p.path); err != nil {
		return nil, fmt.Errorf("there is no store at %s: %s", p.path, plain(err))
	}
	store, err := bolt.Open(ctx, p.path, bolt.Options{})
	if errors.Is(err, storage.ErrInUse) {
		return nil, fmt.Errorf("%s is in use by a running server; stop that server first", p.path)
	}
	return store, err
}

// fill puts what source exports into an empty store at p, reads both again and compares.
func (c *storeCommands) fill(ctx context.Context, cfg *config, p place, source backup.Exporter) (_ backup.Comparison, err error) {
	t, err := c.openTarget(ctx, cfg, p)
	if err != nil {
		return backup.Comparison{}, err
	}
	defer func() { err = t.finish(err) }()
	begun := false
	err = t.store.Import(ctx, noting(source.Export(ctx), &begun))
	switch {
	case errors.Is(err, storage.ErrExists) && !begun:
		return backup.Comparison{}, fmt.Errorf("%s holds data already; this goes into an empty store only%s", p.name(cfg), p.wayOut(cfg))
	case err != nil && begun && t.stays:
		return backup.Comparison{}, fmt.Errorf("%w\n%s is now incomplete: no server may run on it%s", err, p.name(cfg), p.wayOut(cfg))
	case err != nil:
		return backup.Comparison{}, err
	}
	compared, err := backup.Compare(ctx, source, t.store)
	switch {
	case err != nil:
		err = fmt.Errorf("%s was filled, and could not be compared with what it was filled from: %w", p.name(cfg), err)
	case !compared.Equal():
		err = fmt.Errorf("%s is not equal to what it was filled from: there %s, here %s. Did a server write meanwhile? "+
			"Do not use it%s", p.name(cfg), tallyText(compared.From), tallyText(compared.To), p.wayOut(cfg))
	}
	return compared, err
}

// noting tells by begun whether anybody has asked for a record.
func noting(records iter.Seq2[storage.Record, error], begun *bool) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		*begun = true
		records(yield)
	}
}

// wayOut says how to get an empty store.
func (p place) wayOut(c *config) string {
	if p.path == "" {
		return fmt.Sprintf("; delete the keys that begin with %q, or choose another storage.redis.key_prefix", c.Redis.KeyPrefix)
	}
	return "; move that file away, or choose another folder"
}

func tallyText(t backup.Tally) string {
	return fmt.Sprintf("%d clients, %d users, %d grants, %d key rings, %d budgets, %d marks, %d entries with digest %.16s…",
		t.Counts.Clients, t.Counts.Users, t.Counts.Grants, t.Counts.KeyRings, t.Counts.Budgets, t.Counts.Marks, t.Counts.Entries,
		t.Digest)
}

// target is a store that is being filled.
type target struct {
	store storage.Store
	stays bool // what was written stays when filling fails
	// partial and path: a new file has its name only when all is well, so that no server can begin on a part.
	partial, path string
}

// openTarget opens a store, makes it if it is not there, and refuses a Redis that a server would refuse.
func (c *storeCommands) openTarget(ctx context.Context, cfg *config, p place) (target, error) {
	if p.path != "" {
		return openBoltTarget(ctx, p.path)
	}
	if _, err := cfg.initRedis(ctx, c.log()); err != nil {
		return target{}, err
	}
	store, err := cfg.openRedis(ctx, c.log())
	if err != nil {
		return target{}, err
	}
	h := &health{Store: store, doctor: store.Doctor, log: c.log()}
	if err := h.admit(ctx, cfg.Redis.where()); err != nil {
		return target{}, errors.Join(err, store.Close())
	}
	return target{store: store, stays: true}, nil
}

func openBoltTarget(ctx context.Context, path string) (target, error) {
	t := target{path: path, stays: true}
	open := path
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.stays, t.partial = false, path+".partial-"+rand.Text() // its own: another may be at it too
		open = t.partial
	}
	var err error
	t.store, err = bolt.Open(ctx, open, bolt.Options{})
	if errors.Is(err, storage.ErrInUse) {
		return target{}, fmt.Errorf("%s is in use by a running server; stop that server first", path)
	}
	return t, err
}

// finish closes the store and, if all went well, gives a new file its name.
func (t target) finish(err error) error {
	err = errors.Join(err, t.store.Close())
	if t.partial == "" {
		return err
	}
	if err == nil {
		err = os.Link(t.partial, t.path) // unlike a rename, it fails where the name is taken
	}
	if err == nil {
		err = syncFolder(filepath.Dir(t.path))
	}
	return errors.Join(err, ignoreMissing(os.Remove(t.partial)))
}
