package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

// seenGrain is how exactly the last use of a session is known: not every request is worth a write. Where sessions end
// sooner than that, it is a quarter of their idle lifetime, so that nobody loses one that they use.
const seenGrain = time.Minute

// attempts is how often a change is tried again when somebody else changes the same record.
const attempts = 8

// SignedIn answers the live session of the request's cookie and its user, and zero values if nobody is signed in. It
// never writes. An error is a failure of the store.
//
// The user may be as this node remembers them. That is for callers whose answer is checked again by the store, like a
// code that is redeemed under the user's epoch; the pages of this package ask for the user as they are now.
func (p *Pages) SignedIn(r *http.Request) (storage.Session, storage.User, error) {
	return p.whoIs(r, p.recallHolder)
}

// signedIn is SignedIn with the user as the store has them now.
func (p *Pages) signedIn(r *http.Request) (storage.Session, storage.User, error) {
	return p.whoIs(r, p.holder)
}

func (p *Pages) whoIs(
	r *http.Request, find func(context.Context, storage.Session) (storage.User, error),
) (storage.Session, storage.User, error) {
	s, err := p.cookieSession(r)
	if err == nil {
		var u storage.User
		if u, err = find(r.Context(), s); err == nil {
			return s, u, nil
		}
	}
	if storage.IsFailure(err) {
		return storage.Session{}, storage.User{}, err
	}
	return storage.Session{}, storage.User{}, nil
}

// cookieSession answers the session that the cookie proves, whatever has become of its user; storage.ErrNotFound for
// every cookie that proves none.
func (p *Pages) cookieSession(r *http.Request) (storage.Session, error) {
	id, secret, ok := parseSessionCookie(p.readCookie(r, sessionCookie))
	if !ok {
		return storage.Session{}, storage.ErrNotFound
	}
	s, err := p.sessions.Session(r.Context(), id)
	if err != nil {
		return storage.Session{}, err
	}
	now := time.Now()
	if subtle.ConstantTimeCompare(hashSecret(secret), s.SecretHash) != 1 || !now.Before(s.Expiry()) {
		return storage.Session{}, storage.ErrNotFound
	}
	return s, nil
}

// holder answers the user of a session if it counts for them.
func (p *Pages) holder(ctx context.Context, s storage.Session) (storage.User, error) {
	u, err := p.store.User(ctx, s.UserID)
	if err == nil && !s.Holds(u) {
		return storage.User{}, storage.ErrNotFound
	}
	return u, err
}

// recallHolder is holder from memory. Who looks gone there is looked up again.
func (p *Pages) recallHolder(ctx context.Context, s storage.Session) (storage.User, error) {
	u, err := p.store.RecallUser(ctx, s.UserID)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !s.Holds(u) {
		return p.holder(ctx, s)
	}
	return u, err
}

// Join notes that a client signed the user in through the session, and that the session was used now. It writes only
// if the client is new in it or the last use is a minute ago. storage.ErrNotFound: the session has ended meanwhile.
func (p *Pages) Join(r *http.Request, s storage.Session, clientID string) error {
	return p.change(r.Context(), s, func(s *storage.Session) bool {
		now := time.Now()
		isNew := clientID != "" && !slices.Contains(s.Clients, clientID)
		if !isNew && now.Sub(s.SeenAt) < min(seenGrain, p.idle(*s)/4) {
			return false
		}
		if isNew {
			s.Clients = append(slices.Clone(s.Clients), clientID)
		}
		p.used(s, now)
		return true
	})
}

// used moves the idle end of a session on.
func (p *Pages) used(s *storage.Session, now time.Time) {
	s.SeenAt = now
	if s.IdleExpiresAt = now.Add(p.idle(*s)); s.IdleExpiresAt.After(s.ExpiresAt) {
		s.IdleExpiresAt = s.ExpiresAt
	}
}

// idle is how long a session may be unused.
func (p *Pages) idle(s storage.Session) time.Duration {
	if s.Remembered {
		return p.cfg.RememberLifetime
	}
	return p.cfg.IdleLifetime
}

// change applies a change to a session until it meets nobody else's.
func (p *Pages) change(ctx context.Context, s storage.Session, apply func(*storage.Session) (changed bool)) error {
	for range attempts {
		if !apply(&s) {
			return nil
		}
		err := p.sessions.Replace(ctx, s)
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
		if s, err = p.sessions.Session(ctx, s.ID); err != nil {
			return err
		}
	}
	return storage.ErrConflict
}

// begin makes this browser the user's: with a new secret, so that no cookie of before is worth anything (row L1), and in the
// session that they have here already if there is one. Its id stays: it is no secret, and the sid of clients, the grants
// that are bound to it and the logout of all of them hang on it. A session of somebody else ends. It sets the cookie.
func (p *Pages) begin(w http.ResponseWriter, r *http.Request, u storage.User, remember bool) (storage.Session, error) {
	ctx := r.Context()
	old, err := p.cookieSession(r)
	if storage.IsFailure(err) {
		return storage.Session{}, err
	}
	if err == nil && old.UserID != u.ID {
		// What their clients show in frames is not shown: the page is the next user's. They hear of it by the back channel.
		if _, err := p.end(ctx, old); storage.IsFailure(err) {
			return storage.Session{}, err
		}
		old = storage.Session{}
	}
	encoded, hash := newSecret()
	s, err := p.renew(ctx, old, func(s *storage.Session) {
		p.describe(s, r, u, hash)
		p.limit(s, remember)
	})
	if err != nil {
		return storage.Session{}, err
	}
	p.sendSession(w, s, encoded)
	return s, nil
}

// renew replaces the old session, or creates a new one where there is none or it has just ended.
func (p *Pages) renew(ctx context.Context, old storage.Session, fill func(*storage.Session)) (storage.Session, error) {
	if old.ID != "" {
		var renewed storage.Session
		err := p.change(ctx, old, func(s *storage.Session) bool {
			fill(s)
			renewed = *s
			return true
		})
		if err == nil {
			renewed.Version++
		}
		if err == nil || storage.IsFailure(err) {
			return renewed, err
		}
	}
	fresh := storage.Session{ID: rand.Text()}
	fill(&fresh)
	fresh.Version = 1
	return fresh, p.sessions.Create(ctx, fresh)
}

// describe fills in who proved what, when and where.
func (p *Pages) describe(s *storage.Session, r *http.Request, u storage.User, hash []byte) {
	s.UserID, s.UserEpoch, s.SecretHash = u.ID, u.Epoch, hash
	s.AuthTime = time.Now().Truncate(time.Second)
	s.AMR, s.ACR = []string{"pwd"}, credential.ACRPassword
	s.UserAgent = strings.ToValidUTF8(bounded(r.UserAgent(), 300), "")
	s.Address = credential.RemoteAddress(r).String()
}

// limit says when a session that begins now ends.
func (p *Pages) limit(s *storage.Session, remember bool) {
	now, lifetime := time.Now(), p.cfg.AbsoluteLifetime
	if remember {
		lifetime = p.cookieLifetime()
	}
	s.Remembered, s.BornAt, s.ExpiresAt = remember, now, now.Add(lifetime)
	p.used(s, now)
}

func (p *Pages) cookieLifetime() time.Duration { return 3 * p.cfg.RememberLifetime }

func (p *Pages) sendSession(w http.ResponseWriter, s storage.Session, secret string) {
	var maxAge time.Duration // until the browser is closed
	if s.Remembered {
		maxAge = time.Until(s.ExpiresAt).Round(time.Second)
	}
	p.setCookie(w, sessionCookie, s.ID+"."+secret, maxAge)
}

// ClearCookie takes the session cookie from the browser.
func (p *Pages) ClearCookie(w http.ResponseWriter, _ *http.Request) {
	p.setCookie(w, sessionCookie, "", -1)
}

func bounded(text string, limit int) string {
	if len(text) > limit {
		return text[:limit]
	}
	return text
}
