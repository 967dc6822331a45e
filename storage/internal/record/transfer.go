package record

import (
	"errors"
	"fmt"

	"github.com/ingam/ingam/storage"
)

// Check refuses a record that no store could have exported, and names it in the error: it must have exactly one field,
// and ids and hashes as a store makes them.
func Check(r storage.Record) error {
	fields := 0
	for _, set := range []bool{
		r.Client != nil, r.User != nil, r.Grant != nil, r.KeyRing != nil, r.Budget != nil, r.Mark != nil, r.Entry != nil,
	} {
		if set {
			fields++
		}
	}
	if fields != 1 {
		return fmt.Errorf("a record with %d of client, user, grant, key_ring, budget, mark and entry; it must be one", fields)
	}
	var err error
	switch {
	case r.Client != nil:
		err = CheckID("client id", r.Client.ID)
	case r.User != nil:
		err = errors.Join(CheckID("user id", r.User.ID), CheckID("username", r.User.Username))
	case r.Grant != nil:
		err = CheckID("grant id", r.Grant.ID)
	case r.Budget != nil:
		err = checkHash(r.Budget.KeyHash)
	case r.Mark != nil:
		err = checkHash(r.Mark.KeyHash)
	case r.Entry != nil:
		err = CheckEntry(*r.Entry)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", Name(r), err)
	}
	return nil
}

func checkHash(hash []byte) error {
	if len(hash) != len(Hash{}) {
		return fmt.Errorf("sha256 has %d bytes, want %d", len(hash), len(Hash{}))
	}
	return nil
}

// Duplicate is the error about a record that came twice in one import.
func Duplicate(r storage.Record) error {
	if r.User != nil {
		return fmt.Errorf("%s, or its username %.80q, is there twice", Name(r), r.User.Username)
	}
	return fmt.Errorf("%s is there twice", Name(r))
}

// Name says which record it is, for errors.
func Name(r storage.Record) string {
	switch {
	case r.Client != nil:
		return fmt.Sprintf("client %.80q", r.Client.ID)
	case r.User != nil:
		return fmt.Sprintf("user %.80q", r.User.ID)
	case r.Grant != nil:
		return fmt.Sprintf("grant %.80q", r.Grant.ID)
	case r.KeyRing != nil:
		return "the key ring"
	case r.Budget != nil:
		return fmt.Sprintf("budget %x", r.Budget.KeyHash)
	case r.Mark != nil:
		return fmt.Sprintf("mark %x", r.Mark.KeyHash)
	case r.Entry != nil:
		return fmt.Sprintf("entry %.40q %.80q", r.Entry.Kind, r.Entry.ID)
	}
	return "nothing"
}
