package storage

import (
	"context"
	"time"
)

// Store is everything a server keeps. All methods are safe for concurrent use.
type Store interface {
	Clients
	Users
	Grants
	KeyRings
	Limits

	// Ping tells whether the store answers now; readiness probes ask it.
	Ping(ctx context.Context) error
	// Sweep removes up to limit records that have expired and returns how many it removed. It is housekeeping only:
	// expired records are not found whether swept or not. Stores whose technology expires by itself return 0.
	Sweep(ctx context.Context, limit int) (removed int, err error)
	// Close releases the store; calls after it fail. Closing twice is no error.
	Close() error
}

// Clients keeps registered clients (RFC 6749 §2).
type Clients interface {
	// Client returns the client with that id, or ErrNotFound.
	Client(ctx context.Context, id string) (Client, error)
	// Clients returns up to limit clients in order of id, beginning after the given id ("" for the first).
	Clients(ctx context.Context, after string, limit int) ([]Client, error)
	// CreateClient stores a new client with Version 1, or answers ErrExists.
	CreateClient(ctx context.Context, c Client) error
	// ReplaceClient stores c in place of the client with its id if that one still has c.Version, and counts the stored
	// version up. ErrNotFound if there is none, ErrConflict if it has changed.
	ReplaceClient(ctx context.Context, c Client) error
	// DeleteClient removes a client, or answers ErrNotFound. Its grants end by themselves: no client, no refresh.
	DeleteClient(ctx context.Context, id string) error
}

// Users keeps people who can sign in. Usernames are compared as given: callers pass the canonical spelling.
type Users interface {
	// User returns the user with that id, or ErrNotFound.
	User(ctx context.Context, id string) (User, error)
	// UserByName returns the user with that canonical username, or ErrNotFound.
	UserByName(ctx context.Context, username string) (User, error)
	// Users returns up to limit users in order of username, beginning after the given username ("" for the first).
	Users(ctx context.Context, after string, limit int) ([]User, error)
	// CreateUser stores a new user with Version 1. ErrExists if its id or its username is taken.
	CreateUser(ctx context.Context, u User) error
	// ReplaceUser stores u in place of the user with its id if that one still has u.Version, and counts the stored
	// version up. ErrNotFound if there is none, ErrConflict if it has changed, ErrExists if u.Username belongs to
	// another user; the old username is then free, all in one step.
	ReplaceUser(ctx context.Context, u User) error
	// DeleteUser removes a user and frees the username, or answers ErrNotFound.
	DeleteUser(ctx context.Context, id string) error
}

// Grants keeps sign-ins; see [Grant].
type Grants interface {
	// CreateGrant stores a new grant. ErrExists if the id is taken.
	CreateGrant(ctx context.Context, g Grant) error
	// Grant returns a grant that has not expired, revoked or not, or ErrNotFound.
	Grant(ctx context.Context, id string) (Grant, error)
	// Rotate redeems one generation of a grant, atomically, and returns the grant as it is afterwards; see [Rotation] and
	// [Outcome] for the rules. ErrNotFound if there is no such grant or it has expired.
	Rotate(ctx context.Context, r Rotation) (Outcome, Grant, error)
	// RevokeGrant ends a grant for ever and notes why. A grant that is unknown, expired or revoked already is no
	// error and keeps its first reason. After RevokeGrant returned nil no Rotate of that grant succeeds.
	RevokeGrant(ctx context.Context, id, reason string) error
}

// KeyRings keeps the one ring of server keys, sealed.
type KeyRings interface {
	// KeyRing returns the ring, or ErrNotFound before the first PutKeyRing.
	KeyRing(ctx context.Context) (KeyRing, error)
	// PutKeyRing stores ring if the stored ring's version is ring.Version (0 when there is none yet) and counts the
	// stored version up; otherwise it answers ErrConflict. Of several nodes that start at once one wins.
	PutKeyRing(ctx context.Context, ring KeyRing) error
}

// Limits keeps budgets (how often something may be tried) and marks (that something was seen).
type Limits interface {
	// Spend takes one unit from each budget in the order given and stops at the first that is empty: then wait is how
	// long until that one has a unit again, and the budgets before it stay spent. wait 0 means all were spent. Each
	// budget is decided atomically, so that parallel callers never spend more than it holds.
	Spend(ctx context.Context, budgets ...Budget) (wait time.Duration, err error)
	// Refund gives units back; a budget never holds more than its burst.
	Refund(ctx context.Context, refunds ...Refund) error
	// Remember marks key until the given time. first is true for exactly one caller while the mark lives; the others
	// change nothing.
	Remember(ctx context.Context, key string, until time.Time) (first bool, err error)
	// Remembered tells whether a live mark is there.
	Remembered(ctx context.Context, key string) (bool, error)
}
