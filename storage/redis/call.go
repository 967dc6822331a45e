package redis

import (
	"context"
	"errors"
	"fmt"
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

// unawaited runs a script whose effect may be lost with the primary: budgets.
func (s *Store) unawaited(ctx context.Context, verb string, sc script, key string, args ...any) (any, error) {
	reply, err := sc.run(ctx, s.client, []string{key}, args...)
	return reply, failed(verb, err)
}

// durably runs a write. Under Replicated it does so on one connection to the primary of the key, on which it then waits
// for the replicas: WAIT counts up to the last write of its own connection. The two are separate round trips on purpose,
// since in one pipeline WAIT now and then takes a second.
//
// A try that follows an unconfirmed one finds its work done, and must not take that for granted: it has to wait for what
// the try before has written elsewhere. So scripts that change something write in any case, if only what is there already.
//
// write must do nothing but run one script, which a node of a cluster refuses whole when the key is elsewhere.
func (s *Store) durably(ctx context.Context, key string, write func(doer) error) error {
	if s.cfg.Durability == Local {
		return write(s.client)
	}
	cluster, isCluster := s.client.(*goredis.ClusterClient)
	if !isCluster {
		return s.confirmed(ctx, s.client.(*goredis.Client), write)
	}
	node, err := cluster.MasterForKey(ctx, key)
	if err != nil {
		return err
	}
	call := write
	for range maxRedirects {
		err = s.confirmed(ctx, node, call)
		if address, moved := goredis.IsMovedError(err); moved {
			cluster.ReloadState(ctx) // for the next time
			node, call = s.node(address), write
		} else if address, ask := goredis.IsAskError(err); ask {
			// The slot is on its way, and this key is there already or will be.
			node, call = s.node(address), func(d doer) error { return write(asking{d}) }
		} else {
			return err
		}
	}
	return err
}

// maxRedirects is how often a cluster may send a command elsewhere.
const maxRedirects = 4

// asking sends ASKING before each command: a node takes a command for a slot that is still on its way to it only then.
type asking struct{ doer }

// Process implements doer.
func (a asking) Process(ctx context.Context, cmd goredis.Cmder) error {
	if err := a.doer.Process(ctx, goredis.NewCmd(ctx, "ASKING")); err != nil {
		return err
	}
	return a.doer.Process(ctx, cmd)
}

// node returns a client of one node of a cluster, to which another one has sent us.
func (s *Store) node(address string) *goredis.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	client, ok := s.nodes[address]
	if !ok {
		options := s.cfg.options().Simple()
		options.Addr = address
		client = goredis.NewClient(options)
		s.nodes[address] = client
	}
	return client
}

// confirmed runs a write on one connection and waits there.
func (s *Store) confirmed(ctx context.Context, node *goredis.Client, write func(doer) error) (err error) {
	conn := node.Conn()
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := write(conn); err != nil {
		return err
	}
	return s.wait(ctx, conn)
}

// wait returns nil when enough replicas have what this connection has written, under Fsync on their disks. The two
// questions come one after the other on purpose: a replica answers the first one when it has the write, and only then its
// answer to the second one counts that write as synced. Asked at once it would come to it a second later.
func (s *Store) wait(ctx context.Context, conn *goredis.Conn) error {
	// Redis shall answer before our own deadline, so that a short count is told from a lost connection. It looks at the
	// time ten times a second.
	deadline, _ := ctx.Deadline()
	patience := func() int64 { return max(1, (time.Until(deadline) - 110*time.Millisecond).Milliseconds()) }

	count, err := conn.Do(ctx, "WAIT", s.cfg.Replicas, patience()).Int64()
	switch {
	case err != nil:
		return err
	case count < int64(s.cfg.Replicas):
		return fmt.Errorf("%w: %d of %d", errUnconfirmed, count, s.cfg.Replicas)
	case !s.cfg.Fsync:
		return nil
	}
	// WAITAOF numlocal numreplicas timeout: how many have it on their disks, here and elsewhere.
	counts, err := conn.Do(ctx, "WAITAOF", 1, s.cfg.Replicas, patience()).Int64Slice()
	switch {
	case err != nil:
		return err
	case len(counts) != 2 || counts[0] < 1 || counts[1] < int64(s.cfg.Replicas):
		return fmt.Errorf("%w: on disk at %v (here, replicas), wanted 1 and %d", errUnconfirmed, counts, s.cfg.Replicas)
	}
	return nil
}

// touch is 1 where a script must write in any case, see durably. The scripts of redemption have it as an argument, so that
// under Local somebody who repeats a dead token costs no sync of a disk.
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
