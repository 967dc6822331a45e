package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage"
)

// A step is one verb whose reply gets lost, and what must be true when the caller asks again.
type step struct {
	name string
	do   func() error
	// settle asks again and says by an error what is wrong.
	settle func() error
	// look: the verb also looks at the user, in a command of its own.
	look string
	// indexed: in a cluster an index is written before this script runs.
	indexed script
}

// cuts are the ways in which the reply to a step can get lost.
func (n *torn) cuts(st step) []cut {
	all := []cut{{of: "EVALSHA", sent: 1}}
	if st.indexed != (script{}) && n.cfg.Mode == Cluster {
		return append(all, cut{of: st.indexed.sha, sent: 2}) // the first one is of the index
	}
	if st.look != "" && n.cfg.Mode == Single { // one pipeline: the reply of the script arrives, that of the look does not
		return append(all, cut{of: "EVALSHA", keep: true, sent: 1})
	}
	if st.look != "" {
		all = append(all, cut{of: st.look, read: true, sent: 1})
	}
	return all
}

// cut says which reply is lost. A cluster client may ask again by itself for what is only a read.
type cut struct {
	of         string
	keep, read bool
	sent       int // calls of scripts, if nothing is sent twice
}

// T5, R15, S11: the reply to each verb of a sign-in gets lost, one after the other. The caller sees a failure, the driver
// has not sent anything twice, and asking again settles what has happened.
func TestALostReplyIsAFailureThatAskingAgainSettles(t *testing.T) {
	for _, on := range []struct {
		topology string
		start    func(testing.TB) *torn
	}{{"single", tornSingle}, {"cluster", tornCluster}} {
		t.Run(on.topology, func(t *testing.T) {
			n := on.start(t)
			n.knowScripts(t)
			u := aUser(t, n.Store, "u")
			var cuts, again, resent, silent, unsettled int
			for round := range figure(2, 50) {
				for _, st := range n.flow(t, u, round) {
					for _, c := range n.cuts(st) {
						cuts++
						sent, err := n.lose(t, c, st.do)
						if !storage.IsFailure(err) && !c.read {
							silent++
							t.Errorf("%s, reply to %s lost: %v, and not a failure", st.name, c.of, err)
						}
						if sent != c.sent {
							resent++
							t.Errorf("%s, reply to %s lost: the server was asked %d times", st.name, c.of, sent)
						}
					}
					again++
					if err := st.settle(); err != nil {
						unsettled++
						t.Errorf("%s: %v", st.name, err)
					}
				}
			}
			promised(t, on.topology, "reply lost", silent+resent+unsettled,
				"lost=%d not_a_failure=%d sent_twice=%d settled=%d unsettled=%d", cuts, silent, resent, again-unsettled, unsettled)
		})
	}
}

// lose runs a verb whose reply gets lost, and returns how many calls of scripts reached the servers.
func (n *torn) lose(t testing.TB, c cut, do func() error) (sent int, err error) {
	t.Helper()
	before := n.calls(t)
	n.mu.Lock()
	n.command, n.keep, n.struck = []byte(c.of), c.keep, false
	n.mu.Unlock()
	err = do()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.command = nil; !n.struck {
		t.Fatalf("no reply to %s was lost", c.of)
	}
	return n.calls(t) - before, err
}

// flow is a sign-in and what operators do beside it. Ids differ from round to round.
func (n *torn) flow(t testing.TB, u storage.User, round int) []step {
	return slices.Concat(n.grantSteps(t, u, round), n.otherSteps(t, round), n.entrySteps(t, round))
}

// newGrant makes a grant on the way to a step.
func (n *torn) newGrant(t testing.TB, id string, u storage.User, generation uint64) string {
	t.Helper()
	need(t, "create a grant", n.CreateGrant(t.Context(), aGrant(id, u, generation)))
	return id
}

// expect asks for a rotation and compares the answer.
func (n *torn) expect(ctx context.Context, r storage.Rotation, want storage.Outcome, generation uint64) error {
	outcome, g, err := n.Rotate(ctx, r)
	if err != nil || outcome != want || g.Generation != generation {
		return fmt.Errorf("%q asked again: %v, generation %d, %w; want %v, %d", r.Attempt, outcome, g.Generation, err, want, generation)
	}
	return nil
}

func (n *torn) grantSteps(t testing.TB, u storage.User, round int) []step {
	ctx := t.Context()
	id := func(kind string) string { return fmt.Sprintf("%s-%d", kind, round) }
	born := aGrant(id("born"), u, 0)
	code := aRotation(n.newGrant(t, id("code"), u, 0), u, 0, "a")
	refresh := aRotation(n.newGrant(t, id("refresh"), u, 7), u, 7, "a")
	strict := aRotation(n.newGrant(t, id("strict"), u, 7), u, 7, "a")
	revoked := n.newGrant(t, id("revoked"), u, 1)
	rotate := func(r storage.Rotation) func() error {
		return func() error { _, _, err := n.Rotate(ctx, r); return err }
	}
	look := "HMGET\r\n$" + strconv.Itoa(len(n.names.user(u.ID))) + "\r\n" + n.names.user(u.ID)
	refresh.Grace = time.Hour
	other := func(r storage.Rotation) storage.Rotation { r.Attempt = "b"; return r }
	return []step{
		{name: "CreateGrant", indexed: scriptGrantCreate, do: func() error { return n.CreateGrant(ctx, born) }, settle: func() error {
			if err := n.CreateGrant(ctx, born); !errors.Is(err, storage.ErrExists) {
				return fmt.Errorf("created again: %w", err)
			}
			return n.expect(ctx, aRotation(born.ID, u, 0, "a"), storage.Rotated, 1)
		}},
		{name: "Rotate a code", look: look, do: rotate(code), settle: func() error {
			return errors.Join(n.expect(ctx, code, storage.Rotated, 1), n.expect(ctx, other(code), storage.Reused, 1))
		}},
		{name: "Rotate with a window", look: look, do: rotate(refresh), settle: func() error {
			return errors.Join(n.expect(ctx, other(refresh), storage.Replayed, 8), n.expect(ctx, refresh, storage.Rotated, 8))
		}},
		{name: "Rotate without a window", look: look, do: rotate(strict), settle: func() error {
			return errors.Join(n.expect(ctx, strict, storage.Rotated, 8), n.expect(ctx, other(strict), storage.Reused, 8))
		}},
		{name: "RevokeGrant", do: func() error { return n.RevokeGrant(ctx, revoked, "why") }, settle: func() error {
			return errors.Join(n.RevokeGrant(ctx, revoked, "other"), n.expect(ctx, aRotation(revoked, u, 1, "a"), storage.Dead, 1))
		}},
	}
}

func (n *torn) otherSteps(t testing.TB, round int) []step {
	ctx := t.Context()
	id := func(kind string) string { return fmt.Sprintf("%s-%d", kind, round) }
	made := storage.User{ID: id("made"), Username: id("name")}
	changed := aUser(t, n.Store, id("changed"))
	changed.Disabled = true
	ring, err := n.KeyRing(ctx)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	budget := storage.Budget{Key: id("budget"), Burst: 2, Every: time.Hour}
	mark, until := id("mark"), time.Now().Add(time.Hour)
	return []step{
		{name: "CreateUser", do: func() error { return n.CreateUser(ctx, made) }, settle: func() error {
			if err := n.CreateUser(ctx, made); !errors.Is(err, storage.ErrExists) {
				return fmt.Errorf("created again: %w", err)
			}
			return hasUser(ctx, n.Store, made.ID, 1, false)
		}},
		{name: "ReplaceUser", do: func() error { return n.ReplaceUser(ctx, changed) }, settle: func() error {
			if err := n.ReplaceUser(ctx, changed); !errors.Is(err, storage.ErrConflict) {
				return fmt.Errorf("replaced again: %w", err)
			}
			return hasUser(ctx, n.Store, changed.ID, 2, true)
		}},
		{name: "PutKeyRing", do: func() error { return n.PutKeyRing(ctx, ring) }, settle: func() error {
			if err := n.PutKeyRing(ctx, ring); !errors.Is(err, storage.ErrConflict) {
				return fmt.Errorf("put again: %w", err)
			}
			after, err := n.KeyRing(ctx)
			if err != nil || after.Version != ring.Version+1 {
				return fmt.Errorf("the ring has version %d, %w; want %d", after.Version, err, ring.Version+1)
			}
			return nil
		}},
		{name: "Remember", do: func() error { _, err := n.Remember(ctx, mark, until); return err }, settle: func() error {
			if first, err := n.Remember(ctx, mark, until); first || err != nil {
				return fmt.Errorf("remembered again: first=%v, %w", first, err)
			}
			return nil
		}},
		{name: "Spend", do: func() error { _, err := n.Spend(ctx, budget); return err }, settle: func() error {
			first, err1 := n.Spend(ctx, budget)
			second, err2 := n.Spend(ctx, budget)
			if err := errors.Join(err1, err2); err != nil || first != 0 || second == 0 {
				return fmt.Errorf("a budget of 2 after one lost reply: %v, %v, %w", first, second, err)
			}
			return nil
		}},
	}
}

func (n *torn) entrySteps(t testing.TB, round int) []step {
	ctx := t.Context()
	entry := func(kind string) storage.Entry { return testEntry(fmt.Sprintf("%s-%d", kind, round), time.Time{}) }
	born, changed, taken := entry("born"), entry("changed"), entry("taken")
	need(t, "create an entry", n.CreateEntry(ctx, changed))
	need(t, "create an entry", n.CreateEntry(ctx, taken))
	changed.Version = 1
	return []step{
		{name: "CreateEntry", indexed: scriptEntryCreate, do: func() error { return n.CreateEntry(ctx, born) }, settle: func() error {
			if err := n.CreateEntry(ctx, born); !errors.Is(err, storage.ErrExists) {
				return fmt.Errorf("created again: %w", err)
			}
			return n.listed(ctx, born, 1)
		}},
		{name: "ReplaceEntry", indexed: scriptEntryReplace, do: func() error { return n.ReplaceEntry(ctx, changed) }, settle: func() error {
			if err := n.ReplaceEntry(ctx, changed); !errors.Is(err, storage.ErrConflict) {
				return fmt.Errorf("replaced again: %w", err)
			}
			return n.listed(ctx, changed, 2)
		}},
		{name: "TakeEntry", do: func() error { return first(n.TakeEntry(ctx, taken.Kind, taken.ID)) }, settle: func() error {
			if _, err := n.TakeEntry(ctx, taken.Kind, taken.ID); !errors.Is(err, storage.ErrNotFound) {
				return fmt.Errorf("taken again: %w", err)
			}
			return n.listed(ctx, taken, 0)
		}},
	}
}

// listed tells by an error that its owner does not have the entry once, with that version; 0 is not at all.
func (n *torn) listed(ctx context.Context, e storage.Entry, version uint64) error {
	list, err := n.EntriesOf(ctx, e.Kind, e.Owner, 1000)
	var versions []uint64
	for _, other := range list {
		if other.ID == e.ID {
			versions = append(versions, other.Version)
		}
	}
	var want []uint64
	if version > 0 {
		want = []uint64{version}
	}
	if err != nil || !slices.Equal(versions, want) {
		return fmt.Errorf("listed with versions %v, %w; want %v", versions, err, want)
	}
	return nil
}

// hasUser tells by an error that a user is not as wanted.
func hasUser(ctx context.Context, s *Store, id string, version uint64, disabled bool) error {
	u, err := s.User(ctx, id)
	if err != nil || u.Version != version || u.Disabled != disabled {
		return fmt.Errorf("the user has version %d, disabled=%v, %w; want %d, %v", u.Version, u.Disabled, err, version, disabled)
	}
	return nil
}

// The count above can tell: the driver does send again what is not marked with once, in a cluster even with MaxRetries -1.
func TestADriverThatSendsAgainShowsInTheCount(t *testing.T) {
	increment := "return redis.call('INCR', KEYS[1])"
	for _, on := range []struct {
		topology string
		start    func(testing.TB) *torn
	}{{"single", tornSingle}, {"cluster", tornCluster}} {
		t.Run(on.topology, func(t *testing.T) {
			n := on.start(t)
			driver := n.client
			if on.topology == "single" {
				o := n.cfg.options()
				o.MaxRetries = 0 // the driver's default
				driver = goredis.NewUniversalClient(o)
				defer func() { need(t, "close", driver.Close()) }()
			}
			var value int64
			sent, err := n.lose(t, cut{of: "INCR"}, func() (err error) {
				value, err = driver.Eval(t.Context(), increment, []string{n.names.prefix + "counter"}).Int64()
				return err
			})
			if sent < 2 || value < 2 || err != nil {
				t.Errorf("the lost reply was not asked for again: sent %d times, counted %d, %v", sent, value, err)
			}
		})
	}
}
