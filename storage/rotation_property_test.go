package storage

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ingam/ingam/storage/storagetest/property"
)

// rules are the two decisions of a rotation: those of this package, or a mutant of them.
type rules struct {
	user   func(Rotation, User, bool) Outcome
	rotate func(Rotation, Grant, time.Time) (Outcome, Grant, bool)
}

var ours = rules{user: Rotation.DecideUser, rotate: Rotation.Decide}

// T12, A18, K7, R9, R13: the rules of rotation in any schedule.
func TestARotationKeepsItsRulesInAnySchedule(t *testing.T) {
	property.Holds(t, property.Count(10_000, 100_000), schedule(ours))
}

// schedule is the property: a grant and its user live through a random schedule, and each rotation is judged.
func schedule(as rules) func(*rapid.T) {
	return func(t *rapid.T) {
		l := birth(t, as)
		t.Repeat(map[string]func(*rapid.T){
			"the current generation": func(t *rapid.T) { l.redeem(t, l.grant.Generation) },
			"the one before":         func(t *rapid.T) { l.redeem(t, max(l.grant.Generation, 1)-1) },
			"any generation":         func(t *rapid.T) { l.redeem(t, l.grant.Generation+3-rapid.Uint64Range(0, 6).Draw(t, "back")) },
			"time goes on":           func(t *rapid.T) { l.now = l.now.Add(durations.Draw(t, "forward")) },
			"the clock jumps back":   func(t *rapid.T) { l.now = l.now.Add(-durations.Draw(t, "back")) },
			"the user changes": func(t *rapid.T) {
				l.user.Version++
				l.user.Disabled = rapid.IntRange(0, 3).Draw(t, "disabled") == 0
				l.user.Epoch = rapid.Uint64Range(1, 2).Draw(t, "epoch")
				l.found = rapid.IntRange(0, 3).Draw(t, "deleted") != 0
			},
			"the grant is revoked": func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
					l.grant.Revoked, l.grant.RevokedReason = true, "somebody said so"
				}
			},
		})
	}
}

// durations are of all sizes; some of them meet exactly, at the end of a window for one.
var durations = rapid.SampledFrom([]time.Duration{
	0, 1, time.Millisecond, time.Second, 10 * time.Second, 10*time.Second + 1, time.Minute, time.Hour, 24 * time.Hour,
})

var attempts = rapid.SampledFrom([]string{"", "a", "b", "c"})

// life is the life of one grant.
type life struct {
	rules
	grant   Grant
	user    User
	found   bool // the user is there
	now     time.Time
	winners map[uint64]string // generation → the attempt that moved it on
}

func birth(t *rapid.T, as rules) *life {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ends := now.Add(durations.Draw(t, "lifetime"))
	idle := now.Add(durations.Draw(t, "idle"))
	if idle.After(ends) {
		idle = ends
	}
	return &life{
		rules: as, now: now, winners: map[uint64]string{}, found: true, user: User{ID: "u", Epoch: 1, Version: 1},
		grant: Grant{
			ID: "g", ClientID: "c", UserID: "u", UserEpoch: 1, Scopes: []string{"a", "b"}, Audience: []string{"api"}, Nonce: []byte("n"),
			Generation: rapid.Uint64Range(0, 3).Draw(t, "generation"), BornAt: now, IdleExpiresAt: idle, ExpiresAt: ends,
		},
	}
}

// redeem presents a generation, judges the answer and lives on with it.
func (l *life) redeem(t *rapid.T, generation uint64) {
	if generation > l.grant.Generation+3 {
		generation = 0 // there is none below it
	}
	r := Rotation{
		GrantID: "g", Generation: generation, Attempt: attempts.Draw(t, "attempt"), Grace: durations.Draw(t, "grace"),
		IdleLifetime: durations.Draw(t, "idle"), UserEpoch: rapid.Uint64Range(1, 2).Draw(t, "user's epoch"), UserVersion: l.user.Version,
	}
	if rapid.Bool().Draw(t, "look at the user") {
		r.UserID, r.UserVersion = "u", l.user.Version-rapid.Uint64Range(0, 1).Draw(t, "old")
	}
	judged := l.rules.user(r, l.user, l.found)
	alive := l.found && !l.user.Disabled && l.user.Epoch == r.UserEpoch
	switch {
	case r.UserID == "" && judged != 0:
		t.Fatalf("%v about a user that was not asked about", judged)
	case r.UserID != "" && !alive && judged != Dead:
		t.Fatalf("a dead user (there: %t, %+v) is %v to %+v", l.found, l.user, judged, r)
	case r.UserID != "" && alive && r.UserVersion != l.user.Version && judged != Outdated:
		t.Fatalf("a user who has changed (%+v) is %v to %+v", l.user, judged, r)
	case r.UserID != "" && alive && r.UserVersion == l.user.Version && judged != 0:
		t.Fatalf("a user who is alive (%+v) is %v to %+v", l.user, judged, r)
	case judged != 0:
		return // as the stores do: nothing is decided
	}
	before := l.grant.Clone()
	outcome, after, changed := l.rotate(r, l.grant, l.now)
	again, afterAgain, changedAgain := l.rotate(r, l.grant, l.now)
	if outcome != again || changed != changedAgain || !reflect.DeepEqual(after, afterAgain) {
		t.Fatalf("decided twice: %v %+v, then %v %+v", outcome, after, again, afterAgain)
	}
	if changed == reflect.DeepEqual(after, before) || !reflect.DeepEqual(l.grant, before) {
		t.Fatalf("changed is %t: from %+v to %+v (the argument is now %+v)", changed, before, after, l.grant)
	}
	if rule := l.broken(r, outcome, after); rule != "" {
		t.Fatalf("%s: %+v at %s: %v, from %+v to %+v", rule, r, l.now, outcome, before, after)
	}
	if outcome == Rotated && changed {
		l.winners[r.Generation] = r.Attempt
	}
	l.grant = after
}

// broken names the rule that an answer breaks, if any.
func (l *life) broken(r Rotation, outcome Outcome, after Grant) string {
	before := l.grant
	success := outcome == Rotated || outcome == Replayed
	moved := after.Generation != before.Generation
	winner, redeemed := l.winners[r.Generation]
	fixed := before
	fixed.Generation, fixed.RotatedAt, fixed.Attempt = after.Generation, after.RotatedAt, after.Attempt
	fixed.IdleExpiresAt, fixed.Revoked, fixed.RevokedReason = after.IdleExpiresAt, after.Revoked, after.RevokedReason
	switch {
	case before.Revoked && (outcome != Dead || moved || !after.Revoked):
		return "a revoked grant is dead for ever"
	case !before.Revoked && outcome == Dead:
		return "only a revoked grant is dead"
	case success && (after.Generation != r.Generation+1 || after.Revoked):
		return "success answers the next generation, which can be redeemed"
	case moved && (outcome != Rotated || r.Generation != before.Generation || after.Generation != before.Generation+1):
		return "only the current generation moves the grant on, by one"
	case outcome == Rotated && redeemed && (r.Attempt == "" || r.Attempt != winner):
		return "a generation is rotated by at most one attempt"
	case outcome == Replayed && (r.Grace <= 0 || l.now.Sub(before.RotatedAt) > r.Grace):
		return "without a window, or after it, nothing is replayed"
	case outcome == Reused && (after.RevokedReason != ReasonReused || !after.Revoked),
		outcome == Ahead && (after.RevokedReason != ReasonAhead || !after.Revoked):
		return "reuse and the future end the grant"
	case !success && outcome != Dead && outcome != Reused && outcome != Ahead:
		return "there is no other outcome"
	case after.IdleExpiresAt.After(after.ExpiresAt):
		return "the idle end is never beyond the absolute end"
	case !reflect.DeepEqual(after, fixed):
		return "everything else stays as it was born"
	case before.Revoked:
		return ""
	}
	return l.unfair(r, outcome, after)
}

// unfair names the rule by which somebody is due another answer. Without these rules a server that refuses everybody
// would be a good one.
func (l *life) unfair(r Rotation, outcome Outcome, after Grant) string {
	before := l.grant
	last := r.Generation+1 == before.Generation
	mine := last && r.Attempt != "" && r.Attempt == before.Attempt
	idle := l.now.Add(r.IdleLifetime)
	if idle.After(before.ExpiresAt) {
		idle = before.ExpiresAt
	}
	switch {
	case r.Generation == before.Generation && outcome != Rotated:
		return "the current generation is good"
	case r.Generation == before.Generation && !after.IdleExpiresAt.Equal(idle):
		return "a rotation moves the idle end"
	case r.Generation == before.Generation && (!after.RotatedAt.Equal(l.now) || after.Attempt != r.Attempt):
		return "a rotation is noted with its time and its winner"
	case r.Generation > before.Generation && outcome != Ahead:
		return "a generation that was never handed out is told from an old one"
	case mine && outcome != Rotated:
		return "the winner is answered the same again"
	case last && !mine && r.Grace > 0 && l.now.Sub(before.RotatedAt) <= r.Grace && outcome != Replayed:
		return "within the window the one before is replayed"
	}
	return ""
}
