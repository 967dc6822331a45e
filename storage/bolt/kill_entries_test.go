package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/ingam/ingam/storage"
)

// Each round has two small records: a pushed request, which is used up, and a browser session, which is changed and stays.

func (r round) pushed() storage.Entry {
	return storage.Entry{Kind: storage.KindPushed, ID: string(r), Data: json.RawMessage(`{}`), ExpiresAt: now().Add(time.Hour)}
}

// session is the session of the round in a version.
func (r round) session(version uint64) storage.Entry {
	return storage.Entry{
		Kind: storage.KindSession, ID: string(r), Owner: r.user(), Data: json.RawMessage([]string{`"signed in"`, `"seen"`}[version-1]),
		Version: version, ExpiresAt: now().Add(time.Hour),
	}
}

// doEntry is the child's side of the steps with entries.
func (r round) doEntry(ctx context.Context, s *Store, step int) error {
	switch step {
	case stepPush:
		return s.CreateEntry(ctx, r.pushed())
	case stepSignIn:
		return s.CreateEntry(ctx, r.session(1))
	case stepSeen:
		seen := r.session(2)
		seen.Version = 1 // what it replaces
		return s.ReplaceEntry(ctx, seen)
	default: // stepTake
		_, err := s.TakeEntry(ctx, storage.KindPushed, string(r))
		return err
	}
}

// waits tells whether the pushed request is there after so many steps; version is that of the session, 0 if there is none.
func (round) waits(steps int) bool { return steps >= stepPush && steps < stepTake }

func (round) version(steps int) uint64 {
	switch {
	case steps >= stepSeen:
		return 2
	case steps >= stepSignIn:
		return 1
	}
	return 0
}

func (l *ledger) verifyEntries(ctx context.Context, s *Store, r round, acked int) {
	_, err := s.Entry(ctx, storage.KindPushed, string(r))
	waits := err == nil
	switch {
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		l.fault(&l.broken, "%s: pushed request: %v", r, err)
	case waits && !r.waits(acked) && !r.waits(acked+1):
		l.fault(&l.doubled, "%s: the pushed request is there again after step %d", r, acked)
	case !waits && r.waits(acked) && r.waits(acked+1):
		l.fault(&l.lost, "%s: pushed request after step %d", r, acked)
	}
	l.verifySession(ctx, s, r, acked)
}

func (l *ledger) verifySession(ctx context.Context, s *Store, r round, acked int) {
	session, err := s.Entry(ctx, storage.KindSession, string(r))
	list, listErr := s.EntriesOf(ctx, storage.KindSession, r.user(), 9)
	switch version := session.Version; {
	case err != nil && !errors.Is(err, storage.ErrNotFound) || listErr != nil:
		l.fault(&l.broken, "%s: session: %v, %v", r, err, listErr)
	case version < r.version(acked):
		l.fault(&l.lost, "%s: session of version %d after step %d", r, version, acked)
	case version > r.version(acked+1):
		l.fault(&l.broken, "%s: session of version %d after step %d", r, version, acked)
	case version == 0 && len(list) > 0, version > 0 && len(list) != 1,
		version > 0 && !bytes.Equal(list[0].Data, r.session(version).Data):
		l.fault(&l.broken, "%s: session of version %d, and the list of its user has %d: %+v", r, version, len(list), list)
	}
}

// attackEntries uses the pushed request again, and changes the session by a version of before.
func (l *ledger) attackEntries(ctx context.Context, s *Store, r round, acked int) {
	if acked >= stepTake {
		if _, err := s.TakeEntry(ctx, storage.KindPushed, string(r)); !errors.Is(err, storage.ErrNotFound) {
			l.fault(&l.doubled, "%s: the pushed request is used up again: %v", r, err)
		}
	}
	if acked >= stepSeen {
		old := r.session(1)
		if err := s.ReplaceEntry(ctx, old); !errors.Is(err, storage.ErrConflict) {
			l.fault(&l.doubled, "%s: a session of version 1 is changed again: %v", r, err)
		}
	}
}
