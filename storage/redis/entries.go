package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// Entry returns a live entry, as Redis has it now.
func (s *Store) Entry(ctx context.Context, kind, id string) (storage.Entry, error) {
	if !isEntryName(kind, id) {
		return storage.Entry{}, ifAlive(ctx, s, storage.ErrNotFound)
	}
	reply, err := s.read(ctx, "entry", scriptEntryRead, s.names.entry(kind, id))
	if errors.Is(err, storage.ErrNotFound) {
		err = s.absent(ctx)
	}
	if err != nil {
		return storage.Entry{}, err
	}
	fields, _ := reply.([]any)
	return decodeEntry(fields)
}

// isEntryName tells whether there can be an entry of that name.
func isEntryName(kind, id string) bool {
	return record.CheckID("kind", kind) == nil && record.CheckID("entry id", id) == nil
}

func encodeEntry(e storage.Entry) ([]byte, error) {
	e.ExpiresAt = e.ExpiresAt.UTC()
	return record.Encode(e)
}

// decodeEntry reads {record, owner, version}.
func decodeEntry(fields []any) (storage.Entry, error) {
	if len(fields) < 3 {
		return storage.Entry{}, fmt.Errorf("redis: an entry was answered with %d fields", len(fields))
	}
	text := func(i int) string { s, _ := fields[i].(string); return s }
	e, err := record.Decode[storage.Entry]([]byte(text(0)))
	if err != nil {
		return storage.Entry{}, err
	}
	e.Owner = text(1)
	if e.Version, err = strconv.ParseUint(text(2), 10, 64); err != nil {
		return storage.Entry{}, fmt.Errorf("redis: version of an entry: %w", err)
	}
	return e, nil
}

// CreateEntry stores a new entry.
func (s *Store) CreateEntry(ctx context.Context, e storage.Entry) error {
	e.Version = 1
	m := member{e.ID, newAttempt()}
	args, err := entryCreation(e, m)
	if err != nil {
		return err
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	keys, index := []string{s.names.entry(e.Kind, e.ID)}, s.names.owned(e.Kind, e.Owner)
	apart := e.Owner != "" && s.separate()
	switch {
	case apart:
		if err := s.own(ctx, "create entry", index, ending(e.ExpiresAt), m); err != nil {
			return err
		}
	case e.Owner != "":
		keys = append(keys, index)
	}
	err = answer(s.change(ctx, "create entry", scriptEntryCreate, keys, args...))
	if apart && errors.Is(err, storage.ErrExists) {
		s.disown(ctx, index, m)
	}
	return err
}

// entryCreation is what entry_create.lua takes.
func entryCreation(e storage.Entry, m member) ([]any, error) {
	if err := record.CheckEntry(e); err != nil {
		return nil, err
	}
	b, err := encodeEntry(e)
	if err != nil {
		return nil, err
	}
	return []any{b, e.Owner, e.Version, ending(e.ExpiresAt), m.id, m.attempt}, nil
}

// ReplaceEntry stores e if the stored entry still has its version.
func (s *Store) ReplaceEntry(ctx context.Context, e storage.Entry) error {
	if !isEntryName(e.Kind, e.ID) {
		return ifAlive(ctx, s, storage.ErrNotFound)
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := record.CheckEntry(e); err != nil {
		return err
	}
	b, err := encodeEntry(e)
	if err != nil {
		return err
	}
	// In a cluster the index comes first, so its owner has to be known, and the caller may be mistaken about it.
	for range ownerTries {
		var mistaken bool
		if e.Owner, mistaken, err = s.replaceEntry(ctx, e, b); !mistaken {
			return err
		}
	}
	return failed("replace entry", errRestless)
}

// ownerTries is how often an entry is replaced whose owner was not as believed.
const ownerTries = 3

// replaceEntry tries it once. mistaken: nothing was changed, for the entry has another owner, which is returned.
func (s *Store) replaceEntry(ctx context.Context, e storage.Entry, b []byte) (owner string, mistaken bool, err error) {
	const verb = "replace entry"
	m := member{e.ID, newAttempt()}
	index, prefix := s.names.owned(e.Kind, e.Owner), s.names.owned(e.Kind, "")
	apart := e.Owner != "" && s.separate()
	if s.separate() {
		prefix = ""
	}
	if apart {
		if err := s.own(ctx, verb, index, ending(e.ExpiresAt), m); err != nil {
			return "", false, err
		}
	}
	reply, err := s.change(ctx, verb, scriptEntryReplace, []string{s.names.entry(e.Kind, e.ID)},
		e.Version, b, ending(e.ExpiresAt), e.ID, m.attempt, prefix, e.Owner, s.touch())
	if err != nil {
		return "", false, err // perhaps it was replaced: the member stays
	}
	rows, _ := reply.([]any)
	text := func(i int) string {
		if i >= len(rows) {
			return ""
		}
		s, _ := rows[i].(string)
		return s
	}
	stale := m // if nothing was changed
	switch {
	case text(0) == "owner":
		owner, mistaken = text(1), true
	case text(0) == "absent":
		err = s.absent(ctx)
	default:
		err = answer(text(0), nil)
		stale.attempt = cmp.Or(text(2), stale.attempt)
	}
	if apart {
		s.disown(ctx, index, stale)
	}
	return owner, mistaken, err
}

// TakeEntry removes an entry and returns it. Asked again after an answer that was lost, it is gone.
func (s *Store) TakeEntry(ctx context.Context, kind, id string) (storage.Entry, error) {
	if !isEntryName(kind, id) {
		return storage.Entry{}, ifAlive(ctx, s, storage.ErrNotFound)
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return storage.Entry{}, err
	}
	defer done()
	prefix := s.names.owned(kind, "")
	if s.separate() {
		prefix = ""
	}
	reply, err := s.change(ctx, "take entry", scriptEntryTake, []string{s.names.entry(kind, id)}, id, prefix, s.touch())
	if err != nil {
		return storage.Entry{}, err
	}
	fields, ok := reply.([]any)
	if !ok {
		if err = answer(reply, nil); errors.Is(err, storage.ErrNotFound) {
			err = s.absent(ctx)
		}
		return storage.Entry{}, err
	}
	e, err := decodeEntry(fields)
	if err == nil && s.separate() && e.Owner != "" && len(fields) > 3 {
		attempt, _ := fields[3].(string)
		s.disown(ctx, s.names.owned(kind, e.Owner), member{id, attempt})
	}
	return e, err
}

// EntriesOf lists, those that end first first.
func (s *Store) EntriesOf(ctx context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
	if limit <= 0 || record.CheckID("kind", kind) != nil || record.CheckID("owner", owner) != nil {
		return nil, ifAlive(ctx, s, nil)
	}
	list, err := find(ctx, s, lookup[storage.Entry]{
		verb: "entries of", index: s.names.owned(kind, owner), limit: limit,
		key:    func(id string) string { return s.names.entry(kind, id) },
		fields: []string{"record", "owner", "version", "end", "attempt"},
		take: func(fields []any, now time.Time) (e storage.Entry, attempt string, alive bool, err error) {
			if e, alive, err = entryAt(fields, now); err == nil && alive {
				attempt, _ = fields[4].(string)
				alive = e.Owner == owner
			}
			return e, attempt, alive, err
		},
	})
	slices.SortFunc(list, inOrder)
	return list, err
}

// entryAt reads {record, owner, version, end, …} of an entry that is alive at the time now.
func entryAt(fields []any, now time.Time) (e storage.Entry, alive bool, err error) {
	if len(fields) < 4 || fields[3] == nil {
		return e, false, nil
	}
	if end, _ := fields[3].(string); end != never {
		at, err := strconv.ParseInt(end, 10, 64)
		if err != nil {
			return e, false, fmt.Errorf("redis: end of an entry: %w", err)
		}
		if !now.Before(instant(at)) {
			return e, false, nil
		}
	}
	e, err = decodeEntry(fields)
	return e, err == nil, err
}

// inOrder compares by the end, never being last, and then by id.
func inOrder(a, b storage.Entry) int {
	switch {
	case a.ExpiresAt.IsZero() && !b.ExpiresAt.IsZero():
		return 1
	case b.ExpiresAt.IsZero() && !a.ExpiresAt.IsZero():
		return -1
	}
	return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.ID, b.ID))
}
