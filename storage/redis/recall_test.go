package redis

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// twoNodes are two stores on the same data, as two processes would have them.
func twoNodes(t *testing.T) (one, other *Store, server *redistest.Server) {
	t.Helper()
	server, prefix := redistest.Shared(t)
	cfg := Config{Addresses: []string{server.Addr()}, Prefix: prefix}
	return open(t, cfg), reopen(t, Config{Addresses: cfg.Addresses, Prefix: prefix, Timeout: MaxTimeout}), server
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAClientChangedAtAnotherNodeCountsHereWithinTheFreshness(t *testing.T) {
	one, other, _ := twoNodes(t)
	must(t, one.CreateClient(t.Context(), storage.Client{ID: "c", Name: "before"}))
	c, err := other.Client(t.Context(), "c")
	must(t, err)
	c.Name = "after"
	must(t, one.ReplaceClient(t.Context(), c))
	changed := time.Now()
	// Here at once …
	if c, err := one.Client(t.Context(), "c"); err != nil || c.Name != "after" {
		t.Errorf("at the node that changed it: %q, %v", c.Name, err)
	}
	// … and there in time, for a client that is used all the while.
	for c.Name = ""; c.Name != "after"; time.Sleep(time.Millisecond) {
		since := time.Since(changed) // when asking, however long the answer takes
		if c, err = other.Client(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if since > storage.ClientFreshness && c.Name != "after" {
			t.Fatalf("after %v the other node still has the old one", since)
		}
	}
	must(t, one.DeleteClient(t.Context(), "c"))
	deleted := time.Now()
	for err = nil; !errors.Is(err, storage.ErrNotFound); time.Sleep(time.Millisecond) {
		since := time.Since(deleted)
		if _, err = other.Client(t.Context(), "c"); err == nil && since > storage.ClientFreshness {
			t.Fatalf("after %v the other node still has the deleted one", since)
		}
	}
}

func TestAClientThatIsUsedAllTheTimeCostsNoRequestARoundTrip(t *testing.T) {
	one, _, server := twoNodes(t)
	must(t, one.CreateClient(t.Context(), storage.Client{ID: "c"}))
	before := calls(t, server, "hget")
	// Longer than the freshness, and often enough to tell, however slow the machine is.
	asked := 0
	for begun := time.Now(); time.Since(begun) < 3*time.Second || asked < 1000; asked++ {
		if _, err := one.Client(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Microsecond)
	}
	// The server is shared with other tests, which read clients too but not by the thousand.
	if read := calls(t, server, "hget") - before; read > asked/4 {
		t.Errorf("%d look-ups read Redis %d times", asked, read)
	}
}

// calls is how often the server has run a command.
func calls(t *testing.T, server *redistest.Server, command string) (n int) {
	t.Helper()
	stats, err := server.Info(t.Context(), "commandstats")
	must(t, err)
	_, _ = fmt.Sscanf(stats["cmdstat_"+command], "calls=%d", &n) // 0 for a command never run
	return n
}

func TestWhatIsRecalledNeverDecides(t *testing.T) {
	one, other, _ := twoNodes(t)
	must(t, one.CreateUser(t.Context(), storage.User{ID: "u", Username: "before"}))
	must(t, one.CreateGrant(t.Context(), testGrant("g")))
	u, err := other.RecallUser(t.Context(), "u")
	must(t, err)
	_, err = other.RecallGrant(t.Context(), "g")
	must(t, err)
	refresh := func(s *Store, generation uint64, u storage.User) storage.Outcome {
		t.Helper()
		outcome, _, err := s.Rotate(t.Context(), storage.Rotation{
			GrantID: "g", Generation: generation, Attempt: fmt.Sprint(generation), IdleLifetime: time.Hour,
			UserID: u.ID, UserEpoch: u.Epoch, UserVersion: u.Version,
		})
		must(t, err)
		return outcome
	}

	// A new name: the old user is told so, and the same attempt goes through with the new one.
	renamed := u
	renamed.Username = "after"
	must(t, one.ReplaceUser(t.Context(), renamed))
	if outcome := refresh(other, 1, u); outcome != storage.Outdated {
		t.Errorf("with the user of before: %v, want outdated", outcome)
	}
	u, err = other.RecallUser(t.Context(), "u")
	if must(t, err); u.Username != "after" {
		t.Errorf("recalled %q after being told that it is outdated", u.Username)
	}
	if outcome := refresh(other, 1, u); outcome != storage.Rotated {
		t.Errorf("the same attempt with the new user: %v, want rotated", outcome)
	}

	// One node rotates, the other recalls the generation of before: it may, and Rotate knows better.
	if outcome := refresh(one, 2, u); outcome != storage.Rotated {
		t.Fatal(outcome)
	}
	g, err := other.RecallGrant(t.Context(), "g")
	if must(t, err); g.Generation != 2 {
		t.Errorf("recalled generation %d: this test proves nothing", g.Generation)
	}
	if outcome := refresh(other, 3, u); outcome != storage.Rotated {
		t.Errorf("the current generation at the node that recalls an older one: %v, want rotated", outcome)
	}

	// Revoked there, recalled alive here, dead all the same; and from then on recalled dead.
	must(t, one.RevokeGrant(t.Context(), "g", "for a test"))
	if outcome := refresh(other, 4, u); outcome != storage.Dead {
		t.Errorf("revoked at the other node: %v, want dead", outcome)
	}
	if g, err := other.RecallGrant(t.Context(), "g"); err != nil || !g.Revoked || g.RevokedReason != "for a test" {
		t.Errorf("recalled %v %q, %v", g.Revoked, g.RevokedReason, err)
	}
	if g, err := other.Grant(t.Context(), "g"); err != nil || g.Generation != 4 {
		t.Errorf("generation %d, %v; want 4", g.Generation, err)
	}
}

func TestMemoryIsBoundedAndKeepsWhatIsUsed(t *testing.T) {
	m := newMemory[int](100)
	for i := range 1000 {
		m.put(fmt.Sprint(i), i)
		if v, _, ok := m.get("0"); !ok || v != 0 {
			t.Fatalf("what is used all the time was dropped at %d", i)
		}
		if n := len(m.young) + len(m.old); n > 100 {
			t.Fatalf("%d values, at most 100", n)
		}
	}
	if _, _, ok := m.get("500"); ok {
		t.Error("what was not used for long is still there")
	}
}

func TestMemoryIsNotFilledByAReadFromBeforeAChange(t *testing.T) {
	m := newMemory[string](10)
	ticket := m.ticket()
	m.forget("k") // somebody changes it while the read is on its way
	m.putIf(ticket, "k", "old")
	if v, _, ok := m.get("k"); ok {
		t.Errorf("remembered %q, which may be from before the change", v)
	}
	m.putIf(m.ticket(), "k", "new")
	if v, _, _ := m.get("k"); v != "new" {
		t.Errorf("remembered %q, want new", v)
	}
}

func TestMemoryIsSafeForConcurrentUse(t *testing.T) {
	m := newMemory[int](8)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 2000 {
				key := fmt.Sprint(n % 16)
				m.putIf(m.ticket(), key, i)
				m.get(key)
				if m.renew(key) {
					m.renewed(key)
				}
				m.forget(key)
			}
		})
	}
	wg.Wait()
}
