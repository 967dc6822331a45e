package credential

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrBusy means that the server is computing as many password hashes as it can afford, and too many wait already or
// this one has waited too long. Nothing is known of the password. Over HTTP it is 503 with Retry-After; a second is a good value.
var ErrBusy = errors.New("too many passwords are being checked at the moment")

// gate bounds the computations that run and those that wait, and for how long they wait.
type gate struct {
	running  chan struct{} // holds a token for each computation that runs
	admitted chan struct{} // holds a token for each that runs or waits
	maxWait  time.Duration
}

func newGate(running, waiting int, maxWait time.Duration) *gate {
	return &gate{
		running:  make(chan struct{}, running),
		admitted: make(chan struct{}, running+waiting),
		maxWait:  maxWait,
	}
}

// run computes work as soon as there is room and returns when it is done. An error means that the caller knows
// nothing of the work: it was not begun, or (only if ctx ended) it still goes on by itself.
func (g *gate) run(ctx context.Context, work func()) error {
	if err := ctx.Err(); err != nil {
		return stopped(err)
	}
	select {
	case g.admitted <- struct{}{}:
	default:
		return fmt.Errorf("%w: the queue of %d is full", ErrBusy, cap(g.admitted)-cap(g.running))
	}
	if err := g.await(ctx); err != nil {
		<-g.admitted
		return err
	}
	return g.start(ctx, work)
}

// runIfIdle is run for work that can as well be left undone: it never waits for room.
func (g *gate) runIfIdle(ctx context.Context, work func()) error {
	select {
	case g.admitted <- struct{}{}:
	default:
		return ErrBusy
	}
	select {
	case g.running <- struct{}{}:
		return g.start(ctx, work)
	default:
		<-g.admitted
		return ErrBusy
	}
}

// await takes a token of running, at the latest after maxWait. Waiters are served in the order of their arrival.
func (g *gate) await(ctx context.Context) error {
	select {
	case g.running <- struct{}{}:
		return nil
	default:
	}
	deadline := time.NewTimer(g.maxWait)
	defer deadline.Stop()
	select {
	case g.running <- struct{}{}:
		return nil
	case <-deadline.C:
		return fmt.Errorf("%w: no room within %v", ErrBusy, g.maxWait)
	case <-ctx.Done():
		return stopped(ctx.Err())
	}
}

// start computes work in a goroutine that owns both tokens. They are given back when the work is done and before the
// caller hears of it; a caller who leaves early (a client that hung up) gives back nothing, or hanging up would be a
// way to have any number of computations run at once.
func (g *gate) start(ctx context.Context, work func()) error {
	done := make(chan error, 1)
	go func() {
		err := safely(work)
		<-g.running
		<-g.admitted
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return stopped(ctx.Err())
	}
}

// safely turns a panic into an error: in a goroutine of its own it would end the process (threats O5).
func safely(work func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("checking the password panicked: %T", p) // the value may hold what was typed
		}
	}()
	work()
	return nil
}

// stopped says why a caller did not wait to the end. A deadline of the request that passes here is a busy server too.
func stopped(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return fmt.Errorf("checking the password was given up: %w", err)
}
