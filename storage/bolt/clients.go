package bolt

import (
	"context"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// nothing is the result of verbs that only say whether they worked.
type nothing struct{}

// Client returns the client with that id.
func (s *Store) Client(ctx context.Context, id string) (storage.Client, error) {
	return read(ctx, s, func(t *tx) (storage.Client, error) { return t.client(id) })
}

// Clients lists in order of id.
func (s *Store) Clients(ctx context.Context, after string, limit int) ([]storage.Client, error) {
	return read(ctx, s, func(t *tx) ([]storage.Client, error) {
		var list []storage.Client
		err := t.list(bucketClients, after, limit, func(_, value []byte) error {
			c, err := record.Decode[storage.Client](value)
			list = append(list, c)
			return err
		})
		return list, err
	})
}

// CreateClient stores a new client.
func (s *Store) CreateClient(ctx context.Context, c storage.Client) error {
	if err := record.CheckID("client id", c.ID); err != nil {
		return err
	}
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		if t.get(bucketClients, []byte(c.ID)) != nil {
			return nothing{}, storage.ErrExists
		}
		return nothing{}, t.putClient(c, 1)
	})
	return err
}

// ReplaceClient stores c if the stored client still has its version.
func (s *Store) ReplaceClient(ctx context.Context, c storage.Client) error {
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		stored, err := t.client(c.ID)
		if err != nil {
			return nothing{}, err
		}
		if stored.Version != c.Version {
			return nothing{}, storage.ErrConflict
		}
		return nothing{}, t.putClient(c, c.Version+1)
	})
	return err
}

// DeleteClient removes a client.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		if t.get(bucketClients, []byte(id)) == nil {
			return nothing{}, storage.ErrNotFound
		}
		return nothing{}, t.del(bucketClients, []byte(id))
	})
	return err
}

func (t *tx) client(id string) (storage.Client, error) {
	value := t.get(bucketClients, []byte(id))
	if value == nil {
		return storage.Client{}, storage.ErrNotFound
	}
	return record.Decode[storage.Client](value)
}

func (t *tx) putClient(c storage.Client, version uint64) error {
	c.Version = version
	value, err := record.Encode(c)
	if err != nil {
		return err
	}
	return t.put(bucketClients, []byte(c.ID), value)
}

// list calls visit for up to limit entries of a bucket in order of the key, beginning after the given one.
func (t *tx) list(bucket []byte, after string, limit int, visit func(key, value []byte) error) error {
	cursor := t.Bucket(bucket).Cursor()
	key, value := cursor.Seek([]byte(after))
	if after != "" && string(key) == after {
		key, value = cursor.Next()
	}
	for ; key != nil && limit > 0; limit-- {
		if err := visit(key, value); err != nil {
			return err
		}
		key, value = cursor.Next()
	}
	return nil
}
