// Package record holds what the stores of this module share: the JSON form of a record at rest, what an id may look
// like, how the keys of budgets and marks are hashed, and what a record must be to be imported.
package record

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/ingam/ingam/storage"
)

// MaxID is how long an id or a username may be, in bytes. It stays far below the limits of every technology, and no
// id of ours and no sensible username comes near it.
const MaxID = 4096

// CheckID refuses ids that a store could not give back as they were: the empty one (it means "from the first" in
// listings), endless ones, and bytes that are no text, which JSON would silently change.
func CheckID(what, id string) error {
	switch {
	case id == "":
		return errors.New(what + " is empty")
	case len(id) > MaxID:
		return fmt.Errorf("%s has %d bytes, at most %d can be stored", what, len(id), MaxID)
	case !utf8.ValidString(id):
		return fmt.Errorf("%s %q is not valid UTF-8", what, id)
	}
	return nil
}

// CheckEntry refuses an entry that a store could not give back as it was.
func CheckEntry(e storage.Entry) error {
	if err := errors.Join(CheckID("kind of an entry", e.Kind), CheckID("entry id", e.ID)); err != nil {
		return err
	}
	if e.Owner != "" {
		if err := CheckID("owner of an entry", e.Owner); err != nil {
			return err
		}
	}
	if !json.Valid(e.Data) {
		return errors.New("the data of an entry is not JSON") // which it is not said: it may be a secret
	}
	return nil
}

// Encode returns the bytes of a record.
func Encode[T any](v T) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// Decode is the way back. The result shares no memory with b.
func Decode[T any](b []byte) (T, error) {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("decode %T: %w", v, err)
	}
	return v, nil
}

// Hash is the key of a budget or a mark at rest.
type Hash [sha256.Size]byte

// HashKey makes it. Those keys are made from what strangers send and may be of any length; and what somebody has typed
// into a login form, a password in the wrong field perhaps, never reaches the disk.
func HashKey(key string) Hash { return sha256.Sum256([]byte(key)) }
