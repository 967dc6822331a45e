package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage"
)

// Store is a storage.Store in Redis. Make one with Open.
type Store struct {
	cfg    Config
	names  names
	client goredis.UniversalClient
	log    *slog.Logger
	id     string // of the data, see names.meta

	clients *memory[[]byte] // records
	users   *memory[seenUser]
	grants  *memory[storage.Grant]

	clock serverClock

	// patient is a client for copies and the doctor, who have time. It connects when it is first used.
	patient goredis.UniversalClient

	mu         sync.Mutex
	nodes      map[string]*goredis.Client // by address, see node
	closed     bool
	background sync.WaitGroup // the reads that nobody waits for, so that Close can

	closeOnce sync.Once
	closeErr  error
	closing   context.Context //nolint:containedctx // ends the background reads when the store is closed
	cancel    context.CancelFunc
}

var _ storage.Store = (*Store)(nil)

// remembered is how many grants, users and clients a process keeps in memory at most, each; about 1 KB apiece.
const remembered = 65536

// Open connects to a store that Init has set up. The error wraps storage.ErrUninitialized where that was never done, or
// where somebody has emptied it, and storage.ErrNewerSchema where a newer version of this program has written. The
// configuration is validated first. Open does not judge the servers; see Doctor.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(s.checkMeta(ctx), s.learnClock(ctx)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// learnClock asks Redis for the time, so that already the first redemption can say until when it is waited for.
func (s *Store) learnClock(ctx context.Context) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	asked := local()
	theirs, err := s.client.Time(ctx).Result()
	if err == nil {
		s.clock.saw(asked, theirs.UnixMicro())
	}
	return failed("open", err)
}

// Init sets a store up. created is false if that was done before; then nothing changes.
func Init(ctx context.Context, cfg Config) (created bool, err error) {
	s, err := connect(cfg)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	reply, err := s.change(ctx, "init", scriptInit, []string{s.names.meta()},
		schema, rand.Text(), time.Now().UTC().Format(time.RFC3339))
	if err != nil {
		return false, err
	}
	if reply != int64(1) {
		return false, s.checkMeta(ctx)
	}
	return true, nil
}

// connect makes a store without asking Redis anything.
func connect(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	quietDriver()
	s := &Store{
		cfg: cfg, names: names{cfg.Prefix}, client: cfg.client(), patient: cfg.patient().client(), log: cfg.Log,
		clients: newMemory[[]byte](remembered), users: newMemory[seenUser](remembered), grants: newMemory[storage.Grant](remembered),
		nodes: map[string]*goredis.Client{},
	}
	s.closing, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// quietDriver sends what the driver wants to say to the log at the level of debugging: it prints to standard error each
// time it changes a connection, and what matters of it comes back to us as an error. The driver has one logger for all.
var quietDriver = sync.OnceFunc(func() { goredis.SetLogger(driverLog{}) })

type driverLog struct{}

// Printf implements the driver's logger.
func (driverLog) Printf(ctx context.Context, format string, v ...any) {
	slog.DebugContext(ctx, "redis driver", "says", fmt.Sprintf(format, v...))
}

// client makes the driver's client. It connects when it is first used.
func (c Config) client() goredis.UniversalClient {
	o := c.options()
	switch c.Mode {
	case Cluster:
		cluster := o.Cluster()
		cluster.DisableRoutingPolicies = true // every command of ours names its key
		// A command that is sent only once does not make the driver look for the new primary; it looks by itself.
		cluster.ClusterStateReloadInterval = time.Second
		return goredis.NewClusterClient(cluster)
	case Sentinel:
		return goredis.NewFailoverClient(o.Failover())
	}
	return goredis.NewClient(o.Simple())
}

// checkMeta reads what Init has left, and remembers whose data this is.
func (s *Store) checkMeta(ctx context.Context) error {
	meta, err := s.readMeta(ctx)
	if err != nil {
		return err
	}
	found, err := strconv.Atoi(meta["schema"])
	switch {
	case len(meta) == 0:
		return fmt.Errorf("the Redis at %s holds no data under %q: %w", s.where(), s.cfg.Prefix, storage.ErrUninitialized)
	case err != nil || found < 1 || meta["store"] == "":
		return fmt.Errorf("the Redis at %s: %s is not of ingam", s.where(), s.names.meta())
	case found > schema:
		return fmt.Errorf("the Redis at %s: its schema version is %d, this program knows up to %d: %w",
			s.where(), found, schema, storage.ErrNewerSchema)
	case meta["importing"] == "1":
		return fmt.Errorf("the Redis at %s holds a part of what was to be copied or restored into it: that was not finished. "+
			"Remove the keys that begin with %q and do it again", s.where(), s.cfg.Prefix)
	}
	s.id = meta["store"]
	if found < schema {
		return failed("open", s.upgrade(ctx))
	}
	return nil
}

func (s *Store) readMeta(ctx context.Context) (map[string]string, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	meta, err := s.client.HGetAll(ctx, s.names.meta()).Result()
	return meta, failed("open", err)
}

// where names the servers for messages.
func (s *Store) where() string { return strings.Join(s.cfg.Addresses, ", ") }

// Ping asks Redis whether it answers and still holds the data that this process was opened on (S17).
func (s *Store) Ping(ctx context.Context) error {
	meta, err := s.readMeta(ctx)
	if err == nil && meta["store"] != s.id {
		err = fmt.Errorf("the Redis at %s no longer holds the data that this process works on; "+
			"was it emptied? After a restore, start this server again", s.where())
	}
	return err
}

// absent is ErrNotFound for a record that the store does not have, and a failure where the whole store is gone: nobody may
// be told that their token or their client is unknown because somebody has emptied Redis. It costs those a round trip who
// ask for what is not there.
func (s *Store) absent(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	return storage.ErrNotFound
}

// Sweep has nothing to do: Redis drops what has ended by itself.
func (s *Store) Sweep(ctx context.Context, _ int) (int, error) {
	_, done, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	done()
	return 0, nil
}

// inBackground runs f unless the store is closed. Close waits for it.
func (s *Store) inBackground(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.background.Go(f)
	}
}

// Close ends all connections. Calls under way fail.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.cancel()
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.background.Wait()
		errs := []error{s.client.Close(), s.patient.Close()}
		for _, node := range s.nodes { // nobody adds one any more who would use it
			errs = append(errs, node.Close())
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}
