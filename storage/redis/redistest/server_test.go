package redistest_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage/redis/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }

// set writes a key, or fails.
func set(t *testing.T, s *redistest.Server, key string) {
	t.Helper()
	if err := s.Client().Set(t.Context(), key, "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

// holds tells whether the server has the key.
func holds(t *testing.T, s *redistest.Server, key string) bool {
	t.Helper()
	n, err := s.Client().Exists(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return n == 1
}

// patience is how long anything may take before it counts as never happening.
const patience = 60 * time.Second

// answers tells whether somebody speaks Redis at the address.
func answers(addr string) bool { return answersWithin(addr, patience) }

func answersWithin(addr string, most time.Duration) bool {
	conn, err := net.DialTimeout("tcp", addr, most)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(most))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	n, _ := conn.Read(make([]byte, 8))
	return n > 0
}

func TestAServerStartsFastWithTheDocumentedConfiguration(t *testing.T) {
	var s *redistest.Server
	took := fastest(func() { s = redistest.Start(t) })
	t.Logf("started in %s", took)
	if took > 3*time.Second { // usually 10-20 ms; the bound is for busy machines
		t.Errorf("a start took %s", took)
	}
	for name, want := range map[string]string{
		"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction", "bind": "127.0.0.1",
	} {
		got, err := s.Client().ConfigGet(t.Context(), name).Result()
		if err != nil || got[name] != want {
			t.Errorf("%s is %q, want %q (%v)", name, got[name], want, err)
		}
	}
	if !strings.Contains(s.Log(), "Ready to accept connections") {
		t.Errorf("the log says %q", s.Log())
	}
}

func TestAKilledServerKeepsAcknowledgedDataWhereItHasAnAppendOnlyFile(t *testing.T) {
	for mode, kept := range map[string]bool{"always": true, "off": false} {
		s := redistest.Start(t, redistest.AppendFsync(mode))
		addr := s.Addr()
		for range 3 {
			set(t, s, "k"+strconv.Itoa(s.PortNumber()))
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if answers(addr) {
				t.Fatal("a killed server answers")
			}
			if err := s.Kill(); err != nil {
				t.Errorf("kill what is dead: %v", err)
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			if s.Addr() != addr {
				t.Errorf("the address changed from %s to %s", addr, s.Addr())
			}
			if got := holds(t, s, "k"+strconv.Itoa(s.PortNumber())); got != kept {
				t.Errorf("appendfsync %s: the key is there: %v, want %v", mode, got, kept)
			}
		}
	}
}

func TestARestartKeepsWhatConfigRewriteWrote(t *testing.T) {
	s := redistest.Start(t)
	for _, name := range []string{"hash-max-listpack-entries", "set-max-intset-entries"} {
		if err := s.Client().ConfigSet(t.Context(), name, "77").Err(); err != nil {
			t.Fatal(err)
		}
		if name == "hash-max-listpack-entries" {
			if err := s.Client().ConfigRewrite(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Restart(); err != nil { // without a Kill before
		t.Fatal(err)
	}
	for name, want := range map[string]string{"hash-max-listpack-entries": "77", "set-max-intset-entries": "512"} {
		if got := s.Client().ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestATerminatedServerEndsInOrder(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Terminate(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.Log(), "ready to exit") || answers(s.Addr()) {
		t.Errorf("the log says %q", s.Log())
	}
	if err := s.Pause(); err == nil {
		t.Error("a server that has ended was paused")
	}
	if err := s.Resume(); err == nil {
		t.Error("a server that has ended was resumed")
	}
}

func TestAPausedServerIsSilentUntilItIsResumed(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if answersWithin(s.Addr(), time.Second) {
		t.Error("a paused server answers")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	if !answers(s.Addr()) {
		t.Error("a resumed server is silent")
	}
	if err := s.Pause(); err != nil { // and one that is paused can be killed
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
}

func TestMaxMemoryRefusesWritesAtTheBound(t *testing.T) {
	s := redistest.Start(t, redistest.MaxMemory(4<<20))
	set(t, s, "small")
	err := s.Client().Set(t.Context(), "large", strings.Repeat("x", 5<<20), 0).Err()
	for i := 0; err == nil && i < 10; i++ {
		err = s.Client().Set(t.Context(), strconv.Itoa(i), "v", 0).Err()
	}
	if err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Fatalf("%v, want OOM", err)
	}
	if !holds(t, s, "small") {
		t.Error("a key was evicted")
	}
}

func TestAUserMayDoWhatItsRulesSayAndNobodyElseAnything(t *testing.T) {
	s := redistest.Start(t, redistest.User("ingam", "secret", "~ingam:* +get +set +hello"))
	set(t, s, "theirs") // the package's own client has every right
	as := func(name, password string) *goredis.Client {
		o := s.Options()
		o.Username, o.Password = name, password
		c := goredis.NewClient(o)
		t.Cleanup(func() { c.Close() })
		return c
	}
	if err := as("ingam", "secret").Set(t.Context(), "ingam:k", "v", 0).Err(); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"a foreign key":        as("ingam", "secret").Get(t.Context(), "theirs").Err(),
		"a foreign command":    as("ingam", "secret").Del(t.Context(), "ingam:k").Err(),
		"a wrong password":     as("ingam", "guess").Get(t.Context(), "ingam:k").Err(),
		"nobody in particular": as("", "").Get(t.Context(), "ingam:k").Err(),
	} {
		if err == nil || errors.Is(err, goredis.Nil) {
			t.Errorf("%s is admitted: %v", what, err)
		}
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if !holds(t, s, "ingam:k") {
		t.Error("the key is gone")
	}
}

func TestATLSServerSpeaksTLSOnlyAndProvesItsName(t *testing.T) {
	s := redistest.Start(t, redistest.TLS())
	set(t, s, "k")
	if answers(s.Addr()) {
		t.Error("it answers without TLS")
	}
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	trusting := x509.NewCertPool()
	if !trusting.AppendCertsFromPEM(pem) {
		t.Fatal("CAFile holds no certificate")
	}
	for _, tt := range []struct {
		what   string
		config *tls.Config
		ok     bool
	}{
		{"the authority of CAFile, by address", &tls.Config{RootCAs: trusting}, true},
		{"the authority of CAFile, another name", &tls.Config{RootCAs: trusting, ServerName: "redis.example"}, false},
		{"no authority", &tls.Config{RootCAs: x509.NewCertPool()}, false},
	} {
		conn, err := tls.Dial("tcp", s.Addr(), tt.config)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.what, err)
		}
		if err == nil {
			conn.Close()
		}
	}
	if plain := redistest.Start(t); plain.TLSConfig() != nil || plain.CAFile() != "" || plain.Socket() != "" {
		t.Error("a plain server speaks of TLS or a socket")
	}
}

func TestAReplicaFollowsOverTLSAndPasswords(t *testing.T) {
	for _, opts := range [][]redistest.Option{nil, {redistest.TLS(), redistest.User("ingam", "secret", "~* +@all")}} {
		primary := redistest.Start(t, opts...)
		replica := redistest.Start(t, append(opts, redistest.ReplicaOf(primary))...)
		set(t, primary, "k")
		if n, err := primary.Client().Wait(t.Context(), 1, patience).Result(); err != nil || n != 1 {
			t.Fatalf("%d replicas acknowledge, %v", n, err)
		}
		if !holds(t, replica, "k") {
			t.Error("the replica lacks the key")
		}
		if err := replica.Client().Set(t.Context(), "k", "w", 0).Err(); err == nil {
			t.Error("the replica takes writes")
		}
	}
}

func TestMinReplicasToWriteRefusesWritesWithoutAReplica(t *testing.T) {
	primary := redistest.Start(t, redistest.MinReplicasToWrite(1))
	if err := primary.Client().Set(t.Context(), "k", "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOREPLICAS") {
		t.Fatalf("%v, want NOREPLICAS", err)
	}
	redistest.Start(t, redistest.ReplicaOf(primary))
	eventually(t, "the replica counts", func() bool { return primary.Client().Set(t.Context(), "k", "v", 0).Err() == nil })
}

func TestAServerListensOnAUnixSocketToo(t *testing.T) {
	s := redistest.Start(t, redistest.UnixSocket())
	c := goredis.NewClient(&goredis.Options{Network: "unix", Addr: s.Socket()})
	defer c.Close()
	set(t, s, "k")
	if got, err := c.Get(t.Context(), "k").Result(); err != nil || got != "v" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestAConfigLineCounts(t *testing.T) {
	s := redistest.Start(t, redistest.Config("databases", "3"), redistest.Config("client-output-buffer-limit", "normal 1mb 0 0"),
		redistest.AppendFsync("everysec"))
	for name, want := range map[string]string{"databases": "3", "appendfsync": "everysec"} {
		if got := s.Client().ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestManyServersStartAtOnceOnDifferentPorts(t *testing.T) {
	var wg sync.WaitGroup
	servers := make([]*redistest.Server, 12)
	for i := range servers {
		wg.Go(func() { servers[i] = redistest.Start(t, redistest.AppendFsync("off")) })
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, s := range servers {
		if s == nil || seen[s.Addr()] || !answers(s.Addr()) {
			t.Fatalf("%v is missing, doubled or silent", s)
		}
		seen[s.Addr()] = true
	}
}

func TestSharedGivesOneServerAndManyPrefixes(t *testing.T) {
	a, p := redistest.Shared(t)
	b, q := redistest.Shared(t)
	if a != b || p == q || p == "" {
		t.Errorf("%s %q, %s %q", a.Addr(), p, b.Addr(), q)
	}
}

func TestAServerEndsWithItsTestAndLeavesNothing(t *testing.T) {
	var s *redistest.Server
	t.Run("inner", func(t *testing.T) {
		s = redistest.Start(t)
		if _, err := os.Stat(s.Dir()); err != nil || !answers(s.Addr()) {
			t.Fatalf("it does not live: %v", err)
		}
	})
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) || answers(s.Addr()) {
		t.Errorf("it lives on: %v", err)
	}
}
