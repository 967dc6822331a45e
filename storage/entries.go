package storage

import (
	"context"
	"encoding/json"
	"time"
)

// Entry is a small record of one of the rooms above: a browser session, a consent, a pushed request, a message that is
// to be sent. The store knows whose it is and when it ends, and does not look inside.
type Entry struct {
	// Kind is one of the constants below; ID is unique within it.
	Kind string `json:"kind"`
	ID   string `json:"id"`
	// Owner is under what EntriesOf lists it, a user's id mostly; "" is not listed. It never changes.
	Owner string `json:"owner,omitempty"`
	// Data is one JSON value.
	Data json.RawMessage `json:"data"`
	// Version counts changes, from 1; see [Entries.ReplaceEntry].
	Version uint64 `json:"version"`
	// ExpiresAt ends it; zero means never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// The kinds of entries.
const (
	KindSession = "session" // Session
	KindConsent = "consent" // Consent
	KindPushed  = "pushed"  // PushedRequest
	KindLogout  = "logout"  // Delivery
)

// Entries keeps small records of other rooms.
type Entries interface {
	// Entry returns a live entry, or ErrNotFound. Never from the memory of a node.
	Entry(ctx context.Context, kind, id string) (Entry, error)
	// CreateEntry stores a new entry with Version 1, or answers ErrExists.
	CreateEntry(ctx context.Context, e Entry) error
	// ReplaceEntry stores Data and ExpiresAt of e in place of those of the live entry with its kind and id if that one still
	// has e.Version, and counts the stored version up. ErrNotFound if there is none, ErrConflict if it has changed.
	ReplaceEntry(ctx context.Context, e Entry) error
	// TakeEntry removes a live entry and returns it as it was. Of any number of callers exactly one gets it, the others
	// ErrNotFound.
	TakeEntry(ctx context.Context, kind, id string) (Entry, error)
	// EntriesOf returns up to limit live entries of a kind and an owner, those that end first first (never is last), then
	// by id. An owner "" has none.
	EntriesOf(ctx context.Context, kind, owner string, limit int) ([]Entry, error)
}
