package backup

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// Counts says how many records there are of each kind.
type Counts struct {
	Clients  int `json:"clients"`
	Users    int `json:"users"`
	Grants   int `json:"grants"`
	KeyRings int `json:"key_rings"`
	Budgets  int `json:"budgets"`
	Marks    int `json:"marks"`
	// Entries is left out when there are none: backups of form 1 do not have it.
	Entries int `json:"entries,omitempty"`
}

// Total is the number of all records.
func (c Counts) Total() int {
	return c.Clients + c.Users + c.Grants + c.KeyRings + c.Budgets + c.Marks + c.Entries
}

// of is the counter for the kind of r.
func (c *Counts) of(r storage.Record) *int {
	switch {
	case r.Client != nil:
		return &c.Clients
	case r.User != nil:
		return &c.Users
	case r.Grant != nil:
		return &c.Grants
	case r.KeyRing != nil:
		return &c.KeyRings
	case r.Budget != nil:
		return &c.Budgets
	case r.Entry != nil:
		return &c.Entries
	}
	return &c.Marks
}

// Digest stands for a set of records, whatever their order: the sum, modulo 2^256, of the SHA-256 of each. A sum and not
// an exclusive or, so that a record that is there twice does not cancel out. It finds mistakes; somebody who chooses
// very many records on purpose could find two sets with one digest.
type Digest [sha256.Size]byte

// add adds the SHA-256 of a record, both read as numbers with the highest byte first.
func (d *Digest) add(hash [sha256.Size]byte) {
	var carry uint64
	for i := sha256.Size - 8; i >= 0; i -= 8 {
		var sum uint64
		sum, carry = bits.Add64(binary.BigEndian.Uint64(d[i:]), binary.BigEndian.Uint64(hash[i:]), carry)
		binary.BigEndian.PutUint64(d[i:], sum)
	}
}

// String is the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText is String.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(text []byte) error {
	if n, err := hex.Decode(d[:], text[:min(len(text), hex.EncodedLen(len(d)))]); err != nil || n != len(d) || len(text) != 2*n {
		return errors.New("a digest is 64 hexadecimal digits")
	}
	return nil
}

// Tally is what a set of records amounts to. Two stores that keep the same have the same tally. The zero value is that
// of nothing.
type Tally struct {
	Counts Counts `json:"counts"`
	Digest Digest `json:"digest"`
}

// Add counts a record in. The error is about a record that no store could have exported.
func (t *Tally) Add(r storage.Record) error {
	if err := record.Check(r); err != nil {
		return err
	}
	text, err := json.Marshal(canonical(r))
	if err != nil {
		return fmt.Errorf("%s: %w", record.Name(r), err)
	}
	*t.Counts.of(r)++
	t.Digest.add(sha256.Sum256(text))
	return nil
}

// canonical is the record as every store gives it back. Clients, users and keys rest as JSON everywhere. The times of
// the others come back in UTC, and from some stores rounded up to the next microsecond.
func canonical(r storage.Record) storage.Record {
	switch {
	case r.Grant != nil:
		g := *r.Grant
		for _, t := range []*time.Time{&g.AuthTime, &g.RotatedAt, &g.BornAt, &g.IdleExpiresAt, &g.ExpiresAt} {
			*t = micros(*t)
		}
		r.Grant = &g
	case r.Budget != nil:
		r.Budget = &storage.BudgetState{KeyHash: r.Budget.KeyHash, FullAt: micros(r.Budget.FullAt)}
	case r.Mark != nil:
		r.Mark = &storage.MarkState{KeyHash: r.Mark.KeyHash, Until: micros(r.Mark.Until)}
	case r.Entry != nil:
		e := *r.Entry
		e.ExpiresAt = micros(e.ExpiresAt)
		r.Entry = &e
	}
	return r
}

// micros rounds up. The zero time stays zero.
func micros(t time.Time) time.Time {
	cut := t.UTC().Truncate(time.Microsecond)
	if cut.Before(t) {
		cut = cut.Add(time.Microsecond)
	}
	return cut
}

// End is when a record ends by itself. Clients, users, keys and entries without an end never do.
func End(r storage.Record) (end time.Time, ends bool) {
	switch {
	case r.Grant != nil:
		return r.Grant.Expiry(), true
	case r.Budget != nil:
		return r.Budget.FullAt, true
	case r.Mark != nil:
		return r.Mark.Until, true
	case r.Entry != nil:
		return r.Entry.ExpiresAt, !r.Entry.ExpiresAt.IsZero()
	}
	return time.Time{}, false
}
