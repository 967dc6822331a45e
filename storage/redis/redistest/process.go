package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// stopTimeout bounds how long a process may take to end after a signal.
const stopTimeout = time.Minute

// errNotRunning: a signal was meant for a process that has ended.
var errNotRunning = errors.New("the server is not running")

// process is a child process that was started. Its methods are safe for concurrent use.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the child has ended and was waited for
}

// spawner runs functions on one operating-system thread that lives as long as the test process. Pdeathsig strikes
// when the thread that forked ends, and the Go runtime ends threads at will.
var spawner = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// StartOnLastingThread starts a command whose SysProcAttr.Pdeathsig shall strike at the end of the test process, and not at
// that of whichever thread has started it.
func StartOnLastingThread(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	spawner() <- func() { started <- cmd.Start() }
	return <-started
}

// spawn starts program in dir and appends what it prints to the file log.
func spawn(program string, args []string, dir, log string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	// The process is ended by signals and by the end of its parent, not by a context.
	cmd := exec.CommandContext(context.Background(), program, args...) //nolint:gosec // the tester chose the program
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.SysProcAttr = sysProcAttr()

	if err := StartOnLastingThread(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.done)
	}()
	return p, nil
}

// running tells whether the child has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// signal sends a signal to the child and whatever it started.
func (p *process) signal(sig syscall.Signal) error {
	if !p.running() {
		return errNotRunning
	}
	if err := signalGroup(p.cmd.Process.Pid, sig); err != nil {
		return fmt.Errorf("%s: %w", sig, err)
	}
	return nil
}

// stop sends a signal that ends the child and waits until it has ended. A child that has ended already is no error.
func (p *process) stop(sig syscall.Signal) error {
	if err := p.signal(sig); err != nil && p.running() && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
		return fmt.Errorf("still running %s after %s", stopTimeout, sig)
	}
}
