package redistest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9/maintnotifications"
)

// adminUser is the package's own user at servers that have an ACL.
const adminUser = "redistest-admin"

// adminPassword is the same for all servers of the process, so that the members of a group can sign in to each other.
var adminPassword = sync.OnceValue(rand.Text)

// noMaintenance spares a connection the question for notifications that only a hosted Redis sends.
func noMaintenance() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// configure writes the files that the server reads at its start.
func (s *Server) configure() error {
	lines := append([]string{}, s.spec.lines...)
	port, tlsPort := s.port, 0
	if s.spec.tls {
		port, tlsPort = 0, s.port
		lines = append(
			lines, "tls-replication yes", "tls-auth-clients no",
			"tls-cert-file "+s.path(certFile), "tls-key-file "+s.path(keyFile), "tls-ca-cert-file "+s.path(caFile),
		)
		if s.spec.cluster {
			lines = append(lines, "tls-cluster yes")
		}
	}
	lines = append(lines, fmt.Sprintf("port %d", port), `logfile ""`, "loglevel notice", "dir "+s.dir)
	if tlsPort != 0 {
		lines = append(lines, fmt.Sprintf("tls-port %d", tlsPort))
	}
	if s.spec.socket {
		lines = append(lines, "unixsocket "+s.path("redis.sock"), "unixsocketperm 700")
	}
	if s.spec.acl != "" {
		admin := fmt.Sprintf("user %s on >%s ~* &* +@all\n", adminUser, adminPassword())
		if err := os.WriteFile(s.path("users.acl"), []byte(s.spec.acl+admin), 0o600); err != nil {
			return err
		}
		lines = append(lines, "aclfile "+s.path("users.acl"), "masteruser "+adminUser, "masterauth "+adminPassword())
	}
	if primary := s.spec.primary; primary != nil {
		lines = append(lines, "replicaof 127.0.0.1 "+strconv.Itoa(primary.port))
	}
	return os.WriteFile(s.path("redis.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// Ports lie below the range from which systems take the ports of outgoing connections, and such that the bus of a
// cluster (10,000 above) does too.
const (
	firstPort = 12_000
	lastPort  = 22_000
	busOffset = 10_000
)

// freePort returns a port that is free at this moment, with its bus port.
func freePort() (int, error) {
	var err error
	for range portTries {
		port := firstPort + mathrand.IntN(lastPort-firstPort) //nolint:gosec // no secret
		if err = errors.Join(probe(port), probe(port+busOffset)); err == nil {
			return port, nil
		}
	}
	return 0, err
}

// probe tells by an error that nobody can listen on the port.
func probe(port int) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}

// final marks an error of a condition that will not become true by waiting.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// await asks the condition until it is true (nil) or the context ends; then it returns what was last missing. It asks
// ever more seldom, from every 2 ms to every 20.
func await(ctx context.Context, condition func() error) error {
	pause := startPoll
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		if stop, ok := errors.AsType[final](err); ok {
			return stop.error
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain: %w", err)
		case <-tick.C:
			pause = min(pause+pause/8, slowestPoll)
			tick.Reset(pause)
		}
	}
}
