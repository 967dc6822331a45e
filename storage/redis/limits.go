package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ingam/ingam/storage"
)

// Spend takes one unit from each budget, one after the other, up to the first that is empty. A failover may forget what
// was spent in the last moment.
func (s *Store) Spend(ctx context.Context, budgets ...storage.Budget) (wait time.Duration, err error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	for _, b := range budgets {
		reply, err := s.unawaited(ctx, "spend", scriptBudgetSpend, s.names.budget(b.Key), b.Burst, b.Every.Microseconds())
		if err != nil {
			return 0, err
		}
		micros, ok := reply.(int64)
		if !ok {
			return 0, fmt.Errorf("redis: spend: a script answered %v", reply)
		}
		if micros > 0 {
			return time.Duration(micros) * time.Microsecond, nil
		}
	}
	return 0, nil
}

// Refund gives units back.
func (s *Store) Refund(ctx context.Context, refunds ...storage.Refund) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, r := range refunds {
		err := answer(s.unawaited(ctx, "refund", scriptBudgetRefund, s.names.budget(r.Key), r.Every.Microseconds(), r.Units))
		if err != nil {
			return err
		}
	}
	return nil
}

// Remember marks key; the first one while the mark lives is told so.
func (s *Store) Remember(ctx context.Context, key string, until time.Time) (first bool, err error) {
	reply, err := s.change(ctx, "remember", scriptMarkSet, []string{s.names.mark(key)}, micros(until), rand.Text())
	return reply == int64(1), err
}

// Remembered tells whether the mark lives.
func (s *Store) Remembered(ctx context.Context, key string) (bool, error) {
	reply, err := s.read(ctx, "remembered", scriptMarkRead, s.names.mark(key))
	return reply == int64(1), err
}

// micros is a time as the scripts take it: µs since 1970, rounded up, so that nothing ends before its time.
func micros(t time.Time) int64 {
	m := t.UnixMicro()
	if t.Nanosecond()%1000 != 0 {
		m++
	}
	return m
}

// instant is the way back.
func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
