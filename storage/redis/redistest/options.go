package redistest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Option changes how a server is started; with [StartSentinel] and [StartCluster], how each of their servers is.
type Option func(*spec)

// spec is what a server is started with.
type spec struct {
	program  string
	port     int // 0: a free one
	lines    []string
	acl      string // lines of the ACL file; "" without one
	tls      bool
	socket   bool
	primary  *Server
	cluster  bool
	sentinel bool
}

// newSpec returns the settings of a server by default: no snapshots, an append-only file that is synced before each
// answer, and no eviction.
func newSpec(program string, opts []Option) *spec {
	s := &spec{program: program}
	for _, opt := range []Option{
		Config("bind", "127.0.0.1"),
		Config("daemonize", "no"),
		Config("protected-mode", "no"),
		Config("save", ""),
		AppendFsync("always"),
		Config("maxmemory-policy", "noeviction"),
		Config("repl-diskless-sync-delay", "0"), // replicas are there at once, not after 5 s
	} {
		opt(s)
	}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// Config sets one line of the configuration; value may hold several words. A later one wins. The names logfile, loglevel,
// port, tls-port, dir and unixsocket belong to this package.
func Config(name, value string) Option {
	if value == "" {
		value = `""`
	}
	return func(s *spec) { s.lines = append(s.lines, name+" "+value) }
}

// AppendFsync chooses when the append-only file is synced: "always" (the default), "everysec" or "no". With "off"
// there is no append-only file, and a server that restarts is empty.
func AppendFsync(mode string) Option {
	return func(s *spec) {
		if mode == "off" {
			Config("appendonly", "no")(s)
			return
		}
		Config("appendonly", "yes")(s)
		Config("appendfsync", mode)(s)
	}
}

// MaxMemory bounds the memory of the data. At the bound writes are refused with OOM; see also Config("maxmemory-policy", …).
func MaxMemory(bytes int64) Option { return Config("maxmemory", strconv.FormatInt(bytes, 10)) }

// MinReplicasToWrite refuses writes (NOREPLICAS) while fewer replicas than n have answered in the last second.
func MinReplicasToWrite(n int) Option {
	return func(s *spec) {
		Config("min-replicas-to-write", strconv.Itoa(n))(s)
		Config("min-replicas-max-lag", "1")(s)
	}
}

// ACLFile starts the server with this text as its ACL file. The package adds a user of its own for [Server.Client].
// The user default may do everything unless the text says otherwise.
func ACLFile(text string) Option {
	return func(s *spec) { s.acl += strings.TrimRight(text, "\n") + "\n" }
}

// User adds a user with a password and ACL rules such as "~ingam:* +@read", and closes the server to all who do not sign in.
func User(name, password, rules string) Option {
	return ACLFile(fmt.Sprintf("user default off\nuser %s on >%s %s", name, password, rules))
}

// TLS lets the server speak TLS only, on its one port; see [Server.TLSConfig] and [Server.CAFile].
func TLS() Option { return func(s *spec) { s.tls = true } }

// UnixSocket lets the server listen on a unix socket as well; see [Server.Socket].
func UnixSocket() Option { return func(s *spec) { s.socket = true } }

// ReplicaOf makes the server a replica, and waits at start until it has the data of its primary.
func ReplicaOf(primary *Server) Option { return func(s *spec) { s.primary = primary } }

// Program runs another program than [Binary], for example that of [Binary8].
func Program(path string) Option { return func(s *spec) { s.program = path } }

// Port sets the port instead of a free one.
func Port(port int) Option { return func(s *spec) { s.port = port } }

// clusterNode makes the server a node of a cluster; a peer that is silent for the timeout counts as failing.
func clusterNode(timeout time.Duration) Option {
	return func(s *spec) {
		s.cluster = true
		Config("cluster-enabled", "yes")(s)
		Config("cluster-node-timeout", strconv.FormatInt(timeout.Milliseconds(), 10))(s)
	}
}
