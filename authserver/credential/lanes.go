package credential

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

// Budgets are taken before the hash and given back after a success, so whoever signs in often at once (a test run, a
// gateway with one address) would find them empty though every password was right. Attempts that share a budget
// therefore take turns: so few at a time that what is under way can never be all of it. Nobody is late for it, since no
// more hashes than processors are computed at once; and guesses come to their 429 in the order in which they arrived.
const (
	// laneWidth is how many attempts that share a budget may be under way, or twice the hashes that are computed at once
	// if that is more; and never more than the budget.
	laneWidth = 8
	// laneLength is how many may stand in one lane, under way or waiting; the next ones are told that it is busy.
	laneLength = 512
)

// width is how many attempts may be under way in the lane of a budget.
func width(b storage.Budget, hashes int) int { return min(b.Burst, max(laneWidth, 2*hashes)) }

// lanes are the queues of attempts that share a budget. The zero value is ready; safe for concurrent use.
type lanes struct {
	mu sync.Mutex
	of map[string]*lane // by the key of the budget; those in use only
}

type lane struct {
	turns    chan struct{}
	standing int
}

// enter waits for a turn in the lane of each budget, in order, and returns how to leave them all. An error is ErrBusy
// or the end of ctx, and nothing was taken.
func (l *lanes) enter(ctx context.Context, budgets []storage.Budget, g *gate) (leave func(), err error) {
	deadline := time.NewTimer(g.maxWait)
	defer deadline.Stop()
	var entered []string
	leave = func() {
		for _, key := range entered {
			l.leave(key, true)
		}
	}
	for _, b := range budgets {
		turns, err := l.stand(b, cap(g.running))
		if err != nil {
			leave()
			return nil, err
		}
		select {
		case turns <- struct{}{}: // it is free: nobody is late for it
			entered = append(entered, b.Key)
			continue
		default:
		}
		select {
		case turns <- struct{}{}:
			entered = append(entered, b.Key)
			continue
		case <-deadline.C:
			err = fmt.Errorf("%w: no turn within %v", ErrBusy, g.maxWait)
		case <-ctx.Done():
			err = stopped(ctx.Err())
		}
		l.leave(b.Key, false)
		leave()
		return nil, err
	}
	return leave, nil
}

// stand joins the lane of a budget.
func (l *lanes) stand(b storage.Budget, hashes int) (chan<- struct{}, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = make(map[string]*lane)
	}
	way := l.of[b.Key]
	if way == nil {
		way = &lane{turns: make(chan struct{}, width(b, hashes))}
		l.of[b.Key] = way
	}
	if way.standing >= laneLength {
		return nil, fmt.Errorf("%w: %d attempts wait for their turn", ErrBusy, way.standing)
	}
	way.standing++
	return way.turns, nil
}

// leave ends standing in a lane; hadTurn gives the turn to the next.
func (l *lanes) leave(key string, hadTurn bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	way := l.of[key]
	if hadTurn {
		<-way.turns
	}
	if way.standing--; way.standing == 0 {
		delete(l.of, key)
	}
}
