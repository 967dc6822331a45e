package storage

import (
	"testing"
	"time"

	"github.com/ingam/ingam/storage/storagetest/property"
)

// Each is wrong in one way, and must be found.
func TestAWrongRuleOfRotationIsFound(t *testing.T) {
	for name, rotate := range wrongRotations {
		t.Run(name, func(t *testing.T) {
			property.Refuted(t, 10_000, schedule(rules{user: ours.user, rotate: rotate}))
		})
	}
}

// Each is wrong about users in one way, and must be found.
func TestAWrongRuleAboutUsersIsFound(t *testing.T) {
	for name, user := range map[string]func(r Rotation, u User, found bool) Outcome{
		"a deleted user lives":  func(r Rotation, u User, _ bool) Outcome { return r.DecideUser(u, true) },
		"a disabled user lives": func(r Rotation, u User, found bool) Outcome { u.Disabled = false; return r.DecideUser(u, found) },
		"an old epoch lives": func(r Rotation, u User, found bool) Outcome {
			r.UserEpoch = u.Epoch
			return r.DecideUser(u, found)
		},
		"an old memory is good enough": func(r Rotation, u User, found bool) Outcome {
			r.UserVersion = u.Version
			return r.DecideUser(u, found)
		},
		"a change is a death": func(r Rotation, u User, found bool) Outcome {
			if outcome := r.DecideUser(u, found); outcome == 0 {
				return 0
			}
			return Dead
		},
		"nobody is looked at": func(Rotation, User, bool) Outcome { return 0 },
		"somebody is always looked at": func(r Rotation, u User, found bool) Outcome {
			r.UserID = "u"
			return r.DecideUser(u, found)
		},
	} {
		t.Run(name, func(t *testing.T) {
			property.Refuted(t, 10_000, schedule(rules{user: user, rotate: ours.rotate}))
		})
	}
}

// undecided counts the calls of the mutant that answers now so, now so.
var undecided time.Duration

var wrongRotations = map[string]func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool){
	"an old generation is as good as the current one": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		r.Generation = max(r.Generation, g.Generation)
		return r.Decide(g, now)
	},
	"a future generation is as good as the current one": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		r.Generation = min(r.Generation, g.Generation)
		return r.Decide(g, now)
	},
	"everybody is the winner": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		if r.Generation+1 == g.Generation && !g.Revoked {
			return Rotated, g, false
		}
		return r.Decide(g, now)
	},
	"nobody is the winner": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		if r.Generation+1 == g.Generation {
			r.Attempt = ""
		}
		return r.Decide(g, now)
	},
	"no attempt is an attempt": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		if r.Generation+1 == g.Generation && g.Attempt == "" && r.Attempt == "" && !g.RotatedAt.IsZero() && !g.Revoked {
			return Rotated, g, false
		}
		return r.Decide(g, now)
	},
	"a strict grant replays in the same instant (R9)": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		r.Grace = max(r.Grace, 1)
		return r.Decide(g, now)
	},
	"the window closes 1 ns late": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		if r.Grace > 0 {
			r.Grace++
		}
		return r.Decide(g, now)
	},
	"the window closes 1 ns early": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		r.Grace--
		return r.Decide(g, now)
	},
	"a window closes when the clock is set back (K7)": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		if now.Before(g.RotatedAt) {
			r.Grace = 0
		}
		return r.Decide(g, now)
	},
	"any older one is replayed": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		if r.Generation+1 < g.Generation {
			r.Generation = g.Generation - 1
		}
		return r.Decide(g, now)
	},
	"a replay opens the window anew": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		outcome, g, changed := r.Decide(g, now)
		if outcome == Replayed {
			g.RotatedAt, changed = now, true
		}
		return outcome, g, changed
	},
	"the revoked come back": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		g.Revoked, g.RevokedReason = false, ""
		return r.Decide(g, now)
	},
	"idleness has no absolute end (R13)": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		outcome, after, changed := r.Decide(g, now)
		if outcome == Rotated && changed {
			after.IdleExpiresAt = now.Add(r.IdleLifetime)
		}
		return outcome, after, changed
	},
	"a rotation prolongs the grant (R13)": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		outcome, after, changed := r.Decide(g, now)
		if changed {
			after.ExpiresAt = after.ExpiresAt.Add(time.Second)
		}
		return outcome, after, changed
	},
	"a rotation does not move the idle end": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		outcome, after, changed := r.Decide(g, now)
		after.IdleExpiresAt = g.IdleExpiresAt
		return outcome, after, changed
	},
	"reuse is only refused": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		if outcome, after, changed := r.Decide(g, now); outcome != Reused {
			return outcome, after, changed
		}
		return Reused, g, false
	},
	"what changed is not stored": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		outcome, after, _ := r.Decide(g, now)
		return outcome, after, false
	},
	"everybody is refused": func(_ Rotation, g Grant, _ time.Time) (Outcome, Grant, bool) { return Dead, g, false },
	"it depends": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		undecided++
		return r.Decide(g, now.Add(undecided%2))
	},
	"the scopes of the argument are written to": func(r Rotation, g Grant, now time.Time) (Outcome, Grant, bool) {
		g.Scopes[0] = "root"
		return r.Decide(g, now)
	},
}
