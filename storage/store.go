package storage

import (
	"context"
	"iter"
	"time"
)

// ClientFreshness is how long a change of a client may take to reach all nodes of a shared store.
const ClientFreshness = 2 * time.Second

// Store is everything a server keeps. All methods are safe for concurrent use.
type Store interface {
	Clients
	Users
	Grants
	KeyRings
	Limits
	Entries
	Transfer

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
	// Client returns the client with that id, or ErrNotFound. Where several nodes share a store, a change that was made
	// at another node may count here up to ClientFreshness later; one made here counts at once.
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
	// RecallUser is like User, but may answer from the memory of this node: the user as they once were. It is for callers
	// that go on to Rotate and let it check the user (Rotation.UserID), never for deciding anything by itself.
	RecallUser(ctx context.Context, id string) (User, error)
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
	// RecallGrant is like Grant, but may answer from the memory of this node. What never changes in a grant is right;
	// Generation, RotatedAt, Attempt, IdleExpiresAt and Revoked are as they once were (generations only grow, and what
	// was revoked stays so), and the grant may have gone idle or be gone. It is for callers that go on to Rotate.
	RecallGrant(ctx context.Context, id string) (Grant, error)
	// Rotate redeems one generation of a grant, atomically, and returns the grant as it is afterwards; see [Rotation] and
	// [Outcome] for the rules. ErrNotFound if there is no such grant or it has expired.
	Rotate(ctx context.Context, r Rotation) (Outcome, Grant, error)
	// GrantAndUser returns a grant that has not expired, revoked or not, and the user with that id, both as the store has them
	// now, at the price of one question where the technology allows it. ErrNotFound if there is no such grant or no such user.
	GrantAndUser(ctx context.Context, id, userID string) (Grant, User, error)
	// GrantsOf returns up to limit grants of a user that have neither expired nor been revoked, in no order. A grant is in it
	// from the moment CreateGrant returned.
	GrantsOf(ctx context.Context, userID string, limit int) ([]Grant, error)
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

// Transfer moves a whole store: copies to another kind of store, and backups.
type Transfer interface {
	// Export yields every record that has not ended, in no order. Where the technology has snapshots it is one; elsewhere
	// what is written while it runs may be in it or not. After an error nothing more is yielded.
	Export(ctx context.Context) iter.Seq2[Record, error]
	// Import stores records exactly as they are, versions included, into a store that holds none; ErrExists if it holds
	// any. An import that failed leaves a store to be thrown away.
	Import(ctx context.Context, records iter.Seq2[Record, error]) error
}

// Record is one thing that a store keeps. Exactly one field is set.
type Record struct {
	Client  *Client      `json:"client,omitempty"`
	User    *User        `json:"user,omitempty"`
	Grant   *Grant       `json:"grant,omitempty"`
	KeyRing *KeyRing     `json:"key_ring,omitempty"`
	Budget  *BudgetState `json:"budget,omitempty"`
	Mark    *MarkState   `json:"mark,omitempty"`
	Entry   *Entry       `json:"entry,omitempty"`
}

// BudgetState is a budget that is not full.
type BudgetState struct {
	KeyHash []byte    `json:"sha256"` // SHA-256 of Budget.Key: the key itself is never stored
	FullAt  time.Time `json:"full_at"`
}

// MarkState is a mark that lives.
type MarkState struct {
	KeyHash []byte    `json:"sha256"` // SHA-256 of the key
	Until   time.Time `json:"until"`
}
