package storagetest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

// creating makes a mutant that stores another entry than it was given.
func creating(bend func(e *storage.Entry)) func() storage.Store {
	return breaking(func(b *broken) {
		b.createEntry = func(ctx context.Context, e storage.Entry) error {
			bend(&e)
			return b.Store.CreateEntry(ctx, e)
		}
	})
}

// replacing does the same to what replaces one. It may look at the one that is stored.
func replacing(bend func(e *storage.Entry, stored storage.Entry)) func() storage.Store {
	return breaking(func(b *broken) {
		b.replaceEntry = func(ctx context.Context, e storage.Entry) error {
			stored, err := b.Store.Entry(ctx, e.Kind, e.ID)
			if err == nil {
				bend(&e, stored)
			}
			return b.Store.ReplaceEntry(ctx, e)
		}
	})
}

// reading does the same to what is read, listed or taken.
func reading(bend func(e *storage.Entry)) func() storage.Store {
	return breaking(func(b *broken) {
		b.entry = func(ctx context.Context, kind, id string) (storage.Entry, error) {
			e, err := b.Store.Entry(ctx, kind, id)
			bend(&e)
			return e, err
		}
		b.entriesOf = func(ctx context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
			list, err := b.Store.EntriesOf(ctx, kind, owner, limit)
			for i := range list {
				bend(&list[i])
			}
			return list, err
		}
	})
}

// entryMutants break what is promised about single entries.
var entryMutants = []mutant{
	{"an entry is read, and then removed", breaking(func(b *broken) {
		b.takeEntry = func(ctx context.Context, kind, id string) (storage.Entry, error) {
			e, err := b.Store.Entry(ctx, kind, id)
			if err != nil {
				return e, err
			}
			time.Sleep(time.Microsecond)
			_, err = b.Store.TakeEntry(ctx, kind, id)
			if storage.IsFailure(err) {
				return e, err
			}
			return e, nil
		}
	}), []string{"of 64 who take one entry"}},
	{"taking an entry leaves it there", breaking(func(b *broken) { b.takeEntry = b.Store.Entry }), []string{
		"what is taken is gone", "of 64 who take one entry", "races a taking", "shows what lives", "has ended or was removed",
	}},
	{"the version of an entry is not compared", replacing(func(e *storage.Entry, stored storage.Entry) { e.Version = stored.Version }), []string{
		"only the version that is stored", "of 16 replacements of one entry",
	}},
	{"an entry is looked at, and then replaced", breaking(func(b *broken) {
		b.replaceEntry = func(ctx context.Context, e storage.Entry) error {
			stored, err := b.Store.Entry(ctx, e.Kind, e.ID)
			if err == nil && stored.Version != e.Version {
				return storage.ErrConflict
			}
			time.Sleep(time.Microsecond)
			for errors.Is(err, nil) {
				if err = b.Store.ReplaceEntry(ctx, e); !errors.Is(err, storage.ErrConflict) {
					return err
				}
				e.Version++
				err = nil
			}
			return err
		}
	}), []string{"of 16 replacements of one entry", "8 who count"}},
	{"replacing an entry that is not there makes one", breaking(func(b *broken) {
		b.replaceEntry = func(ctx context.Context, e storage.Entry) error {
			err := b.Store.ReplaceEntry(ctx, e)
			if errors.Is(err, storage.ErrNotFound) {
				return b.Store.CreateEntry(ctx, e)
			}
			return err
		}
	}), []string{"an unknown entry", "what is taken is gone", "races a taking", "an entry ends to the millisecond"}},
	{"creating an entry puts it over the one that is there", breaking(func(b *broken) {
		b.createEntry = func(ctx context.Context, e storage.Entry) error {
			if _, err := b.Store.TakeEntry(ctx, e.Kind, e.ID); storage.IsFailure(err) {
				return err
			}
			return b.Store.CreateEntry(ctx, e)
		}
	}), []string{"leaves all as it was", "creations of one entry"}},
	{"kind and id are glued together", breaking(func(b *broken) {
		created := b.createEntry
		var mu sync.Mutex
		glued := map[string]bool{}
		b.createEntry = func(ctx context.Context, e storage.Entry) error {
			mu.Lock()
			defer mu.Unlock()
			if glued[e.Kind+e.ID] {
				return storage.ErrExists
			}
			glued[e.Kind+e.ID] = true
			return created(ctx, e)
		}
	}), []string{"kind and id are not"}},
	{"kinds do not count", breaking(func(b *broken) {
		b.entry = func(ctx context.Context, kind, id string) (storage.Entry, error) {
			for _, kind := range []string{kind, storage.KindSession, storage.KindConsent} {
				if e, err := b.Store.Entry(ctx, kind, id); err == nil {
					return e, nil
				}
			}
			return b.Store.Entry(ctx, kind, id)
		}
	}), []string{"an unknown entry"}},
	{"the ids of entries are folded", creating(func(e *storage.Entry) {
		if e.ID == "A" {
			e.ID = "a"
		}
	}), []string{"entry ids are bytes"}},
	{"numbers in the data of an entry become floating", creating(func(e *storage.Entry) {
		var v any
		if json.Unmarshal(e.Data, &v) == nil {
			e.Data, _ = json.Marshal(v)
		}
	}), []string{"any JSON value"}},
	{"data that is no JSON is taken for null", creating(func(e *storage.Entry) {
		if !json.Valid(e.Data) {
			e.Data = json.RawMessage(`null`)
		}
	}), []string{"could not come back"}},
	{"the end of an entry keeps its zone", reading(func(e *storage.Entry) {
		e.ExpiresAt = e.ExpiresAt.In(time.FixedZone("KST", 9*3600))
	}), []string{"comes back in UTC"}},
	{"the version of a new entry is what it says", breaking(func(b *broken) {
		b.entry = func(ctx context.Context, kind, id string) (storage.Entry, error) {
			e, err := b.Store.Entry(ctx, kind, id)
			e.Version += 6
			return e, err
		}
	}), []string{"an entry comes back exactly"}},
	{"an entry without an end gets one", creating(func(e *storage.Entry) {
		if e.ExpiresAt.IsZero() {
			e.ExpiresAt = time.Now().Add(55 * time.Second)
		}
	}), []string{"still there much later"}},
	{"an entry lives one millisecond too long", creating(func(e *storage.Entry) {
		if !e.ExpiresAt.IsZero() {
			e.ExpiresAt = e.ExpiresAt.Add(time.Millisecond)
		}
	}), []string{"an entry ends to the millisecond", "before it is made"}},
	{"an entry keeps its first end", replacing(func(e *storage.Entry, stored storage.Entry) { e.ExpiresAt = stored.ExpiresAt }), []string{
		"in both directions", "only the version that is stored", "follows a change",
	}},
	{"the store keeps live entries", breaking(func(b *broken) {
		var mu sync.Mutex
		kept := map[string]storage.Entry{}
		b.entry = func(ctx context.Context, kind, id string) (storage.Entry, error) {
			return remembering(&mu, kept, kind+id, func() (storage.Entry, error) { return b.Store.Entry(ctx, kind, id) })
		}
	}), []string{"does to an entry"}},
	{"the sweeper takes an entry that was to end once", breaking(func(b *broken) {
		var mu sync.Mutex
		ends := map[[2]string]time.Time{}
		b.createEntry = func(ctx context.Context, e storage.Entry) error {
			mu.Lock()
			defer mu.Unlock()
			if _, again := ends[[2]string{e.Kind, e.ID}]; !again && !e.ExpiresAt.IsZero() {
				ends[[2]string{e.Kind, e.ID}] = e.ExpiresAt
			}
			return b.Store.CreateEntry(ctx, e)
		}
		b.sweep = func(ctx context.Context, limit int) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			maps.DeleteFunc(ends, func(key [2]string, end time.Time) bool {
				due := !time.Now().Before(end)
				if due {
					_, _ = b.Store.TakeEntry(ctx, key[0], key[1])
				}
				return due
			})
			return b.Store.Sweep(ctx, limit)
		}
	}), []string{"the sweeper spares that one", "in both directions"}},
	{"an import drops the entries", importing(func(r storage.Record) (storage.Record, bool) { return r, r.Entry == nil }), []string{
		copied, "lists of grants of an import", "1,000 records", "comes twice", "no store has exported",
	}},
	{"an export leaves out entries that nobody owns", exporting(func(r storage.Record) (storage.Record, bool) {
		return r, r.Entry == nil || r.Entry.Owner != ""
	}), []string{"an export has all entries"}},
	{"an import counts the versions of entries from 1", importing(func(r storage.Record) (storage.Record, bool) {
		if r.Entry != nil {
			r.Entry.Version = 1
		}
		return r, true
	}), []string{copied, "lists of grants of an import"}},
	{"an import prolongs entries", importing(func(r storage.Record) (storage.Record, bool) {
		if r.Entry != nil && !r.Entry.ExpiresAt.IsZero() {
			r.Entry.ExpiresAt = r.Entry.ExpiresAt.Add(time.Hour)
		}
		return r, true
	}), []string{copied, "lists of grants of an import"}},
}
