package bolt

import (
	"errors"
	"fmt"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// verifyRows tells whether each record has its rows in the other buckets, and none is left without its record.
func verifyRows(t *tx) error {
	var errs []error
	counts := func(bucket []byte, want int) {
		if n := t.Bucket(bucket).Stats().KeyN; n != want {
			errs = append(errs, fmt.Errorf("%d rows in %q, want %d", n, bucket, want))
		}
	}
	has := func(bucket, row []byte) {
		if t.get(bucket, row) == nil {
			errs = append(errs, fmt.Errorf("row %q is missing in %q", row, bucket))
		}
	}
	ending, live, owned := 0, 0, 0
	for _, bucket := range [][]byte{bucketGrants, bucketBudgets, bucketMarks} {
		ending += t.Bucket(bucket).Stats().KeyN
	}
	errs = append(errs, t.Bucket(bucketGrants).ForEach(func(_, value []byte) error {
		g, err := decodeGrant(value)
		if err == nil && !g.Revoked {
			live++
			has(bucketGrantsOf, grantRow(g.UserID, g.ID))
		}
		return err
	}))
	errs = append(errs, t.Bucket(bucketEntries).ForEach(func(key, value []byte) error {
		e, err := record.Decode[storage.Entry](value)
		if err == nil && e.Owner != "" {
			owned++
			has(bucketOwners, ownerRow(e))
		}
		if err == nil && !e.ExpiresAt.IsZero() {
			ending++
			has(bucketExpiry, expiryRow(kindEntry, key, e.ExpiresAt))
		}
		return err
	}))
	counts(bucketExpiry, ending)
	counts(bucketGrantsOf, live)
	counts(bucketOwners, owned)
	counts(bucketUsernames, t.Bucket(bucketUsers).Stats().KeyN)
	return errors.Join(errs...)
}
