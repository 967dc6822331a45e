package bolt

import (
	"bytes"
	"context"

	"github.com/ingam/ingam/storage"
)

// grantRow tells which user a grant belongs to. It is in the bucket of grants by user, without a value, from the creation
// of the grant until it is revoked or swept.
func grantRow(userID, id string) []byte { return append(appendString(nil, userID), id...) }

// grantAndUser is the result of GrantAndUser.
type grantAndUser struct {
	grant storage.Grant
	user  storage.User
}

// GrantAndUser returns both as they were at one moment.
func (s *Store) GrantAndUser(ctx context.Context, id, userID string) (storage.Grant, storage.User, error) {
	both, err := read(ctx, s, func(t *tx) (both grantAndUser, err error) {
		if both.grant, err = t.grant(id); err != nil {
			return both, err
		}
		both.user, err = t.user([]byte(userID))
		return both, err
	})
	return both.grant, both.user, err
}

// GrantsOf returns live grants of a user.
func (s *Store) GrantsOf(ctx context.Context, userID string, limit int) ([]storage.Grant, error) {
	return read(ctx, s, func(t *tx) ([]storage.Grant, error) {
		var list []storage.Grant
		prefix := grantRow(userID, "")
		cursor := t.Bucket(bucketGrantsOf).Cursor()
		for row, _ := cursor.Seek(prefix); bytes.HasPrefix(row, prefix) && len(list) < limit; row, _ = cursor.Next() {
			value := t.get(bucketGrants, row[len(prefix):])
			if value == nil {
				continue
			}
			g, err := decodeGrant(value)
			if err != nil {
				return nil, err
			}
			if !g.Revoked && t.now.Before(g.Expiry()) {
				list = append(list, g)
			}
		}
		return list, nil
	})
}

// putNewGrant stores a grant with its rows, in place of one that has ended.
func (t *tx) putNewGrant(g storage.Grant) error {
	if value := t.get(bucketGrants, []byte(g.ID)); value != nil {
		old, err := decodeGrant(value)
		if err != nil {
			return err
		}
		if err := t.del(bucketGrantsOf, grantRow(old.UserID, old.ID)); err != nil {
			return err
		}
	}
	if !g.Revoked {
		if err := t.put(bucketGrantsOf, grantRow(g.UserID, g.ID), nil); err != nil {
			return err
		}
	}
	return t.putExpiring(kindGrant, []byte(g.ID), encodeGrant(g), g.Expiry())
}

// putChanged stores a grant that was there before.
func (t *tx) putChanged(g storage.Grant) error {
	// The row in the expiry bucket stays as it is, though the grant may now end later: see sweep.go.
	if g.Revoked {
		if err := t.del(bucketGrantsOf, grantRow(g.UserID, g.ID)); err != nil {
			return err
		}
	}
	return t.put(bucketGrants, []byte(g.ID), encodeGrant(g))
}
