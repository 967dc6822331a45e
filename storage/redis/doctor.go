package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	OK     Level = "ok"
	Warn   Level = "warn"   // works, and promises less than it could
	Refuse Level = "refuse" // a server must not run on this
)

// Finding is one thing that the doctor looked at.
type Finding struct {
	Name  string `json:"name"` // what was looked at, like "maxmemory-policy"; the same in every version
	Level Level  `json:"level"`
	Node  string `json:"node,omitempty"` // address of the Redis node, where there are several
	Says  string `json:"says"`           // what was found
	Fix   string `json:"fix,omitempty"`  // what to do, "" when all is well
}

// Bounds of the doctor. Clocks matter because nodes give absolute ends to grants and Redis decides by its own clock.
const (
	clockWarn   = time.Second
	clockRefuse = 30 * time.Second
)

// Doctor looks at the servers behind the store: every primary, by INFO, TIME and, where the ACL allows it, CONFIG GET. An
// error means that it could not look.
func (s *Store) Doctor(ctx context.Context) ([]Finding, error) {
	if err := s.alive(ctx); err != nil {
		return nil, err
	}
	call, done := context.WithTimeout(ctx, 5*time.Second)
	defer done()
	primaries, err := s.primaries(call)
	if err != nil {
		return nil, failed("doctor", err)
	}
	var all []Finding
	for _, primary := range primaries {
		found, err := s.examine(call, primary)
		if err != nil {
			return nil, failed("doctor", err)
		}
		for i := range found {
			if len(primaries) > 1 {
				found[i].Node = primary.Options().Addr
			}
		}
		all = append(all, found...)
	}
	return all, nil
}

// vitals are what one server says about itself.
type vitals struct {
	info        map[string]string
	appendfsync string // "" if the ACL does not let us see it
	clock       time.Duration
}

func (s *Store) examine(ctx context.Context, node *goredis.Client) ([]Finding, error) {
	text, err := node.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	v := vitals{info: parseInfo(text)}
	before := time.Now()
	theirs, err := node.Time(ctx).Result()
	if err != nil {
		return nil, err
	}
	// Their answer is from somewhere between question and answer; only what lies outside is a difference.
	switch after := time.Now(); {
	case theirs.Before(before):
		v.clock = theirs.Sub(before)
	case theirs.After(after):
		v.clock = theirs.Sub(after)
	}
	// An error is the ACL's refusal, or a service that hides its configuration: then it stays unknown.
	if config, err := node.ConfigGet(ctx, "appendfsync").Result(); err == nil {
		v.appendfsync = config["appendfsync"]
	}
	return []Finding{
		s.version(v), s.role(v), s.eviction(v), s.persistence(v), s.syncing(v), s.replicas(v), s.minReplicas(v), clocks(v),
	}, nil
}

// parseInfo reads what INFO says.
func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

func (s *Store) version(v vitals) Finding {
	f := Finding{Name: "version", Says: v.info["redis_version"]}
	if f.Says == "" {
		f.Says = "unknown"
	}
	least := [2]int{7, 0} // before it, a script could write in spite of min-replicas-to-write
	if s.cfg.Fsync {
		least = [2]int{7, 2} // WAITAOF
	}
	major, rest, _ := strings.Cut(f.Says, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errMajor := strconv.Atoi(major)
	b, errMinor := strconv.Atoi(minor)
	if errMajor != nil || errMinor != nil || a < least[0] || a == least[0] && b < least[1] {
		return f.bad(Refuse, fmt.Sprintf("use Redis %d.%d or newer", least[0], least[1]))
	}
	return f.good()
}

func (s *Store) role(v vitals) Finding {
	f := Finding{Name: "role", Says: v.info["role"]}
	if f.Says == "master" && v.info["master_replid"] == "" {
		f.Says = "master, without master_replid in INFO"
		return f.bad(Refuse, "use a Redis that shows it: without it nothing tells one primary from another after a failover")
	}
	if f.Says != "master" {
		return f.bad(Refuse, "connect to the primary: a replica refuses writes, and what it knows may be old")
	}
	return f.good()
}

func (s *Store) eviction(v vitals) Finding {
	f := Finding{Name: "maxmemory-policy", Says: v.info["maxmemory_policy"]}
	if f.Says != "noeviction" {
		return f.bad(Refuse, "set maxmemory-policy noeviction: with any other, Redis forgets used tokens and users when memory is short")
	}
	return f.good()
}

func (s *Store) persistence(v vitals) Finding {
	f := Finding{Name: "appendonly", Says: onOff(v.info["aof_enabled"] == "1")}
	switch {
	case v.info["aof_enabled"] == "1" && v.info["aof_last_write_status"] != "ok":
		f.Says = "yes, and its last write failed: " + v.info["aof_last_write_status"]
		return f.bad(Warn, "look at the disk of Redis")
	case v.info["aof_enabled"] == "1":
		return f.good()
	case s.cfg.AllowVolatile:
		return f.bad(Warn, "users, clients, keys and sign-ins are gone when Redis restarts (storage.redis.allow_volatile accepts it)")
	}
	return f.bad(Refuse, "set appendonly yes: without it users, clients, keys and sign-ins are gone when Redis restarts")
}

func (s *Store) syncing(v vitals) Finding {
	f := Finding{Name: "appendfsync", Says: v.appendfsync}
	switch v.appendfsync {
	case "always":
		return f.good()
	case "":
		f.Says = "not allowed to look (CONFIG GET)"
		return f.bad(Warn, "see to it that appendfsync is always, or let the ACL user run CONFIG GET")
	}
	return f.bad(Warn, "set appendfsync always: with "+v.appendfsync+", a crash of Redis forgets writes that it has acknowledged")
}

func (s *Store) replicas(v vitals) Finding {
	f := Finding{Name: "replicas", Says: v.info["connected_slaves"]}
	connected, err := strconv.Atoi(f.Says)
	if s.cfg.Durability == Replicated && (err != nil || connected < s.cfg.Replicas) {
		return f.bad(Warn, fmt.Sprintf("durability is replicated and wants %d: every write is answered 503 until they are there", s.cfg.Replicas))
	}
	return f.good()
}

// minReplicas: INFO has min_slaves_good_slaves exactly where min-replicas-to-write is set.
func (s *Store) minReplicas(v vitals) Finding {
	good, set := v.info["min_slaves_good_slaves"]
	f := Finding{Name: "min-replicas-to-write", Says: "not set"}
	if set {
		f.Says = "set; good replicas now: " + good
		if good == "0" {
			return f.bad(Warn, "bring a replica back: if min-replicas-to-write is 1 or more, every write is refused and answered 503")
		}
		return f.good()
	}
	if s.cfg.Mode == Single {
		return f.good() // there is nobody to fail over to
	}
	return f.bad(Warn, "set min-replicas-to-write 1 and min-replicas-max-lag 3: "+
		"a primary that was cut off then stops taking writes that the failover forgets")
}

func clocks(v vitals) Finding {
	f := Finding{Name: "clock", Says: "as ours"}
	off := v.clock.Abs()
	if off > 0 {
		f.Says = fmt.Sprintf("%v from ours", v.clock.Round(time.Millisecond))
	}
	switch {
	case off > clockRefuse:
		return f.bad(Refuse, "set the clocks (NTP): life times of tokens and sign-ins would be wrong by that much")
	case off > clockWarn:
		return f.bad(Warn, "set the clocks (NTP)")
	}
	return f.good()
}

func (f Finding) good() Finding {
	f.Level = OK
	return f
}

func (f Finding) bad(level Level, fix string) Finding {
	f.Level, f.Fix = level, fix
	return f
}

func onOff(on bool) string {
	if on {
		return "yes"
	}
	return "no"
}
