package bolt

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/ingam/ingam/storage"
)

// TestACallThatFailsAnywhereLosesNothing is threats S3 and S4 at every step of a commit and of making the file: the kernel's
// n-th answer to one kind of call is an error. Where there is no space the store goes on by itself; where the disk is broken
// it takes no more writes, says so, and reads go on.
func TestACallThatFailsAnywhereLosesNothing(t *testing.T) {
	runs := 6
	if full() {
		runs = 60
	}
	for _, tc := range []struct {
		call, err string
		made      bool // the file is there before the fault
		upTo      int  // the child makes at least so many calls
		recovers  bool
	}{
		{"pwrite64", "ENOSPC", false, 4, true},
		{"pwrite64", "ENOSPC", true, 110, true},
		{"pwrite64", "EIO", true, 110, false},
		{"ftruncate", "ENOSPC", false, 1, true},
		{"ftruncate", "ENOSPC", true, 2, true},
		{"ftruncate", "EIO", true, 2, false},
		{"fdatasync", "EIO", false, 3, false},
		{"fdatasync", "EIO", true, 60, false},
		{"fdatasync", "ENOSPC", true, 60, false}, // what was to be written is gone
		{"fsync", "EIO", false, 2, false},
		{"fsync", "EIO", true, 2, false},
	} {
		t.Run(fmt.Sprintf("%s %s made=%v", tc.call, tc.err, tc.made), func(t *testing.T) {
			failed, acknowledged := 0, 0
			var total ledger
			times := min(runs, tc.upTo)
			for i := range times {
				nth := 1 + i*tc.upTo/times
				path := filepath.Join(fastDir(t), "data", "ingam.db")
				if tc.made {
					must(t, open(t, path).Close())
				}
				l, end := workWithFault(t, path, fmt.Sprintf("inject=%s:error=%s:when=%d", tc.call, tc.err, nth), tc.recovers)
				for _, steps := range l.steps {
					acknowledged += steps
				}
				total.add(l)
				if end != "survived 0" {
					failed++
				}
				if !l.ok() {
					t.Errorf("call %d: lost %d, doubled %d, broken %d: %s", nth, l.lost, l.doubled, l.broken, strings.Join(l.faults, "; "))
				}
			}
			if failed != times {
				t.Errorf("%d faults in %d runs", failed, times)
			}
			t.Logf("PROMISE bolt fault call=%s error=%s made=%v runs=%d faults=%d acknowledged=%d lost=%d double=%d broken=%d",
				tc.call, tc.err, tc.made, times, failed, acknowledged, total.lost, total.doubled, total.broken)
		})
	}
}

// workWithFault runs a child with a fault, and opens what it leaves.
func workWithFault(t *testing.T, path, inject string, recovers bool) (l *ledger, end string) {
	t.Helper()
	cmd := straced(t, []string{"-o", filepath.Join(t.TempDir(), "trace"), "-e", inject}, "broken disk", path)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: the child: %v, %s", inject, err, errs.String())
	}
	l = newLedger()
	for line := range strings.Lines(out.String()) {
		if end != "" {
			t.Fatalf("%s: the child said more after %q: %q", inject, end, line)
		}
		switch what, _, _ := strings.Cut(line, " "); what {
		case "survived", "refuses", "unopened":
			end = strings.TrimSpace(line)
		default:
			must(t, l.take(line))
		}
	}
	switch {
	case end == "":
		t.Fatalf("%s: the child ended in the middle", inject)
	case strings.HasPrefix(end, "refuses") && recovers:
		t.Errorf("%s: the store gave up", inject)
	case strings.HasPrefix(end, "survived") && end != "survived 0" && !recovers:
		t.Errorf("%s: the store went on writing to a broken disk", inject)
	}
	l.examine(t.Context(), path)
	return l, end
}

// workOnABrokenDisk is the child. It retries what has failed as long as the store says that it can work.
func workOnABrokenDisk(ctx context.Context, path string) error {
	// strace counts the calls of each thread by itself. Open works in this one, and then the writer in one of its own.
	runtime.LockOSThread()
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return say("unopened %q", err)
	}
	if _, err := write(ctx, s, func(*tx) (nothing, error) { runtime.LockOSThread(); return nothing{}, nil }); err != nil {
		return err
	}
	l, failures := newLedger(), 0
	long := strings.Repeat("x", 700) // so that the file grows, more than once
	for i := range 4 {
		r := round(fmt.Sprintf("%s%d%c", long, i, "rdkr"[i]))
		for step := 1; step <= stepsDone; step++ {
			for err := r.do(ctx, s, step); err != nil; err = r.do(ctx, s, step) {
				failures++
				if !storage.IsFailure(err) || failures > 20 {
					return fmt.Errorf("%s: step %d: %w", r, step, err)
				}
				if l.verify(ctx, s); !l.ok() {
					return fmt.Errorf("reads after a fault: %s", strings.Join(l.faults, "; "))
				}
				if s.Ping(ctx) != nil {
					return refuseWrites(ctx, s)
				}
				if !strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
					return fmt.Errorf("%s: step %d: no matter of space, and the store would go on: %w", r, step, err)
				}
			}
			l.steps[r] = step
			if err := say("%s %d", r, step); err != nil {
				return err
			}
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	return say("survived %d", failures)
}

// refuseWrites looks whether a store that has given up means it.
func refuseWrites(ctx context.Context, s *Store) error {
	for range 3 {
		err := s.CreateGrant(ctx, benchGrant("too late"))
		if !storage.IsFailure(err) || !strings.Contains(err.Error(), "earlier failure") {
			return fmt.Errorf("a write after a failure of the disk: %w", err)
		}
	}
	return say("refuses writes")
}
