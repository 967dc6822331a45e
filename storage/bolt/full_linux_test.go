package bolt

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAFullFileSystemIsSurvivedWithoutARestart is threat S3 as its row wants it: a small file system in memory, which
// only the child sees.
func TestAFullFileSystemIsSurvivedWithoutARestart(t *testing.T) {
	cmd := childCommand(t, "fill tmpfs", filepath.Join(t.TempDir(), "ingam.db"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		leaveOut(t, "mount", err)
	}
	_ = cmd.Wait()
	if strings.HasPrefix(out.String(), noMount) {
		leaveOut(t, "mount", out.String())
	}
	if !strings.HasPrefix(out.String(), "survived") {
		t.Fatalf("the child says %q, %s", out.String(), errs.String())
	}
	t.Logf("PROMISE bolt disk-full kind=tmpfs %s lost=0", out.String())
}

const noMount = "no mount: "

// fillFileSystem is the child.
func fillFileSystem(ctx context.Context, path string) error {
	dir := filepath.Dir(path)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		fmt.Print(noMount, err)
		return nil
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 200<<10), 0o600); err != nil {
		return err
	}
	s, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	return surviveFull(ctx, s, path, func() error { return os.Remove(ballast) })
}
