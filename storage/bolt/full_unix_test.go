//go:build unix

package bolt

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ingam/ingam/storage"
)

// TestAFullDiskIsSurvivedWithoutARestart is threat S3 with a real kernel that has no more space to give: a limit on
// the size of files, which needs no privileges.
func TestAFullDiskIsSurvivedWithoutARestart(t *testing.T) {
	if out := child(t, "fill", filepath.Join(t.TempDir(), "ingam.db")); out != "survived" {
		t.Errorf("the child says %q", out)
	}
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
	stored := 0
	for ; err == nil && stored < 10_000; stored++ {
		err = s.CreateGrant(ctx, benchGrant(fmt.Sprint(stored)))
	}
	if err == nil || !storage.IsFailure(err) {
		return fmt.Errorf("after %d grants: got %w, want a failure", stored, err)
	}
	if err := s.Ping(ctx); err != nil {
		return fmt.Errorf("ping while full: %w", err)
	}
	for i := range stored - 1 {
		if _, err := s.Grant(ctx, fmt.Sprint(i)); err != nil {
			return fmt.Errorf("read %d of %d while full: %w", i, stored, err)
		}
	}
	if _, err := s.Grant(ctx, fmt.Sprint(stored-1)); !errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("the grant that did not fit: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for i := range 100 {
		if err := s.CreateGrant(ctx, benchGrant(fmt.Sprint("after ", i))); err != nil {
			return fmt.Errorf("write with space again: %w", err)
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(ctx, path, Options{}); err != nil {
		return err
	}
	for i := range stored - 1 {
		if _, err := s.Grant(ctx, fmt.Sprint(i)); err != nil {
			return fmt.Errorf("read %d after a restart: %w", i, err)
		}
	}
	fmt.Print("survived")
	return s.Close()
}
