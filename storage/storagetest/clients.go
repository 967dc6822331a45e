package storagetest

import (
	"slices"
	"time"

	"github.com/ingam/ingam/storage"
)

var clientChecks = []check{
	{"a client comes back exactly as it was stored", func(k *kit) {
		want := k.client("c")
		k.full(want, "Source")
		k.must(k.s.CreateClient(k.Context(), want))
		got, err := k.s.Client(k.Context(), "c")
		k.must(err)
		k.same(got, want, "client")
	}},
	{"a client with nothing but an id comes back too", func(k *kit) {
		k.must(k.s.CreateClient(k.Context(), storage.Client{ID: "c"}))
		got, err := k.s.Client(k.Context(), "c")
		k.must(err)
		k.same(got, storage.Client{ID: "c", Version: 1}, "client")
	}},
	{"a created client has version 1 and no source whatever was given", func(k *kit) {
		c := k.client("c")
		c.Version, c.Source = 7, "clients.d/c.yaml"
		k.must(k.s.CreateClient(k.Context(), c))
		got, err := k.s.Client(k.Context(), "c")
		k.must(err)
		if got.Version != 1 || got.Source != "" {
			k.Errorf("got version %d, source %q; want 1 and none", got.Version, got.Source)
		}
	}},
	{"creating a client whose id is taken answers ErrExists and changes nothing", func(k *kit) {
		want := k.newClient("c")
		k.want(k.s.CreateClient(k.Context(), storage.Client{ID: "c", Name: "another"}), storage.ErrExists, "create again")
		got, err := k.s.Client(k.Context(), "c")
		k.must(err)
		k.same(got, want, "client")
	}},
	{"an unknown client is not found by any verb", func(k *kit) {
		k.newClient("c")
		_, err := k.s.Client(k.Context(), "C")
		k.want(err, storage.ErrNotFound, "read")
		k.want(k.s.ReplaceClient(k.Context(), k.client("C")), storage.ErrNotFound, "replace")
		k.want(k.s.DeleteClient(k.Context(), "C"), storage.ErrNotFound, "delete")
	}},
	{"replacing a client stores everything and counts the version up", func(k *kit) {
		c := k.newClient("c")
		for version := uint64(2); version < 5; version++ {
			c.Name = name("version ", int(version))
			k.must(k.s.ReplaceClient(k.Context(), c))
			got, err := k.s.Client(k.Context(), "c")
			k.must(err)
			c.Version = version
			k.same(got, c, "client")
		}
	}},
	{"replacing a client that has changed answers ErrConflict and changes nothing", func(k *kit) {
		stale := k.newClient("c")
		k.must(k.s.ReplaceClient(k.Context(), stale))
		want, err := k.s.Client(k.Context(), "c")
		k.must(err)
		for _, version := range []uint64{0, 1, 3} {
			stale.Version, stale.Name = version, "stale"
			k.want(k.s.ReplaceClient(k.Context(), stale), storage.ErrConflict, "replace")
		}
		got, err := k.s.Client(k.Context(), "c")
		k.must(err)
		k.same(got, want, "client")
	}},
	{"of 16 parallel replacements of one client exactly one wins", func(k *kit) {
		c := k.newClient("c")
		k.oneWins(16, storage.ErrConflict, func(int) error { return k.s.ReplaceClient(k.Context(), c) })
	}},
	{"of 16 parallel creations of one client exactly one wins", func(k *kit) {
		k.oneWins(16, storage.ErrExists, func(int) error { return k.s.CreateClient(k.Context(), k.client("c")) })
	}},
	{"a deleted client is gone, and its id is free", func(k *kit) {
		k.newClient("c")
		other := k.newClient("other")
		k.must(k.s.DeleteClient(k.Context(), "c"))
		_, err := k.s.Client(k.Context(), "c")
		k.want(err, storage.ErrNotFound, "read")
		k.want(k.s.DeleteClient(k.Context(), "c"), storage.ErrNotFound, "delete again")
		list, err := k.s.Clients(k.Context(), "", 10)
		k.must(err)
		k.same(list, []storage.Client{other}, "list")
		k.newClient("c")
	}},
	{"clients are listed in order of id, page by page", func(k *kit) {
		ids := oddIDs()
		for _, id := range ids {
			k.newClient(id)
		}
		slices.Sort(ids)
		for _, limit := range []int{1, 2, 7, len(ids), len(ids) + 1} {
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				page, err := k.s.Clients(k.Context(), after, limit)
				k.must(err)
				if len(page) > limit {
					k.Fatalf("page of %d, limit %d", len(page), limit)
				}
				for _, c := range page {
					got = append(got, c.ID)
				}
				if len(page) < limit || len(got) > len(ids) {
					break
				}
			}
			k.same(got, ids, name("ids in pages of ", limit))
		}
	}},
	{"a page of clients begins after an id that need not exist", func(k *kit) {
		k.newClient("b")
		d := k.newClient("d")
		list, err := k.s.Clients(k.Context(), "c", 10)
		k.must(err)
		k.same(list, []storage.Client{d}, "after c")
		for _, after := range []string{"d", "e"} {
			list, err = k.s.Clients(k.Context(), after, 10)
			k.must(err)
			if len(list) != 0 {
				k.Errorf("after %s there are %d clients, want none", after, len(list))
			}
		}
		list, err = k.s.Clients(k.Context(), "", 0)
		k.must(err)
		if len(list) != 0 {
			k.Errorf("limit 0 lists %d clients", len(list))
		}
	}},
	// R18: a store that shares memory with its callers ends in a concurrent map write, which kills the process.
	{"whatever a caller does to a client changes nothing in the store", func(k *kit) {
		want := k.client("c")
		given := k.client("c")
		k.must(k.s.CreateClient(k.Context(), given))
		spoil := func(c storage.Client) {
			c.Scopes[0], c.GrantTypes[0], c.RedirectURIs[0] = "spoilt", "spoilt", "spoilt"
			c.Secrets[0].Hash[0]++
			*c.RefreshGrace = time.Hour
		}
		spoil(given)
		got, err := k.s.Client(k.Context(), "c")
		k.must(err)
		k.same(got, want, "client after spoiling what was given")
		spoil(got)
		list, err := k.s.Clients(k.Context(), "", 1)
		k.must(err)
		k.same(list, []storage.Client{want}, "client after spoiling what was returned")
		spoil(list[0])
		got, err = k.s.Client(k.Context(), "c")
		k.must(err)
		k.same(got, want, "client after spoiling what was listed")
	}},
	{"client ids are bytes: nothing is folded, cut or trimmed", func(k *kit) {
		for _, id := range oddIDs() {
			k.newClient(id)
		}
		for _, id := range oddIDs() {
			got, err := k.s.Client(k.Context(), id)
			k.must(err)
			if got.ID != id {
				k.Errorf("asked for %q, got %q", id, got.ID)
			}
		}
	}},
	{"client ids that cannot be are not found, and creating one fails or works but never half", func(k *kit) {
		for _, id := range endlessIDs() {
			_, err := k.s.Client(k.Context(), id)
			k.want(err, storage.ErrNotFound, "read")
			k.want(k.s.ReplaceClient(k.Context(), k.client(id)), storage.ErrNotFound, "replace")
			k.want(k.s.DeleteClient(k.Context(), id), storage.ErrNotFound, "delete")
			created := k.s.CreateClient(k.Context(), k.client(id))
			if got, err := k.s.Client(k.Context(), id); created == nil && (err != nil || got.ID != id) {
				k.Errorf("an id of %d bytes was accepted and then lost: %v", len(id), err)
			} else if created != nil && (!storage.IsFailure(created) || err == nil) {
				k.Errorf("an id of %d bytes was refused with %v, and then read with %v", len(id), created, err)
			}
		}
	}},
}
