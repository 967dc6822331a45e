package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// Client returns the client with that id.
func (s *Store) Client(ctx context.Context, id string) (storage.Client, error) {
	if err := s.enter(ctx); err != nil {
		return storage.Client{}, err
	}
	defer s.leave()
	return s.client(id)
}

func (s *Store) client(id string) (storage.Client, error) {
	b, ok := s.clients[id]
	if !ok {
		return storage.Client{}, storage.ErrNotFound
	}
	return record.Decode[storage.Client](b)
}

// putClient is the only writer of s.clients.
func (s *Store) putClient(c storage.Client) error {
	b, err := record.Encode(c)
	if err != nil {
		return err
	}
	s.clients[c.ID] = b
	return nil
}

// Clients lists in order of id.
func (s *Store) Clients(ctx context.Context, after string, limit int) ([]storage.Client, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var list []storage.Client
	for _, id := range slices.Sorted(maps.Keys(s.clients)) {
		if id <= after || len(list) >= limit {
			continue
		}
		c, err := s.client(id)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// CreateClient stores a new client.
func (s *Store) CreateClient(ctx context.Context, c storage.Client) error {
	if err := record.CheckID("client id", c.ID); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.clients[c.ID] != nil {
		return storage.ErrExists
	}
	c.Version = 1
	return s.putClient(c)
}

// ReplaceClient stores c if the stored client still has its version.
func (s *Store) ReplaceClient(ctx context.Context, c storage.Client) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	stored, err := s.client(c.ID)
	if err != nil {
		return err
	}
	if stored.Version != c.Version {
		return storage.ErrConflict
	}
	c.Version++
	return s.putClient(c)
}

// DeleteClient removes a client.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.clients[id] == nil {
		return storage.ErrNotFound
	}
	delete(s.clients, id)
	return nil
}
