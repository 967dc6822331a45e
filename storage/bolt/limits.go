package bolt

import (
	"context"
	"crypto/sha256"
	"time"
)

// hashed is the key of a budget or a mark at rest. Those are made from what strangers send and may be of any length;
// and what somebody has typed into a login form, a password in the wrong field perhaps, never reaches the disk.
func hashed(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// Remember marks key; the first one while the mark lives is told so.
func (s *Store) Remember(ctx context.Context, key string, until time.Time) (first bool, err error) {
	return write(ctx, s, func(t *tx) (bool, error) {
		hash := hashed(key)
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
		hash := hashed(key)
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
