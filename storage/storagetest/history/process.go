package history

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// taskEnv tells a test binary to be a worker, and what to do.
const taskEnv = "INGAM_HISTORY_TASK"

// processLimit ends workers that hang.
const processLimit = 10 * time.Minute

// Task is what worker processes do.
type Task struct {
	// Spec names the store to the function given to Main.
	Spec string `json:"spec"`
	// Plan is what the clients do; the plan of each process gets its number.
	Plan Plan `json:"plan"`
}

// message is a line of a worker to its parent: it is ready, a client has arrived at a meeting, or an event.
type message struct {
	Ready  bool   `json:"ready,omitempty"`
	Arrive string `json:"arrive,omitempty"`
	Event
}

// start is the line of the parent that lets workers begin. Other lines name groups whose meeting is full.
const start = "start"

// Main makes workers of the processes that Processes starts; in others it returns at once. Test packages that use
// Processes call it first in TestMain. open opens the store that a Task names.
func Main(open func(ctx context.Context, spec string) (storage.Store, error)) {
	text := os.Getenv(taskEnv)
	if text == "" {
		return
	}
	if err := worker(text, open); err != nil {
		fmt.Fprintln(os.Stderr, "history: worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func worker(text string, open func(context.Context, string) (storage.Store, error)) (err error) {
	var task Task
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return err
	}
	ctx := context.Background()
	s, err := open(ctx, task.Spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()

	var mu sync.Mutex
	lines := json.NewEncoder(os.Stdout)
	tell := func(line map[string]any) error {
		mu.Lock()
		defer mu.Unlock()
		return lines.Encode(line)
	}
	meeting := newBranch(func(group string) error { return tell(map[string]any{"arrive": group}) })
	begin := make(chan struct{})
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			if in.Text() == start {
				close(begin)
			} else {
				meeting.release(in.Text())
			}
		}
		os.Exit(3) // the parent is gone, however it ended
	}()
	if err := tell(map[string]any{"ready": true}); err != nil {
		return err
	}
	<-begin
	return work(ctx, s, task.Plan, meeting, os.Stdout)
}

// Processes runs a task in n processes of this test binary, which begin at the same time, and returns their events. env
// is added to their environment. They end with the test.
func Processes(t testing.TB, n int, task Task, env ...string) []Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), processLimit)
	defer cancel()
	task.Plan.Processes = n
	p := &parent{arrived: map[string]int{}}
	results, errs := make([][]Event, n), make([]error, n)
	outs := make([]io.Reader, n)
	for i := range n {
		child, out, err := newChild(ctx, task, i, env)
		if err != nil {
			t.Fatalf("history: worker %d: %v", i, err)
		}
		p.children = append(p.children, child)
		outs[i] = out
	}
	var wg sync.WaitGroup
	for i, child := range p.children {
		wg.Go(func() {
			if results[i], errs[i] = p.serve(child, outs[i]); errs[i] != nil {
				cancel() // the others may wait for this one
			}
		})
	}
	wg.Wait()
	var events []Event
	for i := range n {
		if errs[i] != nil {
			t.Errorf("history: worker %d: %v: %s", i, errs[i], p.children[i].errors.String())
		}
		events = append(events, results[i]...)
	}
	if t.Failed() {
		t.FailNow()
	}
	return events
}

// child is a worker process, as its parent sees it.
type child struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	errors bytes.Buffer
}

func newChild(ctx context.Context, task Task, number int, env []string) (*child, io.Reader, error) {
	task.Plan.Process = number
	text, err := json.Marshal(task)
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self)} //nolint:gosec // this very program
	// The race detector would let every child sleep for a second before it ends.
	c.cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), env...)
	c.cmd.Env = append(c.cmd.Env, taskEnv+"="+string(text))
	c.cmd.Stderr = &c.errors
	c.in, err = c.cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return c, out, c.cmd.Start()
}

// parent is where workers meet.
type parent struct {
	children []*child

	mu      sync.Mutex
	ready   int
	arrived map[string]int
}

// serve reads what a worker says until it ends.
func (p *parent) serve(c *child, out io.Reader) (events []Event, err error) {
	for lines := json.NewDecoder(bufio.NewReader(out)); err == nil; {
		var m message
		if err = lines.Decode(&m); err != nil {
			break
		}
		switch {
		case m.Ready, m.Arrive != "":
			err = p.hear(m)
		default:
			events = append(events, m.Event)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	} else {
		_ = c.cmd.Process.Kill() // Wait says how it ended
	}
	return events, errors.Join(err, c.cmd.Wait())
}

// hear lets the workers go on when all are there.
func (p *parent) hear(m message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := m.Arrive
	if m.Ready {
		if p.ready++; p.ready < len(p.children) {
			return nil
		}
		line = start
	} else {
		if p.arrived[line]++; p.arrived[line] < groupSize {
			return nil
		}
		delete(p.arrived, line)
	}
	var errs []error
	for _, c := range p.children {
		_, err := io.WriteString(c.in, line+"\n")
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
