package bolt

import (
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"
)

// errOlder: a file of an earlier schema, which upgrade can bring up.
var errOlder = errors.New("an older schema")

// upgrade brings a file of schema 1 to schema 2, in one transaction: it has grants of schema 1 afterwards, which the codec
// reads, and they are found by their user.
//
// It is a new schema though an older program could read all of this: at a refresh it would drop what it does not know
// of a grant, the session above all that ends it.
func upgrade(db *bbolt.DB) error {
	err := safely(func() error {
		return db.Update(func(btx *bbolt.Tx) error {
			for _, name := range laterBuckets {
				if _, err := btx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			rows := btx.Bucket(bucketGrantsOf)
			err := btx.Bucket(bucketGrants).ForEach(func(_, value []byte) error {
				if g, err := decodeGrant(value); err == nil && !g.Revoked {
					return rows.Put(grantRow(g.UserID, g.ID), nil)
				}
				return nil // one that nobody can read does not keep the others from opening
			})
			if err != nil {
				return err
			}
			return btx.Bucket(bucketMeta).Put(keySchema, []byte(strconv.Itoa(schema)))
		})
	})
	if err != nil {
		return fmt.Errorf("bring it from an older schema to %d: %w", schema, err)
	}
	return nil
}
