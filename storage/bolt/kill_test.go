package bolt

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// sessions is how many grants a child redeems at the same time.
const sessions = 6

// rotateUntilKilled is the child: it makes grants of its own, redeems one generation after the other, and tells each
// success only when the store has.
func rotateUntilKilled(ctx context.Context, path, cycle string) error {
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range sessions {
		go func() {
			id := fmt.Sprintf("%s-%d", cycle, i)
			if err := s.CreateGrant(ctx, benchGrant(id)); err != nil {
				failed <- err
				return
			}
			for generation := uint64(1); ; generation++ {
				r := storage.Rotation{GrantID: id, Generation: generation, Attempt: "a", IdleLifetime: time.Hour}
				outcome, _, err := s.Rotate(ctx, r)
				if err != nil || outcome != storage.Rotated {
					failed <- fmt.Errorf("%s generation %d: %v, %w", id, generation, outcome, err)
					return
				}
				// One write for each line: the pipe gets it whole or not at all.
				if _, err := fmt.Fprintf(os.Stdout, "%s %d\n", id, generation); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// TestAfterKillNothingAcknowledgedIsLostAndNothingIsRedeemedTwice is threat S1 (and R8): a process dies at any
// moment, again and again on the same file.
func TestAfterKillNothingAcknowledgedIsLostAndNothingIsRedeemedTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ingam.db")
	redeemed := map[string]uint64{} // grant → last generation that a child has been told is redeemed
	acknowledged := 0
	for cycle := range 25 {
		alive := map[string]uint64{}
		for id, generation := range runAndKill(t, path, fmt.Sprint(cycle)) {
			redeemed[id], alive[id] = generation, generation
			acknowledged += int(generation)
		}
		s := open(t, path)
		for id, generation := range redeemed {
			g, err := s.Grant(t.Context(), id)
			// At most one rotation was on its way when the process died.
			if err != nil || g.Generation < generation+1 || g.Generation > generation+2 {
				t.Fatalf("cycle %d: %s was redeemed up to %d, and is stored with %d, %v", cycle, id, generation, g.Generation, err)
			}
		}
		for id, generation := range alive {
			r := storage.Rotation{GrantID: id, Generation: generation, Attempt: "thief", IdleLifetime: time.Hour}
			if outcome, _, err := s.Rotate(t.Context(), r); err != nil || outcome != storage.Reused {
				t.Fatalf("cycle %d: %s generation %d again: %v, %v; want reused", cycle, id, generation, outcome, err)
			}
		}
		must(t, s.Close())
	}
	if acknowledged < 25*sessions {
		t.Errorf("only %d rotations were acknowledged: this test proves little", acknowledged)
	}
	t.Logf("%d acknowledged rotations of %d grants survived 25 kills", acknowledged, len(redeemed))
}

// runAndKill lets a child work for a moment and returns what it has acknowledged.
func runAndKill(t *testing.T, path, cycle string) map[string]uint64 {
	t.Helper()
	cmd := childCommand(t, "rotate", path, cycle)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	last := map[string]uint64{}
	var kill *time.Timer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var id string
		var generation uint64
		if _, err := fmt.Sscan(lines.Text(), &id, &generation); err != nil {
			t.Fatalf("child says %q", lines.Text())
		}
		if last[id]+1 != generation {
			t.Errorf("%s: generation %d was redeemed after %d", id, generation, last[id])
		}
		last[id] = generation
		if kill == nil { // it works: now it has not long to live
			kill = time.AfterFunc(rand.N(60*time.Millisecond), func() { _ = cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || kill == nil {
		t.Fatalf("the child was not killed at work: %v", err)
	}
	return last
}
