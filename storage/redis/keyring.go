package redis

import (
	"context"
	"crypto/rand"
	"errors"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// KeyRing returns the ring.
func (s *Store) KeyRing(ctx context.Context) (storage.KeyRing, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return storage.KeyRing{}, err
	}
	defer done()
	b, err := s.client.HGet(ctx, s.names.ring(), "record").Bytes()
	if errors.Is(err, goredis.Nil) {
		return storage.KeyRing{}, storage.ErrNotFound
	}
	if err != nil {
		return storage.KeyRing{}, failed("key ring", err)
	}
	return record.Decode[storage.KeyRing](b)
}

// PutKeyRing replaces the ring if it still has the version of the given one.
func (s *Store) PutKeyRing(ctx context.Context, ring storage.KeyRing) error {
	read := ring.Version
	ring.Version++
	b, err := record.Encode(ring)
	if err != nil {
		return err
	}
	return answer(s.change(ctx, "put key ring", scriptRingPut, []string{s.names.ring()}, read, b, rand.Text(), ring.Version))
}
