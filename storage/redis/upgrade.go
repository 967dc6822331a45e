package redis

import (
	"context"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// upgrade brings data of schema 1 to schema 2: it puts the grants into the index of their users. Several nodes may do so at
// once, and any number of times; a node of the version before that still runs makes grants that are not in it.
func (s *Store) upgrade(ctx context.Context) error {
	err := s.scan(ctx, func(keys []string) error {
		batch, err := s.unindexed(ctx, keys)
		if err != nil {
			return err
		}
		return s.importBatch(ctx, batch)
	})
	if err == nil {
		err = s.setMeta(ctx, "schema", schema)
	}
	if err != nil {
		return fmt.Errorf("bring the data from an older schema to %d: %w", schema, err)
	}
	return nil
}

// unindexed says how the grants among the keys come into the index.
func (s *Store) unindexed(ctx context.Context, keys []string) (batch []importing, err error) {
	pipe := s.patient.Pipeline()
	var looks []*goredis.SliceCmd
	for _, key := range keys {
		if strings.HasPrefix(key, s.names.grant("")) {
			looks = append(looks, pipe.HMGet(ctx, key, "record", "creation", "revoked"))
		}
	}
	if len(looks) == 0 {
		return nil, nil
	}
	_, _ = pipe.Exec(ctx) // the commands have their errors
	for _, look := range looks {
		if err := look.Err(); err != nil {
			return nil, err
		}
		text, found := look.Val()[0].(string)
		if !found || look.Val()[2] != nil {
			continue // it has ended meanwhile, or was revoked
		}
		g, err := record.Decode[storage.Grant]([]byte(text))
		if err != nil {
			continue // one that nobody can read does not keep the others from opening
		}
		attempt, _ := look.Val()[1].(string)
		batch = append(batch, s.indexing(storage.Record{Grant: &g}, s.names.grantsOf(g.UserID), micros(g.ExpiresAt), member{g.ID, attempt}))
	}
	return batch, nil
}
