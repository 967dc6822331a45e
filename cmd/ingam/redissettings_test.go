package main

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/redis"
	"github.com/ingam/ingam/storage/redis/redistest"
)

func TestEverySettingOfRedisArrivesThere(t *testing.T) {
	env := []string{
		"INGAM_STORAGE_DRIVER=redis", "INGAM_STORAGE_REDIS_MODE=sentinel", "INGAM_STORAGE_REDIS_ADDRESSES=a:1, [::1]:2",
		"INGAM_STORAGE_REDIS_MASTER_NAME=mymaster", "INGAM_STORAGE_REDIS_USERNAME=u", "INGAM_STORAGE_REDIS_PASSWORD=p",
		"INGAM_STORAGE_REDIS_SENTINEL_USERNAME=su", "INGAM_STORAGE_REDIS_SENTINEL_PASSWORD=sp", "INGAM_STORAGE_REDIS_DB=3",
		"INGAM_STORAGE_REDIS_KEY_PREFIX=x:", "INGAM_STORAGE_REDIS_TIMEOUT=20ms", "INGAM_STORAGE_REDIS_POOL_SIZE=7",
		"INGAM_STORAGE_REDIS_DURABILITY=replicated", "INGAM_STORAGE_REDIS_WAIT_REPLICAS=2", "INGAM_STORAGE_REDIS_WAIT_FSYNC=true",
		"INGAM_STORAGE_REDIS_ALLOW_VOLATILE=true", "INGAM_STORAGE_REDIS_TLS=true", "INGAM_STORAGE_REDIS_TLS_SERVER_NAME=redis.internal",
	}
	c, found := newTestApp(env, nil, nil).loadConfig(newServeCommand(nil))
	if len(found) > 0 {
		t.Fatal(found)
	}
	got, found := c.redisConfig(nil, nil)
	if len(found) > 0 {
		t.Fatal(found)
	}
	if got.TLS == nil || got.TLS.ServerName != "redis.internal" || got.TLS.InsecureSkipVerify || got.TLS.RootCAs != nil {
		t.Errorf("%+v", got.TLS)
	}
	want := redis.Config{
		Mode: redis.Sentinel, Addresses: []string{"a:1", "[::1]:2"}, MasterName: "mymaster", Username: "u", Password: "p",
		SentinelUsername: "su", SentinelPassword: "sp", DB: 3, TLS: got.TLS, Prefix: "x:", Timeout: 20 * time.Millisecond, PoolSize: 7,
		Durability: redis.Replicated, Replicas: 2, Fsync: true, AllowVolatile: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, f := range reflect.ValueOf(got).Fields() { // a field that was added later, and no setting for it
		if f.Kind() != reflect.Func && f.Kind() != reflect.Pointer && f.IsZero() {
			t.Errorf("a field of redis.Config has no value: %+v", got)
		}
	}
}

func TestTheDefaultsOfRedisAreThoseOfItsPackage(t *testing.T) {
	c := newConfig()
	c.Redis.Addresses = []string{"localhost:6379"}
	got, found := c.redisConfig(nil, nil)
	if len(found) > 0 || got.TLS != nil || got.Timeout != redis.DefaultTimeout || got.PoolSize != redis.DefaultPoolSize ||
		got.Prefix != redis.DefaultPrefix || got.Mode != redis.Single || got.Durability != redis.Local {
		t.Errorf("%+v, %v", got, found)
	}
}

func TestAddressesOfRedisAreHostAndPortOrASocket(t *testing.T) {
	for _, good := range []string{"localhost:6379", "10.0.0.1:6379", "[::1]:6379", "redis.internal:26379", "unix:/run/redis.sock"} {
		if wrong := checkRedisAddress(good); wrong != "" {
			t.Errorf("%s %s", good, wrong)
		}
	}
	for _, bad := range []string{
		"localhost", ":6379", "localhost:", "redis://localhost:6379", "user:secret@localhost:6379", "rediss://:secret@h:1/0", "unix:",
		"unix:///run/redis.sock", "secret@h:1", "::1:6379", "h:1/0",
	} {
		if wrong := checkRedisAddress(bad); wrong == "" || strings.Contains(wrong, "secret") {
			t.Errorf("%s: %q", bad, wrong)
		}
	}
}

func TestRedisIsReachedOverTLSOnlyWhereItsCertificateIsTrusted(t *testing.T) {
	server := redistest.Start(t, redistest.TLS())
	env := append(redisEnv(server.Addr(), "ingam:"), "INGAM_DATA_DIR="+t.TempDir())
	trusting := slices.Concat(env, []string{"INGAM_STORAGE_REDIS_TLS=true", "INGAM_STORAGE_REDIS_TLS_CA_FILE=" + server.CAFile()})
	for name, test := range map[string]struct {
		env    []string
		status int
		part   string
	}{
		"no TLS":       {env, exitFailed, server.Addr()},
		"not trusted":  {slices.Concat(env, []string{"INGAM_STORAGE_REDIS_TLS=true"}), exitFailed, "certificate"},
		"another name": {slices.Concat(trusting, []string{"INGAM_STORAGE_REDIS_TLS_SERVER_NAME=other.example"}), exitFailed, "certificate"},
		"trusted":      {trusting, exitDone, ""},
	} {
		if r := runCommand(t, test.env, "store", "init", "--if-missing"); r.status != test.status || !strings.Contains(r.stderr, test.part) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Users and clients are managed from a machine where no server runs: the store is shared.
func TestUsersOfASharedStoreAreManagedWithoutAServer(t *testing.T) {
	server, prefix := redistest.Shared(t)
	env := append(redisEnv(server.Addr(), prefix), "INGAM_DATA_DIR="+filepath.Join(t.TempDir(), "none"))
	if r := runCommand(t, env, "user", "add", "carol", "--no-password"); r.status != exitFailed || !strings.Contains(r.stderr, "'ingam store init'") {
		t.Errorf("before it is set up: %+v", r)
	}
	for _, args := range [][]string{{"store", "init"}, {"user", "add", "carol", "--no-password"}} {
		if r := runCommand(t, env, args...); r.status != exitDone {
			t.Fatalf("%v: %+v", args, r)
		}
	}
	if r := runCommand(t, env, "user", "list", "-v"); !strings.Contains(r.stdout, "carol") || !strings.Contains(r.stderr, server.Addr()) {
		t.Errorf("%+v", r)
	}
}
