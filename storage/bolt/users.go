package bolt

import (
	"context"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// User returns the user with that id.
func (s *Store) User(ctx context.Context, id string) (storage.User, error) {
	return read(ctx, s, func(t *tx) (storage.User, error) { return t.user([]byte(id)) })
}

// RecallUser is User: this process sees every change at once.
func (s *Store) RecallUser(ctx context.Context, id string) (storage.User, error) {
	return s.User(ctx, id)
}

// UserByName returns the user with that username.
func (s *Store) UserByName(ctx context.Context, username string) (storage.User, error) {
	return read(ctx, s, func(t *tx) (storage.User, error) {
		return t.user(t.get(bucketUsernames, []byte(username)))
	})
}

// Users lists in order of username.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]storage.User, error) {
	return read(ctx, s, func(t *tx) ([]storage.User, error) {
		var list []storage.User
		err := t.list(bucketUsernames, after, limit, func(_, id []byte) error {
			u, err := t.user(id)
			list = append(list, u)
			return err
		})
		return list, err
	})
}

// CreateUser stores a new user.
func (s *Store) CreateUser(ctx context.Context, u storage.User) error {
	if err := checkUser(u); err != nil {
		return err
	}
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		if t.get(bucketUsers, []byte(u.ID)) != nil || t.get(bucketUsernames, []byte(u.Username)) != nil {
			return nothing{}, storage.ErrExists
		}
		return nothing{}, t.putUser(u, 1, "")
	})
	return err
}

// ReplaceUser stores u if the stored user still has its version.
func (s *Store) ReplaceUser(ctx context.Context, u storage.User) error {
	if err := checkUser(u); err != nil {
		return err
	}
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		stored, err := t.user([]byte(u.ID))
		if err != nil {
			return nothing{}, err
		}
		if stored.Version != u.Version {
			return nothing{}, storage.ErrConflict
		}
		if owner := t.get(bucketUsernames, []byte(u.Username)); owner != nil && string(owner) != u.ID {
			return nothing{}, storage.ErrExists
		}
		return nothing{}, t.putUser(u, u.Version+1, stored.Username)
	})
	return err
}

// DeleteUser removes a user and frees the username.
func (s *Store) DeleteUser(ctx context.Context, id string) error {
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		u, err := t.user([]byte(id))
		if err != nil {
			return nothing{}, err
		}
		if err := t.del(bucketUsernames, []byte(u.Username)); err != nil {
			return nothing{}, err
		}
		return nothing{}, t.del(bucketUsers, []byte(id))
	})
	return err
}

func (t *tx) user(id []byte) (storage.User, error) {
	value := t.get(bucketUsers, id)
	if value == nil {
		return storage.User{}, storage.ErrNotFound
	}
	return record.Decode[storage.User](value)
}

// putUser stores the user and its username, and frees the name that it had before.
func (t *tx) putUser(u storage.User, version uint64, before string) error {
	u.Version = version
	value, err := record.Encode(u)
	if err != nil {
		return err
	}
	if before != "" && before != u.Username {
		if err := t.del(bucketUsernames, []byte(before)); err != nil {
			return err
		}
	}
	if err := t.put(bucketUsernames, []byte(u.Username), []byte(u.ID)); err != nil {
		return err
	}
	return t.put(bucketUsers, []byte(u.ID), value)
}

func checkUser(u storage.User) error {
	if err := record.CheckID("user id", u.ID); err != nil {
		return err
	}
	return record.CheckID("username", u.Username)
}
