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

// CreateGrant stores a new grant.
func (s *Store) CreateGrant(ctx context.Context, g storage.Grant) error {
	m := member{g.ID, newAttempt()}
	args, err := creation(g, m)
	if err != nil {
		return err
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	keys, index := []string{s.names.grant(g.ID)}, s.names.grantsOf(g.UserID)
	if !s.separate() {
		keys = append(keys, index)
	} else if err := s.own(ctx, "create grant", index, micros(g.ExpiresAt), m); err != nil {
		return err
	}
	err = answer(s.change(ctx, "create grant", scriptGrantCreate, keys, args...))
	switch {
	case err == nil:
		s.grants.put(g.ID, g.Clone())
	case s.separate() && errors.Is(err, storage.ErrExists):
		s.disown(ctx, index, m)
	}
	return err
}

// creation is what grant_create.lua takes.
func creation(g storage.Grant, m member) ([]any, error) {
	if err := record.CheckID("grant id", g.ID); err != nil {
		return nil, err
	}
	b, err := record.Encode(g)
	if err != nil {
		return nil, err
	}
	var rotated any = ""
	if !g.RotatedAt.IsZero() {
		rotated = micros(g.RotatedAt)
	}
	return []any{
		b, g.Generation, micros(g.IdleExpiresAt), micros(g.ExpiresAt), rotated, g.Attempt, bit(g.Revoked), g.RevokedReason,
		m.attempt, m.id,
	}, nil
}

// Grant returns a grant that has not expired, as Redis has it now.
func (s *Store) Grant(ctx context.Context, id string) (storage.Grant, error) {
	if record.CheckID("grant id", id) != nil {
		return storage.Grant{}, ifAlive(ctx, s, storage.ErrNotFound)
	}
	reply, err := s.read(ctx, "grant", scriptGrantRead, s.names.grant(id))
	if err != nil {
		if errors.Is(err, storage.ErrNotFound) {
			s.grants.drop(id)
			err = s.absent(ctx)
		}
		return storage.Grant{}, err
	}
	g, err := decodeGrant(reply, nil)
	if err == nil {
		s.grants.put(id, g.Clone())
	}
	return g, err
}

// RecallGrant returns a grant as this process has last seen it.
func (s *Store) RecallGrant(ctx context.Context, id string) (storage.Grant, error) {
	if g, _, ok := s.grants.get(id); ok && time.Now().Before(g.ExpiresAt) {
		return g.Clone(), s.alive(ctx)
	}
	return s.Grant(ctx, id)
}

// outcomes are what grant_rotate.lua says.
var outcomes = map[any]storage.Outcome{
	"rotated": storage.Rotated, "replayed": storage.Replayed, "reused": storage.Reused, "ahead": storage.Ahead,
	"dead": storage.Dead, "fenced": storage.Fenced,
}

// Rotate redeems one generation, in one round trip where this process knows the grant.
func (s *Store) Rotate(ctx context.Context, r storage.Rotation) (storage.Outcome, storage.Grant, error) {
	if record.CheckID("grant id", r.GrantID) != nil {
		return 0, storage.Grant{}, ifAlive(ctx, s, storage.ErrNotFound)
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, storage.Grant{}, err
	}
	defer done()
	var known *storage.Grant
	if g, _, ok := s.grants.get(r.GrantID); ok {
		known = &g
	}
	reply, user, err := s.redeemInTime(ctx, r, known == nil)
	if errors.Is(err, goredis.Nil) {
		s.grants.drop(r.GrantID)
		return 0, storage.Grant{}, s.absent(ctx)
	}
	if err != nil {
		return 0, storage.Grant{}, failed("rotate", err)
	}
	g, err := decodeGrant(reply[2:], known)
	if err != nil {
		return 0, storage.Grant{}, err
	}
	s.grants.put(g.ID, g.Clone())
	outcome := outcomes[reply[0]]
	if outcome == 0 {
		return 0, storage.Grant{}, fmt.Errorf("redis: rotate: a script answered %v", reply[0])
	}
	if outcome == storage.Rotated || outcome == storage.Replayed {
		if judged := s.decideUser(r, user); judged != 0 {
			s.users.drop(r.UserID)
			outcome = judged
		}
	}
	return outcome, g, nil
}

// decideUser judges the user by the look that went with the script.
func (s *Store) decideUser(r storage.Rotation, look *userState) storage.Outcome {
	u, found := look.decoded()
	if judged := r.DecideUser(u, found); judged != 0 || r.UserID == "" {
		return judged
	}
	if seen, _, ok := s.users.get(r.UserID); ok && seen.version == u.Version && seen.attempt != look.attempt() {
		return storage.Outdated // the same version of another writing
	}
	return 0
}

// lateTries is how often a redemption is asked for that Redis took for late. Once is enough to learn its clock.
const lateTries = 3

// redeemInTime returns what the script says, at least {outcome, now}. A caller who still waits was not late: the clock of
// Redis is another than this process believed, after a failover perhaps.
func (s *Store) redeemInTime(ctx context.Context, r storage.Rotation, wantRecord bool) ([]any, *userState, error) {
	for range lateTries {
		asked := local()
		answer, look, err := s.redeem(ctx, r, wantRecord)
		if err != nil {
			return nil, nil, err
		}
		reply, _ := answer.([]any)
		if len(reply) < 2 {
			return nil, nil, fmt.Errorf("a script answered %v", answer)
		}
		text, _ := reply[1].(string)
		now, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("the clock of Redis: %w", err)
		}
		if s.clock.saw(asked, now); reply[0] != "late" {
			return reply, look, nil
		}
	}
	return nil, nil, errors.New("the clock of Redis does not stand still long enough")
}

// redeem runs the script and looks at the user. The look comes after the script, so that a refresh never succeeds that
// began after a user was disabled. To one server both go in one pipeline. In a cluster they are two round trips: the
// driver's pipelines there run on all nodes at once, in no order.
func (s *Store) redeem(ctx context.Context, r storage.Rotation, wantRecord bool) (reply any, look *userState, err error) {
	keys := []string{s.names.grant(r.GrantID)}
	args := []any{
		strconv.FormatUint(r.Generation, 10), r.Attempt, r.Grace.Microseconds(), r.IdleLifetime.Microseconds(), bit(r.Fence),
		bit(wantRecord), s.touch(), s.clock.deadline(ctx),
	}
	look = &userState{}
	together := r.UserID != "" && s.cfg.Mode != Cluster
	err = s.durably(ctx, keys[0], func(d doer) (err error) {
		if together {
			reply, look, err = s.redeemPipelined(ctx, d, keys, args, r.UserID)
		} else {
			reply, err = scriptGrantRotate.run(ctx, d, keys, args...)
		}
		return err
	})
	if err == nil && r.UserID != "" && !together {
		look = &userState{s.lookAtUser(ctx, r.UserID)}
		err = s.client.Process(ctx, look.SliceCmd)
	}
	return reply, look, err
}

// redeemPipelined does both in one round trip to one server.
func (s *Store) redeemPipelined(ctx context.Context, d doer, keys []string, args []any, userID string) (any, *userState, error) {
	for _, call := range []func(context.Context, []string, []any) once{scriptGrantRotate.bySHA, scriptGrantRotate.bySource} {
		pipe := d.Pipeline()
		redeem, look := call(ctx, keys, args), s.lookAtUser(ctx, userID)
		for _, cmd := range []goredis.Cmder{redeem, look} {
			if err := pipe.Process(ctx, cmd); err != nil {
				return nil, nil, err
			}
		}
		_, _ = pipe.Exec(ctx) // the commands have their errors
		if !isNoScript(redeem.Err()) {
			return redeem.Val(), &userState{look}, errors.Join(redeem.Err(), look.Err())
		}
	}
	return nil, nil, errForgetful
}

var errForgetful = errors.New("the server forgets scripts as fast as it is told them")

// userState is the look at a user.
type userState struct{ *goredis.SliceCmd }

func (s *Store) lookAtUser(ctx context.Context, id string) *goredis.SliceCmd {
	return goredis.NewSliceCmd(ctx, "HMGET", s.names.user(id), "version", "epoch", "disabled", "attempt")
}

// attempt is the one that wrote the user.
func (u *userState) attempt() string {
	text, _ := u.Val()[3].(string)
	return text
}

// decoded is the user as far as DecideUser looks.
func (u *userState) decoded() (user storage.User, found bool) {
	if u.SliceCmd == nil || u.Val()[0] == nil {
		return user, false
	}
	number := func(i int) uint64 {
		text, _ := u.Val()[i].(string)
		n, _ := strconv.ParseUint(text, 10, 64) // our own scripts wrote it; anything else matches nobody
		return n
	}
	return storage.User{Version: number(0), Epoch: number(1), Disabled: number(2) != 0}, true
}

// RevokeGrant ends a grant for ever.
func (s *Store) RevokeGrant(ctx context.Context, id, reason string) error {
	if record.CheckID("grant id", id) != nil {
		return ifAlive(ctx, s, nil)
	}
	defer s.grants.forget(id)
	return answer(s.change(ctx, "revoke grant", scriptGrantRevoke, []string{s.names.grant(id)}, reason, s.touch()))
}

// decodeGrant reads {generation, rotated, attempt, idle, reason, record}. known, if not nil, stands in for the record.
func decodeGrant(reply any, known *storage.Grant) (storage.Grant, error) {
	rows, _ := reply.([]any)
	if len(rows) < 5 {
		return storage.Grant{}, fmt.Errorf("redis: a grant was answered with %d fields", len(rows))
	}
	text := func(i int) string { s, _ := rows[i].(string); return s }
	var g storage.Grant
	if known != nil {
		g = known.Clone()
	} else {
		if len(rows) < 6 {
			return g, errors.New("redis: a grant was answered without its record")
		}
		var err error
		if g, err = record.Decode[storage.Grant]([]byte(text(5))); err != nil {
			return g, err
		}
	}
	var err error
	if g.Generation, err = strconv.ParseUint(text(0), 10, 64); err != nil {
		return g, fmt.Errorf("redis: generation of a grant: %w", err)
	}
	idle, err := strconv.ParseInt(text(3), 10, 64)
	if err != nil {
		return g, fmt.Errorf("redis: idle end of a grant: %w", err)
	}
	if rows[1] != nil {
		rotated, err := strconv.ParseInt(text(1), 10, 64)
		if err != nil {
			return g, fmt.Errorf("redis: rotation of a grant: %w", err)
		}
		g.RotatedAt, g.Attempt = instant(rotated), text(2)
	}
	// The record has what was asked for to the nanosecond; the fields have µs.
	switch idle {
	case micros(g.IdleExpiresAt):
	case micros(g.ExpiresAt):
		g.IdleExpiresAt = g.ExpiresAt
	default:
		g.IdleExpiresAt = instant(idle)
	}
	if g.Revoked = rows[4] != nil; g.Revoked {
		g.RevokedReason = text(4)
	}
	return g, nil
}
