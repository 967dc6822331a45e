package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
	"github.com/ingam/ingam/storage/redis"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// patient is what the doctor of these tests looks at.
type patient struct {
	storage.Store
	mu       sync.Mutex // findings and looks, where another goroutine looks
	findings []redis.Finding
	looks    int
	err      error // of the doctor
	pingErr  error
	log      bytes.Buffer
}

func (p *patient) Ping(context.Context) error { return p.pingErr }

func (p *patient) doctor(context.Context) ([]redis.Finding, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks++
	return p.findings, p.err
}

// shows changes what the doctor finds, and returns how often he has looked.
func (p *patient) shows(findings ...redis.Finding) (looks int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.findings = findings
	return p.looks
}

func (p *patient) health() *health {
	return &health{Store: p, doctor: p.doctor, log: slog.New(slog.NewTextHandler(&p.log, nil))}
}

// logged returns what was logged since the last call.
func (p *patient) logged() string {
	defer p.log.Reset()
	return p.log.String()
}

func policy(level redis.Level, says string) redis.Finding {
	f := redis.Finding{Name: "maxmemory-policy", Level: level, Says: says}
	if level != redis.OK {
		f.Fix = "set it to noeviction"
	}
	return f
}

// stubborn is a doctor who finishes what he has begun.
type stubborn struct {
	*patient
	begun chan struct{}
	done  atomic.Bool
}

func (s *stubborn) look(ctx context.Context) ([]redis.Finding, error) {
	close(s.begun)
	<-ctx.Done()
	time.Sleep(time.Second)
	s.done.Store(true)
	return nil, ctx.Err()
}

func TestTheWorkInTheBackgroundHasEndedWhenTheServerClosesTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stubborn{patient: &patient{Store: memory.New()}, begun: make(chan struct{})}
		h := s.health()
		h.doctor = s.look
		h.refused.Store(new("not fit")) // so that he looks before anything else happens
		c := newConfig()
		c.Issuer, c.DataDir, c.Keys.MasterKey = "https://login.example.test", t.TempDir(), "wpYbU9rEpBWbQyAtsKRWpJfW-gqAzrpTd4RHS0cLVek"
		in, err := build(t.Context(), c, staticRecords{}, nil, h.log)
		if err != nil {
			t.Fatal(err)
		}
		in.health = h
		stop := in.background(t.Context())
		<-s.begun
		if stop(); !s.done.Load() {
			t.Error("somebody still looks at the store")
		}
		if err := in.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Row S13.
func TestAServerIsNotAdmittedToAStoreThatTheDoctorRefuses(t *testing.T) {
	fsync := redis.Finding{Name: "appendfsync", Level: redis.Warn, Node: "10.0.0.1:6379", Says: "is everysec"}
	p := &patient{Store: memory.New(), findings: []redis.Finding{policy(redis.OK, "is noeviction"), fsync}}
	if err := p.health().admit(t.Context(), "the Redis"); err != nil {
		t.Error(err)
	}
	if log := p.logged(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "appendfsync") || strings.Contains(log, "maxmemory") {
		t.Error(log)
	}
	p.findings = []redis.Finding{
		policy(redis.Refuse, "is allkeys-lru"), fsync,
		{Name: "appendonly", Level: redis.Refuse, Node: "10.0.0.2:6379", Says: "is no", Fix: "turn it on"},
	}
	err := p.health().admit(t.Context(), "the Redis at x")
	if err == nil {
		t.Fatal("admitted")
	}
	for _, part := range []string{
		"the Redis at x", "maxmemory-policy: is allkeys-lru; set it to noeviction", "appendonly (10.0.0.2:6379): is no; turn it on",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "everysec") {
		t.Errorf("what is only a warning is named: %v", err)
	}
	p.err = errors.New("no route")
	if err := p.health().admit(t.Context(), "the Redis"); !errors.Is(err, p.err) {
		t.Error(err)
	}
}

func TestWhileSomethingIsRefusedTheServerIsNotReadyAndChangesAreLoggedOnce(t *testing.T) {
	p := &patient{Store: memory.New(), findings: []redis.Finding{policy(redis.OK, "is noeviction")}}
	h := p.health()
	step := func(ready bool, want ...string) {
		t.Helper()
		h.look(t.Context())
		if err := h.Ping(t.Context()); (err == nil) != ready {
			t.Errorf("Ping: %v", err)
		}
		log := p.logged()
		if got := strings.Count(log, "\n"); got != len(want) {
			t.Errorf("%d lines, want %d:\n%s", got, len(want), log)
		}
		for _, part := range want {
			if !strings.Contains(log, part) {
				t.Errorf("%q is not in\n%s", part, log)
			}
		}
	}
	step(true)
	p.findings = []redis.Finding{policy(redis.Refuse, "is allkeys-lru")}
	step(false, `level=ERROR msg="the store: a server must not run on this"`, `level=ERROR msg="the store is not fit`)
	step(false)
	p.findings = []redis.Finding{policy(redis.Warn, "is volatile-lru")}
	step(true, "level=WARN", `level=INFO msg="the store is fit`)
	step(true)
	p.findings = []redis.Finding{policy(redis.OK, "is noeviction")}
	step(true, "well again")
	// Row S17: somebody empties Redis.
	p.pingErr = errors.New("no longer holds the data")
	step(false, `level=ERROR msg="the store cannot be used`)
	step(false)
	p.pingErr = nil
	step(true, "can be used again")
	// A doctor who cannot look says nothing about what he saw before.
	p.findings, p.err = nil, errors.New("no route")
	step(true, "no route")
	p.err = nil
	step(true, "can be used again")
}

func TestTheDoctorLooksEachMinuteAndMoreOftenWhileSomethingIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &patient{Store: memory.New()}
		h := p.health()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { h.watch(ctx); close(ended) }()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if looks := p.shows(policy(redis.Refuse, "is allkeys-lru")); looks < 9 || looks > 11 {
			t.Errorf("%d looks in 10 minutes", looks)
		}
		time.Sleep(67 * time.Second)
		synctest.Wait()
		if h.Ping(ctx) == nil {
			t.Fatal("nobody has noticed")
		}
		p.shows()
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if err := h.Ping(ctx); err != nil {
			t.Errorf("healed, and not ready: %v", err)
		}
		cancel()
		<-ended
	})
}

// Rows S9, S13 and S17, with a real Redis: what others do to it while a server runs turns readiness off, and on again.
func TestReadinessFollowsWhatIsDoneToRedis(t *testing.T) {
	server := redistest.Start(t)
	c := newConfig()
	c.StorageDriver, c.Redis.Addresses, c.Redis.Timeout = driverRedis, []string{server.Addr()}, time.Second
	log := &syncBuffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	if made, err := c.initRedis(t.Context(), logger); err != nil || !made {
		t.Fatal(made, err)
	}
	_, h, err := c.openStore(t.Context(), logger)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	set := func(policy string) func() error {
		return func() error { return server.Client().ConfigSet(t.Context(), "maxmemory-policy", policy).Err() }
	}
	for _, step := range []struct {
		what  string
		do    func() error
		ready bool
	}{
		{"nothing", func() error { return nil }, true},
		{"eviction on", set("allkeys-lru"), false},
		{"eviction off", set("noeviction"), true},
		{"killed", server.Kill, false},
		{"restarted", server.Restart, true},
		{"emptied", func() error { return server.Client().FlushAll(t.Context()).Err() }, false},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		h.look(t.Context())
		if err := h.Ping(t.Context()); (err == nil) != step.ready {
			t.Errorf("%s: %v\n%s", step.what, err, log)
		}
	}
}
