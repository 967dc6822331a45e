package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/storage/backup"
	"github.com/ingam/ingam/storage/redis"
)

func (c *storeCommands) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say whether the store is fit to hold the data",
		Long: "Say whether the store is fit to hold the data: for Redis its version and the settings that decide what can be lost, for " +
			"the embedded store whether the file is whole. The exit status is 1 if something is refused; a server does not " +
			"start then.",
		Example: "  ingam store doctor\n  ingam store doctor -o json | jq -r '.[] | select(.level != \"ok\").name'",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.app.storeConfig(cmd)
			if err != nil {
				return err
			}
			examine := c.examineBolt
			if cfg.StorageDriver == driverRedis {
				examine = c.examineRedis
			}
			findings, err := examine(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			err = c.out.print(findings, func(w *tabwriter.Writer) {
				row(w, "LEVEL", "NAME", "NODE", "SAYS", "FIX")
				for _, f := range findings {
					row(w, string(f.Level), f.Name, orDash(f.Node), f.Says, orDash(f.Fix))
				}
			})
			if err == nil && refusals("", findings) != nil {
				err = fmt.Errorf("a server must not run on %s as it is", cfg.storeName())
			}
			return err
		},
	}
}

func (c *storeCommands) examineRedis(ctx context.Context, cfg *config) (_ []redis.Finding, err error) {
	store, err := cfg.openRedis(ctx, c.log())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	return store.Doctor(ctx)
}

// examineBolt looks at the file, and inside it where no server holds it.
func (c *storeCommands) examineBolt(ctx context.Context, cfg *config) ([]redis.Finding, error) {
	path := cfg.here().path
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("there is no store at %s: %s", path, plain(err))
	}
	file := redis.Finding{
		Name: "file", Level: redis.OK, Says: fmt.Sprintf("%s has %d KiB and mode %s", path, (info.Size()+1023)/1024, info.Mode().Perm()),
	}
	if info.Mode().Perm()&0o077 != 0 {
		file.Level, file.Fix = redis.Warn, "chmod 600 it; it holds hashes of passwords"
	}
	pages := checkPages(path, info.Size())
	findings := []redis.Finding{file, pages}
	switch pages.Level {
	case redis.OK:
		return append(findings, c.checkRecords(ctx, cfg)...), nil
	case redis.Warn:
		findings = append(findings, askServer(ctx, cfg.DataDir))
	}
	return findings, nil
}

// checkPages lets bbolt look at every page of the file. It is a warning where a server holds the file.
func checkPages(path string, size int64) redis.Finding {
	finding := redis.Finding{Name: "pages", Level: redis.OK, Says: "every page is where it belongs"}
	refuse := func(says string) redis.Finding {
		finding.Level, finding.Says, finding.Fix = redis.Refuse, says, "restore a backup into a new file"
		return finding
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Nanosecond}) // one try
	if errors.Is(err, berrors.ErrTimeout) {
		finding.Level, finding.Says = redis.Warn, "not looked at: a running server holds the file"
		finding.Fix = "stop the server, or look into a copy that 'ingam store backup' and 'restore' make"
		return finding
	}
	if err != nil {
		return refuse("the file cannot be opened: " + err.Error())
	}
	defer func() { _ = db.Close() }() // it was only read
	err = db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > size { // to look beyond the end of a file ends the process
			return fmt.Errorf("the file was cut short: %d bytes of %d", size, tx.Size())
		}
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = err
			}
		}
		return first
	})
	if err != nil {
		return refuse(err.Error())
	}
	return finding
}

// checkRecords opens the store as a server does and reads every record.
func (c *storeCommands) checkRecords(ctx context.Context, cfg *config) []redis.Finding {
	schema := redis.Finding{Name: "schema", Level: redis.OK, Says: "this version of ingam reads and writes it"}
	store, err := cfg.openOffline(ctx, c.log())
	if err != nil {
		schema.Level, schema.Says, schema.Fix = redis.Refuse, err.Error(), "use the version of ingam that wrote it, or a newer one"
		return []redis.Finding{schema}
	}
	defer func() { _ = store.Close() }() // it was only read
	var all backup.Tally
	records := redis.Finding{Name: "records", Level: redis.OK}
	for r, err := range store.Export(ctx) {
		if err == nil {
			err = all.Add(r)
		}
		if err != nil {
			records.Level, records.Says, records.Fix = redis.Refuse, err.Error(), "restore a backup into a new file"
			return []redis.Finding{schema, records}
		}
	}
	records.Says = fmt.Sprintf("all %d can be read: %s", all.Counts.Total(), tallyText(all))
	return []redis.Finding{schema, records}
}

// askServer asks the server that holds the file.
func askServer(ctx context.Context, dir string) redis.Finding {
	finding := redis.Finding{Name: "server", Level: redis.OK, Says: "the running server says that its store answers"}
	server, err := connectSocket(ctx, dir)
	if err == nil && server == nil {
		err = errors.New("it does not listen on " + adminSocket)
	}
	if err == nil {
		var status admin.Status
		err = errors.Join(server.do(ctx, http.MethodGet, "/status", nil, &status), server.close())
	}
	if err != nil {
		finding.Level, finding.Says, finding.Fix = redis.Warn, "the server that holds the file: "+err.Error(), "look into its log"
	}
	return finding
}
