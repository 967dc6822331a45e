package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Mode is how the Redis servers are arranged.
type Mode string

// The arrangements.
const (
	Single   Mode = "single"   // one server
	Sentinel Mode = "sentinel" // one primary at a time, chosen by Redis Sentinel
	Cluster  Mode = "cluster"  // Redis Cluster: many primaries, each with its share of the keys
)

// Durability is when a write counts as done.
type Durability string

// The policies. See PROMISES.md in the folder above for what each can promise.
const (
	// Local: when the server that answers has it. With "appendfsync always" that is on its disk.
	Local Durability = "local"
	// Replicated: when at least Config.Replicas replicas have it too. Fewer in time is a failure: the outcome is
	// unknown, and the next try settles it.
	Replicated Durability = "replicated"
)

// Config says which Redis to use and how. Addresses is all that most need; Validate says what is wrong.
type Config struct {
	Mode Mode // "" means Single
	// Addresses are host:port. Single takes one, or "unix:/path" for a socket. Sentinel takes those of the sentinels,
	// Cluster those of some nodes.
	Addresses []string
	// MasterName is what the sentinels call the primary.
	MasterName string
	// Username and Password are of an ACL user; see acl.txt. Without Username, Password is that of the default user.
	Username, Password                 string
	SentinelUsername, SentinelPassword string
	// DB is the number of the database; Cluster has only 0.
	DB int
	// TLS turns encryption on.
	TLS *tls.Config
	// Prefix begins every key, so that several programs can share a server; "" means "ingam:".
	Prefix string

	// Timeout bounds each verb of the store whole: waiting for a connection, dialing, sending, waiting for replicas. 0
	// means DefaultTimeout.
	Timeout time.Duration
	// PoolSize is how many connections each node of Redis gets at most; 0 means DefaultPoolSize.
	PoolSize int

	Durability Durability // "" means Local
	// Replicas is how many replicas must have a write before it counts under Replicated; 0 means 1.
	Replicas int
	// Fsync asks, under Replicated, that primary and replicas have it on their disks (WAITAOF, Redis 7.2).
	Fsync bool
	// AllowVolatile accepts a server that keeps nothing over a restart. For tests.
	AllowVolatile bool

	// Dial, if set, opens connections instead of net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log gets what happens in the background; nil means slog.Default().
	Log *slog.Logger
}

// Defaults of Config.
const (
	DefaultPrefix   = "ingam:"
	DefaultTimeout  = 300 * time.Millisecond
	DefaultPoolSize = 64
)

// MaxTimeout keeps an answer to a client, which may take several verbs, within a second and a half or so.
const MaxTimeout = time.Second

// Validate returns everything that is wrong, each with what would be right, joined.
func (c Config) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch c.mode() {
	case Single:
		if len(c.Addresses) != 1 {
			wrong("addresses: mode single takes exactly one address, got %d", len(c.Addresses))
		}
	case Sentinel:
		if len(c.Addresses) == 0 {
			wrong("addresses: name at least one sentinel, host:port")
		}
		if c.MasterName == "" {
			wrong("master_name: the name by which the sentinels know the primary is missing")
		}
	case Cluster:
		if len(c.Addresses) == 0 {
			wrong("addresses: name at least one node of the cluster, host:port")
		}
		if c.DB != 0 {
			wrong("db: %d; a cluster has only database 0", c.DB)
		}
	default:
		wrong("mode: %q; it is single, sentinel or cluster", c.Mode)
	}
	for _, address := range c.Addresses {
		if path, isSocket := strings.CutPrefix(address, unixScheme); isSocket {
			if c.mode() != Single || path == "" {
				wrong("addresses: %q; a socket is unix:/path, and for mode single only", address)
			}
			continue
		}
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			wrong("addresses: %q is not host:port", address)
		}
	}
	if strings.ContainsAny(c.Prefix, "{}*?[]\\") || len(c.Prefix) > 64 {
		wrong("key_prefix: %q; at most 64 characters, none of { } * ? [ ] \\", c.Prefix)
	}
	if c.Timeout < 0 || c.Timeout > MaxTimeout {
		wrong("timeout: %v; at most %v", c.Timeout, MaxTimeout)
	}
	if c.PoolSize < 0 || c.Replicas < 0 || c.DB < 0 {
		wrong("pool_size, wait_replicas and db cannot be negative")
	}
	if !slices.Contains([]Durability{"", Local, Replicated}, c.Durability) {
		wrong("durability: %q; it is local or replicated", c.Durability)
	}
	if c.Fsync && c.Durability != Replicated {
		wrong("wait_fsync: it is part of durability replicated")
	}
	return errors.Join(errs...)
}

const unixScheme = "unix:"

func (c Config) mode() Mode {
	if c.Mode == "" {
		return Single
	}
	return c.Mode
}

// withDefaults fills what was left zero.
func (c Config) withDefaults() Config {
	c.Mode = c.mode()
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.PoolSize == 0 {
		c.PoolSize = DefaultPoolSize
	}
	if c.Durability == "" {
		c.Durability = Local
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// patient is the same configuration for work that may take seconds. The driver bounds each read by the timeout of its
// client, whatever the deadline of the call.
func (c Config) patient() Config {
	c.Timeout, c.PoolSize = transferPatience, 4
	return c
}

// LogValue names the servers and keeps the passwords out of logs.
func (c Config) LogValue() slog.Value {
	return slog.StringValue(string(c.mode()) + " " + strings.Join(c.Addresses, ", "))
}

// String is for fmt what LogValue is for slog.
func (c Config) String() string { return c.LogValue().String() }

// options is the configuration as go-redis takes it.
func (c Config) options() *goredis.UniversalOptions {
	o := &goredis.UniversalOptions{
		Addrs:      slices.Clone(c.Addresses),
		ClientName: "ingam",
		DB:         c.DB,
		Username:   c.Username, Password: c.Password,
		SentinelUsername: c.SentinelUsername, SentinelPassword: c.SentinelPassword,
		MasterName:    c.MasterName,
		IsClusterMode: c.Mode == Cluster,
		TLSConfig:     c.TLS,
		Dialer:        c.dialer(),

		// A driver that sends again after a lost reply turns "redeemed" into "already redeemed".
		MaxRetries:    -1,
		DialerRetries: 1,
		MaxRedirects:  3,
		// Reads that decide never go to a replica.
		ReadOnly: false, RouteByLatency: false, RouteRandomly: false,

		// The deadline of the verb is the only clock that counts; it reaches the socket.
		ContextTimeoutEnabled: true,
		DialTimeout:           c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout,

		PoolSize: c.PoolSize, MaxActiveConns: c.PoolSize,
		ConnMaxIdleTime: 5 * time.Minute,

		// Neither is needed, and both are commands that an ACL would have to allow.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	o.Addrs[0] = strings.TrimPrefix(o.Addrs[0], unixScheme)
	return o
}

// dialer is nil where the driver's own does: it knows TLS.
func (c Config) dialer() func(ctx context.Context, network, address string) (net.Conn, error) {
	dial := c.Dial
	if strings.HasPrefix(c.Addresses[0], unixScheme) {
		network := dial
		if network == nil {
			network = (&net.Dialer{Timeout: c.Timeout}).DialContext
		}
		dial = func(ctx context.Context, _, address string) (net.Conn, error) { return network(ctx, "unix", address) }
	}
	if dial == nil || c.TLS == nil {
		return dial
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		own := c.TLS.Clone()
		if own.ServerName == "" {
			own.ServerName, _, _ = net.SplitHostPort(address) // "" for a socket, which tls refuses with a clear error
		}
		encrypted := tls.Client(conn, own)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return encrypted, nil
	}
}
