package redistest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	startTimeout = time.Minute           // how long a server may take until it answers
	startPoll    = 2 * time.Millisecond  // how often it is asked meanwhile, at first
	slowestPoll  = 20 * time.Millisecond // and later
	portTries    = 20                    // how many ports are tried
	portWait     = 50 * time.Millisecond // between tries for a port that may not change
)

// errPortTaken: the port of a server belongs to somebody else.
var errPortTaken = errors.New("port is taken")

// Server is a Redis server process of a test. Its methods are safe for concurrent use.
type Server struct {
	spec   *spec
	dir    string
	port   int
	offset int64 // where the log of the present process begins
	admin  *goredis.Client

	mu   sync.Mutex // serialises the faults; guards proc and offset
	proc *process
}

// Start starts one server and waits until it answers. It ends with the test, whose log then shows the end of the server's
// log if the test failed.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	spec := newSpec("", opts)
	if spec.program == "" {
		spec.program = Binary(t)
	}
	s, err := launch(spec)
	if err != nil {
		t.Fatalf("start a Redis server: %v", err)
	}
	t.Cleanup(func() { s.finish(t) })
	return s
}

// launch starts a server in a new folder. On an error nothing is left behind.
func launch(spec *spec) (*Server, error) {
	dir, err := os.MkdirTemp("", "redistest-")
	if err != nil {
		return nil, err
	}
	s := &Server{spec: spec, dir: dir}
	if spec.tls {
		err = writeCertificates(dir)
	}
	if err == nil {
		err = s.firstStart()
	}
	if err == nil && spec.primary != nil {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		err = await(ctx, func() error { return inSync(ctx, s) })
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// firstStart finds a port and starts the server on it; on another when somebody was faster.
func (s *Server) firstStart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for try := 0; ; try++ {
		s.port = s.spec.port
		if s.port == 0 {
			var err error
			if s.port, err = freePort(); err != nil {
				return err
			}
		}
		if err := s.configure(); err != nil {
			return err
		}
		if s.admin != nil {
			_ = s.admin.Close()
		}
		s.admin = goredis.NewClient(s.Options())
		err := s.run()
		if !errors.Is(err, errPortTaken) || try == portTries {
			return err
		}
		if s.spec.port != 0 {
			time.Sleep(portWait) // its last owner may be about to end
		}
	}
}

// run starts the process and waits until it answers. The caller holds s.mu.
func (s *Server) run() error {
	s.offset = int64(len(s.Log()))
	args := []string{s.path("redis.conf")}
	if s.spec.sentinel {
		args = append(args, "--sentinel")
	}
	proc, err := spawn(s.spec.program, args, s.dir, s.path("log"))
	if err != nil {
		return err
	}
	s.proc = proc
	if err := s.awaitReady(); err != nil {
		return errors.Join(fmt.Errorf("%w; its log ends: %s", err, tail(s.Log())), proc.stop(syscall.SIGKILL))
	}
	return nil
}

// awaitReady waits until the process says that it is ready, which a stranger on the same port cannot, and answers.
func (s *Server) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	ready := "Ready to accept connections"
	if s.spec.sentinel {
		ready = "+monitor master"
	}
	return await(ctx, func() error {
		log := s.Log()[s.offset:]
		if !s.proc.running() {
			if strings.Contains(log, "Address already in use") {
				return final{errPortTaken}
			}
			return final{errors.New("the server ended at its start")}
		}
		if !strings.Contains(log, ready) {
			return errors.New("the server does not say that it is ready")
		}
		return s.admin.Ping(ctx).Err()
	})
}

// inSync tells by an error that the server is no replica that has the data of its primary.
func inSync(ctx context.Context, s *Server) error {
	info, err := s.Info(ctx, "replication")
	if err != nil {
		return err
	}
	if info["role"] != "slave" || info["master_link_status"] != "up" {
		return fmt.Errorf("%s: role %q, link to the primary %q", s.Addr(), info["role"], info["master_link_status"])
	}
	return nil
}

// Addr returns host:port, which stays the same over restarts.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// PortNumber returns the port of Addr.
func (s *Server) PortNumber() int { return s.port }

// Socket returns the path of the unix socket, or "" without [UnixSocket].
func (s *Server) Socket() string {
	if !s.spec.socket {
		return ""
	}
	return s.path("redis.sock")
}

// Dir returns the folder of the server: redis.conf, log, appendonlydir.
func (s *Server) Dir() string { return s.dir }

// CAFile returns the PEM file of the authority that a client trusts, or "" without [TLS].
func (s *Server) CAFile() string {
	if !s.spec.tls {
		return ""
	}
	return s.path(caFile)
}

// TLSConfig returns what a client needs to reach the server, or nil without [TLS].
func (s *Server) TLSConfig() *tls.Config {
	if !s.spec.tls {
		return nil
	}
	return clientTLS()
}

// Client returns the client of the package, with every right at the server. It ends with the server and retries as go-redis
// does by default: it is for looking and arranging, not for what is tested.
func (s *Server) Client() *goredis.Client { return s.admin }

// Options returns new options of a client like that of Client, to be changed by the caller.
func (s *Server) Options() *goredis.Options {
	o := &goredis.Options{
		Addr: s.Addr(), TLSConfig: s.TLSConfig(), DisableIdentity: true, MaintNotificationsConfig: noMaintenance(),
		DialTimeout: 5 * time.Second, DialerRetries: 1, PoolSize: 4,
	}
	if s.spec.acl != "" {
		o.Username, o.Password = adminUser, adminPassword()
	}
	return o
}

// Info returns the fields of one section of INFO.
func (s *Server) Info(ctx context.Context, section string) (map[string]string, error) {
	text, err := s.admin.Info(ctx, section).Result()
	if err != nil {
		return nil, fmt.Errorf("%s: INFO %s: %w", s.Addr(), section, err)
	}
	return fields(text), nil
}

// fields reads lines of name:value.
func fields(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			m[name] = value
		}
	}
	return m
}

// Log returns what the server has printed so far, over all its restarts.
func (s *Server) Log() string {
	log, err := os.ReadFile(s.path("log"))
	if err != nil {
		return ""
	}
	return string(log)
}

// path returns a file in the folder of the server.
func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// finish ends the server of a test.
func (s *Server) finish(t testing.TB) {
	t.Helper()
	if t.Failed() {
		t.Logf("log of the server at %s ends:\n%s", s.Addr(), tail(s.Log()))
	}
	if err := s.close(); err != nil {
		t.Errorf("end the server at %s: %v", s.Addr(), err)
	}
}

// close ends the process and removes the folder.
func (s *Server) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	if s.proc != nil {
		errs = append(errs, s.proc.stop(syscall.SIGKILL))
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// tail returns the last lines of a log.
func tail(log string) string {
	lines := bytes.Split(bytes.TrimSpace([]byte(log)), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
}
