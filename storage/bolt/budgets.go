package bolt

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// budgetDelay is how long a changed budget may wait for a transaction that carries it to the disk.
const budgetDelay = 250 * time.Millisecond

// maxBudgets bounds how many changed budgets may wait. Only a disk that has been full for long makes so many.
const maxBudgets = 100_000

// budgets decides in memory and is written behind. A sign-in spends before its hash and is given back after it: with
// a transaction for each it would pay for three, and every wrong guess of a stranger would cost a sync of the disk.
// So a change rides with the next transaction, or gets one of its own after [budgetDelay]. What a crash can lose is
// what was spent in that time; nobody outside can make it happen.
type budgets struct {
	mu sync.Mutex
	// changed has the state of each budget that the file does not have yet.
	changed map[record.Hash]time.Time
	// touched wakes the writer when something changed.
	touched chan struct{}
}

func newBudgets() *budgets {
	return &budgets{changed: make(map[record.Hash]time.Time), touched: make(chan struct{}, 1)}
}

// decide runs f, one at a time, on a snapshot that has everything which is no longer in changed.
func (s *Store) decide(ctx context.Context, f func(*tx) error) error {
	s.budgets.mu.Lock()
	defer s.budgets.mu.Unlock()
	if err := s.failure(); err != nil {
		return err
	}
	if len(s.budgets.changed) >= maxBudgets {
		return errors.New("bolt: too many budgets wait for a disk that takes none")
	}
	_, err := read(ctx, s, func(t *tx) (nothing, error) { return nothing{}, f(t) })
	if len(s.budgets.changed) > 0 {
		select {
		case s.budgets.touched <- struct{}{}:
		default: // the writer knows already
		}
	}
	return err
}

// paid returns the state of a budget. The caller holds mu.
func (b *budgets) paid(t *tx, key record.Hash) (time.Time, error) {
	if paid, ok := b.changed[key]; ok {
		return paid, nil
	}
	return t.time(bucketBudgets, key[:])
}

// Spend takes one unit from each budget, up to the first that is empty. It waits for no disk; see budgets.
func (s *Store) Spend(ctx context.Context, list ...storage.Budget) (wait time.Duration, err error) {
	err = s.decide(ctx, func(t *tx) error {
		for _, b := range list {
			key := record.HashKey(b.Key)
			paid, err := s.budgets.paid(t, key)
			if err != nil {
				return err
			}
			var after time.Time
			after, wait = b.SpendOne(paid, t.now)
			if wait == 0 || after.Before(paid) {
				s.budgets.changed[key] = after
			}
			if wait > 0 {
				return nil
			}
		}
		return nil
	})
	return wait, err
}

// Refund gives units back. It waits for no disk; see budgets.
func (s *Store) Refund(ctx context.Context, refunds ...storage.Refund) error {
	return s.decide(ctx, func(t *tx) error {
		for _, r := range refunds {
			key := record.HashKey(r.Key)
			paid, err := s.budgets.paid(t, key)
			if err != nil {
				return err
			}
			if paid.After(t.now) { // else it is full already
				s.budgets.changed[key] = r.Apply(paid)
			}
		}
		return nil
	})
}

// waiting tells whether there is something to write.
func (b *budgets) waiting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.changed) > 0
}

// write puts what has changed into a transaction, and returns it for settled.
func (b *budgets) write(t *tx) (map[record.Hash]time.Time, error) {
	b.mu.Lock()
	carried := maps.Clone(b.changed)
	b.mu.Unlock()
	for key, paid := range carried {
		stored := t.get(bucketBudgets, key[:])
		// Full at that time, which is as good as not there.
		if stored == nil && !paid.After(t.now) || bytes.Equal(stored, encodeTime(paid)) {
			continue
		}
		if err := t.putExpiring(kindBudget, key[:], encodeTime(paid), paid); err != nil {
			return nil, err
		}
	}
	return carried, nil
}

// settled forgets what is on the disk now, unless it has changed again since.
func (b *budgets) settled(carried map[record.Hash]time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, paid := range carried {
		if b.changed[key].Equal(paid) {
			delete(b.changed, key)
		}
	}
}
