package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/bolt"
	"github.com/ingam/ingam/storage/redis"
)

// storeName is where the data is, for messages.
func (c *config) storeName() string {
	if c.StorageDriver == driverRedis {
		return c.Redis.where()
	}
	return c.DataDir
}

// openStore opens the store for a server. The embedded one is made if it is not there. A Redis must have been set up,
// and nothing about it may be refused; then the store comes wrapped in its health.
func (c *config) openStore(ctx context.Context, log *slog.Logger) (storage.Store, *health, error) {
	if c.StorageDriver != driverRedis {
		store, err := openBolt(ctx, filepath.Join(c.DataDir, storeFile))
		return store, nil, err
	}
	store, err := c.openRedis(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	h := &health{Store: store, doctor: store.Doctor, log: log}
	if err := h.admit(ctx, c.Redis.where()); err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return h, h, nil
}

// openBolt opens the embedded store, making it if it is not there.
func openBolt(ctx context.Context, path string) (storage.Store, error) {
	store, err := bolt.Open(ctx, path, bolt.Options{})
	if errors.Is(err, storage.ErrInUse) {
		return nil, fmt.Errorf("another server runs on %s: %w", filepath.Dir(path), err) // err names the process
	}
	if err != nil {
		return nil, err
	}
	return store, nil
}

// openRedis opens a store in Redis that was set up. An empty Redis is refused: a server that went on would have new keys
// and no users under the name of the old one (threats S17).
func (c *config) openRedis(ctx context.Context, log *slog.Logger) (*redis.Store, error) {
	cfg, wrong := c.redisConfig(nil, log)
	if err := wrong.asError(); err != nil {
		return nil, err
	}
	store, err := redis.Open(ctx, cfg)
	switch {
	case errors.Is(err, storage.ErrUninitialized):
		return nil, fmt.Errorf("%w\nIf this is a new installation, run 'ingam store init' once. "+
			"If it held data before, find out where that went; 'ingam store restore' and 'ingam store copy' bring it back", err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", c.Redis.where(), err)
	}
	return store, nil
}

// initRedis sets a Redis up unless that was done before.
func (c *config) initRedis(ctx context.Context, log *slog.Logger) (created bool, err error) {
	cfg, wrong := c.redisConfig(nil, log)
	if err := wrong.asError(); err != nil {
		return false, err
	}
	created, err = redis.Init(ctx, cfg)
	if err != nil {
		return false, fmt.Errorf("set up %s: %w", c.Redis.where(), err)
	}
	return created, nil
}

// refusals is an error with all findings under which a server must not run, nil if there are none.
func refusals(where string, findings []redis.Finding) error {
	var lines []string
	for _, f := range findings {
		if f.Level == redis.Refuse {
			lines = append(lines, "  "+describe(f))
		}
	}
	if lines == nil {
		return nil
	}
	return fmt.Errorf("%s must not hold this data as it is:\n%s\n'ingam store doctor' shows everything that was looked at",
		where, strings.Join(lines, "\n"))
}

// describe is a finding on one line.
func describe(f redis.Finding) string {
	text := f.Name
	if f.Node != "" {
		text += " (" + f.Node + ")"
	}
	text += ": " + f.Says
	if f.Fix != "" {
		text += "; " + f.Fix
	}
	return text
}

// How often the doctor looks, and how long it may take.
const (
	doctorEvery   = time.Minute
	doctorAgain   = 5 * time.Second // while something is refused: healed means ready
	doctorTimeout = 10 * time.Second
)
