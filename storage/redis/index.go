package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// An index lists what belongs to somebody: the entries of an owner, the grants of a user. It decides nothing. Where it
// shares a server with the records, one script changes both. In a cluster it lives in another slot and is written before
// the record, so that no record is missing from it; what a failure leaves behind in it is skipped by who reads.
//
// Its members name the attempt that wrote the record. So each has one end, which is its score and never changes: what the
// score says to be over is over, whoever else wrote meanwhile, and a member can be removed without removing another's.

// attemptSize is how long the ids are that newAttempt makes: when, and something random.
const attemptSize = 10 + 26

// newAttempt identifies one try to write a record that is in an index. It tells its age, for tidying up.
func newAttempt() string { return fmt.Sprintf("%010x%s", time.Now().Unix(), rand.Text()) }

// member is a record in an index.
type member struct{ id, attempt string }

func (m member) String() string { return m.id + " " + m.attempt }

func parseMember(text string) member {
	cut := strings.LastIndexByte(text, ' ') // there is none in an attempt
	return member{text[:max(cut, 0)], text[cut+1:]}
}

// forgottenAfter is when a member that stands for nothing can no longer be of a write that is on its way. Calls take a
// second; the rest is for clocks that differ.
const forgottenAfter = time.Hour

// settled tells whether the attempt is so old that it has happened or never will.
func (m member) settled(now time.Time) bool {
	if len(m.attempt) != attemptSize {
		return false
	}
	began, err := strconv.ParseInt(m.attempt[:10], 16, 64)
	return err == nil && now.Sub(time.Unix(began, 0)) > forgottenAfter
}

// never is the end of what has none.
const never = "+inf"

// ending is a time as the scripts of indexes take it; zero is never.
func ending(t time.Time) any {
	if t.IsZero() {
		return never
	}
	return micros(t)
}

// own puts a record into an index that is not at its server. It comes before the record is written.
func (s *Store) own(ctx context.Context, verb, index string, end any, m member) error {
	return answer(s.change(ctx, verb, scriptIndexAdd, []string{index}, end, m.String()))
}

// disown takes records out of an index. What has to happen has happened already: where this fails, a member stays that
// stands for nothing.
func (s *Store) disown(ctx context.Context, index string, members ...member) {
	list := make([]any, 0, len(members))
	for _, m := range members {
		list = append(list, m.String())
	}
	if len(list) > 0 {
		_ = s.client.ZRem(ctx, index, list...).Err() // see above
	}
}

// lookup reads records by an index.
type lookup[T any] struct {
	verb, index string
	limit       int
	last        bool // those that end last first
	key         func(id string) string
	fields      []string // of the record, for take
	// take judges the fields of a record by the time of Redis. alive: it is one of those that are asked for. attempt is the
	// one that wrote it; "" if there is none.
	take func(fields []any, now time.Time) (v T, attempt string, alive bool, err error)
}

// spare is how many members more than wanted are read at first, for those that stand for nothing.
const spare = 16

// find reads records by an index: the index, and then all of them at once. Where too many members stand for nothing it
// begins again and reads more.
func find[T any](ctx context.Context, s *Store, l lookup[T]) ([]T, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	l.limit = min(l.limit, 1<<20)
	for count := l.limit + spare; ; count *= 4 {
		reply, err := scriptIndexRead.run(ctx, s.client, []string{l.index}, count, bit(l.last))
		if err != nil {
			return nil, failed(l.verb, err)
		}
		rows, _ := reply.([]any)
		if len(rows) == 0 {
			return nil, fmt.Errorf("redis: %s: a script answered %v", l.verb, reply)
		}
		text, _ := rows[0].(string)
		now, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("redis: %s: the clock of Redis: %w", l.verb, err)
		}
		if len(rows) == 1 { // nothing, unless somebody has emptied Redis
			return nil, s.Ping(ctx)
		}
		list, strays, err := l.read(ctx, s, rows[1:], instant(now))
		switch {
		case err != nil:
			return nil, failed(l.verb, err)
		case len(list) >= l.limit:
			return list[:l.limit], nil
		case len(rows)-1 < count:
			list = append(list, strays...)
			return list[:min(len(list), l.limit)], nil
		}
	}
}

// read reads the records of members, each once. A stray is one that another attempt has written than its members say: a
// moment ago, or that one's member is further on.
func (l lookup[T]) read(ctx context.Context, s *Store, rows []any, now time.Time) (list, strays []T, err error) {
	pipe := s.client.Pipeline()
	members, looks := make([]member, 0, len(rows)), map[string]*goredis.SliceCmd{}
	for _, row := range rows {
		text, _ := row.(string)
		m := parseMember(text)
		members = append(members, m)
		if looks[m.id] == nil {
			looks[m.id] = pipe.HMGet(ctx, l.key(m.id), l.fields...)
		}
	}
	_, _ = pipe.Exec(ctx) // the commands have their errors
	var gone []member
	met, others := map[string]struct{}{}, map[string]T{}
	for _, m := range members {
		look := looks[m.id]
		if err := look.Err(); err != nil {
			return nil, nil, err
		}
		v, attempt, alive, err := l.take(look.Val(), now)
		switch {
		case err != nil:
			return nil, nil, err
		case alive && attempt == m.attempt:
			met[m.id] = struct{}{}
			list = append(list, v)
			continue
		case alive:
			others[m.id] = v
		}
		if m.settled(now) {
			gone = append(gone, m)
		}
	}
	for id, v := range others {
		if _, again := met[id]; !again {
			strays = append(strays, v)
		}
	}
	s.disown(ctx, l.index, gone...)
	return list, strays, nil
}

// separate tells whether an index and its records live at different servers, as far as a script can know.
func (s *Store) separate() bool { return s.cfg.Mode == Cluster }

var errRestless = errors.New("the entry was removed and made again for another owner, more often than it was tried")
