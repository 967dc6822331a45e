//go:build unix

package bolt

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ingam/ingam/storage"
)

// TestAFullDiskIsSurvivedWithoutARestart is threat S3 (plan T11) with a real kernel that has no more space to give: a
// limit on the size of files, which needs no privileges.
func TestAFullDiskIsSurvivedWithoutARestart(t *testing.T) {
	out := child(t, "fill", filepath.Join(t.TempDir(), "ingam.db"))
	if !strings.HasPrefix(out, "survived") {
		t.Fatalf("the child says %q", out)
	}
	t.Logf("PROMISE bolt disk-full kind=file-limit %s lost=0", out)
}

// fillUntilFull is the child.
func fillUntilFull(ctx context.Context, path string) error {
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	// Without this the kernel's signal would end the process before the error gets to us.
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100 << 10, Max: limit.Max}); err != nil {
		return err
	}
	return surviveFull(ctx, s, path, func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit) })
}

// ofSpace looks for an error of space inside of what callers get.
func ofSpace(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if diskFull(err) {
			return true
		}
	}
	return false
}

// surviveFull fills a store until it says no, and goes on with the same store when free has made space.
func surviveFull(ctx context.Context, s *Store, path string, free func() error) error {
	l, before, during := newLedger(), round("before-k"), round("during-k")
	for step := 1; step <= stepsDone; step++ {
		if err := before.do(ctx, s, step); err != nil {
			return err
		}
		l.steps[before] = step
	}
	var err error
	stored := 0
	for ; err == nil && stored < 10_000; stored++ {
		err = s.CreateGrant(ctx, benchGrant(fmt.Sprint(stored)))
	}
	if !storage.IsFailure(err) || !ofSpace(err) {
		return fmt.Errorf("after %d grants: %w, want a failure of space", stored, err)
	}
	stored--
	// What fits into pages that are free may still be written; what does not is a failure and changes nothing.
	for step := 1; step <= stepsDone; step++ {
		if err := during.do(ctx, s, step); err != nil {
			if !storage.IsFailure(err) || !ofSpace(err) {
				return fmt.Errorf("step %d while full: %w", step, err)
			}
			break
		}
		l.steps[during] = step
	}
	readable := func(when string) error {
		for i := range stored {
			if _, err := s.Grant(ctx, fmt.Sprint(i)); err != nil {
				return fmt.Errorf("read %d of %d %s: %w", i, stored, when, err)
			}
		}
		if _, err := s.Grant(ctx, fmt.Sprint(stored)); !errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("the grant that did not fit, %s: %w", when, err)
		}
		verifyFile(ctx, s, l)
		if l.verify(ctx, s); !l.ok() {
			return fmt.Errorf("%s: %s", when, strings.Join(l.faults, "; "))
		}
		return s.Ping(ctx)
	}
	if err := errors.Join(readable("while full"), free()); err != nil {
		return err
	}
	for step := l.steps[during] + 1; step <= stepsDone; step++ {
		if err := during.do(ctx, s, step); err != nil {
			return fmt.Errorf("step %d with space again: %w", step, err)
		}
		l.steps[during] = step
	}
	for i := range 100 {
		if err := s.CreateGrant(ctx, benchGrant(fmt.Sprint("after ", i))); err != nil {
			return fmt.Errorf("write with space again: %w", err)
		}
	}
	if err := errors.Join(readable("with space again"), s.Close()); err != nil {
		return err
	}
	if s, err = Open(ctx, path, Options{}); err != nil {
		return err
	}
	if err := errors.Join(readable("after a restart"), s.Close()); err != nil {
		return err
	}
	fmt.Printf("survived stored=%d", stored)
	return nil
}
