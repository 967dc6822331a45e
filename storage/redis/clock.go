package redis

import (
	"context"
	"sync/atomic"
	"time"
)

// serverClock is what this process knows of the clock of Redis: enough to tell a script until when somebody waits for it.
// It is safe for concurrent use, and the zero value knows nothing.
//
// A redemption can arrive late: it waited in a network that was cut, or for a server that hung. By then its caller has
// been told that nothing is known, has asked another node, and may have gone on from there; a redemption that runs after
// that looks like a thief's. So each carries its deadline by the clock of Redis, and one that comes later changes nothing.
type serverClock struct {
	// ahead is by how many µs the clock of Redis is ahead of ours, at most, plus 1; 0 if nothing is known.
	ahead atomic.Int64
}

// began is where our own clock starts: a monotonic one, which nobody sets.
var began = time.Now()

// local is our clock in µs.
func local() int64 { return time.Since(began).Microseconds() }

// saw takes a time that Redis told in an answer to a question of the local time asked. Redis read its clock after that, so
// the difference is the most that it can be.
func (c *serverClock) saw(asked, theirs int64) { c.ahead.Store(theirs - asked + 1) }

// deadline is when the caller of ctx stops to wait, in µs since 1970 by the clock of Redis and never too early; 0 if that is
// not known.
func (c *serverClock) deadline(ctx context.Context) int64 {
	ahead := c.ahead.Load()
	end, ok := ctx.Deadline()
	if ahead == 0 || !ok {
		return 0
	}
	return local() + time.Until(end).Microseconds() + ahead
}
