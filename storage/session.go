package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"
)

// Session is one sign-in of a person at one browser, which all clients share (OIDC Core §2, "single sign-on").
type Session struct {
	// ID names the session; it is no secret. The cookie is the ID and a secret of 256 bits.
	ID string `json:"id"`
	// SecretHash is SHA-256 of that secret. A new sign-in changes it, so that the cookie of before is worth nothing.
	SecretHash []byte `json:"sha256"`
	UserID     string `json:"user_id"`
	// UserEpoch is the user's Epoch at the sign-in; a session of an older epoch is dead.
	UserEpoch uint64 `json:"user_epoch"`

	// AuthTime is when the user last proved who they are, in whole seconds; AMR and ACR say how (RFC 8176, OIDC Core §2).
	AuthTime time.Time `json:"auth_time"`
	AMR      []string  `json:"amr,omitempty"`
	ACR      string    `json:"acr,omitempty"`

	BornAt time.Time `json:"born_at"`
	// SeenAt is the last use, to about a minute; IdleExpiresAt moves on with it, ExpiresAt never does.
	SeenAt        time.Time `json:"seen_at"`
	IdleExpiresAt time.Time `json:"idle_expires_at"`
	ExpiresAt     time.Time `json:"expires_at"`
	// Remembered: the cookie outlives the browser's own session ("stay signed in").
	Remembered bool `json:"remembered,omitempty"`

	UserAgent string `json:"user_agent,omitempty"`
	Address   string `json:"address,omitempty"`
	// Clients are the ids of the clients that signed the user in through this session, in the order of their first time.
	Clients []string `json:"clients,omitempty"`

	// Version counts changes, from 1; see [Sessions.Replace]. It is the entry's.
	Version uint64 `json:"-"`
}

// LogValue names the session.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.ID) }

// Expiry is when the session ends if nothing happens.
func (s Session) Expiry() time.Time {
	if s.IdleExpiresAt.Before(s.ExpiresAt) {
		return s.IdleExpiresAt
	}
	return s.ExpiresAt
}

// Holds tells whether the session still counts for its user.
func (s Session) Holds(u User) bool { return !u.Disabled && u.ID == s.UserID && u.Epoch == s.UserEpoch }

// Consent is what a user lets a client have, remembered.
type Consent struct {
	UserID   string `json:"user_id"`
	ClientID string `json:"client_id"`
	// Scopes and Claims (names asked for one by one, OIDC Core §5.5) are all that was ever allowed and not taken back.
	Scopes    []string  `json:"scopes,omitempty"`
	Claims    []string  `json:"claims,omitempty"`
	GrantedAt time.Time `json:"granted_at"`
	Version   uint64    `json:"-"`
}

// PushedRequest is an authorization request that a client has left here (RFC 9126).
type PushedRequest struct {
	ID        string     `json:"id"`
	ClientID  string     `json:"client_id"`
	Params    url.Values `json:"params"`
	ExpiresAt time.Time  `json:"expires_at"`
	// Shown: a person has been shown a page for it, and ExpiresAt was moved for them.
	Shown   bool   `json:"shown,omitempty"`
	Version uint64 `json:"-"`
}

// Delivery is a logout token that has to reach a client (OIDC Back-Channel Logout §2.5). The token itself is made and
// signed at each try.
type Delivery struct {
	ID       string `json:"id"`
	ClientID string `json:"client_id"`
	URI      string `json:"uri"`
	// Subject and SessionID are sub and sid of the token.
	Subject   string    `json:"sub"`
	SessionID string    `json:"sid"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	// NextAt is when it is tried again; a node that tries it moves NextAt on first, so that others leave it alone.
	NextAt    time.Time `json:"next_at"`
	Attempts  int       `json:"attempts"`
	LastError string    `json:"last_error,omitempty"`
	// Failed: given up; kept until ExpiresAt for the administrator to see.
	Failed  bool   `json:"failed,omitempty"`
	Version uint64 `json:"-"`
}

// Sessions is the typed view of the entries that are sessions. Owner is the user.
type Sessions struct{ Entries }

// Session returns a live session, or ErrNotFound.
func (s Sessions) Session(ctx context.Context, id string) (Session, error) {
	return decodeEntry[Session](s.Entry(ctx, KindSession, id))
}

// Create stores a new session.
func (s Sessions) Create(ctx context.Context, v Session) error {
	e, err := entryOf(KindSession, v.ID, v.UserID, v.Expiry(), 0, v)
	if err != nil {
		return err
	}
	return s.CreateEntry(ctx, e)
}

// Replace stores v if the stored session still has its Version; ErrConflict, ErrNotFound. UserID never changes.
func (s Sessions) Replace(ctx context.Context, v Session) error {
	e, err := entryOf(KindSession, v.ID, v.UserID, v.Expiry(), v.Version, v)
	if err != nil {
		return err
	}
	return s.ReplaceEntry(ctx, e)
}

// End removes a session and returns it; exactly one caller gets it, the others ErrNotFound.
func (s Sessions) End(ctx context.Context, id string) (Session, error) {
	return decodeEntry[Session](s.TakeEntry(ctx, KindSession, id))
}

// Of returns up to limit live sessions of a user.
func (s Sessions) Of(ctx context.Context, userID string, limit int) ([]Session, error) {
	return decodeEntries[Session](s.EntriesOf(ctx, KindSession, userID, limit))
}

// Consents is the typed view of the entries that are consents. Owner is the user.
type Consents struct{ Entries }

// consentID: the id of a client has no slash.
func consentID(userID, clientID string) string { return clientID + "/" + userID }

// Consent returns what the user lets the client have, or ErrNotFound.
func (s Consents) Consent(ctx context.Context, userID, clientID string) (Consent, error) {
	return decodeEntry[Consent](s.Entry(ctx, KindConsent, consentID(userID, clientID)))
}

// Add puts what was allowed now to what was allowed before.
func (s Consents) Add(ctx context.Context, c Consent) error {
	for range 10 {
		stored, err := s.Consent(ctx, c.UserID, c.ClientID)
		if IsFailure(err) {
			return err
		}
		isNew := err != nil
		merged := c
		if !isNew {
			merged.Scopes, merged.Claims = union(stored.Scopes, c.Scopes), union(stored.Claims, c.Claims)
		}
		e, err := entryOf(KindConsent, consentID(c.UserID, c.ClientID), c.UserID, time.Time{}, stored.Version, merged)
		if err != nil {
			return err
		}
		if isNew {
			err = s.CreateEntry(ctx, e)
		} else {
			err = s.ReplaceEntry(ctx, e)
		}
		if err == nil || IsFailure(err) {
			return err
		}
	}
	return fmt.Errorf("consent of %s for %s: %w", c.UserID, c.ClientID, ErrConflict)
}

// Remove takes a consent back; there being none is no error.
func (s Consents) Remove(ctx context.Context, userID, clientID string) error {
	_, err := s.TakeEntry(ctx, KindConsent, consentID(userID, clientID))
	if IsFailure(err) {
		return err
	}
	return nil
}

// Of returns up to limit consents of a user.
func (s Consents) Of(ctx context.Context, userID string, limit int) ([]Consent, error) {
	return decodeEntries[Consent](s.EntriesOf(ctx, KindConsent, userID, limit))
}

// PushedRequests is the typed view of the entries that are pushed authorization requests.
type PushedRequests struct{ Entries }

// Create stores one.
func (s PushedRequests) Create(ctx context.Context, p PushedRequest) error {
	e, err := entryOf(KindPushed, p.ID, "", p.ExpiresAt, 0, p)
	if err != nil {
		return err
	}
	return s.CreateEntry(ctx, e)
}

// Request returns one that is live and not used up, or ErrNotFound.
func (s PushedRequests) Request(ctx context.Context, id string) (PushedRequest, error) {
	return decodeEntry[PushedRequest](s.Entry(ctx, KindPushed, id))
}

// Replace stores p if the stored one still has its Version; ErrConflict, ErrNotFound.
func (s PushedRequests) Replace(ctx context.Context, p PushedRequest) error {
	e, err := entryOf(KindPushed, p.ID, "", p.ExpiresAt, p.Version, p)
	if err != nil {
		return err
	}
	return s.ReplaceEntry(ctx, e)
}

// Take uses it up; exactly one caller succeeds, the others get ErrNotFound.
func (s PushedRequests) Take(ctx context.Context, id string) error {
	_, err := s.TakeEntry(ctx, KindPushed, id)
	return err
}

// Outbox is the typed view of the logout tokens that are to be delivered.
type Outbox struct{ Entries }

// outboxOwner lists them all.
const outboxOwner = "outbox"

// Add stores a new delivery.
func (s Outbox) Add(ctx context.Context, d Delivery) error {
	e, err := entryOf(KindLogout, d.ID, outboxOwner, d.ExpiresAt, 0, d)
	if err != nil {
		return err
	}
	return s.CreateEntry(ctx, e)
}

// Replace stores d if the stored one still has its Version: whoever moves NextAt on owns the next try.
func (s Outbox) Replace(ctx context.Context, d Delivery) error {
	e, err := entryOf(KindLogout, d.ID, outboxOwner, d.ExpiresAt, d.Version, d)
	if err != nil {
		return err
	}
	return s.ReplaceEntry(ctx, e)
}

// Done removes a delivery; that it is gone already is no error.
func (s Outbox) Done(ctx context.Context, id string) error {
	_, err := s.TakeEntry(ctx, KindLogout, id)
	if IsFailure(err) {
		return err
	}
	return nil
}

// All returns up to limit deliveries, in the order of EntriesOf.
func (s Outbox) All(ctx context.Context, limit int) ([]Delivery, error) {
	return decodeEntries[Delivery](s.EntriesOf(ctx, KindLogout, outboxOwner, limit))
}

// versioned is what the version of an entry goes into.
type versioned interface{ setVersion(uint64) }

func (s *Session) setVersion(v uint64)       { s.Version = v }
func (c *Consent) setVersion(v uint64)       { c.Version = v }
func (p *PushedRequest) setVersion(v uint64) { p.Version = v }
func (d *Delivery) setVersion(v uint64)      { d.Version = v }

func entryOf(kind, id, owner string, expires time.Time, version uint64, v any) (Entry, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return Entry{}, fmt.Errorf("%s: %w", kind, err)
	}
	return Entry{Kind: kind, ID: id, Owner: owner, Data: data, Version: version, ExpiresAt: expires}, nil
}

func decodeEntry[T any, P interface {
	*T
	versioned
}](e Entry, err error) (T, error) {
	var v, zero T
	if err != nil {
		return zero, err
	}
	if err := json.Unmarshal(e.Data, &v); err != nil {
		return zero, fmt.Errorf("decode %s: %w", e.Kind, err)
	}
	P(&v).setVersion(e.Version)
	return v, nil
}

func decodeEntries[T any, P interface {
	*T
	versioned
}](entries []Entry, err error) ([]T, error) {
	if err != nil {
		return nil, err
	}
	list := make([]T, 0, len(entries))
	for _, e := range entries {
		v, err := decodeEntry[T, P](e, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}
