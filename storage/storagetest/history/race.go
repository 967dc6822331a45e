package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// Tally is what a race has counted.
type Tally struct {
	Codes, Refreshes int
	Double           int // redeemed by two attempts
	Lost             int // redeemed by none
	LoggedOut        int // grants that ended, or refused an honest client, though nobody did wrong
	Unsettled        int // attempts too many or too few, which means that the race itself is broken
}

// Race is T2: n codes and n refresh tokens, each presented by 8 clients at the same time, once with a window of 10 s and
// once without. n is 1,000, or 10,000 with INGAM_FULL=1. Exactly one of the 8 wins. With a window the others get what it
// got and nobody is logged out; a code never has one. setup is called for each of the two races.
func Race(t *testing.T, processes int, setup func(t *testing.T) Setup) {
	t.Helper()
	n := 1_000
	if full() {
		n = 10_000
	}
	for _, window := range []time.Duration{10 * time.Second, 0} {
		t.Run(fmt.Sprintf("window %v", window), func(t *testing.T) {
			s := setup(t)
			tally := race(t, s, Plan{Mode: Raced, Grace: window, Families: 2 * n, Processes: processes})
			t.Logf("PROMISE race store=%s window=%v processes=%d codes=%d refreshes=%d attempts=%d double=%d lost=%d honest_logged_out=%d",
				s.Name, window, processes, tally.Codes, tally.Refreshes, groupSize, tally.Double, tally.Lost, tally.LoggedOut)
			if want := (Tally{Codes: n, Refreshes: n}); tally != want {
				t.Errorf("the race ended as %+v, want %+v", tally, want)
			}
		})
	}
}

func race(t testing.TB, setup Setup, p Plan) Tally {
	t.Helper()
	return count(p, run(t, setup, p.withDefaults()))
}

// count goes through the events of a race.
func count(p Plan, events []Event) Tally {
	found := map[string]*racedToken{}
	for _, e := range events {
		r := found[e.Input.Family]
		if r == nil {
			r = &racedToken{attempts: map[string]bool{}, winners: map[string]bool{}}
			found[e.Input.Family] = r
		}
		r.add(e)
	}
	var tally Tally
	for i := range p.Families {
		id, _ := p.family(i)
		r := found[id]
		isCode := p.codeIsRaced(i)
		attempts := groupSize
		if isCode {
			tally.Codes++
		} else {
			tally.Refreshes++
			attempts++ // Prepare redeemed the code
		}
		if r == nil || len(r.attempts) != attempts {
			tally.Unsettled++
			continue
		}
		// Prepare has won the code of a grant whose refresh token is raced.
		switch won := len(r.winners) - attempts + groupSize; {
		case won > 1:
			tally.Double++
		case won < 1:
			tally.Lost++
		}
		// A code that is presented twice ends the grant (RFC 6749 §4.1.2), and so does a refresh token without a window.
		if honest := !isCode && p.Grace > 0; honest && r.refused {
			tally.LoggedOut++
		}
	}
	return tally
}

// racedToken is what became of one token.
type racedToken struct {
	attempts, winners map[string]bool
	refused           bool
}

func (r *racedToken) add(e Event) {
	if e.Input.Kind == KindRotate {
		r.attempts[e.Input.Attempt] = true
		if e.Output.Outcome == storage.Rotated {
			r.winners[e.Input.Attempt] = true
		}
		r.refused = r.refused || !e.Output.Unknown && !e.Output.success()
	}
	r.refused = r.refused || e.Output.Revoked || e.Output.Refused != ""
}
