package bolt

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/ingam/ingam/storage"
)

// hashed is the key of a budget or a mark at rest. Those are made from what strangers send and may be of any length;
// and what somebody has typed into a login form, a password in the wrong field perhaps, never reaches the disk.
func hashed(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// Spend takes one unit from each budget, up to the first that is empty.
func (s *Store) Spend(ctx context.Context, budgets ...storage.Budget) (wait time.Duration, err error) {
	return write(ctx, s, func(t *tx) (time.Duration, error) {
		for _, b := range budgets {
			key := hashed(b.Key)
			paid, err := t.time(bucketBudgets, key)
			if err != nil {
				return 0, err
			}
			after, wait := b.SpendOne(paid, t.now)
			if wait > 0 {
				return wait, nil
			}
			// Full at this time, which is as good as not there.
			if err := t.putExpiring(kindBudget, key, encodeTime(after), after); err != nil {
				return 0, err
			}
		}
		return 0, nil
	})
}

// Refund gives units back.
func (s *Store) Refund(ctx context.Context, refunds ...storage.Refund) error {
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		for _, r := range refunds {
			key := hashed(r.Key)
			paid, err := t.time(bucketBudgets, key)
			if err != nil {
				return nothing{}, err
			}
			if !paid.After(t.now) {
				continue // full already
			}
			// A time in the past is a full budget and no more. The record stays for the sweeper, as its index entry does.
			if err := t.put(bucketBudgets, key, encodeTime(r.Apply(paid))); err != nil {
				return nothing{}, err
			}
		}
		return nothing{}, nil
	})
	return err
}

// Remember marks key; the first one while the mark lives is told so.
func (s *Store) Remember(ctx context.Context, key string, until time.Time) (first bool, err error) {
	return write(ctx, s, func(t *tx) (bool, error) {
		hash := hashed(key)
		end, err := t.time(bucketMarks, hash)
		if err != nil || t.now.Before(end) {
			return false, err
		}
		if !t.now.Before(until) {
			return true, nil // over before it began
		}
		return true, t.putExpiring(kindMark, hash, encodeTime(until), until)
	})
}

// Remembered tells whether the mark lives.
func (s *Store) Remembered(ctx context.Context, key string) (bool, error) {
	return read(ctx, s, func(t *tx) (bool, error) {
		end, err := t.time(bucketMarks, hashed(key))
		return t.now.Before(end), err
	})
}

// time reads a budget or a mark; the zero time if there is none.
func (t *tx) time(bucket, key []byte) (time.Time, error) {
	value := t.get(bucket, key)
	if value == nil {
		return time.Time{}, nil
	}
	return decodeTime(value)
}
