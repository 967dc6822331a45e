package bolt

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// Some promises need a second process. The test binary starts itself, and childEnv tells it what to do instead of
// running tests.
const childEnv = "INGAM_BOLT_TEST_CHILD"

// childFailed is the exit code of a child that was not killed and could not do its task.
const childFailed = 3

func TestMain(m *testing.M) {
	if task := os.Getenv(childEnv); task != "" {
		go func() { // a child does not outlive the test, however that ends
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(2)
		}()
		if err := childMain(task, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(childFailed)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func childMain(task string, args []string) error {
	ctx, path := context.Background(), args[0]
	switch task {
	case "open":
		began := time.Now()
		s, err := Open(ctx, path, Options{})
		if err != nil {
			fmt.Printf("in use: %v, %v\n%d ms", errors.Is(err, storage.ErrInUse), err, time.Since(began).Milliseconds())
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
	case "work":
		return workUntilKilled(ctx, path, args[1])
	case "power":
		return workForThePowerCut(ctx, path)
	case "broken disk":
		return workOnABrokenDisk(ctx, path)
	case "fill tmpfs":
		return fillFileSystem(ctx, path)
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
	_, err = cmd.StdinPipe() // open until Wait: see TestMain
	must(t, err)
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

// TestTheSecondProcessIsRefusedAtOnceAndLearnsWhoHoldsTheStore is threat S5, both ways round: who came first goes on, and
// when it dies without a word the next one gets the store.
func TestTheSecondProcessIsRefusedAtOnceAndLearnsWhoHoldsTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ingam.db")
	s := open(t, path)
	refused := func(out string, by int) {
		t.Helper()
		var ms int
		text, tail, _ := strings.Cut(out, "\n")
		if _, err := fmt.Sscanf(tail, "%d ms", &ms); err != nil || ms > 5000 {
			t.Errorf("it took %q", tail)
		}
		if !strings.Contains(text, "in use: true") || !strings.Contains(text, path) {
			t.Errorf("got %q, want a refusal with the path", text)
		}
		if want := fmt.Sprintf("process %d (", by); runtime.GOOS == "linux" && !strings.Contains(text, want) {
			t.Errorf("got %q, want %q in it", text, want)
		}
	}
	for range 3 {
		refused(child(t, "open", path), os.Getpid())
		must(t, s.CreateUser(t.Context(), storage.User{ID: rand.Text(), Username: rand.Text()}))
	}
	must(t, s.Close())

	first := childCommand(t, "work", path, "first")
	out, err := first.StdoutPipe()
	must(t, err)
	must(t, first.Start())
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the first process does not work")
	}
	refused(child(t, "open", path), first.Process.Pid)
	if !lines.Scan() {
		t.Error("the first process did not go on")
	}
	must(t, first.Process.Kill())
	_ = first.Wait()
	open(t, path)
	if t.Failed() {
		return
	}
	t.Logf("PROMISE bolt second-process refused=4 of=4 holder=named")
}
