package redis

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// S15: in no arrangement does the driver read from replicas, send a command again by itself, or wait longer than a verb may.
func TestTheDriverIsToldTheSameInEveryArrangement(t *testing.T) {
	for _, cfg := range []Config{
		{Addresses: []string{"127.0.0.1:1"}},
		{Mode: Single, Addresses: []string{"unix:/nowhere"}},
		{Mode: Sentinel, Addresses: []string{"127.0.0.1:1", "127.0.0.1:2"}, MasterName: "m"},
		{Mode: Cluster, Addresses: []string{"127.0.0.1:1", "127.0.0.1:2"}},
		{Mode: Cluster, Addresses: []string{"127.0.0.1:1"}, Durability: Replicated, PoolSize: 3, Timeout: MaxTimeout},
	} {
		t.Run(fmt.Sprint(cfg.Mode, " ", cfg.Durability), func(t *testing.T) {
			s, err := connect(cfg)
			need(t, "connect", err)
			defer func() { need(t, "close", s.Close()) }()
			checkOptions(t, s)
			want := s.cfg
			o := s.cfg.options()
			if o.ReadOnly || o.RouteByLatency || o.RouteRandomly || o.MaxRetries != -1 || !o.ContextTimeoutEnabled {
				t.Errorf("replicas %v %v %v, retries %d, deadlines %v", o.ReadOnly, o.RouteByLatency, o.RouteRandomly, o.MaxRetries,
					o.ContextTimeoutEnabled)
			}
			if f := o.Failover(); f.ReplicaOnly || f.RouteByLatency || f.RouteRandomly || f.MaxRetries != -1 || !f.ContextTimeoutEnabled ||
				f.PoolSize != want.PoolSize || f.MaxActiveConns != want.PoolSize || f.DialTimeout != want.Timeout {
				t.Errorf("Sentinel: replicas %v %v %v, retries %d, deadlines %v, pool %d %d, dial %v", f.ReplicaOnly, f.RouteByLatency,
					f.RouteRandomly, f.MaxRetries, f.ContextTimeoutEnabled, f.PoolSize, f.MaxActiveConns, f.DialTimeout)
			}
		})
	}
}

// checkOptions looks at what the client that is used has made of the options. For one server, no retries have become 0.
func checkOptions(t testing.TB, s *Store) {
	t.Helper()
	cfg := s.cfg
	switch client := s.client.(type) {
	case *goredis.Client:
		o := client.Options()
		if o.MaxRetries != 0 || !o.ContextTimeoutEnabled || o.PoolSize != cfg.PoolSize || o.MaxActiveConns != cfg.PoolSize ||
			o.ReadTimeout != cfg.Timeout || o.WriteTimeout != cfg.Timeout || o.DialTimeout != cfg.Timeout || o.PoolTimeout != cfg.Timeout {
			t.Errorf("client: retries %d, deadlines %v, pool %d %d, timeouts %v %v %v %v", o.MaxRetries, o.ContextTimeoutEnabled,
				o.PoolSize, o.MaxActiveConns, o.ReadTimeout, o.WriteTimeout, o.DialTimeout, o.PoolTimeout)
		}
	case *goredis.ClusterClient:
		o := client.Options()
		if o.ReadOnly || o.RouteByLatency || o.RouteRandomly || o.MaxRetries != -1 || !o.ContextTimeoutEnabled || o.MaxRedirects > 3 ||
			o.PoolSize != cfg.PoolSize || o.MaxActiveConns != cfg.PoolSize || o.ReadTimeout != cfg.Timeout || o.DialTimeout != cfg.Timeout {
			t.Errorf("cluster client: replicas %v %v %v, retries %d, redirects %d, deadlines %v, pool %d %d, timeouts %v %v", o.ReadOnly,
				o.RouteByLatency, o.RouteRandomly, o.MaxRetries, o.MaxRedirects, o.ContextTimeoutEnabled, o.PoolSize, o.MaxActiveConns,
				o.ReadTimeout, o.DialTimeout)
		}
	default:
		t.Errorf("a client of type %T", client)
	}
}

// S16: before 9.7.3 the driver could hand one caller another one's reply (CVE-2025-29923).
func TestTheDriverIsNotOneThatMixesRepliesUp(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	need(t, "go.mod", err)
	found := regexp.MustCompile(`github\.com/redis/go-redis/v9 v9\.(\d+)\.(\d+)`).FindSubmatch(text)
	if found == nil {
		t.Fatal("go.mod names no go-redis v9")
	}
	minor, _ := strconv.Atoi(string(found[1]))
	patch, _ := strconv.Atoi(string(found[2]))
	if minor < 7 || minor == 7 && patch < 3 {
		t.Errorf("go-redis v9.%d.%d is older than v9.7.3", minor, patch)
	}
}
