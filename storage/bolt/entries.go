package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// An entry of a room rests as JSON under its kind and id. If it has an owner there is a row for it in the owners bucket,
// ordered as EntriesOf answers; if it ends there is one in the expiry bucket. Unlike that of a grant, both rows say
// exactly what the entry says: sessions move on once a minute and not with each request, and a page that lists them
// must not read those that have ended.

// entryKey is where an entry rests.
func entryKey(kind, id string) []byte { return append(appendString(nil, kind), id...) }

// ownerPrefix is what all rows of an owner begin with.
func ownerPrefix(kind, owner string) []byte { return appendString(appendString(nil, kind), owner) }

// noEnd sorts behind every instant.
var noEnd = bytes.Repeat([]byte{0xff}, 12)

// ownerRow ends with 12 bytes that sort as the end does, and the id.
func ownerRow(e storage.Entry) []byte {
	row := ownerPrefix(e.Kind, e.Owner)
	if e.ExpiresAt.IsZero() {
		row = append(row, noEnd...)
	} else {
		row = binary.BigEndian.AppendUint64(row, uint64(e.ExpiresAt.Unix())^1<<63) // negative numbers sort before the others
		row = binary.BigEndian.AppendUint32(row, uint32(e.ExpiresAt.Nanosecond()))
	}
	return append(row, e.ID...)
}

// Entry returns a live entry.
func (s *Store) Entry(ctx context.Context, kind, id string) (storage.Entry, error) {
	return read(ctx, s, func(t *tx) (storage.Entry, error) { return t.liveEntry(kind, id) })
}

// CreateEntry stores a new entry.
func (s *Store) CreateEntry(ctx context.Context, e storage.Entry) error {
	if err := record.CheckEntry(e); err != nil {
		return err
	}
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		stored, found, err := t.storedEntry(e.Kind, e.ID)
		switch {
		case err != nil:
			return nothing{}, err
		case found && t.lives(stored.ExpiresAt):
			return nothing{}, storage.ErrExists
		}
		next := e // a verb may run twice
		next.Version = 1
		return nothing{}, t.putEntry(stored, found, next)
	})
	return err
}

// ReplaceEntry stores e if the stored entry still has its version.
func (s *Store) ReplaceEntry(ctx context.Context, e storage.Entry) error {
	if err := record.CheckEntry(e); err != nil {
		return err
	}
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		stored, err := t.liveEntry(e.Kind, e.ID)
		switch {
		case err != nil:
			return nothing{}, err
		case stored.Version != e.Version:
			return nothing{}, storage.ErrConflict
		}
		next := e
		next.Version, next.Owner = e.Version+1, stored.Owner
		return nothing{}, t.putEntry(stored, true, next)
	})
	return err
}

// TakeEntry removes an entry and returns it.
func (s *Store) TakeEntry(ctx context.Context, kind, id string) (storage.Entry, error) {
	return write(ctx, s, func(t *tx) (storage.Entry, error) {
		e, err := t.liveEntry(kind, id)
		if err != nil {
			return e, err
		}
		if err := t.dropRows(e); err != nil {
			return e, err
		}
		return e, t.del(bucketEntries, entryKey(kind, id))
	})
}

// EntriesOf lists, those that end first first.
func (s *Store) EntriesOf(ctx context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
	return read(ctx, s, func(t *tx) ([]storage.Entry, error) {
		var list []storage.Entry
		prefix := ownerPrefix(kind, owner)
		if owner == "" {
			return nil, nil
		}
		cursor := t.Bucket(bucketOwners).Cursor()
		for row, _ := cursor.Seek(prefix); bytes.HasPrefix(row, prefix) && len(list) < limit; row, _ = cursor.Next() {
			e, found, err := t.storedEntry(kind, string(row[len(prefix)+len(noEnd):]))
			if err != nil {
				return nil, err
			}
			if found && t.lives(e.ExpiresAt) {
				list = append(list, e)
			}
		}
		return list, nil
	})
}

// lives tells whether the end of an entry is still to come.
func (t *tx) lives(end time.Time) bool { return end.IsZero() || t.now.Before(end) }

func (t *tx) liveEntry(kind, id string) (storage.Entry, error) {
	e, found, err := t.storedEntry(kind, id)
	if err == nil && !(found && t.lives(e.ExpiresAt)) {
		return storage.Entry{}, storage.ErrNotFound
	}
	return e, err
}

// storedEntry finds an entry, ended or not.
func (t *tx) storedEntry(kind, id string) (e storage.Entry, found bool, err error) {
	value := t.get(bucketEntries, entryKey(kind, id))
	if value == nil {
		return e, false, nil
	}
	e, err = record.Decode[storage.Entry](value)
	return e, err == nil, err
}

// putEntry stores e with its rows in place of what was stored under its kind and id.
func (t *tx) putEntry(stored storage.Entry, found bool, e storage.Entry) error {
	e.ExpiresAt = utc(e.ExpiresAt)
	value, err := record.Encode(e)
	if err != nil {
		return err
	}
	if found {
		if err := t.dropRows(stored); err != nil {
			return err
		}
	}
	if e.Owner != "" {
		if err := t.put(bucketOwners, ownerRow(e), nil); err != nil {
			return err
		}
	}
	key := entryKey(e.Kind, e.ID)
	if !e.ExpiresAt.IsZero() {
		if err := t.put(bucketExpiry, expiryRow(kindEntry, key, e.ExpiresAt), nil); err != nil {
			return err
		}
	}
	return t.put(bucketEntries, key, value)
}

func (t *tx) dropRows(e storage.Entry) error {
	if e.Owner != "" {
		if err := t.del(bucketOwners, ownerRow(e)); err != nil {
			return err
		}
	}
	if e.ExpiresAt.IsZero() {
		return nil
	}
	return t.del(bucketExpiry, expiryRow(kindEntry, entryKey(e.Kind, e.ID), e.ExpiresAt))
}

// utc is the instant as it will be read back; the zero time stays zero.
func utc(t time.Time) time.Time { return t.UTC().Round(0) }
