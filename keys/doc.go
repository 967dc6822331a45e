// Package keys holds the server's own keys: it makes them, keeps them sealed in the store, signs with the one whose
// turn it is, publishes the public halves and derives secrets from the symmetric ones.
//
// # One ring, many nodes
//
// All keys live in one record of the store, the ring ([storage.KeyRing]). Every node reads the same ring and asks the
// same pure function, policy, what the ring means at this moment: which key signs, which are published, which secrets
// are live. So nodes need no leader and no messages, only one ring and roughly one clock. [Open] makes the ring where
// there is none; of nodes that start at once one wins by compare-and-swap, and the others use what it made.
//
// A ring that is there is never replaced. Whatever is wrong with it (another master key, a damaged record, a weak key)
// is an error for a person to read: new keys would end every session and hide the cause.
//
// # The life of a key
//
//	created ──► next ──ActivateAt──► active ──RetireAt──► retired ──ForgetAt──► forgotten
//	            └───────────── published in the JWKS, accepted by Verify ──────┘
//
// A key is published before it signs, for as long as resource servers may hold an older JWKS, and after it signed, for
// as long as its last token lives. The times are written into the ring ahead; nothing has to happen at them.
//
// # What lies where
//
// At rest the private part is encrypted with AES-256-GCM under a key derived from the [MasterKey], which lives outside
// the store. The additional data binds the key's id, use and algorithm, so that somebody who can write to the store
// cannot swap two records. Everything else in a record is public. Its times and the ring's version are not bound:
// somebody who can write to the store can have a key used for longer or shorter, and can put an older ring back.
//
// In memory, a snapshot of the opened ring hangs on an atomic pointer: reading it takes no lock, and a reload swaps it
// whole.
//
// Nothing here prints a secret: not by any verb of fmt, not through log/slog, not in an error.
package keys

import "errors"

// Sentinels; compare with errors.Is. Failures of the store pass through unchanged inside the error.
var (
	// ErrWrongMasterKey: a key of the ring was sealed under another master key. The text names both by their ids.
	ErrWrongMasterKey = errors.New("wrong master key")
	// ErrDamaged: a record of the ring cannot be what this package wrote: cut, changed, swapped, or unusable.
	ErrDamaged = errors.New("the key ring is damaged")
	// ErrRolledBack: the store holds an older ring than this process has seen, or none any more.
	ErrRolledBack = errors.New("the key ring in the store is older than the one in use (was a backup restored?)")
	// ErrNoActiveKey: the ring holds no key whose turn it is now.
	ErrNoActiveKey = errors.New("no key of the ring is active now")
	// ErrInvalidToken: the token is not one of ours. The reason behind it is for logs, not for whoever sent it.
	ErrInvalidToken = errors.New("invalid token")
)
