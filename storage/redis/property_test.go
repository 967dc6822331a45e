package redis

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
	"github.com/ingam/ingam/storage/storagetest/property"
)

// timed is a script that is told the time by its last two arguments, and is otherwise the same text. So it meets the edges
// of windows to the microsecond, and clocks that jump, in the Lua of a real server.
func timed(t *testing.T, sc script) script {
	t.Helper()
	return mutated(t, sc, "redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}")
}

// mutated is a script with another text in one place.
func mutated(t *testing.T, sc script, text, other string) script {
	t.Helper()
	if n := strings.Count(sc.source, text); n != 1 {
		t.Fatalf("a script has %q %d times, want once", text, n)
	}
	return script{source: strings.Replace(sc.source, text, other, 1)}
}

// bench is a store whose scripts are run at times of our choice. They are days ahead, so that the server, which goes by
// its own clock, drops no key meanwhile.
type bench struct {
	t    *testing.T // for what is no fault of the script
	s    *Store
	now  time.Time
	base time.Time
	keys int // made so far
}

func newBench(t *testing.T) *bench {
	t.Helper()
	server, prefix := redistest.Shared(t)
	base := time.Now().UTC().Truncate(time.Second).Add(72 * time.Hour)
	return &bench{t: t, s: open(t, Config{Addresses: []string{server.Addr()}, Prefix: prefix}), base: base}
}

// run runs a timed script now; a reply of nil is ErrNotFound.
func (b *bench) run(sc script, key string, args ...any) (any, error) {
	b.t.Helper()
	return b.runOn(sc, []string{key}, args...)
}

func (b *bench) runOn(sc script, keys []string, args ...any) (any, error) {
	b.t.Helper()
	args = append(slices.Clone(args), b.now.Unix(), b.now.Nanosecond()/1000)
	cmd := sc.bySource(b.t.Context(), keys, args)
	err := b.s.client.Process(b.t.Context(), cmd)
	if errors.Is(err, goredis.Nil) {
		return nil, storage.ErrNotFound
	}
	b.ok(err)
	return cmd.Val(), nil
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// T12, A18, K7, R9, R13: what a script decides is what the specification decides.
func TestTheScriptOfRotationIsItsSpecification(t *testing.T) {
	property.Holds(t, property.Count(500, 10_000), rotatesAsSpecified(newBench(t), timed(t, scriptGrantRotate)))
}

// near draws a time at one of the edges or a microsecond beside it, or anywhere.
func near(t *rapid.T, what string, edges ...time.Time) time.Time {
	edge := rapid.SampledFrom(edges).Draw(t, what)
	return edge.Add(time.Microsecond * rapid.SampledFrom([]time.Duration{0, 0, 1, -1, 1e6, -1e6}).Draw(t, what+": beside it"))
}

var (
	tries   = rapid.SampledFrom([]string{"", "a", "b"})
	windows = rapid.SampledFrom([]time.Duration{0, time.Microsecond, 10 * time.Second, time.Hour})
	steps   = rapid.SampledFrom([]int64{0, 0, -1, -1, -1, -2, -1 << 40, 1, 1 << 40})
)

// drawGrant draws a grant in any state, at the time now.
func drawGrant(t *rapid.T, id string, now time.Time) storage.Grant {
	g := storage.Grant{
		ID: id, ClientID: "c", UserID: "u", UserEpoch: 1, Scopes: []string{"a", "b"}, Audience: []string{"api"}, Nonce: []byte("n"),
		AuthTime: now.Add(-time.Hour), BornAt: now.Add(-time.Hour),
		Generation: rapid.SampledFrom([]uint64{0, 1, 2, 9, 1 << 31, 1 << 52}).Draw(t, "generation"),
		ExpiresAt:  near(t, "ends", now, now.Add(time.Hour), now.Add(time.Hour), now.Add(time.Hour)),
	}
	g.IdleExpiresAt = near(t, "idle", now, g.ExpiresAt, now.Add(time.Minute), now.Add(time.Minute))
	if rapid.IntRange(0, 4).Draw(t, "rotated") > 0 {
		g.RotatedAt = near(t, "rotated at", now, now.Add(-10*time.Second), now.Add(-time.Hour), now.Add(time.Hour))
		g.Attempt = tries.Draw(t, "winner")
	}
	if rapid.IntRange(0, 5).Draw(t, "revoked") == 0 {
		g.Revoked, g.RevokedReason = true, rapid.SampledFrom([]string{"", "said so"}).Draw(t, "reason")
	}
	return g
}

func drawRotation(t *rapid.T, g storage.Grant, now time.Time) storage.Rotation {
	presented := uint64(max(0, int64(g.Generation)+steps.Draw(t, "presented")))
	r := storage.Rotation{
		GrantID: g.ID, Generation: presented, Attempt: tries.Draw(t, "attempt"), Grace: windows.Draw(t, "grace"),
		Fence: rapid.Bool().Draw(t, "fence"),
	}
	if presented+1 == g.Generation && rapid.IntRange(0, 3).Draw(t, "fitting window") == 0 {
		r.Grace = max(0, now.Sub(g.RotatedAt).Truncate(time.Microsecond)) % (24 * time.Hour)
	}
	r.IdleLifetime = max(0, near(t, "idle lifetime", now, g.ExpiresAt, now.Add(time.Minute)).Sub(now))
	return r
}

// rotatesAsSpecified is the property: a grant in any state is rotated a few times, by the script and by Rotation.Decide.
func rotatesAsSpecified(b *bench, sc script) func(*rapid.T) {
	return func(t *rapid.T) {
		ctx := b.t.Context()
		b.keys++
		b.now = b.base
		g := drawGrant(t, fmt.Sprint("g", b.keys), b.now)
		b.ok(b.s.CreateGrant(ctx, g))
		for range rapid.IntRange(1, 3).Draw(t, "rotations") {
			r := drawRotation(t, g, b.now)
			deadline := rapid.SampledFrom([]int64{0, 0, 0, -1, 1}).Draw(t, "deadline")
			if deadline != 0 {
				deadline = b.now.Add(time.Duration(deadline-1) / 2 * time.Microsecond).UnixMicro() // just before now, or now
			}
			fence := 0
			if r.Fence {
				fence = 1 // the server is the one that has made the grant
			}
			reply, err := b.run(sc, b.s.names.grant(g.ID),
				strconv.FormatUint(r.Generation, 10), r.Attempt, r.Grace.Microseconds(), r.IdleLifetime.Microseconds(),
				fence, 1, 0, deadline)
			rows, _ := reply.([]any)
			late, ended := deadline != 0 && deadline < b.now.UnixMicro(), !b.now.Before(g.Expiry())
			after := g
			switch {
			case late || len(rows) == 2:
				if !late || err != nil || rows[0] != "late" {
					t.Fatalf("asked for until %d at %s: %v %v", deadline, b.now, reply, err)
				}
			case ended || err != nil:
				if !ended || err == nil {
					t.Fatalf("%+v at %s, ended %t: %v", g, b.now, ended, err)
				}
			default:
				var outcome storage.Outcome
				outcome, after, _ = r.Decide(g, b.now)
				got, err := decodeGrant(rows[2:], nil)
				b.ok(err)
				if outcomes[rows[0]] != outcome || !reflect.DeepEqual(got, after) || rows[1] != strconv.FormatInt(b.now.UnixMicro(), 10) {
					t.Fatalf("%+v at %s of %+v:\nthe script says %v,\nwhich means %+v,\nDecide says %v %+v", r, b.now, g, rows, got, outcome, after)
				}
			}
			stored, err := b.s.Grant(ctx, g.ID) // by its own clock: not ended
			b.ok(err)
			if !reflect.DeepEqual(stored, after) {
				t.Fatalf("%+v at %s of %+v:\nstored is %+v,\nnot %+v", r, b.now, g, stored, after)
			}
			g = after
			b.now = near(t, "now", b.now, b.now, g.Expiry(), b.now.Add(10*time.Second), b.now.Add(-time.Minute))
		}
	}
}

// The same for budgets: SpendOne and Apply.
func TestTheScriptsOfBudgetsAreTheirSpecification(t *testing.T) {
	property.Holds(t, property.Count(500, 10_000),
		spendsAsSpecified(newBench(t), timed(t, scriptBudgetSpend), timed(t, scriptBudgetRefund)))
}

func spendsAsSpecified(b *bench, spend, refund script) func(*rapid.T) {
	return func(t *rapid.T) {
		b.keys++
		budget := storage.Budget{
			Key: fmt.Sprint("b", b.keys), Burst: rapid.IntRange(1, 5).Draw(t, "burst"),
			Every: time.Microsecond * rapid.SampledFrom([]time.Duration{1, 7, 1e3, 1e6, 3600e6}).Draw(t, "every"),
		}
		key := b.s.names.budget(budget.Key)
		var paid time.Time // as stored
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			b.now = near(t, "now", b.base, b.base, b.base.Add(-20*time.Hour)).
				Add(budget.Every * time.Duration(rapid.IntRange(-3, 12).Draw(t, "units of time")))
			if rapid.IntRange(0, 3).Draw(t, "verb") > 0 {
				after, wait := budget.SpendOne(paid, b.now)
				reply, err := b.run(spend, key, budget.Burst, budget.Every.Microseconds())
				b.ok(err)
				if reply != wait.Microseconds() {
					t.Fatalf("%+v, full at %s, at %s: the script says wait %v µs, SpendOne %s", budget, paid, b.now, reply, wait)
				}
				stored := b.stored(key)
				if !stored.Equal(after) {
					t.Fatalf("%+v, full at %s, at %s: stored is %s, not %s", budget, paid, b.now, stored, after)
				}
				paid = stored
				continue
			}
			units := rapid.IntRange(0, 6).Draw(t, "units")
			after := storage.Refund{Budget: budget, Units: units}.Apply(paid)
			_, err := b.run(refund, key, budget.Every.Microseconds(), units)
			b.ok(err)
			stored := b.stored(key)
			// "A time not after now means a full budget": then every such time will do.
			if !stored.Equal(after) && (after.After(b.now) || stored.After(b.now)) {
				t.Fatalf("%d given back to %+v, full at %s, at %s: stored is %s, not %s", units, budget, paid, b.now, stored, after)
			}
			paid = stored
		}
	}
}

// stored is a budget as Redis has it; zero if there is none.
func (b *bench) stored(key string) time.Time {
	b.t.Helper()
	at, err := b.s.client.Get(b.t.Context(), key).Int64()
	if errors.Is(err, goredis.Nil) {
		return time.Time{}
	}
	b.ok(err)
	return instant(at)
}

// The whole way, at real times: Rotate, with its memory and its look at the user, does what the specifications say.
func TestARotationOfTheStoreIsItsSpecification(t *testing.T) {
	server, prefix := redistest.Shared(t)
	cfg := Config{Addresses: []string{server.Addr()}, Prefix: prefix}
	one, other := open(t, cfg), reopen(t, cfg)
	users := map[string]storage.User{
		"known": {Version: 1, Epoch: 1}, "renewed": {Version: 1, Epoch: 2}, "disabled": {Version: 1, Epoch: 1, Disabled: true},
		"changed": {Version: 2, Epoch: 1},
	}
	for id, u := range users {
		u.ID, u.Username = id, id
		if err := one.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if u.Version == 2 {
			u.Version = 1
			if err := one.ReplaceUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		}
	}
	grants := 0
	property.Holds(t, property.Count(500, 10_000), func(rt *rapid.T) {
		grants++
		born := time.Now().UTC().Truncate(time.Microsecond)
		g := drawGrant(rt, fmt.Sprint("g", grants), born)
		r := drawRotation(rt, g, born)
		r.UserID = rapid.SampledFrom([]string{"", "known", "renewed", "disabled", "changed", "nobody"}).Draw(rt, "user")
		r.UserEpoch, r.UserVersion = rapid.Uint64Range(1, 2).Draw(rt, "epoch"), rapid.Uint64Range(1, 2).Draw(rt, "version")
		if err := one.CreateGrant(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		// One of them remembers the grant, the other one has never seen it.
		s := one
		if rapid.Bool().Draw(rt, "the other store") {
			s = other
		}
		from := time.Now().UTC().Truncate(time.Microsecond)
		outcome, after, err := s.Rotate(t.Context(), r)
		until := time.Now().UTC()
		if storage.IsFailure(err) {
			t.Fatal(err)
		}
		u, found := users[r.UserID]
		got := whole{outcome, after, err}
		candidates := []whole{specified(r, g, u, found, from), specified(r, g, u, found, until)}
		if at := after.RotatedAt; !at.Before(from) && !at.After(until) {
			candidates = append(candidates, specified(r, g, u, found, at)) // the time by which Redis has moved it
		}
		if !slices.ContainsFunc(candidates, func(want whole) bool { return reflect.DeepEqual(got, want) }) {
			rt.Fatalf("%+v of %+v between %s and %s, user %+v:\nthe store says %+v,\nthe specification one of %+v", r, g, from, until, u, got, candidates)
		}
	})
}

// whole is the answer of Rotate.
type whole struct {
	outcome storage.Outcome
	after   storage.Grant
	err     error
}

// specified is what Rotate has to answer at a time. The user is looked at after the grant: see storage.Dead.
func specified(r storage.Rotation, g storage.Grant, u storage.User, found bool, now time.Time) whole {
	if !now.Before(g.Expiry()) {
		return whole{err: storage.ErrNotFound}
	}
	outcome, after, _ := r.Decide(g, now)
	if judged := r.DecideUser(u, found); judged != 0 && (outcome == storage.Rotated || outcome == storage.Replayed) {
		outcome = judged
	}
	return whole{outcome, after, nil}
}
