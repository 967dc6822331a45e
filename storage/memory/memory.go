package memory

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

var _ storage.Store = (*Store)(nil)

var errClosed = errors.New("memory: the store is closed")

// Store is a storage.Store in memory. Make one with New.
type Store struct {
	mu        sync.Mutex
	closed    bool
	clients   map[string][]byte
	users     map[string][]byte
	usernames map[string]string // username → id
	grants    map[string][]byte
	entries   map[entryKey][]byte
	ring      []byte
	budgets   map[record.Hash]time.Time // theoretical arrival time
	marks     map[record.Hash]time.Time // end
}

// New returns an empty store.
func New() *Store {
	return &Store{
		clients:   map[string][]byte{},
		users:     map[string][]byte{},
		usernames: map[string]string{},
		grants:    map[string][]byte{},
		entries:   map[entryKey][]byte{},
		budgets:   map[record.Hash]time.Time{},
		marks:     map[record.Hash]time.Time{},
	}
}

// enter begins a verb: it takes the lock, which leave gives back, unless the store is closed or the caller is gone.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	return nil
}

func (s *Store) leave() { s.mu.Unlock() }

// KeyRing returns the ring.
func (s *Store) KeyRing(ctx context.Context) (storage.KeyRing, error) {
	if err := s.enter(ctx); err != nil {
		return storage.KeyRing{}, err
	}
	defer s.leave()
	if s.ring == nil {
		return storage.KeyRing{}, storage.ErrNotFound
	}
	return record.Decode[storage.KeyRing](s.ring)
}

// PutKeyRing replaces the ring if it still has the version of the given one.
func (s *Store) PutKeyRing(ctx context.Context, ring storage.KeyRing) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	var stored storage.KeyRing
	if s.ring != nil {
		var err error
		if stored, err = record.Decode[storage.KeyRing](s.ring); err != nil {
			return err
		}
	}
	if stored.Version != ring.Version {
		return storage.ErrConflict
	}
	ring.Version++
	b, err := record.Encode(ring)
	if err != nil {
		return err
	}
	s.ring = b
	return nil
}

// Ping tells whether the store is open.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.leave()
	return nil
}

// Sweep looks at everything; fine for tests.
func (s *Store) Sweep(ctx context.Context, limit int) (removed int, err error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.leave()
	now := time.Now()
	for id, b := range s.grants {
		g, err := record.Decode[storage.Grant](b)
		if err != nil {
			return removed, err
		}
		if removed < limit && !now.Before(g.Expiry()) {
			delete(s.grants, id)
			removed++
		}
	}
	for key := range s.entries {
		if _, err := s.entry(key.kind, key.id, now); removed < limit && errors.Is(err, storage.ErrNotFound) {
			delete(s.entries, key)
			removed++
		}
	}
	for _, ends := range []map[record.Hash]time.Time{s.budgets, s.marks} {
		for key, end := range ends {
			if removed < limit && !now.Before(end) {
				delete(ends, key)
				removed++
			}
		}
	}
	return removed, nil
}

// Close forgets everything.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.clients, s.users, s.usernames, s.grants, s.entries, s.ring, s.budgets, s.marks = nil, nil, nil, nil, nil, nil, nil, nil
	return nil
}
