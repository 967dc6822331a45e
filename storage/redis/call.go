package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage"
)

var errClosed = errors.New("redis: the store is closed")

// errUnconfirmed: the primary has the write, and too few others said so in time. Nothing is undone: the next try finds
// it, and waits for the others again.
var errUnconfirmed = errors.New("too few replicas have confirmed the write in time; whether it lasts is unknown")

// begin opens a verb: it refuses callers who are gone and sets the deadline that everything in the verb has to meet.
func (s *Store) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if s.closing.Err() != nil {
		return nil, nil, errClosed
	}
	ctx, done := context.WithTimeout(ctx, s.cfg.Timeout)
	return ctx, done, nil
}

// failed wraps what the driver says; nil stays nil.
func failed(verb string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %s: %w", verb, err)
}

// read runs a script that changes nothing.
func (s *Store) read(ctx context.Context, verb string, sc script, key string, args ...any) (any, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	reply, err := sc.run(ctx, s.client, []string{key}, args...)
	if errors.Is(err, goredis.Nil) {
		return nil, storage.ErrNotFound
	}
	return reply, failed(verb, err)
}

// change runs a script that changes something, and waits as Config.Durability says.
func (s *Store) change(ctx context.Context, verb string, sc script, keys []string, args ...any) (reply any, err error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	err = s.durably(ctx, keys[0], func(d doer) error {
		var err error
		reply, err = sc.run(ctx, d, keys, args...)
		return err
	})
	return reply, failed(verb, err)
}

// forget runs a script whose effect may be lost with the primary: budgets.
func (s *Store) forget(ctx context.Context, verb string, sc script, key string, args ...any) (any, error) {
	reply, err := sc.run(ctx, s.client, []string{key}, args...)
	return reply, failed(verb, err)
}

// durably runs a write. Under Replicated it does so on one connection to the primary of the key, on which it then waits
// for the replicas: WAIT counts what its own connection has written. The two are separate round trips on purpose, since
// in one pipeline WAIT now and then takes a second.
func (s *Store) durably(ctx context.Context, key string, write func(doer) error) error {
	if s.cfg.Durability == Local {
		return write(s.client)
	}
	for {
		err := s.onPrimary(ctx, key, write)
		if !wasElsewhere(err) {
			return err
		}
		// The cluster is moving this key to another node, and nothing was run. That takes milliseconds.
		s.client.(*goredis.ClusterClient).ReloadState(ctx)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// wasElsewhere tells whether a node refused a command because another one has the key.
func wasElsewhere(err error) bool {
	return err != nil && (strings.HasPrefix(err.Error(), "MOVED ") || strings.HasPrefix(err.Error(), "ASK "))
}

func (s *Store) onPrimary(ctx context.Context, key string, write func(doer) error) (err error) {
	var primary *goredis.Client
	switch client := s.client.(type) {
	case *goredis.Client:
		primary = client
	case *goredis.ClusterClient:
		if primary, err = client.MasterForKey(ctx, key); err != nil {
			return err
		}
	}
	conn := primary.Conn()
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := write(conn); err != nil {
		return err
	}
	return s.wait(ctx, conn)
}

// wait returns nil when enough replicas have what this connection has written.
func (s *Store) wait(ctx context.Context, conn *goredis.Conn) error {
	deadline, _ := ctx.Deadline()
	// Redis shall answer before our own deadline, so that a short count is told from a lost connection. It looks at the
	// time ten times a second.
	patience := max(1, (time.Until(deadline) - 110*time.Millisecond).Milliseconds())
	if s.cfg.Fsync {
		// WAITAOF numlocal numreplicas timeout: how many have it on their disks, here and elsewhere.
		counts, err := conn.Do(ctx, "WAITAOF", 1, s.cfg.Replicas, patience).Int64Slice()
		switch {
		case err != nil:
			return err
		case len(counts) != 2 || counts[0] < 1 || counts[1] < int64(s.cfg.Replicas):
			return fmt.Errorf("%w: on disk at %v (here, replicas), wanted 1 and %d", errUnconfirmed, counts, s.cfg.Replicas)
		}
		return nil
	}
	count, err := conn.Do(ctx, "WAIT", s.cfg.Replicas, patience).Int64()
	switch {
	case err != nil:
		return err
	case count < int64(s.cfg.Replicas):
		return fmt.Errorf("%w: %d of %d", errUnconfirmed, count, s.cfg.Replicas)
	}
	return nil
}

// touch is 1 where a script must write something even if nothing changes: a retry has to wait for what the try before it
// has written on another connection, and WAIT counts only from the last write of its own.
func (s *Store) touch() int {
	if s.cfg.Durability == Replicated {
		return 1
	}
	return 0
}

// answer translates what scripts say.
func answer(reply any, err error) error {
	if err != nil {
		return err
	}
	switch reply {
	case "ok":
		return nil
	case "absent":
		return storage.ErrNotFound
	case "exists":
		return storage.ErrExists
	case "conflict":
		return storage.ErrConflict
	}
	return fmt.Errorf("redis: a script answered %v", reply)
}
