package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// Some promises need a second process. The test binary starts itself, and childEnv tells it what to do instead of
// running tests.
const childEnv = "INGAM_BOLT_TEST_CHILD"

func TestMain(m *testing.M) {
	if task := os.Getenv(childEnv); task != "" {
		if err := childMain(task, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func childMain(task string, args []string) error {
	ctx, path := context.Background(), args[0]
	switch task {
	case "open":
		s, err := Open(ctx, path, Options{})
		if err != nil {
			fmt.Printf("in use: %v, %v", errors.Is(err, storage.ErrInUse), err)
			return nil
		}
		fmt.Print("opened")
		return s.Close()
	case "create and die":
		crashPoint = func(point string) {
			if point == args[1] {
				self, _ := os.FindProcess(os.Getpid())
				_ = self.Kill()
				time.Sleep(time.Minute) // until the signal is there
			}
		}
		_, err := Open(ctx, path, Options{})
		fmt.Print("alive")
		return err
	case "rotate":
		return rotateUntilKilled(ctx, path, args[1])
	case "fill":
		return fillUntilFull(ctx, path)
	}
	return fmt.Errorf("unknown task %q", task)
}

func childCommand(t *testing.T, task string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self, args...)
	// The race detector would let every child sleep for a second before it ends.
	cmd.Env = append(os.Environ(), childEnv+"="+task, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// child runs a task and returns what it printed. How it ended is for the caller to conclude from that.
func child(t *testing.T, task string, args ...string) string {
	t.Helper()
	cmd := childCommand(t, task, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	if errs.Len() > 0 {
		t.Errorf("child says: %s", errs.String())
	}
	return strings.TrimSpace(out.String())
}
