package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/bolt"
)

// Exit statuses of the program (CONTRACT: "Ports, files, names").
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // wrong arguments or a wrong configuration: trying again will not help
)

// Names inside the data folder.
const (
	storeFile   = "ingam.db"
	adminSocket = "admin.sock"
)

// app is everything that a command may touch of the outside world, so that tests run commands in their own process.
type app struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	getenv  func(string) string
	environ func() []string
	// untilSignal returns a context that ends at the first SIGINT or SIGTERM; after that the signals have their usual
	// effect again, so that a second one quits at once.
	untilSignal func(context.Context) (context.Context, context.CancelFunc)
}

// usageError marks an error that ends with exit status 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef makes an error of the caller's: wrong arguments or a wrong configuration.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// exitStatus maps what a command returned to the exit status.
func exitStatus(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		return exitUsage
	default:
		return exitFailed
	}
}

// storeConfig says which data folder and which store a command works on: flags, the environment, the configuration file,
// or the defaults. Problems elsewhere in the configuration do not stop an administrator from reaching the server.
func (a *app) storeConfig(cmd *cobra.Command) (*config, error) {
	cfg, problems := a.loadConfig(cmd)
	relevant := problems.about("data_dir")
	for _, s := range cfg.storageSettings() {
		for _, p := range problems.about(s.key) {
			if !slices.Contains(relevant, p) {
				relevant = append(relevant, p)
			}
		}
	}
	return cfg, relevant.asError()
}

// openOffline opens the store for a command that found no running server on this machine. It makes nothing: a mistyped
// path must not look like an empty server.
func (c *config) openOffline(ctx context.Context, log *slog.Logger) (storage.Store, error) {
	if c.StorageDriver == driverRedis {
		return c.openRedis(ctx, log)
	}
	path := filepath.Join(c.DataDir, storeFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no server is running on %s and there is no store in it; "+
			"name the right folder with --data-dir or --config, or start the server once", c.DataDir)
	}
	store, err := bolt.Open(ctx, path, bolt.Options{})
	switch {
	case errors.Is(err, storage.ErrInUse):
		return nil, fmt.Errorf("%s is in use by a running server that does not answer on %s; stop it first",
			path, filepath.Join(c.DataDir, adminSocket))
	case err != nil:
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	return store, nil
}
