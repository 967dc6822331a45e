package memory

import (
	"context"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// Spend takes one unit from each budget, up to the first that is empty.
func (s *Store) Spend(ctx context.Context, budgets ...storage.Budget) (wait time.Duration, err error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	now := time.Now()
	for _, b := range budgets {
		key := record.HashKey(b.Key)
		after, wait := b.SpendOne(s.budgets[key], now)
		if wait == 0 || after.Before(s.budgets[key]) {
			s.budgets[key] = after
		}
		if wait > 0 {
			return wait, nil
		}
	}
	return 0, nil
}

// Refund gives units back.
func (s *Store) Refund(ctx context.Context, refunds ...storage.Refund) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	now := time.Now()
	for _, r := range refunds {
		key := record.HashKey(r.Key)
		// A time not after now is a full budget, so nothing is kept above the burst.
		if after := r.Apply(s.budgets[key]); after.After(now) {
			s.budgets[key] = after
		} else {
			delete(s.budgets, key)
		}
	}
	return nil
}

// Remember marks key; the first one while the mark lives is told so.
func (s *Store) Remember(ctx context.Context, key string, until time.Time) (first bool, err error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	hash := record.HashKey(key)
	if time.Now().Before(s.marks[hash]) {
		return false, nil
	}
	s.marks[hash] = until.Round(0)
	return true, nil
}

// Remembered tells whether the mark lives.
func (s *Store) Remembered(ctx context.Context, key string) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.leave()
	return time.Now().Before(s.marks[record.HashKey(key)]), nil
}
