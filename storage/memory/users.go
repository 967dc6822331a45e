package memory

import (
	"context"
	"maps"
	"slices"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// User returns the user with that id.
func (s *Store) User(ctx context.Context, id string) (storage.User, error) {
	if err := s.enter(ctx); err != nil {
		return storage.User{}, err
	}
	defer s.leave()
	return s.user(id)
}

// RecallUser is User: nothing here is older than the store.
func (s *Store) RecallUser(ctx context.Context, id string) (storage.User, error) {
	return s.User(ctx, id)
}

// UserByName returns the user with that username.
func (s *Store) UserByName(ctx context.Context, username string) (storage.User, error) {
	if err := s.enter(ctx); err != nil {
		return storage.User{}, err
	}
	defer s.leave()
	return s.user(s.usernames[username])
}

func (s *Store) user(id string) (storage.User, error) {
	b, ok := s.users[id]
	if !ok {
		return storage.User{}, storage.ErrNotFound
	}
	return record.Decode[storage.User](b)
}

// Users lists in order of username.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]storage.User, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var list []storage.User
	for _, name := range slices.Sorted(maps.Keys(s.usernames)) {
		if name <= after || len(list) >= limit {
			continue
		}
		u, err := s.user(s.usernames[name])
		if err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	return list, nil
}

// CreateUser stores a new user.
func (s *Store) CreateUser(ctx context.Context, u storage.User) error {
	if err := checkUser(u); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.users[u.ID] != nil || s.usernames[u.Username] != "" {
		return storage.ErrExists
	}
	u.Version = 1
	return s.putUser(u)
}

// ReplaceUser stores u if the stored user still has its version.
func (s *Store) ReplaceUser(ctx context.Context, u storage.User) error {
	if err := checkUser(u); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	stored, err := s.user(u.ID)
	if err != nil {
		return err
	}
	if stored.Version != u.Version {
		return storage.ErrConflict
	}
	if owner := s.usernames[u.Username]; owner != "" && owner != u.ID {
		return storage.ErrExists
	}
	u.Version++
	if err := s.putUser(u); err != nil {
		return err
	}
	if stored.Username != u.Username {
		delete(s.usernames, stored.Username)
	}
	return nil
}

// DeleteUser removes a user and frees the username.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	u, err := s.user(id)
	if err != nil {
		return err
	}
	delete(s.users, id)
	delete(s.usernames, u.Username)
	return nil
}

// putUser is the only writer of s.users. Encoding comes first: it is all that can fail.
func (s *Store) putUser(u storage.User) error {
	b, err := record.Encode(u)
	if err != nil {
		return err
	}
	s.users[u.ID] = b
	s.usernames[u.Username] = u.ID
	return nil
}

func checkUser(u storage.User) error {
	if err := record.CheckID("user id", u.ID); err != nil {
		return err
	}
	return record.CheckID("username", u.Username)
}
