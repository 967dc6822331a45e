package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"iter"
	"time"

	"github.com/ingam/ingam/storage"
)

// formVersion is the version of the form. Raise it when an older program would misread a backup or take it for damaged.
const formVersion = 2

// Header is the first line.
type Header struct {
	Version int       `json:"ingam_backup"`
	Time    time.Time `json:"time"`
	Source  string    `json:"source"` // the kind of store: "bolt", "redis"
}

// lastLine is the last line.
type lastLine struct {
	End ending `json:"end"`
}

type ending struct {
	Tally
	SHA256 string `json:"sha256"` // of all bytes before this line
}

// Write writes a backup and returns what it holds. After an error w may have got a part of it, which has no last line
// and is no backup. Up to 64 KiB are held back, so that after an early error w may have got nothing at all.
func Write(w io.Writer, source string, records iter.Seq2[storage.Record, error]) (Tally, error) {
	out := &lineWriter{to: bufio.NewWriterSize(w, 64<<10), hash: sha256.New()}
	var t Tally
	names := map[string]struct{}{} // of users
	out.line(Header{Version: formVersion, Time: time.Now().UTC().Truncate(time.Second), Source: source})
	for r, err := range records {
		if err == nil {
			err = t.Add(r)
		}
		if err == nil && r.User != nil {
			// A store without snapshots can show one user before a rename and another after it. No store could take both.
			if _, twice := names[r.User.Username]; twice {
				err = fmt.Errorf("the username %.80q went to another user while the backup was made; make it again", r.User.Username)
			}
			names[r.User.Username] = struct{}{}
		}
		if err != nil {
			return t, err
		}
		if out.line(r); out.err != nil { // before more is read for nobody
			break
		}
	}
	out.line(lastLine{ending{t, hex.EncodeToString(out.hash.Sum(nil))}})
	if out.err == nil {
		out.err = out.to.Flush()
	}
	if out.err != nil {
		return t, fmt.Errorf("write the backup: %w", out.err)
	}
	return t, nil
}

// lineWriter keeps its first error.
type lineWriter struct {
	to   *bufio.Writer
	hash hash.Hash
	err  error
}

func (w *lineWriter) line(v any) {
	if w.err != nil {
		return
	}
	var text []byte
	if text, w.err = json.Marshal(v); w.err != nil {
		return
	}
	text = append(text, '\n')
	w.hash.Write(text)
	_, w.err = w.to.Write(text)
}
