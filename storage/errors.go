package storage

import "errors"

// Sentinels: answers of a healthy store. Compare with errors.Is.
var (
	// ErrNotFound: there is no such record, or it has expired.
	ErrNotFound = errors.New("not found")
	// ErrExists: a record with that id or name is there already.
	ErrExists = errors.New("already exists")
	// ErrConflict: the record changed since it was read (its Version moved on). Read it again and decide anew.
	ErrConflict = errors.New("changed by somebody else in the meantime")
	// ErrReadOnly: the record comes from a file of the operator (clients.d, users.d) and is changed there.
	ErrReadOnly = errors.New("read-only: it is defined in a configuration file")
	// ErrInUse: another process holds the store. Only Open functions return it.
	ErrInUse = errors.New("in use by another process")
	// ErrUninitialized: the store is reachable and has never been set up, or was emptied. A server that went on would have
	// new keys and no users, under the name of the old one. Only Open functions return it.
	ErrUninitialized = errors.New("never initialised, or emptied")
	// ErrNewerSchema: the data was written by a newer version of this program. Only Open functions return it.
	ErrNewerSchema = errors.New("written by a newer version of ingam")
)

// IsFailure tells whether err is a failure of the store (unreachable, disk full, broken data) and not one of its
// answers. The outcome of a call that failed so is unknown; an HTTP server says 503.
func IsFailure(err error) bool {
	if err == nil {
		return false
	}
	for _, answer := range []error{ErrNotFound, ErrExists, ErrConflict, ErrReadOnly} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return true
}
