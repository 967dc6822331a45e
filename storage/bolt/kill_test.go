package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// full tells whether the long figures are wanted.
func full() bool { return os.Getenv("INGAM_FULL") == "1" }

// sessions is how many rounds a child works through at the same time.
const sessions = 6

// workUntilKilled is the child: it does one round after the other, and tells each step only when the store has
// acknowledged it.
func workUntilKilled(ctx context.Context, path, cycle string) error {
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range sessions {
		go func() {
			for n := 0; ; n++ {
				r := round(fmt.Sprintf("%s-%d-%d%c", cycle, i, n, "rdk"[(n+i)%3]))
				if err := r.work(ctx, s, 1, stepsDone); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// work does some steps and says so.
func (r round) work(ctx context.Context, s *Store, from, to int) error {
	for step := from; step <= to; step++ {
		if err := r.do(ctx, s, step); err != nil {
			return err
		}
		if err := say("%s %d", r, step); err != nil {
			return err
		}
	}
	return nil
}

// say is one write for each line: a pipe gets it whole or not at all.
func say(format string, args ...any) error {
	_, err := fmt.Fprintf(os.Stdout, format+"\n", args...)
	return err
}

// TestAfterKillNothingAcknowledgedIsLostAndNothingIsRedeemedTwice is threat S1 (plan T3, and R8): a process dies at any
// moment, again and again on the same file, and INV1 to INV6 hold for all that it has acknowledged.
func TestAfterKillNothingAcknowledgedIsLostAndNothingIsRedeemedTwice(t *testing.T) {
	cycles := 25
	if full() {
		cycles = 500
	}
	path := filepath.Join(t.TempDir(), "ingam.db")
	all, total, opening := newLedger(), newLedger(), time.Duration(0)
	acknowledged, cycle := 0, 0
	enough := func() bool { return acknowledged >= cycles*sessions }
	for ; cycle < cycles || !enough() && cycle < 10*cycles; cycle++ { // a busy machine does less in each
		l := runAndKill(t, path, fmt.Sprint(cycle))
		before := time.Now()
		s := open(t, path)
		opening = max(opening, time.Since(before))
		verifyFile(t.Context(), s, l)
		l.verify(t.Context(), s)
		for r, acked := range l.steps {
			acknowledged += acked
			l.attack(t.Context(), s, r)
		}
		must(t, s.Close())
		for r := range l.steps {
			all.steps[r] = stepUser // the rest has changed in the attack
		}
		total.add(l)
		if !l.ok() {
			t.Fatalf("cycle %d: lost %d, doubled %d, broken %d: %s", cycle, l.lost, l.doubled, l.broken, strings.Join(l.faults, "; "))
		}
	}
	verifyEarlier(t, path, all)
	total.add(all)
	if !enough() {
		t.Errorf("only %d steps were acknowledged: this test proves little", acknowledged)
	}
	t.Logf("PROMISE bolt kill cycles=%d acknowledged=%d lost=%d double=%d broken=%d slowest_open=%v",
		cycle, acknowledged, total.lost, total.doubled, total.broken, opening.Round(10*time.Microsecond))
}

// add sums up what was found.
func (l *ledger) add(other *ledger) {
	l.lost, l.doubled, l.broken = l.lost+other.lost, l.doubled+other.doubled, l.broken+other.broken
	l.faults = append(l.faults, other.faults...)
}

// verifyEarlier looks at the end for what was acknowledged in all cycles.
func verifyEarlier(t *testing.T, path string, all *ledger) {
	t.Helper()
	s := open(t, path)
	verifyFile(t.Context(), s, all)
	for r := range all.steps {
		if _, err := s.User(t.Context(), r.user()); err != nil {
			all.fault(&all.lost, "%s: user, at the end: %v", r, err)
		}
	}
	if !all.ok() {
		t.Errorf("at the end: lost %d, broken %d: %s", all.lost, all.broken, strings.Join(all.faults, "; "))
	}
}

// verifyFile is bbolt's own check, and ours of all indexes.
func verifyFile(ctx context.Context, s *Store, l *ledger) {
	_, err := read(ctx, s, func(t *tx) (nothing, error) {
		var errs []error
		for err := range t.Check() {
			errs = append(errs, err)
		}
		if len(errs) > 0 {
			return nothing{}, errors.Join(errs...)
		}
		return nothing{}, verifyRows(t)
	})
	if err != nil {
		l.fault(&l.broken, "file: %v", err)
	}
}

// INV11: the checks above find a store that has forgotten its last second.
func TestALedgerFindsWhatAStoreHasForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ingam.db")
	runAndKill(t, path, "early")
	earlier, err := os.ReadFile(path)
	must(t, err)
	l := runAndKill(t, path, "late")
	must(t, os.WriteFile(path, earlier, 0o600))
	s := open(t, path)
	l.verify(t.Context(), s)
	for r := range l.steps {
		l.attack(t.Context(), s, r)
	}
	if l.lost == 0 || l.doubled == 0 {
		t.Errorf("lost %d, doubled %d: want some of both", l.lost, l.doubled)
	}
	for name, forget := range map[string]func(context.Context, *Store, round) error{
		"a rotation": func(ctx context.Context, s *Store, r round) error {
			g, err := s.Grant(ctx, r.grant())
			g.Generation--
			return errors.Join(err, overwrite(ctx, s, g.ID, encodeGrant(g)))
		},
		"that nobody has asked": func(ctx context.Context, s *Store, r round) error {
			g, err := s.Grant(ctx, r.grant())
			g.Generation++
			return errors.Join(err, overwrite(ctx, s, g.ID, encodeGrant(g)))
		},
		"a revocation": func(ctx context.Context, s *Store, r round) error {
			g, err := s.Grant(ctx, r.grant())
			g.Revoked = false
			return errors.Join(err, overwrite(ctx, s, g.ID, encodeGrant(g)))
		},
		"that a session was seen": func(ctx context.Context, s *Store, r round) error {
			_, err := s.TakeEntry(ctx, storage.KindSession, string(r))
			return errors.Join(err, s.CreateEntry(ctx, r.session(1)))
		},
		"that a pushed request was used up": func(ctx context.Context, s *Store, r round) error {
			return s.CreateEntry(ctx, r.pushed())
		},
	} {
		l, r := newLedger(), round(name+" r")
		for step := 1; step <= stepsDone; step++ {
			must(t, r.do(t.Context(), s, step))
			l.steps[r] = step
		}
		if l.verify(t.Context(), s); !l.ok() {
			t.Errorf("%s: faults before anything is wrong: %v", name, l.faults)
		}
		must(t, forget(t.Context(), s, r))
		if l.verify(t.Context(), s); l.lost+l.doubled+l.broken != 1 {
			t.Errorf("%s: lost %d, doubled %d, broken %d; want one", name, l.lost, l.doubled, l.broken)
		}
	}
}

func overwrite(ctx context.Context, s *Store, id string, value []byte) error {
	_, err := write(ctx, s, func(t *tx) (nothing, error) { return nothing{}, t.put(bucketGrants, []byte(id), value) })
	return err
}

// runAndKill lets a child work for a moment and returns what it has acknowledged.
func runAndKill(t *testing.T, path, cycle string) *ledger {
	t.Helper()
	cmd := childCommand(t, "work", path, cycle)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	l := newLedger()
	var kill *time.Timer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		must(t, l.take(lines.Text()))
		if kill == nil { // it works: now it has not long to live
			kill = time.AfterFunc(5*time.Millisecond+rand.N(55*time.Millisecond), func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || kill == nil || cmd.ProcessState.ExitCode() == childFailed {
		t.Fatalf("the child was not killed at work: %v", err)
	}
	return l
}
