package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// Traffic is goroutines that use a store as servers do, a ledger of what they were told, and the comparison of the ledger
// with what the store knows afterwards.
type traffic struct {
	store *Store
	name  string       // begins every id
	user  storage.User // of all grants
	// lossy: Redis may forget what it has acknowledged. Then Ahead and ErrNotFound are answers, not lies.
	lossy bool

	asked, failed atomic.Int64 // verbs, and those that failed
	stop          chan struct{}
	workers       sync.WaitGroup

	mu       sync.Mutex
	codes    map[string]int    // code: how many attempts have won it
	families map[string]uint64 // family: the newest generation that was handed out
	moves    int               // acknowledged rotations
	fenced   int
	ahead    int
	revoked  []string
	users    []string
	marks    []string
	wrong    []string            // answers that nobody may ever get
	failures map[string]struct{} // kinds of failures, for the log
}

// startTraffic lets some workers run until end is called.
func startTraffic(ctx context.Context, s *Store, name string, u storage.User, lossy bool, workers int) *traffic {
	l := &traffic{
		store: s, name: name, user: u, lossy: lossy, stop: make(chan struct{}),
		codes: map[string]int{}, families: map[string]uint64{}, failures: map[string]struct{}{},
	}
	for w := range workers {
		l.workers.Go(func() { l.work(ctx, w) })
	}
	return l
}

// busy waits until the workers are at it, and have been for a moment: that takes longer on a machine that has much to do.
func (l *traffic) busy(t testing.TB) {
	t.Helper()
	time.Sleep(loadTime)
	eventually(t, "traffic", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.codes) < 20 || l.moves < 20 || len(l.revoked) < 20 {
			return fmt.Errorf("%d codes, %d rotations, %d revocations", len(l.codes), l.moves, len(l.revoked))
		}
		return nil
	})
}

// end stops the workers and waits for them.
func (l *traffic) end() {
	close(l.stop)
	l.workers.Wait()
}

// work does one of everything, over and over.
func (l *traffic) work(ctx context.Context, worker int) {
	f := family{id: l.id("family", worker, 0)}
	var codes, grants []string // born, and not used yet: what they are born in is older than what is done to them
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		default:
		}
		ok := l.refresh(ctx, &f, worker, i)
		ok = l.redeem(ctx, &codes, l.id("code", worker, i)) && ok
		ok = l.revoke(ctx, &grants, l.id("revoked", worker, i)) && ok
		ok = l.createUser(ctx, l.id("user", worker, i)) && ok
		ok = l.remember(ctx, l.id("mark", worker, i)) && ok
		if !ok {
			time.Sleep(10 * time.Millisecond) // nobody asks a server that is down as fast as they can
		}
	}
}

func (l *traffic) id(kind string, worker, i int) string {
	return fmt.Sprintf("%s-%s-%d-%d", l.name, kind, worker, i)
}

// ask counts a verb, and tells whether it was answered. What counts as an answer is decided by the caller.
func (l *traffic) ask(err error) (answered bool) {
	l.asked.Add(1)
	if !storage.IsFailure(err) {
		return true
	}
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := firstLine(err.Error())
	if _, after, ok := strings.Cut(kind, ": "); ok && len(l.failures) < 40 {
		l.failures[after] = struct{}{}
	}
	return false
}

func (l *traffic) lie(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// family is what a client with a refresh token knows.
type family struct {
	id         string
	generation uint64 // 0: not born yet
	attempt    string // under way, outcome unknown; "" if none
}

// refresh rotates, and after a failure asks again with the same attempt, as the engine's callers do.
func (l *traffic) refresh(ctx context.Context, f *family, worker, i int) bool {
	if f.generation == 0 {
		if err := l.store.CreateGrant(ctx, aGrant(f.id, l.user, 1)); err != nil {
			l.ask(err)
			f.id = l.id("family", worker, i+1)
			return false
		}
		l.ask(nil)
		f.generation = 1
		l.note(func() { l.families[f.id] = 1 })
	}
	if f.attempt == "" {
		f.attempt = fmt.Sprintf("%s-%d", f.id, i)
	}
	outcome, g, err := l.store.Rotate(ctx, aRotation(f.id, l.user, f.generation, f.attempt))
	if !l.ask(err) {
		return false
	}
	f.attempt = ""
	switch {
	case outcome == storage.Rotated && g.Generation == f.generation+1:
		f.generation++
		l.note(func() { l.families[f.id] = f.generation; l.moves++ })
		return true
	case l.lossy && (outcome == storage.Ahead || errors.Is(err, storage.ErrNotFound)):
		l.note(func() { l.ahead++; delete(l.families, f.id) })
	default:
		l.lie("%s: generation %d answered %v, %v, generation %d", f.id, f.generation, outcome, err, g.Generation)
	}
	*f = family{id: l.id("family", worker, i+1)}
	return true
}

func (l *traffic) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// waiting is how many grants of a worker are born before the first of them is used.
const waiting = 10

// born creates a grant and returns the one whose turn it is, "" if none.
func (l *traffic) born(ctx context.Context, queue *[]string, g storage.Grant) (turn string, ok bool) {
	err := l.store.CreateGrant(ctx, g)
	if ok = l.ask(err); ok && err != nil {
		l.lie("%s: created: %v", g.ID, err)
	}
	if err == nil {
		*queue = append(*queue, g.ID)
	}
	if len(*queue) <= waiting {
		return "", ok
	}
	turn, *queue = (*queue)[0], (*queue)[1:]
	return turn, ok
}

// redeem presents a code: an honest client does, and half of the time a thief tries too.
func (l *traffic) redeem(ctx context.Context, queue *[]string, id string) bool {
	turn, ok := l.born(ctx, queue, aGrant(id, l.user, 0))
	if turn == "" {
		return ok
	}
	l.note(func() { l.codes[turn] = 0 })
	ok = l.present(ctx, turn, "honest") && ok
	if turn[len(turn)-1]%2 == 0 { // ids end in a number
		ok = l.present(ctx, turn, "thief") && ok
	}
	return ok
}

// present redeems a code by an attempt and notes whether it won. A failed attempt may have won without knowing; it hands
// out no tokens, so it does not count.
func (l *traffic) present(ctx context.Context, id, attempt string) bool {
	outcome, _, err := l.store.Rotate(ctx, aRotation(id, l.user, 0, attempt))
	if !l.ask(err) {
		return false
	}
	switch {
	case err != nil && !l.lossy:
		l.lie("%s: redeemed: %v", id, err)
	case outcome == storage.Rotated:
		l.note(func() { l.codes[id]++ })
	case outcome == storage.Fenced:
		l.note(func() { l.fenced++ })
	case outcome == storage.Replayed, outcome == storage.Ahead, outcome == storage.Outdated:
		l.lie("%s: redeemed: %v", id, outcome)
	}
	return true
}

func (l *traffic) revoke(ctx context.Context, queue *[]string, id string) bool {
	turn, ok := l.born(ctx, queue, aGrant(id, l.user, 1))
	if turn == "" {
		return ok
	}
	err := l.store.RevokeGrant(ctx, turn, "by a test")
	if !l.ask(err) {
		return false
	}
	if err != nil {
		l.lie("%s: revoked: %v", turn, err)
	}
	l.note(func() { l.revoked = append(l.revoked, turn) })
	return ok
}

func (l *traffic) createUser(ctx context.Context, id string) bool {
	err := l.store.CreateUser(ctx, storage.User{ID: id, Username: id})
	if !l.ask(err) {
		return false
	}
	if err != nil {
		l.lie("%s: created: %v", id, err)
	}
	l.note(func() { l.users = append(l.users, id) })
	return true
}

func (l *traffic) remember(ctx context.Context, key string) bool {
	first, err := l.store.Remember(ctx, key, time.Now().Add(time.Hour))
	if !l.ask(err) {
		return false
	}
	if err != nil || !first {
		l.lie("%s: first=%v, %v", key, first, err)
	}
	l.note(func() { l.marks = append(l.marks, key) })
	return true
}
