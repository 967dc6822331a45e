package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// seenUser is a user as this process has seen them. The attempt that wrote them tells them from another writing with the
// same version, which there can be after a failover that forgot one.
type seenUser struct {
	record  []byte
	version uint64
	attempt string
}

// User returns the user with that id, as Redis has them now.
func (s *Store) User(ctx context.Context, id string) (storage.User, error) {
	if record.CheckID("user id", id) != nil {
		return storage.User{}, ifAlive(ctx, s, storage.ErrNotFound)
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return storage.User{}, err
	}
	defer done()
	ticket := s.users.ticket()
	fields, err := s.client.HMGet(ctx, s.names.user(id), "record", "attempt").Result()
	if err != nil {
		return storage.User{}, failed("user", err)
	}
	if fields[0] == nil {
		s.users.drop(id)
		return storage.User{}, s.absent(ctx)
	}
	return s.sawUser(ticket, fields)
}

// sawUser decodes {record, attempt} and remembers it.
func (s *Store) sawUser(t ticket, fields []any) (storage.User, error) {
	if len(fields) != 2 {
		return storage.User{}, fmt.Errorf("redis: a user was answered with %d fields", len(fields))
	}
	text, _ := fields[0].(string)
	attempt, _ := fields[1].(string)
	u, err := record.Decode[storage.User]([]byte(text))
	if err == nil {
		s.users.putIf(t, u.ID, seenUser{[]byte(text), u.Version, attempt})
	}
	return u, err
}

// RecallUser returns the user as this process has last seen them.
func (s *Store) RecallUser(ctx context.Context, id string) (storage.User, error) {
	if seen, _, ok := s.users.get(id); ok {
		if err := s.alive(ctx); err != nil {
			return storage.User{}, err
		}
		return record.Decode[storage.User](seen.record)
	}
	return s.User(ctx, id)
}

// UserByName returns the user with that username.
func (s *Store) UserByName(ctx context.Context, username string) (storage.User, error) {
	if record.CheckID("username", username) != nil {
		return storage.User{}, ifAlive(ctx, s, storage.ErrNotFound)
	}
	ticket := s.users.ticket()
	reply, err := s.read(ctx, "user by name", scriptUserByName, s.names.username(username), s.names.user(""))
	if errors.Is(err, storage.ErrNotFound) {
		err = s.absent(ctx)
	}
	if err != nil {
		return storage.User{}, err
	}
	fields, _ := reply.([]any)
	return s.sawUser(ticket, fields)
}

// Users lists in order of username.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]storage.User, error) {
	return list[storage.User](ctx, s, listing{
		verb: "users", list: s.names.userList(), after: after, limit: limit,
		records: s.names.user(""), ids: s.names.username(""),
	})
}

// CreateUser stores a new user.
func (s *Store) CreateUser(ctx context.Context, u storage.User) error {
	u.Version = 1
	return s.createUser(ctx, u)
}

func (s *Store) createUser(ctx context.Context, u storage.User) error {
	b, err := encodeUser(u)
	if err != nil {
		return err
	}
	defer s.users.forget(u.ID)
	return answer(s.change(ctx, "create user", scriptUserCreate,
		[]string{s.names.user(u.ID), s.names.username(u.Username), s.names.userList()},
		u.ID, u.Username, b, u.Epoch, bit(u.Disabled), u.Version, rand.Text()))
}

// ReplaceUser stores u if the stored user still has its version.
func (s *Store) ReplaceUser(ctx context.Context, u storage.User) error {
	read := u.Version
	u.Version++
	b, err := encodeUser(u)
	if err != nil {
		return err
	}
	defer s.users.forget(u.ID)
	return answer(s.change(ctx, "replace user", scriptUserReplace,
		[]string{s.names.user(u.ID), s.names.username(u.Username), s.names.userList()},
		u.ID, u.Username, b, u.Epoch, bit(u.Disabled), read, rand.Text(), s.names.username("")))
}

// DeleteUser removes a user and frees the username.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	if record.CheckID("user id", id) != nil {
		return ifAlive(ctx, s, storage.ErrNotFound)
	}
	defer s.users.forget(id)
	return answer(s.change(ctx, "delete user", scriptUserDelete,
		[]string{s.names.user(id), s.names.userList()}, s.names.username("")))
}

func encodeUser(u storage.User) ([]byte, error) {
	if err := record.CheckID("user id", u.ID); err != nil {
		return nil, err
	}
	if err := record.CheckID("username", u.Username); err != nil {
		return nil, err
	}
	return record.Encode(u)
}

// bit is a boolean as the scripts take it.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
