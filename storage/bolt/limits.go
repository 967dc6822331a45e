package bolt

import (
	"context"
	"time"

	"github.com/ingam/ingam/storage/internal/record"
)

// Remember marks key; the first one while the mark lives is told so.
func (s *Store) Remember(ctx context.Context, key string, until time.Time) (first bool, err error) {
	return write(ctx, s, func(t *tx) (bool, error) {
		hash := record.HashKey(key)
		end, err := t.time(bucketMarks, hash[:])
		if err != nil || t.now.Before(end) {
			return false, err
		}
		if !t.now.Before(until) {
			return true, nil // over before it began
		}
		return true, t.putExpiring(kindMark, hash[:], encodeTime(until), until)
	})
}

// Remembered tells whether the mark lives.
func (s *Store) Remembered(ctx context.Context, key string) (bool, error) {
	return read(ctx, s, func(t *tx) (bool, error) {
		hash := record.HashKey(key)
		end, err := t.time(bucketMarks, hash[:])
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
