package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// The tests in e2e_*_test.go and foreign_*_test.go build both programs once and run them as an operator does: as
// processes, on ports of their own, in folders of their own. Row ids like O1 are those of the catalogue of threats.

// patience is how long anything may take before it counts as never happening.
const patience = 60 * time.Second

// built is the folder with the programs, removed at the end of the run.
var built string

func TestMain(m *testing.M) {
	status := redistest.Main(m)
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(status)
}

// buildPrograms is the one build of a test run.
var buildPrograms = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "ingam-e2e-")
	if err != nil {
		return "", err
	}
	built = dir
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", dir+string(filepath.Separator), "./cmd/ingam", "./cmd/resource")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// program returns the path of cmd/<name>, built.
func program(t *testing.T, name string) string {
	t.Helper()
	dir, err := buildPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// process is a program that runs.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr *syncBuffer
	ended          chan struct{}
}

// spawn starts a program with nothing of ours in its environment but env. It is killed when the test ends.
func spawn(t *testing.T, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), stdout: &syncBuffer{}, stderr: &syncBuffer{}, ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append(plainEnvironment(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // ProcessState has the result
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), lastLines(p.stderr.String(), 30))
		}
	})
	return p
}

// plainEnvironment is what every program may expect.
func plainEnvironment() (env []string) {
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// kill ends the process at once, as kill -9 does, and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// terminate asks the process to end and returns its exit status.
func (p *process) terminate(t *testing.T) int {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return p.exit(t)
}

// exit waits for the end of the process and returns its exit status.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("%s does not end:\n%s", p.cmd.Path, lastLines(p.stderr.String(), 30))
		return -1
	}
}

// await waits until found reports true, and fails when the process ends before that.
func (p *process) await(t *testing.T, what string, found func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !found(); time.Sleep(2 * time.Millisecond) {
		select {
		case <-p.ended:
			if found() {
				return
			}
			t.Fatalf("%s ended with %d before %s:\n%s", p.cmd.Path, p.cmd.ProcessState.ExitCode(), what, p.stderr)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: no %s:\n%s", p.cmd.Path, what, p.stderr)
		}
	}
}

// runProgram runs a command to its end, with a standard input.
func runProgram(env []string, path, input string, args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(plainEnvironment(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return result{-1, "", fmt.Sprint(err)}
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// lastLines keeps the end of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
