package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// transferBatch is how many keys one round trip of an export or an import carries, and transferPatience how long one may
// take: a copy is in no hurry, and a busy server needs longer for much.
const (
	transferBatch    = 250
	transferPatience = 10 * time.Second
)

// Export yields every record that has not ended. Redis has no snapshots: what is written while it runs may be in it or
// not. It reads with SCAN, a little at a time, so that other work goes on.
func (s *Store) Export(ctx context.Context) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		err := s.scan(ctx, func(keys []string) error {
			records, err := s.fetch(ctx, keys)
			if err != nil {
				return err
			}
			for _, r := range records {
				if !yield(r, nil) {
					return errEnough
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(storage.Record{}, failed("export", err))
		}
	}
}

// errEnough ends a scan whose caller wants no more.
var errEnough = errors.New("enough")

// scan calls f with all keys of the store, each once, in batches. The place where SCAN stands means nothing to another
// process, and a key may move past it to another node: if the servers are not the same at the end, keys may be missing, and
// that is an error.
func (s *Store) scan(ctx context.Context, f func(keys []string) error) error {
	if err := s.alive(ctx); err != nil {
		return err
	}
	before, err := s.census(ctx)
	if err != nil {
		return err
	}
	for _, primary := range before.primaries {
		met := map[string]struct{}{} // SCAN may name a key twice
		for cursor := uint64(0); ; {
			page, next, err := primary.Scan(ctx, cursor, s.names.prefix+"*", transferBatch).Result()
			if err != nil {
				return err
			}
			fresh := page[:0]
			for _, key := range page {
				if _, again := met[key]; !again {
					met[key] = struct{}{}
					fresh = append(fresh, key)
				}
			}
			if err := f(fresh); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	after, err := s.census(ctx)
	if err == nil && after.text != before.text {
		err = errors.New("a server was restarted or replaced, or slots were moved, while its keys were read; do it again")
	}
	return err
}

// census is which servers hold keys, each by the id of its process, and in a cluster which slots.
type census struct {
	primaries []*goredis.Client
	text      string
}

func (s *Store) census(ctx context.Context) (c census, err error) {
	if c.primaries, err = s.primaries(ctx); err != nil {
		return c, err
	}
	var lines []string
	slices.SortFunc(c.primaries, func(a, b *goredis.Client) int { return strings.Compare(a.Options().Addr, b.Options().Addr) })
	for _, primary := range c.primaries {
		text, err := primary.Info(ctx, "server").Result()
		if err != nil {
			return c, err
		}
		lines = append(lines, primary.Options().Addr+" "+parseInfo(text)["run_id"])
	}
	if s.cfg.Mode == Cluster {
		// Each row is {first slot, last slot, {host, port, id} of the primary, replicas …}.
		rows, err := c.primaries[0].Do(ctx, "CLUSTER", "SLOTS").Slice()
		if err != nil {
			return c, err
		}
		for _, row := range rows {
			if fields, ok := row.([]any); ok && len(fields) > 2 {
				lines = append(lines, fmt.Sprint(fields[:3]...))
			}
		}
	}
	slices.Sort(lines)
	c.text = strings.Join(lines, "\n")
	return c, nil
}

// primaries returns the servers that hold keys.
func (s *Store) primaries(ctx context.Context) (list []*goredis.Client, err error) {
	cluster, ok := s.patient.(*goredis.ClusterClient)
	if !ok {
		return []*goredis.Client{s.patient.(*goredis.Client)}, nil
	}
	cluster.ReloadState(ctx)
	var mu sync.Mutex // the driver calls back from several goroutines
	err = cluster.ForEachMaster(ctx, func(_ context.Context, node *goredis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, node)
		return nil
	})
	return list, err
}

// fetch reads records by their keys, in one pipeline. Lists, names and indexes are left out: they follow from the records.
func (s *Store) fetch(ctx context.Context, keys []string) ([]storage.Record, error) {
	pipe := s.patient.Pipeline()
	var decoders []func() (storage.Record, error)
	for _, key := range keys {
		if decode := s.fetchOne(ctx, pipe, key); decode != nil {
			decoders = append(decoders, decode)
		}
	}
	if len(decoders) == 0 {
		return nil, nil
	}
	_, _ = pipe.Exec(ctx) // the commands have their errors
	var records []storage.Record
	for _, decode := range decoders {
		r, err := decode()
		if errors.Is(err, goredis.Nil) || err == nil && r == (storage.Record{}) {
			continue // it has ended, or was deleted in between
		}
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// fetchOne puts the read of one key into a pipeline and returns what decodes it.
func (s *Store) fetchOne(ctx context.Context, pipe goredis.Pipeliner, key string) func() (storage.Record, error) {
	kind := strings.TrimPrefix(key, s.names.prefix)
	switch {
	case strings.HasPrefix(kind, "{clients}:id:"):
		return decoded(pipe.HGet(ctx, key, "record"), func(c *storage.Client) storage.Record { return storage.Record{Client: c} })
	case strings.HasPrefix(kind, "{users}:id:"):
		return decoded(pipe.HGet(ctx, key, "record"), func(u *storage.User) storage.Record { return storage.Record{User: u} })
	case kind == "ring":
		return decoded(pipe.HGet(ctx, key, "record"), func(k *storage.KeyRing) storage.Record { return storage.Record{KeyRing: k} })
	case strings.HasPrefix(kind, "grant:"):
		cmd := pipe.HMGet(ctx, key, "generation", "rotated", "attempt", "idle", "revoked", "record")
		return func() (r storage.Record, err error) {
			if cmd.Err() != nil || cmd.Val()[0] == nil {
				return r, cmd.Err()
			}
			g, err := decodeGrant(cmd.Val(), nil)
			if err == nil && time.Now().Before(g.Expiry()) {
				r.Grant = &g
			}
			return r, err
		}
	case strings.HasPrefix(kind, "entry:"):
		cmd := pipe.HMGet(ctx, key, "record", "owner", "version", "end")
		return func() (r storage.Record, err error) {
			if cmd.Err() != nil {
				return r, cmd.Err()
			}
			e, alive, err := entryAt(cmd.Val(), time.Now())
			if err == nil && alive {
				r.Entry = &e
			}
			return r, err
		}
	case strings.HasPrefix(kind, "budget:"):
		return s.fetchTime(pipe.Get(ctx, key), strings.TrimPrefix(kind, "budget:"), func(hash []byte, at time.Time) storage.Record {
			return storage.Record{Budget: &storage.BudgetState{KeyHash: hash, FullAt: at}}
		})
	case strings.HasPrefix(kind, "mark:"):
		return s.fetchTime(pipe.Get(ctx, key), strings.TrimPrefix(kind, "mark:"), func(hash []byte, at time.Time) storage.Record {
			return storage.Record{Mark: &storage.MarkState{KeyHash: hash, Until: at}}
		})
	}
	return nil
}

func decoded[T any](cmd *goredis.StringCmd, wrap func(*T) storage.Record) func() (storage.Record, error) {
	return func() (storage.Record, error) {
		b, err := cmd.Bytes()
		if err != nil {
			return storage.Record{}, err
		}
		v, err := record.Decode[T](b)
		return wrap(&v), err
	}
}

// fetchTime decodes a budget or a mark: a time in µs, and for a mark the attempt that made it.
func (s *Store) fetchTime(
	cmd *goredis.StringCmd, hexHash string, wrap func(hash []byte, at time.Time) storage.Record,
) func() (storage.Record, error) {
	return func() (r storage.Record, err error) {
		text, err := cmd.Result()
		if err != nil {
			return r, err
		}
		number, _, _ := strings.Cut(text, " ")
		at, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return r, err
		}
		hash, err := hex.DecodeString(hexHash)
		if err == nil && time.Now().Before(instant(at)) {
			r = wrap(hash, instant(at))
		}
		return r, err
	}
}

// Import stores records as they are, into a store that holds none. What it wrote before an error stays, and as long as
// it has not come to its end the store cannot be opened. Under Replicated its last write waits for the replicas, and so
// for all before it; in a cluster only those of one node are waited for.
func (s *Store) Import(ctx context.Context, records iter.Seq2[storage.Record, error]) error {
	if err := s.mustBeEmpty(ctx); err != nil {
		return err
	}
	if err := s.setMeta(ctx, "importing", 1); err != nil {
		return err
	}
	if err := s.importAll(ctx, records); err != nil {
		return err
	}
	return s.setMeta(ctx, "importing", 0)
}

// setMeta writes one field of what Init has made.
func (s *Store) setMeta(ctx context.Context, field string, value int) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	return failed("set "+field, s.durably(ctx, s.names.meta(), func(d doer) error {
		return d.Process(ctx, goredis.NewCmd(ctx, "HSET", s.names.meta(), field, value))
	}))
}

func (s *Store) importAll(ctx context.Context, records iter.Seq2[storage.Record, error]) error {
	var batch []importing
	flush := func() error {
		err := s.importBatch(ctx, batch)
		batch = batch[:0]
		return failed("import", err)
	}
	for r, err := range records {
		if err != nil {
			return err
		}
		one, err := s.importOne(r)
		if err != nil {
			return err
		}
		if batch = append(batch, one...); len(batch) >= transferBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// mustBeEmpty answers ErrExists for a store that holds more than what Init has made.
func (s *Store) mustBeEmpty(ctx context.Context) error {
	return s.scan(ctx, func(keys []string) error {
		for _, key := range keys {
			if key != s.names.meta() {
				return storage.ErrExists
			}
		}
		return nil
	})
}

// importing is one write: a script, or a plain command where nothing has to be decided.
type importing struct {
	record  storage.Record
	script  script
	keys    []string
	args    []any
	command []any
}

// importOne says how a record is written: what is in an index is two writes, in any order, for nobody reads yet.
func (s *Store) importOne(r storage.Record) (list []importing, err error) {
	if err := record.Check(r); err != nil {
		return nil, err
	}
	one := importing{record: r}
	var b []byte
	switch {
	case r.Client != nil:
		c := r.Client
		b, err = record.Encode(*c)
		one.script, one.keys = scriptClientCreate, []string{s.names.client(c.ID), s.names.clientList()}
		one.args = []any{c.ID, b, c.Version, rand.Text()}
	case r.User != nil:
		u := r.User
		b, err = encodeUser(*u)
		one.script, one.keys = scriptUserCreate, []string{s.names.user(u.ID), s.names.username(u.Username), s.names.userList()}
		one.args = []any{u.ID, u.Username, b, u.Epoch, bit(u.Disabled), u.Version, rand.Text()}
	case r.KeyRing != nil:
		b, err = record.Encode(*r.KeyRing)
		one.script, one.keys = scriptRingPut, []string{s.names.ring()}
		one.args = []any{"none", b, rand.Text(), r.KeyRing.Version}
	case r.Budget != nil:
		at := r.Budget.FullAt
		one.command = []any{"SET", s.names.budgetHash(r.Budget.KeyHash), micros(at), "NX", "PXAT", at.UnixMilli() + 1000}
	case r.Mark != nil:
		at := r.Mark.Until
		value := fmt.Sprintf("%d %s", micros(at), rand.Text())
		one.command = []any{"SET", s.names.markHash(r.Mark.KeyHash), value, "NX", "PXAT", at.UnixMilli() + 1000}
	default:
		list, err = s.importIndexed(r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", record.Name(r), err)
	}
	if list == nil {
		list = []importing{one}
	}
	return list, nil
}

// importIndexed says it for a grant or an entry.
func (s *Store) importIndexed(r storage.Record) (list []importing, err error) {
	one := importing{record: r}
	var m member
	var end any
	index := ""
	if e := r.Entry; e != nil {
		m = member{e.ID, newAttempt()}
		one.script, one.keys = scriptEntryCreate, []string{s.names.entry(e.Kind, e.ID)}
		if one.args, err = entryCreation(*e, m); e.Owner != "" {
			index, end = s.names.owned(e.Kind, e.Owner), ending(e.ExpiresAt)
		}
	} else {
		g := r.Grant
		m = member{g.ID, newAttempt()}
		one.script, one.keys = scriptGrantCreate, []string{s.names.grant(g.ID)}
		if one.args, err = creation(*g, m); !g.Revoked {
			index, end = s.names.grantsOf(g.UserID), micros(g.ExpiresAt)
		}
	}
	if list = append(list, one); index != "" {
		list = append(list, s.indexing(r, index, end, m))
	}
	return list, err
}

// indexing puts what a record is found by into an index.
func (s *Store) indexing(r storage.Record, index string, end any, m member) importing {
	return importing{record: r, script: scriptIndexAdd, keys: []string{index}, args: []any{end, m.String()}}
}

// result is nil where the record was written.
func (one importing) result(reply *goredis.Cmd) error {
	err := reply.Err()
	if one.command == nil {
		err = answer(reply.Val(), err)
	}
	switch {
	case errors.Is(err, storage.ErrExists), errors.Is(err, storage.ErrConflict), errors.Is(err, goredis.Nil):
		return record.Duplicate(one.record)
	case err != nil:
		return fmt.Errorf("%s: %w", record.Name(one.record), err)
	}
	return nil
}

// importBatch writes records in one pipeline. The scripts go by their text: in a pipeline there is no second try for one
// that Redis does not know.
func (s *Store) importBatch(ctx context.Context, batch []importing) error {
	if len(batch) == 0 {
		return nil
	}
	pipe := s.patient.Pipeline()
	replies := make([]*goredis.Cmd, len(batch))
	for i, one := range batch {
		if one.command != nil {
			replies[i] = pipe.Do(ctx, one.command...)
			continue
		}
		cmd := one.script.bySource(ctx, one.keys, one.args)
		if err := pipe.Process(ctx, cmd); err != nil {
			return err
		}
		replies[i] = cmd.Cmd
	}
	_, _ = pipe.Exec(ctx) // the commands have their errors
	for i, one := range batch {
		if err := one.result(replies[i]); err != nil {
			return err
		}
	}
	return nil
}
