package bolt

import (
	"context"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// KeyRing returns the ring.
func (s *Store) KeyRing(ctx context.Context) (storage.KeyRing, error) {
	return read(ctx, s, func(t *tx) (storage.KeyRing, error) {
		value := t.get(bucketMeta, keyRing)
		if value == nil {
			return storage.KeyRing{}, storage.ErrNotFound
		}
		return record.Decode[storage.KeyRing](value)
	})
}

// PutKeyRing replaces the ring if it still has the version of the given one.
func (s *Store) PutKeyRing(ctx context.Context, ring storage.KeyRing) error {
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		var stored storage.KeyRing
		if value := t.get(bucketMeta, keyRing); value != nil {
			var err error
			if stored, err = record.Decode[storage.KeyRing](value); err != nil {
				return nothing{}, err
			}
		}
		if stored.Version != ring.Version {
			return nothing{}, storage.ErrConflict
		}
		next := ring // a verb may run twice
		next.Version++
		value, err := record.Encode(next)
		if err != nil {
			return nothing{}, err
		}
		return nothing{}, t.put(bucketMeta, keyRing, value)
	})
	return err
}
