package redis

import (
	"context"
	"crypto/rand"
	"errors"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// Client returns the client, from memory as long as it is fresh. In its second half of freshness it is read again in the
// background, so that a client that is used all the time costs no request a round trip.
func (s *Store) Client(ctx context.Context, id string) (storage.Client, error) {
	if err := s.alive(ctx); err != nil {
		return storage.Client{}, err
	}
	b, age, ok := s.clients.get(id)
	switch {
	case ok && age < storage.ClientFreshness/2:
	case ok && age < storage.ClientFreshness:
		s.renewClient(id)
	default:
		var err error
		if b, err = s.readClient(ctx, id); err != nil {
			return storage.Client{}, err
		}
	}
	return record.Decode[storage.Client](b)
}

// alive is begin for what needs no deadline.
func (s *Store) alive(ctx context.Context) error {
	if s.closing.Err() != nil {
		return errClosed
	}
	return ctx.Err()
}

// readClient asks Redis.
func (s *Store) readClient(ctx context.Context, id string) ([]byte, error) {
	if record.CheckID("client id", id) != nil {
		return nil, storage.ErrNotFound
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	ticket := s.clients.ticket()
	b, err := s.client.HGet(ctx, s.names.client(id), "record").Bytes()
	if errors.Is(err, goredis.Nil) {
		s.clients.drop(id)
		return nil, s.absent(ctx)
	}
	if err != nil {
		return nil, failed("client", err)
	}
	s.clients.putIf(ticket, id, b)
	return b, nil
}

// renewClient reads a client again while callers go on with what they have. A failure shows to the caller who finds it
// stale.
func (s *Store) renewClient(id string) {
	if !s.clients.renew(id) {
		return
	}
	s.inBackground(func() {
		_, _ = s.readClient(s.closing, id) // see above
		s.clients.renewed(id)
	})
}

// Clients lists in order of id.
func (s *Store) Clients(ctx context.Context, after string, limit int) ([]storage.Client, error) {
	return list[storage.Client](ctx, s, listing{
		verb: "clients", list: s.names.clientList(), after: after, limit: limit, records: s.names.client(""),
	})
}

// CreateClient stores a new client.
func (s *Store) CreateClient(ctx context.Context, c storage.Client) error {
	c.Version = 1
	return s.createClient(ctx, c)
}

func (s *Store) createClient(ctx context.Context, c storage.Client) error {
	if err := record.CheckID("client id", c.ID); err != nil {
		return err
	}
	b, err := record.Encode(c)
	if err != nil {
		return err
	}
	defer s.clients.forget(c.ID)
	return answer(s.change(ctx, "create client", scriptClientCreate,
		[]string{s.names.client(c.ID), s.names.clientList()}, c.ID, b, c.Version, rand.Text()))
}

// ReplaceClient stores c if the stored client still has its version.
func (s *Store) ReplaceClient(ctx context.Context, c storage.Client) error {
	if record.CheckID("client id", c.ID) != nil {
		return ifAlive(ctx, s, storage.ErrNotFound)
	}
	read := c.Version
	c.Version++
	b, err := record.Encode(c)
	if err != nil {
		return err
	}
	defer s.clients.forget(c.ID)
	return answer(s.change(ctx, "replace client", scriptClientReplace, []string{s.names.client(c.ID)}, read, b, rand.Text()))
}

// DeleteClient removes a client.
func (s *Store) DeleteClient(ctx context.Context, id string) error {
	if record.CheckID("client id", id) != nil {
		return ifAlive(ctx, s, storage.ErrNotFound)
	}
	defer s.clients.forget(id)
	return answer(s.change(ctx, "delete client", scriptClientDelete, []string{s.names.client(id), s.names.clientList()}, id))
}

// ifAlive gives an answer that needs no Redis, unless the store is closed or the caller gone.
func ifAlive(ctx context.Context, s *Store, answer error) error {
	if err := s.alive(ctx); err != nil {
		return err
	}
	return answer
}

// listing says what to list.
type listing struct {
	verb, list, after string
	limit             int
	records           string // prefix of the keys of the records
	ids               string // prefix of the keys that lead to ids, "" if the list has ids
}

// list returns a page of records.
func list[T any](ctx context.Context, s *Store, l listing) ([]T, error) {
	if l.limit <= 0 {
		return nil, ifAlive(ctx, s, nil)
	}
	from := "-"
	if l.after != "" {
		from = "(" + l.after
	}
	reply, err := s.read(ctx, l.verb, scriptList, l.list, from, l.limit, l.records, l.ids)
	if err != nil {
		return nil, err
	}
	rows, _ := reply.([]any)
	page := make([]T, 0, len(rows))
	for _, row := range rows {
		text, _ := row.(string)
		v, err := record.Decode[T]([]byte(text))
		if err != nil {
			return nil, err
		}
		page = append(page, v)
	}
	return page, nil
}
