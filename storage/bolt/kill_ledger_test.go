package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"github.com/ingam/ingam/storage"
)

// A crash test has two sides. A child works through rounds and says after each step that the store has acknowledged it;
// then it dies. A ledger knows what was said, and compares a store that was opened again with it.

// round is the life of one user with one sign-in. Its last letter says how it ends: r with a revocation, d with the user
// disabled, k not at all.
type round string

func (r round) grant() string { return string(r) }
func (r round) user() string  { return "u-" + string(r) }
func (r round) name() string  { return "name-" + string(r) }
func (r round) mark() string  { return "jti-" + string(r) }
func (r round) ends() bool    { return !strings.HasSuffix(string(r), "k") }

func (r round) disables() bool { return strings.HasSuffix(string(r), "d") }

// rotation is the honest client's: the user as it was created.
func (r round) rotation(generation uint64, attempt string, grace time.Duration) storage.Rotation {
	return storage.Rotation{
		GrantID: r.grant(), Generation: generation, Attempt: attempt, Grace: grace, IdleLifetime: time.Hour,
		UserID: r.user(), UserEpoch: 1, UserVersion: 1,
	}
}

// The steps of a round, in order. A ledger counts how many of them were acknowledged.
const (
	stepUser   = iota + 1
	stepClient // a client of its own
	stepPush   // a request is pushed
	stepSignIn // a browser session, of version 1 …
	stepSeen   // … and 2
	stepTake   // the pushed request is used up
	stepCode   // the grant is born at generation 0, as a code makes it
	stepMark   // a JWT id is seen
	stepRedeem // generation 0, no window: the code
	stepStrict // generation 1, no window
	stepWindow // generation 2, window of 10 s
	stepReplay // generation 2 again by another attempt: the same successor
	stepEnd    // revoked, disabled, or generation 3
	stepAfter  // what has ended is refused; what has not, moves on to generation 5
	stepsDone  = stepAfter
)

// redeems tells which generation a step redeems.
func (r round) redeems(step int) (generation uint64, ok bool) {
	switch {
	case step >= stepRedeem && step <= stepWindow:
		return uint64(step - stepRedeem), true
	case (step == stepEnd || step == stepAfter) && !r.ends():
		return uint64(step - stepEnd + 3), true
	}
	return 0, false
}

// generation is where the grant is after so many steps.
func (r round) generation(steps int) (generation uint64) {
	for step := 1; step <= steps; step++ {
		if g, ok := r.redeems(step); ok {
			generation = g + 1
		}
	}
	return generation
}

// do is the child's side of a step; an error means that the store has not done what it should.
func (r round) do(ctx context.Context, s *Store, step int) error {
	rotate := func(rotation storage.Rotation, want storage.Outcome) error {
		if outcome, _, err := s.Rotate(ctx, rotation); err != nil || outcome != want {
			return fmt.Errorf("%s, generation %d: %v, want %v (%w)", r, rotation.Generation, outcome, want, err)
		}
		return nil
	}
	if generation, ok := r.redeems(step); ok {
		grace := time.Duration(0)
		if step == stepWindow {
			grace = 10 * time.Second
		}
		return rotate(r.rotation(generation, r.attempt(step), grace), storage.Rotated)
	}
	switch step {
	case stepUser:
		return s.CreateUser(ctx, storage.User{ID: r.user(), Username: r.name(), Epoch: 1})
	case stepClient:
		return s.CreateClient(ctx, storage.Client{ID: string(r), GrantTypes: []string{"authorization_code"}})
	case stepPush, stepSignIn, stepSeen, stepTake:
		return r.doEntry(ctx, s, step)
	case stepCode:
		g := benchGrant(r.grant())
		g.UserID, g.UserEpoch, g.ClientID, g.Generation = r.user(), 1, string(r), 0
		return s.CreateGrant(ctx, g)
	case stepMark:
		first, err := s.Remember(ctx, r.mark(), now().Add(time.Hour))
		if err == nil && !first {
			err = fmt.Errorf("%s was seen before it was shown", r.mark())
		}
		return err
	case stepReplay:
		return rotate(r.rotation(2, "another tab", 10*time.Second), storage.Replayed)
	case stepEnd:
		if !r.disables() {
			return s.RevokeGrant(ctx, r.grant(), "signed out")
		}
		u, err := s.User(ctx, r.user())
		u.Disabled, u.Epoch = true, u.Epoch+1
		return errors.Join(err, s.ReplaceUser(ctx, u))
	case stepAfter:
		return rotate(r.rotation(3, "too late", 10*time.Second), storage.Dead)
	}
	return fmt.Errorf("no step %d", step)
}

func (round) attempt(step int) string { return fmt.Sprint("attempt at step ", step) }

// ledger is what a child has said, and what was found wrong with a store that should know it.
type ledger struct {
	steps map[round]int // acknowledged; at most one more was on its way
	ring  uint64        // version of the key ring
	swept int           // grants whose id begins with sweptPrefix

	lost    int // acknowledged, and not there
	doubled int // redeemed a second time, or after its end
	broken  int // anything else that cannot be
	faults  []string
}

const sweptPrefix = "short-"

// take reads one line of a child.
func (l *ledger) take(line string) error {
	var what string
	var n int
	if _, err := fmt.Sscan(line, &what, &n); err != nil {
		return fmt.Errorf("the child says %q: %w", line, err)
	}
	switch what {
	case "ring":
		l.ring = uint64(n)
	case "swept":
		l.swept += n
	default:
		if l.steps[round(what)]+1 != n {
			return fmt.Errorf("%s: step %d after step %d", what, n, l.steps[round(what)])
		}
		l.steps[round(what)] = n
	}
	return nil
}

func newLedger() *ledger { return &ledger{steps: map[round]int{}} }

func (l *ledger) ok() bool { return l.lost+l.doubled+l.broken == 0 }

// fault counts, and keeps the first few for the reader.
func (l *ledger) fault(counter *int, format string, args ...any) {
	*counter++
	if len(l.faults) < 5 {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// verify compares without changing anything: INV3, INV4, and that nobody did what was never asked.
func (l *ledger) verify(ctx context.Context, s *Store) {
	for r, acked := range l.steps {
		l.verifyUser(ctx, s, r, acked)
		if acked >= stepClient {
			if _, err := s.Client(ctx, string(r)); err != nil {
				l.fault(&l.lost, "%s: client: %v", r, err)
			}
		}
		l.verifyEntries(ctx, s, r, acked)
		if acked >= stepMark {
			if seen, err := s.Remembered(ctx, r.mark()); !seen || err != nil {
				l.fault(&l.lost, "%s: mark: %v, %v", r, seen, err)
			}
		}
		if acked < stepCode {
			continue
		}
		g, err := s.Grant(ctx, r.grant())
		least, most := r.generation(acked), r.generation(acked+1)
		switch {
		case err != nil:
			l.fault(&l.lost, "%s: grant after step %d: %v", r, acked, err)
		case g.Generation < least:
			l.fault(&l.lost, "%s: generation %d after step %d, want %d", r, g.Generation, acked, least)
		case g.Generation > most:
			l.fault(&l.broken, "%s: generation %d after step %d, want at most %d", r, g.Generation, acked, most)
		case acked >= stepEnd && r.ends() && !r.disables() && !g.Revoked:
			l.fault(&l.lost, "%s: revocation after step %d", r, acked)
		case g.Revoked && (acked < stepEnd-1 || !r.ends() || r.disables()):
			l.fault(&l.broken, "%s: revoked by nobody after step %d: %s", r, acked, g.RevokedReason)
		}
	}
	l.verifyRing(ctx, s)
}

func (l *ledger) verifyUser(ctx context.Context, s *Store, r round, acked int) {
	if acked < stepUser {
		return
	}
	u, err := s.User(ctx, r.user())
	named, nameErr := s.UserByName(ctx, r.name())
	switch {
	case err != nil:
		l.fault(&l.lost, "%s: user: %v", r, err)
	case nameErr != nil || named.ID != u.ID:
		l.fault(&l.lost, "%s: username leads to %q, %v", r, named.ID, nameErr)
	case u.Disabled != (u.Epoch == 2) || u.Disabled != (u.Version == 2):
		l.fault(&l.broken, "%s: half a change: %+v", r, u)
	case acked >= stepEnd && r.disables() && !u.Disabled:
		l.fault(&l.lost, "%s: disabling after step %d", r, acked)
	case u.Disabled && (acked < stepEnd-1 || !r.disables()):
		l.fault(&l.broken, "%s: disabled by nobody after step %d", r, acked)
	}
}

func (l *ledger) verifyRing(ctx context.Context, s *Store) {
	ring, err := s.KeyRing(ctx)
	switch {
	case errors.Is(err, storage.ErrNotFound) && l.ring == 0:
	case err != nil:
		l.fault(&l.lost, "key ring of version %d: %v", l.ring, err)
	case ring.Version < l.ring:
		l.fault(&l.lost, "key ring of version %d, want %d", ring.Version, l.ring)
	case ring.Version > l.ring+1 || !reflect.DeepEqual(ring.Keys, ringOf(ring.Version)):
		l.fault(&l.broken, "key ring of version %d, with keys of another perhaps, after %d", ring.Version, l.ring)
	}
}

// ringOf has the keys of a version of the ring: a rotation is there as a whole or not at all (K6). Some need more than a
// page.
func ringOf(version uint64) (keys []storage.SealedKey) {
	for i := range version%3 + 1 {
		id := fmt.Sprintf("%d-%d", version, i)
		keys = append(keys, storage.SealedKey{ID: id, Use: "sig", Algorithm: "RS256", Sealed: bytes.Repeat([]byte(id), 400)})
	}
	return keys
}

// attack does what a thief and an honest client would after the crash: INV1, INV2, INV5 and INV6. Grants die of it.
func (l *ledger) attack(ctx context.Context, s *Store, r round) {
	acked := l.steps[r]
	if acked >= stepUser {
		if err := s.CreateUser(ctx, storage.User{ID: r.user(), Username: r.name()}); !errors.Is(err, storage.ErrExists) {
			l.fault(&l.doubled, "%s: the same user again: %v", r, err)
		}
	}
	l.attackEntries(ctx, s, r, acked)
	if acked >= stepMark {
		if first, err := s.Remember(ctx, r.mark(), now().Add(time.Hour)); first || err != nil {
			l.fault(&l.doubled, "%s: the same JWT id again: first %v, %v", r, first, err)
		}
	}
	if acked < stepRedeem {
		return
	}
	if acked >= stepEnd && r.ends() { // INV5: no generation at all
		for generation := range r.generation(acked) + 1 {
			l.refused(ctx, s, r.rotation(generation, "thief", time.Hour), storage.Dead)
		}
		return
	}
	used, inFlight := r.generation(acked), acked+1 == stepEnd && r.ends()
	if _, ok := r.redeems(acked + 1); ok {
		// The honest client never got its answer and asks again with the same attempt, whatever became of the first.
		outcome, _, err := s.Rotate(ctx, r.rotation(used, r.attempt(acked+1), 0))
		if err != nil || outcome != storage.Rotated {
			l.fault(&l.lost, "%s: the retry of generation %d: %v, %v", r, used, outcome, err)
		}
		used++
	}
	want := storage.Reused
	if inFlight {
		want = storage.Dead // also allowed
	}
	l.refused(ctx, s, r.rotation(rand.Uint64N(used), "thief", 0), storage.Reused, want)
	l.refused(ctx, s, r.rotation(used, "honest, but the family is dead", 0), storage.Dead) // INV6
}

func (l *ledger) refused(ctx context.Context, s *Store, rotation storage.Rotation, want ...storage.Outcome) {
	outcome, _, err := s.Rotate(ctx, rotation)
	for _, w := range want {
		if err == nil && outcome == w {
			return
		}
	}
	if outcome == storage.Rotated || outcome == storage.Replayed {
		l.fault(&l.doubled, "%s: generation %d again: %v", rotation.GrantID, rotation.Generation, outcome)
		return
	}
	l.fault(&l.broken, "%s: generation %d again: %v, %v, want %v", rotation.GrantID, rotation.Generation, outcome, err, want)
}
