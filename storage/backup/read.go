package backup

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"github.com/ingam/ingam/storage"
)

var (
	// ErrDamaged: it is no backup, or it was cut off or changed.
	ErrDamaged = errors.New("the backup is damaged")
	// ErrNewer: it was written by a newer version of this program.
	ErrNewer = errors.New("the backup was written by a newer version of ingam")
)

// maxLine is the longest line that is read. Records are a few kilobytes; a user's claims may be a megabyte.
const maxLine = 64 << 20

// Reader reads a backup once. Make one with NewReader.
type Reader struct {
	in     *bufio.Reader
	hash   hash.Hash
	lines  int
	header Header
	tally  Tally
	whole  bool
}

// NewReader reads the header. The error wraps ErrDamaged or ErrNewer, or is one of reading.
func NewReader(from io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(from, 64<<10), hash: sha256.New()}
	line, err := r.next()
	if err != nil {
		return nil, err
	}
	// Loosely: another version may have other fields, and then that is what to say.
	if err := json.Unmarshal(line, &r.header); err != nil || r.header.Version < 1 {
		return nil, fmt.Errorf("%w: it does not begin like one", ErrDamaged)
	}
	if r.header.Version > formVersion {
		return nil, fmt.Errorf("%w: its form has version %d, this program knows up to %d", ErrNewer, r.header.Version, formVersion)
	}
	r.hash.Write(line)
	return r, nil
}

// Header is the first line.
func (r *Reader) Header() Header { return r.header }

// Tally is what the backup holds, known once Records has yielded everything without an error.
func (r *Reader) Tally() Tally { return r.tally }

// Records yields the records, and an error last where the backup is not whole and as it was written. So the records
// count only when all of them have come: see Verify.
func (r *Reader) Records() iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		for !r.whole {
			one, err := r.record()
			if err == nil && r.whole {
				return
			}
			if !yield(one, err) || err != nil {
				return
			}
		}
	}
}

// record reads one line; the last one makes the reader whole.
func (r *Reader) record() (one storage.Record, err error) {
	line, err := r.next()
	if err != nil {
		return one, err
	}
	if bytes.HasPrefix(line, []byte(`{"end":`)) {
		return one, r.end(line)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&one); err != nil {
		return one, fmt.Errorf("%w: line %d is not a record", ErrDamaged, r.lines) // what it holds may be a secret
	}
	if err := r.tally.Add(one); err != nil {
		return one, fmt.Errorf("%w: line %d: %w", ErrDamaged, r.lines, err)
	}
	r.hash.Write(line)
	return one, nil
}

// end checks the last line: it must be, to the byte, what Write would have written after what was read.
func (r *Reader) end(line []byte) error {
	want, err := json.Marshal(lastLine{ending{r.tally, hex.EncodeToString(r.hash.Sum(nil))}})
	if err != nil {
		return err
	}
	if !bytes.Equal(line, append(want, '\n')) {
		return fmt.Errorf("%w: its %d records are not those that its last line tells of", ErrDamaged, r.tally.Counts.Total())
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return errors.Join(fmt.Errorf("%w: there is more after its last line", ErrDamaged), err)
	}
	r.whole = true
	return nil
}

// next reads a line with its end.
func (r *Reader) next() ([]byte, error) {
	r.lines++
	var line []byte
	for {
		part, err := r.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: it ends after %d lines, without its last line; was it cut off?", ErrDamaged, r.lines-1)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("read the backup: %w", err)
		case len(line) > maxLine:
			return nil, fmt.Errorf("%w: line %d is longer than any record", ErrDamaged, r.lines)
		}
	}
}

// Verify reads a whole backup and says what it holds. Nothing of a backup may be used before it returned nil.
func Verify(from io.Reader) (Header, Tally, error) {
	r, err := NewReader(from)
	if err != nil {
		return Header{}, Tally{}, err
	}
	for _, err := range r.Records() {
		if err != nil {
			return r.header, r.tally, err
		}
	}
	return r.header, r.tally, nil
}
