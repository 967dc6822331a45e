package main

import (
	"encoding/json"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// server is `ingam serve` on a data folder and a port that outlive its processes.
type server struct {
	*process
	dir, address, issuer string
	internal             string // address of the internal listener
	env                  []string
}

// quickHashes makes a sign-in cost little, for tests that are not about that.
var quickHashes = []string{"INGAM_PASSWORDS_MEMORY_KIB=7168", "INGAM_PASSWORDS_TIME=1", "INGAM_PASSWORDS_MAX_WAIT=10s"}

// manyGuesses lets one address sign in as often as a test likes.
var manyGuesses = []string{
	"INGAM_GUESSES_ADDRESS_BURST=100000", "INGAM_GUESSES_ACCOUNT_BURST=100000", "INGAM_GUESSES_DEVICE_BURST=100000",
	"INGAM_GUESSES_SUSTAINED_BURST=100000",
}

// newServer makes folder and master key as the README says and starts the server.
func newServer(t *testing.T, env ...string) *server {
	t.Helper()
	s := prepareServer(t, env...)
	s.start(t)
	return s
}

// prepareServer is newServer without the start.
func prepareServer(t *testing.T, env ...string) *server {
	t.Helper()
	address := freeAddress(t)
	s := &server{dir: t.TempDir(), address: address, issuer: "http://" + address}
	key := filepath.Join(s.dir, "master.key")
	if made := runProgram(nil, program(t, "ingam"), "", "keys", "new-master-key", "--out", key); made.status != exitDone {
		t.Fatalf("new-master-key: %+v", made)
	}
	s.env = append([]string{
		"INGAM_ISSUER=" + s.issuer, "INGAM_LISTEN=" + address, "INGAM_ADMIN_LISTEN=127.0.0.1:0",
		"INGAM_KEYS_MASTER_KEY_FILE=" + key, "INGAM_DATA_DIR=" + s.data(),
	}, env...)
	return s
}

// data is the data folder.
func (s *server) data() string { return filepath.Join(s.dir, "data") }

// start starts a process on the folder and waits until it serves.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.process = spawn(t, s.env, program(t, "ingam"), "serve")
	ready := map[string]string{}
	s.await(t, "ready", func() bool {
		for text := range strings.SplitSeq(s.stderr.String(), "\n") {
			if strings.Contains(text, `"msg":"ready"`) && json.Unmarshal([]byte(text), &ready) == nil {
				return true
			}
		}
		return false
	})
	s.internal = ready["internal"]
}

// command runs a command of the program against the server, over its admin socket.
func (s *server) command(t *testing.T, input string, args ...string) result {
	t.Helper()
	return runProgram(nil, program(t, "ingam"), input, append(args, "--data-dir", s.data())...)
}

// want is command for one that has to succeed.
func (s *server) want(t *testing.T, input string, args ...string) string {
	t.Helper()
	r := s.command(t, input, args...)
	if r.status != exitDone {
		t.Fatalf("ingam %s: exit %d: %s", strings.Join(args, " "), r.status, r.stderr)
	}
	return r.stdout
}

// publicClient adds a client that may use passwords and refresh.
func (s *server) publicClient(t *testing.T, id string, more ...string) {
	t.Helper()
	s.want(t, "", append([]string{
		"client", "add", id, "--public", "--grant-type", "password,refresh_token", "--scope", "openid profile",
		"--default-scope", "profile", "--audience", apiAudience,
	}, more...)...)
}

// apiAudience is the resource server of these tests, by name.
const apiAudience = "https://api.example.com"

// freeAddress returns an address of this machine that nobody uses.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// spawnDev runs `ingam dev` on ports of its own.
func spawnDev(t *testing.T, more ...string) (*process, devFacts) {
	t.Helper()
	p := spawn(t, nil, program(t, "ingam"), append([]string{
		"dev", "--data-dir", filepath.Join(t.TempDir(), "dev"), "--port", "0", "--admin-port", "0", "--resource-port", "0", "--web-port", "0", "--spa-port", "0", "-o", "json",
	}, more...)...)
	var facts devFacts
	p.await(t, "facts", func() bool { return json.Unmarshal([]byte(p.stdout.String()), &facts) == nil })
	return p, facts
}

var resourceListens = regexp.MustCompile(`"msg":"listening","address":"([^"]+)"`)

// spawnResource runs cmd/resource for an issuer and returns its URL once it has the issuer's keys.
func spawnResource(t *testing.T, issuer, audience string, more ...string) (*process, string) {
	t.Helper()
	p := spawn(t, nil, program(t, "resource"), append([]string{
		"--listen", "127.0.0.1:0", "--issuer", issuer, "--resource-url", audience,
	}, more...)...)
	var at string
	p.await(t, "address and keys", func() bool {
		if m := resourceListens.FindStringSubmatch(p.stderr.String()); m != nil {
			at = m[1]
		}
		return at != "" && strings.Contains(p.stderr.String(), "JWK set loaded")
	})
	return p, "http://" + at
}
