package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/ingam/ingam/storage"
)

const (
	// deliveryLifetime is how long a delivery is tried.
	deliveryLifetime = 24 * time.Hour
	// deliveryMargin lets the last try end before the store forgets the delivery.
	deliveryMargin = time.Hour
	// failedLifetime is how long the administrator sees one that was given up.
	failedLifetime = 7 * 24 * time.Hour
	// sessionsAtOnce is how many sessions of a user are read at once.
	sessionsAtOnce = 200
)

// End ends a browser session. Every client in it that wants to hear of it is in the outbox before the session goes, so that
// none is forgotten when this process dies in between: then the session is still there and somebody ends it again. frames
// are the addresses that the browser has to load itself (OIDC Front-Channel Logout §2).
//
// That the session is gone already is no error.
func (l *Logout) End(ctx context.Context, s storage.Session) (frames []string, err error) {
	if frames, err = l.tell(ctx, s, s.Clients, frames); err != nil {
		return nil, err
	}
	ended, err := storage.Sessions{Entries: l.Store}.End(ctx, s.ID)
	if storage.IsFailure(err) {
		return nil, err
	}
	if err == nil {
		// Clients that joined after s was read.
		late := slices.DeleteFunc(slices.Clone(ended.Clients), func(id string) bool { return slices.Contains(s.Clients, id) })
		if frames, err = l.tell(ctx, s, late, frames); err != nil {
			return nil, err
		}
		if l.Audit != nil {
			l.Audit(ctx, SessionEnded{UserID: s.UserID, SessionID: s.ID})
		}
	}
	if l.Courier != nil {
		l.Courier.Kick()
	}
	return frames, nil
}

// EndAllOf ends all browser sessions of a user but one; except may be "".
func (l *Logout) EndAllOf(ctx context.Context, userID, except string) error {
	for {
		sessions, err := storage.Sessions{Entries: l.Store}.Of(ctx, userID, sessionsAtOnce)
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(slices.Clone(sessions), func(s storage.Session) bool { return s.ID == except })
		for _, s := range others {
			if _, err := l.End(ctx, s); err != nil {
				return err
			}
		}
		if len(sessions) < sessionsAtOnce {
			return nil
		}
	}
}

// tell writes to the outbox for those of the clients that have a back channel, and adds the frames of those that have a
// front channel.
func (l *Logout) tell(ctx context.Context, s storage.Session, clients, frames []string) ([]string, error) {
	for _, id := range clients {
		c, err := l.Store.Client(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue // nobody is there any more
		}
		if err != nil {
			return nil, err
		}
		sid := l.Subjects.SID(s.ID, c.ID)
		if c.BackchannelLogoutURI != "" {
			now := time.Now()
			err := storage.Outbox{Entries: l.Store}.Add(ctx, storage.Delivery{
				ID: deliveryID(s.ID, c.ID), ClientID: c.ID, URI: c.BackchannelLogoutURI,
				Subject: l.Subjects.Subject(c, s.UserID), SessionID: sid,
				CreatedAt: now, NextAt: now, ExpiresAt: now.Add(deliveryLifetime + deliveryMargin),
			})
			// A session that is ended twice at the same time is told once.
			if err != nil && !errors.Is(err, storage.ErrExists) {
				return nil, err
			}
		}
		if frame, ok := l.frame(c, sid); ok {
			frames = append(frames, frame)
		}
	}
	return frames, nil
}

// frame answers the address that ends the client's own session in this browser. Only what a browser loads in a frame.
func (l *Logout) frame(c storage.Client, sid string) (string, bool) {
	u, err := url.Parse(c.FrontchannelLogoutURI)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", false
	}
	return withQuery(c.FrontchannelLogoutURI, "iss", l.Issuer, "sid", sid), true
}

// deliveryID is the same for whoever ends the session.
func deliveryID(sessionID, clientID string) string {
	sum := sha256.Sum256([]byte(sessionID + " " + clientID)) // no id of a session has a space
	return "lgo_" + hex.EncodeToString(sum[:16])
}
