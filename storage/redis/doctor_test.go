package redis

import (
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// diagnose returns the findings by name.
func diagnose(t *testing.T, cfg Config) map[string]Finding {
	t.Helper()
	found, err := open(t, cfg).Doctor(t.Context())
	must(t, err)
	byName := map[string]Finding{}
	for _, f := range found {
		if (f.Fix == "") != (f.Level == OK) {
			t.Errorf("%s is %s with the advice %q", f.Name, f.Level, f.Fix)
		}
		byName[f.Name] = f
	}
	return byName
}

func TestTheDoctorIsContentWithAServerSetUpAsAdvised(t *testing.T) {
	server := redistest.Start(t)
	found := diagnose(t, Config{Addresses: []string{server.Addr()}})
	for _, name := range []string{
		"version", "role", "maxmemory-policy", "appendonly", "appendfsync", "replicas", "min-replicas-to-write", "clock",
	} {
		if f, ok := found[name]; !ok || f.Level != OK {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestTheDoctorNamesWhatIsWrong(t *testing.T) {
	evicting := redistest.Start(t, redistest.Config("maxmemory-policy", "allkeys-lru"))
	volatile := redistest.Start(t, redistest.Config("appendonly", "no"))
	everysec := redistest.Start(t, redistest.AppendFsync("everysec"))
	for _, c := range []struct {
		name   string
		cfg    Config
		level  Level
		advice string
	}{
		{"maxmemory-policy", Config{Addresses: []string{evicting.Addr()}}, Refuse, "noeviction"},
		{"appendonly", Config{Addresses: []string{volatile.Addr()}}, Refuse, "appendonly yes"},
		{"appendonly", Config{Addresses: []string{volatile.Addr()}, AllowVolatile: true}, Warn, "allow_volatile"},
		{"appendfsync", Config{Addresses: []string{everysec.Addr()}}, Warn, "appendfsync always"},
	} {
		f := diagnose(t, c.cfg)[c.name]
		if f.Level != c.level || !strings.Contains(f.Fix, c.advice) {
			t.Errorf("%s: %+v, want %s with advice about %q", c.name, f, c.level, c.advice)
		}
	}
}

func TestTheDoctorKnowsWhatTheArrangementNeeds(t *testing.T) {
	group, prefix := redistest.SharedSentinel(t)
	cfg := sentinelConfig(group, prefix)
	cfg.Durability, cfg.Replicas = Replicated, 2
	if f := diagnose(t, cfg)["replicas"]; f.Level != OK || f.Says != "2" {
		t.Errorf("replicas, with two of two: %+v", f)
	}
	cfg.Replicas = 3
	s := reopen(t, cfg) // no Init: with too few replicas every write fails
	found, err := s.Doctor(t.Context())
	must(t, err)
	for _, f := range found {
		if f.Name == "replicas" && (f.Level != Warn || !strings.Contains(f.Fix, "wants 3")) {
			t.Errorf("replicas, with two of three: %+v", f)
		}
	}
}

func TestTheDoctorLooksAtEveryPrimaryOfACluster(t *testing.T) {
	cluster, prefix := redistest.SharedCluster(t)
	found, err := open(t, clusterConfig(cluster, prefix)).Doctor(t.Context())
	must(t, err)
	nodes := map[string]bool{}
	for _, f := range found {
		nodes[f.Node] = true
	}
	if len(nodes) != 3 || nodes[""] {
		t.Errorf("looked at %v, want three nodes by address", nodes)
	}
}

// What cannot be arranged on one machine is asked of the rules themselves.
func TestTheDoctorsRules(t *testing.T) {
	plain, waiting, sentinel := &Store{}, &Store{cfg: Config{Fsync: true}}, &Store{cfg: Config{Mode: Sentinel}}
	info := func(pairs ...string) vitals {
		v := vitals{info: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			v.info[pairs[i]] = pairs[i+1]
		}
		return v
	}
	for _, c := range []struct {
		what string
		got  Finding
		want Level
	}{
		{"7.0", plain.version(info("redis_version", "7.0.0")), OK},
		{"6.2", plain.version(info("redis_version", "6.2.14")), Refuse},
		{"8.0 is newer than 7.2", waiting.version(info("redis_version", "8.0.2")), OK},
		{"7.2 has WAITAOF", waiting.version(info("redis_version", "7.2.0")), OK},
		{"7.0 has no WAITAOF", waiting.version(info("redis_version", "7.0.15")), Refuse},
		{"no version", plain.version(info()), Refuse},
		{"nonsense", plain.version(info("redis_version", "new.est")), Refuse},
		{"a primary", plain.role(info("role", "master", "master_replid", "0f")), OK},
		{"a primary without a fence", plain.role(info("role", "master")), Refuse},
		{"a replica", plain.role(info("role", "slave")), Refuse},
		{"a failed append", plain.persistence(info("aof_enabled", "1", "aof_last_write_status", "err")), Warn},
		{"hidden configuration", plain.syncing(vitals{}), Warn},
		{"min-replicas with sentinels", sentinel.minReplicas(info("min_slaves_good_slaves", "1")), OK},
		{"all replicas away", sentinel.minReplicas(info("min_slaves_good_slaves", "0")), Warn},
		{"no min-replicas with sentinels", sentinel.minReplicas(info()), Warn},
		{"clocks alike", clocks(vitals{}), OK},
		{"a second off", clocks(vitals{clock: -time.Second}), OK},
		{"more than a second", clocks(vitals{clock: -1100 * time.Millisecond}), Warn},
		{"half a minute", clocks(vitals{clock: 30 * time.Second}), Warn},
		{"more than that", clocks(vitals{clock: 31 * time.Second}), Refuse}, // K7
	} {
		if c.got.Level != c.want {
			t.Errorf("%s: %+v, want %s", c.what, c.got, c.want)
		}
	}
}
