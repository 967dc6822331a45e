package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// GrantAndUser returns both, as Redis has them now: in one round trip to one server, in two where they live at different
// ones.
func (s *Store) GrantAndUser(ctx context.Context, id, userID string) (storage.Grant, storage.User, error) {
	if record.CheckID("grant id", id) != nil || record.CheckID("user id", userID) != nil {
		return storage.Grant{}, storage.User{}, ifAlive(ctx, s, storage.ErrNotFound)
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return storage.Grant{}, storage.User{}, err
	}
	defer done()
	if s.separate() {
		g, err := s.Grant(ctx, id)
		if err != nil {
			return storage.Grant{}, storage.User{}, err
		}
		u, err := s.User(ctx, userID)
		if err != nil {
			return storage.Grant{}, storage.User{}, err
		}
		return g, u, nil
	}
	g, u, err := s.grantAndUser(ctx, id, userID)
	if err != nil {
		return storage.Grant{}, storage.User{}, err
	}
	return g, u, nil
}

// grantAndUser asks one server for both.
func (s *Store) grantAndUser(ctx context.Context, id, userID string) (g storage.Grant, u storage.User, err error) {
	ticket := s.users.ticket()
	grant, user, err := s.readBoth(ctx, id, userID)
	if err != nil {
		return g, u, failed("grant and user", err)
	}
	if grant == nil {
		s.grants.drop(id)
	} else if g, err = decodeGrant(grant, nil); err == nil {
		s.grants.put(id, g.Clone())
	}
	if err != nil {
		return g, u, err
	}
	if user[0] == nil {
		s.users.drop(userID)
	} else if u, err = s.sawUser(ticket, user); err != nil {
		return g, u, err
	}
	if grant == nil || user[0] == nil {
		err = s.absent(ctx)
	}
	return g, u, err
}

// readBoth does it in one pipeline. grant is nil if there is none.
func (s *Store) readBoth(ctx context.Context, id, userID string) (grant any, user []any, err error) {
	for _, call := range []func(context.Context, []string, []any) once{scriptGrantRead.bySHA, scriptGrantRead.bySource} {
		pipe := s.client.Pipeline()
		read := call(ctx, []string{s.names.grant(id)}, nil)
		if err := pipe.Process(ctx, read); err != nil {
			return nil, nil, err
		}
		look := pipe.HMGet(ctx, s.names.user(userID), "record", "attempt")
		_, _ = pipe.Exec(ctx) // the commands have their errors
		if isNoScript(read.Err()) {
			continue
		}
		if err = read.Err(); errors.Is(err, goredis.Nil) {
			err = nil
		}
		return read.Val(), look.Val(), errors.Join(err, look.Err())
	}
	return nil, nil, errForgetful
}

// GrantsOf lists the grants of a user that are alive, those that end last first.
func (s *Store) GrantsOf(ctx context.Context, userID string, limit int) ([]storage.Grant, error) {
	if limit <= 0 || record.CheckID("user id", userID) != nil {
		return nil, ifAlive(ctx, s, nil)
	}
	return find(ctx, s, lookup[storage.Grant]{
		verb: "grants of", index: s.names.grantsOf(userID), limit: limit, last: true,
		key:    s.names.grant,
		fields: []string{"generation", "rotated", "attempt", "idle", "revoked", "record", "ends", "creation"},
		take: func(fields []any, now time.Time) (g storage.Grant, attempt string, alive bool, err error) {
			g, attempt, alive, err = grantAt(fields, now)
			return g, attempt, alive && g.UserID == userID, err
		},
	})
}

// grantAt reads {generation, rotated, attempt, idle, reason, record, ends, creation} of a grant that is alive at the time
// now.
func grantAt(fields []any, now time.Time) (g storage.Grant, attempt string, alive bool, err error) {
	if len(fields) < 8 || fields[0] == nil || fields[4] != nil {
		return g, "", false, nil
	}
	for _, i := range []int{3, 6} {
		text, _ := fields[i].(string)
		end, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return g, "", false, fmt.Errorf("redis: end of a grant: %w", err)
		}
		if !now.Before(instant(end)) {
			return g, "", false, nil
		}
	}
	attempt, _ = fields[7].(string)
	g, err = decodeGrant(fields[:6], nil)
	return g, attempt, err == nil, err
}
