package storagetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

// listing makes a mutant that is asked for all and answers another list; bend gets the limit.
func listing(bend func(list []storage.Entry, limit int) []storage.Entry) func() storage.Store {
	return breaking(func(b *broken) {
		b.entriesOf = func(ctx context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
			list, err := b.Store.EntriesOf(ctx, kind, owner, 1<<20)
			return bend(list, limit), err
		}
	})
}

func upTo[T any](list []T, limit int) []T { return list[:min(len(list), limit)] }

const inOrder = "in the order of their ends"

// entryListMutants break what is promised about lists of entries.
var entryListMutants = []mutant{
	{"entries are listed by their ids", listing(func(list []storage.Entry, limit int) []storage.Entry {
		slices.SortFunc(list, func(a, b storage.Entry) int {
			if a.ID < b.ID {
				return -1
			}
			return 1
		})
		return upTo(list, limit)
	}), []string{inOrder, "follows a change"}},
	{"what never ends comes first", listing(func(list []storage.Entry, limit int) []storage.Entry {
		slices.SortStableFunc(list, func(a, b storage.Entry) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
		return upTo(list, limit)
	}), []string{inOrder, "follows a change"}},
	{"what ends at once comes in the wrong order", listing(func(list []storage.Entry, limit int) []storage.Entry {
		slices.Reverse(list)
		slices.SortStableFunc(list, func(a, b storage.Entry) int {
			if a.ExpiresAt.IsZero() || b.ExpiresAt.IsZero() {
				return b.ExpiresAt.Compare(a.ExpiresAt)
			}
			return a.ExpiresAt.Compare(b.ExpiresAt)
		})
		return upTo(list, limit)
	}), []string{inOrder}},
	{"a list of entries knows no limit", listing(func(list []storage.Entry, _ int) []storage.Entry { return list }), []string{
		inOrder, "sees as many as it asks for",
	}},
	{"a list of entries has 100 at most", listing(func(list []storage.Entry, limit int) []storage.Entry {
		return upTo(list, min(limit, 100))
	}), []string{"sees as many as it asks for"}},
	{"nobody owns what has no owner", breaking(func(b *broken) {
		b.createEntry = func(ctx context.Context, e storage.Entry) error {
			if e.Owner == "" {
				e.Owner = "owner"
			}
			return b.Store.CreateEntry(ctx, e)
		}
	}), []string{inOrder, "the owner of an entry"}},
	{"an entry goes over to another owner", owning(func(owners map[string]string, e storage.Entry) { owners[e.ID] = e.Owner }), []string{
		"the owner of an entry",
	}},
	{"owners are folded", breaking(func(b *broken) {
		b.entriesOf = func(ctx context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
			list, err := b.Store.EntriesOf(ctx, kind, owner, limit)
			more, _ := b.Store.EntriesOf(ctx, kind, owner+" ", limit)
			return upTo(append(list, more...), limit), err
		}
	}), []string{inOrder, "owners are bytes"}},
	{"an entry keeps its first place in the list", breaking(func(b *broken) {
		var ids []string
		b.entriesOf = func(ctx context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
			list, err := b.Store.EntriesOf(ctx, kind, owner, limit)
			if ids == nil {
				for _, e := range list {
					ids = append(ids, e.ID)
				}
			}
			slices.SortFunc(list, func(a, b storage.Entry) int { return slices.Index(ids, a.ID) - slices.Index(ids, b.ID) })
			return list, err
		}
	}), []string{"follows a change"}},
	{"what is new is listed a moment later", breaking(func(b *broken) {
		var mu sync.Mutex
		born := map[string]time.Time{}
		b.createEntry = func(ctx context.Context, e storage.Entry) error {
			mu.Lock()
			defer mu.Unlock()
			born[e.ID] = time.Now()
			return b.Store.CreateEntry(ctx, e)
		}
		b.entriesOf = func(ctx context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
			mu.Lock()
			defer mu.Unlock()
			list, err := b.Store.EntriesOf(ctx, kind, owner, limit)
			return slices.DeleteFunc(list, func(e storage.Entry) bool { return time.Since(born[e.ID]) < time.Millisecond }), err
		}
	}), []string{"listed when CreateEntry has returned"}},
	{"what has ended or was taken counts against the limit", breaking(func(b *broken) {
		dead := 0
		b.takeEntry = func(ctx context.Context, kind, id string) (storage.Entry, error) {
			dead++
			return b.Store.TakeEntry(ctx, kind, id)
		}
		b.entriesOf = func(ctx context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
			return b.Store.EntriesOf(ctx, kind, owner, max(0, limit-dead))
		}
	}), []string{"shows what lives"}},
}

// owning makes a mutant whose entries belong to whom note says when they are replaced.
func owning(note func(owners map[string]string, e storage.Entry)) func() storage.Store {
	return breaking(func(b *broken) {
		owners := map[string]string{}
		b.replaceEntry = func(ctx context.Context, e storage.Entry) error {
			err := b.Store.ReplaceEntry(ctx, e)
			if err == nil {
				note(owners, e)
			}
			return err
		}
		b.entry = func(ctx context.Context, kind, id string) (storage.Entry, error) {
			e, err := b.Store.Entry(ctx, kind, id)
			if owner, changed := owners[id]; changed {
				e.Owner = owner
			}
			return e, err
		}
	})
}
