package admin

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/ingam/ingam/storage/backup"
)

// backupStall is how long the reader of a backup may take for a piece of it.
const backupStall = time.Minute

// backup streams everything that the store keeps, in the form of package backup; clients and users of files are not in
// it. It holds hashes and sealed keys, so it goes only where a file mode decides who may ask: to the socket, not to a
// listener whose token may be in the hands of a program that adds users.
func (a *api) backup(w http.ResponseWriter, r *http.Request) error {
	if address(r) != "" {
		return &failure{
			status: http.StatusForbidden, code: CodeForbidden,
			description: "a backup is given over the admin socket only; run 'ingam store backup' on the machine of the server",
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return nil
	}
	out := &stream{to: w, control: http.NewResponseController(w)}
	tally, err := a.writeBackup(r.Context(), out)
	switch {
	case err == nil:
		a.log.InfoContext(r.Context(), "a backup was taken", slog.Int("records", tally.Counts.Total()))
		return nil
	case !out.begun:
		return storeFailure(err)
	}
	// The status is out already. What the caller has got has no last line, and whoever reads it sees that.
	a.log.ErrorContext(r.Context(), "a backup broke off", "error", err)
	return nil
}

// writeBackup writes a backup to out, by way of a file where the store wants to be read quickly.
func (a *api) writeBackup(ctx context.Context, out io.Writer) (backup.Tally, error) {
	if a.spool == "" {
		return backup.Write(out, a.source, a.store.Export(ctx))
	}
	spool, err := os.CreateTemp(a.spool, ".backup-*") // mode 0600
	if err != nil {
		return backup.Tally{}, err
	}
	defer func() {
		_ = spool.Close() // it was only read since
		_ = os.Remove(spool.Name())
	}()
	_ = os.Remove(spool.Name()) // nobody else ever sees it; where that is refused (Windows), it goes at the end
	tally, err := backup.Write(spool, a.source, a.store.Export(ctx))
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(out, spool)
	}
	return tally, err
}

// stream is an answer that takes as long as it is being read.
type stream struct {
	to      http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (s *stream) Write(p []byte) (int, error) {
	s.begun = true
	// A ResponseWriter without deadlines has none to move.
	_ = s.control.SetWriteDeadline(time.Now().Add(backupStall))
	return s.to.Write(p)
}
