package history

import (
	"fmt"

	"github.com/ingam/ingam/storage"
)

// plain counts what must hold for the history of one family, without a model: so a mistake in the model cannot hide a
// store that redeems twice.
func plain(rules Rules, events []Event) []string {
	var broken []string
	for _, check := range []func(Rules, []Event) string{checkLength, onceEach, nothingAfterTheEnd, nothingForgotten, nobodyLoggedOut} {
		if complaint := check(rules, events); complaint != "" {
			broken = append(broken, events[0].Input.Family+": "+complaint)
		}
	}
	return broken
}

// onceEach is INV1 and INV2: each generation is redeemed by one attempt, and what is answered again is the same
// successor.
func onceEach(rules Rules, events []Event) string {
	winners := map[uint64]string{}
	for _, e := range events {
		in, out := e.Input, e.Output
		if in.Kind != KindRotate || out.Unknown {
			continue
		}
		name := "INV2"
		if in.Generation == 0 {
			name = "INV1"
		}
		switch {
		case out.Outcome == storage.Fenced && !rules.Failover:
			return fmt.Sprintf("fenced without a failover: %v", e)
		case out.success() && out.Generation != in.Generation+1:
			return fmt.Sprintf("%s: the answer is not the successor: %v", name, e)
		case out.Outcome == storage.Replayed && !in.Window:
			return fmt.Sprintf("%s: answered again without a window: %v", name, e)
		case out.Outcome == storage.Rotated:
			if winner, ok := winners[in.Generation]; ok && winner != in.Attempt {
				return fmt.Sprintf("%s: generation %d was redeemed by %s and by %s", name, in.Generation, winner, in.Attempt)
			}
			winners[in.Generation] = in.Attempt
		}
	}
	return ""
}

// ends tells whether an event says that the grant, or its user, is dead from its return on, by invariant.
func (e Event) ends() string {
	in, out := e.Input, e.Output
	switch {
	case out.Unknown || out.Refused != "":
		return ""
	case in.Kind == KindRevoke, in.Kind == KindReplace && in.Disabled, in.Kind == KindUser && out.Disabled:
		return "INV5"
	case out.Outcome == storage.Reused || out.Outcome == storage.Ahead:
		return "INV6"
	case out.Revoked:
		return "INV5" // seen to be revoked
	}
	return ""
}

// nothingAfterTheEnd is INV5 and INV6: what began after a grant or its user was told to be dead does not succeed.
func nothingAfterTheEnd(_ Rules, events []Event) string {
	for _, end := range events {
		name := end.ends()
		if name == "" {
			continue
		}
		ofUser := end.Input.Kind == KindReplace || end.Input.Kind == KindUser
		for _, e := range events {
			if e.Call <= end.Return || e.Output.Unknown {
				continue
			}
			alive := e.Input.Kind == KindGrant && !e.Output.Revoked && !ofUser
			if e.Output.success() || alive {
				return fmt.Sprintf("%s: after %q the store answered %q", name, end, e)
			}
		}
	}
	return ""
}

// nothingForgotten is INV3 and INV4 while nothing crashes: who begins after a rotation was acknowledged finds the grant
// there, at that generation at least, and is told that an older one than the one before is not current.
func nothingForgotten(_ Rules, events []Event) string {
	for _, before := range events {
		missing := before.Output.Refused != "" && before.Input.Kind != KindReplace
		if missing || before.Output.Outcome == storage.Ahead {
			return fmt.Sprintf("INV3: the store has lost something: %v", before)
		}
		if !before.Output.success() {
			continue
		}
		generation := before.Input.Generation + 1
		for _, e := range events {
			in, out := e.Input, e.Output
			if e.Call <= before.Return || out.Unknown {
				continue
			}
			back := in.Kind == KindGrant && out.Generation < generation
			late := out.success() && in.Generation+1 < generation
			if back || late {
				return fmt.Sprintf("INV3: after %q the store answered %q", before, e)
			}
		}
	}
	return ""
}

// nobodyLoggedOut holds for clients who do nothing wrong and lose no time.
func nobodyLoggedOut(rules Rules, events []Event) string {
	if !rules.Honest || rules.Window == 0 {
		return ""
	}
	for _, e := range events {
		refused := e.Input.Kind == KindRotate && !e.Output.Unknown && e.Output.Outcome != storage.Outdated && !e.Output.success()
		if refused || e.Output.Revoked {
			return fmt.Sprintf("an honest client was logged out: %v", e)
		}
	}
	return ""
}
