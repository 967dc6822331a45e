package storagetest

import (
	"slices"

	"github.com/ingam/ingam/storage"
)

var userChecks = []check{
	{"a user comes back exactly as stored, by id and by username", func(k *kit) {
		want := k.user("u")
		k.full(want, "Source")
		k.must(k.s.CreateUser(k.Context(), want))
		k.wantUser(want, "u")
	}},
	{"a user with nothing but id and username comes back too", func(k *kit) {
		k.must(k.s.CreateUser(k.Context(), storage.User{ID: "i", Username: "u"}))
		k.wantUser(storage.User{ID: "i", Username: "u", Version: 1}, "u")
	}},
	{"a created user has version 1 and no source whatever was given", func(k *kit) {
		u := k.user("u")
		u.Version, u.Source = 7, "users.d/u.yaml"
		k.must(k.s.CreateUser(k.Context(), u))
		got, err := k.s.User(k.Context(), u.ID)
		k.must(err)
		if got.Version != 1 || got.Source != "" {
			k.Errorf("got version %d, source %q; want 1 and none", got.Version, got.Source)
		}
	}},
	// R17: the second of two writes is refused, so the first must not be there either.
	{"creating a user whose id or username is taken answers ErrExists and leaves no trace", func(k *kit) {
		want := k.newUser("u")
		sameID, sameName := k.user("other"), k.user("u")
		sameID.ID, sameName.ID = want.ID, "other id"
		k.want(k.s.CreateUser(k.Context(), sameID), storage.ErrExists, "same id")
		k.want(k.s.CreateUser(k.Context(), sameName), storage.ErrExists, "same username")
		k.wantUser(want, "u")
		_, err := k.s.UserByName(k.Context(), "other")
		k.want(err, storage.ErrNotFound, "username of the refused one")
		_, err = k.s.User(k.Context(), "other id")
		k.want(err, storage.ErrNotFound, "id of the refused one")
	}},
	{"an unknown user is not found by any verb", func(k *kit) {
		u := k.newUser("u")
		_, err := k.s.User(k.Context(), "u")
		k.want(err, storage.ErrNotFound, "username as id")
		_, err = k.s.UserByName(k.Context(), u.ID)
		k.want(err, storage.ErrNotFound, "id as username")
		k.want(k.s.ReplaceUser(k.Context(), k.user("U")), storage.ErrNotFound, "replace")
		k.want(k.s.DeleteUser(k.Context(), "U"), storage.ErrNotFound, "delete")
	}},
	{"replacing a user stores everything and counts the version up", func(k *kit) {
		u := k.newUser("u")
		for version := uint64(2); version < 5; version++ {
			u.Epoch++
			k.must(k.s.ReplaceUser(k.Context(), u))
			u.Version = version
			k.wantUser(u, "u")
		}
	}},
	{"replacing a user who has changed answers ErrConflict and changes nothing", func(k *kit) {
		stale := k.newUser("u")
		k.must(k.s.ReplaceUser(k.Context(), stale))
		want, err := k.s.User(k.Context(), stale.ID)
		k.must(err)
		for _, version := range []uint64{0, 1, 3} {
			stale.Version, stale.Username = version, "stale"
			k.want(k.s.ReplaceUser(k.Context(), stale), storage.ErrConflict, "replace")
		}
		k.wantUser(want, "u")
		_, err = k.s.UserByName(k.Context(), "stale")
		k.want(err, storage.ErrNotFound, "username of the refused change")
	}},
	{"of 16 parallel replacements of one user exactly one wins", func(k *kit) {
		u := k.newUser("u")
		k.oneWins(16, storage.ErrConflict, func(i int) error {
			u := u
			u.Username = name("u", i)
			return k.s.ReplaceUser(k.Context(), u)
		})
		list, err := k.s.Users(k.Context(), "", 100)
		k.must(err)
		if len(list) != 1 || list[0].Version != 2 {
			k.Errorf("got %d usernames, want 1 of version 2", len(list))
		}
	}},
	{"a renamed user is found by the new name only, and the old one is free", func(k *kit) {
		u := k.newUser("before")
		u.Username = "after"
		k.must(k.s.ReplaceUser(k.Context(), u))
		u.Version++
		k.wantUser(u, "after")
		_, err := k.s.UserByName(k.Context(), "before")
		k.want(err, storage.ErrNotFound, "old name")
		next := k.user("before")
		next.ID = "another person"
		k.must(k.s.CreateUser(k.Context(), next))
		k.wantUser(next, "before")
		k.wantUser(u, "after")
	}},
	{"renaming to a name that is taken answers ErrExists and leaves no trace", func(k *kit) { // R17
		u, other := k.newUser("u"), k.newUser("other")
		renamed := u
		renamed.Username = "other"
		k.want(k.s.ReplaceUser(k.Context(), renamed), storage.ErrExists, "rename")
		k.wantUser(u, "u")
		k.wantUser(other, "other")
	}},
	{"a deleted user is gone, and id and username are free", func(k *kit) {
		u := k.newUser("u")
		k.newUser("other")
		k.must(k.s.DeleteUser(k.Context(), u.ID))
		_, err := k.s.User(k.Context(), u.ID)
		k.want(err, storage.ErrNotFound, "id")
		_, err = k.s.UserByName(k.Context(), "u")
		k.want(err, storage.ErrNotFound, "username")
		k.want(k.s.DeleteUser(k.Context(), u.ID), storage.ErrNotFound, "delete again")
		list, err := k.s.Users(k.Context(), "", 10)
		k.must(err)
		if len(list) != 1 {
			k.Errorf("%d users are left, want 1", len(list))
		}
		k.newUser("u")
	}},
	{"users are listed in order of username, page by page", func(k *kit) {
		names := oddIDs()
		for i, username := range names {
			u := k.user(username)
			u.ID = name("id", len(names)-i) // not in the order of the names
			k.must(k.s.CreateUser(k.Context(), u))
		}
		slices.Sort(names)
		for _, limit := range []int{1, 3, len(names), len(names) + 1} {
			var got []string
			for after := ""; ; after = got[len(got)-1] {
				page, err := k.s.Users(k.Context(), after, limit)
				k.must(err)
				for _, u := range page {
					got = append(got, u.Username)
				}
				if len(page) < limit || len(got) > len(names) {
					break
				}
			}
			k.same(got, names, name("usernames in pages of ", limit))
		}
		page, err := k.s.Users(k.Context(), "", 0)
		k.must(err)
		if len(page) != 0 {
			k.Errorf("limit 0 lists %d users", len(page))
		}
	}},
	{"whatever a caller does to a user changes nothing in the store", func(k *kit) { // R18
		want, given := k.user("u"), k.user("u")
		k.must(k.s.CreateUser(k.Context(), given))
		spoil := func(u storage.User) {
			u.Claims["name"] = "spoilt"
			u.Claims["address"].(map[string]any)["country"] = "spoilt"
			u.Claims["groups"].([]any)[0] = "spoilt"
		}
		spoil(given)
		got, err := k.s.User(k.Context(), want.ID)
		k.must(err)
		k.same(got, want, "user after spoiling what was given")
		spoil(got)
		got, err = k.s.UserByName(k.Context(), "u")
		k.must(err)
		k.same(got, want, "user after spoiling what was returned")
		spoil(got)
		list, err := k.s.Users(k.Context(), "", 1)
		k.must(err)
		k.same(list, []storage.User{want}, "user after spoiling what was found by name")
		spoil(list[0])
		k.wantUser(want, "u")
	}},
	{"usernames and user ids are bytes: nothing is folded, cut or trimmed", func(k *kit) {
		for _, username := range oddIDs() {
			u := k.user(username)
			u.ID = username
			k.must(k.s.CreateUser(k.Context(), u))
		}
		for _, username := range oddIDs() {
			u := k.user(username)
			u.ID = username
			k.wantUser(u, username)
		}
	}},
	{"usernames that cannot be are not found, and creating one fails or works but never half", func(k *kit) {
		for _, odd := range endlessIDs() {
			_, err := k.s.User(k.Context(), odd)
			k.want(err, storage.ErrNotFound, "by id")
			_, err = k.s.UserByName(k.Context(), odd)
			k.want(err, storage.ErrNotFound, "by username")
			k.want(k.s.DeleteUser(k.Context(), odd), storage.ErrNotFound, "delete")
			u := k.user(odd)
			created := k.s.CreateUser(k.Context(), u)
			_, byID := k.s.User(k.Context(), u.ID)
			_, byName := k.s.UserByName(k.Context(), odd)
			if (created == nil) != (byID == nil) || (created == nil) != (byName == nil) {
				k.Errorf("%d bytes: create %v, then by id %v, by username %v", len(odd), created, byID, byName)
			}
		}
	}},
	{"of 16 parallel users who want one username exactly one wins, and no other is left behind", func(k *kit) {
		k.oneWins(16, storage.ErrExists, func(i int) error {
			u := k.user("u")
			u.ID = name("id", i)
			return k.s.CreateUser(k.Context(), u)
		})
		found := 0
		for i := range 16 {
			if _, err := k.s.User(k.Context(), name("id", i)); err == nil {
				found++
			}
		}
		if found != 1 {
			k.Errorf("%d users are there, want 1", found)
		}
	}},
	{"of 16 parallel users who rename to one username exactly one wins", func(k *kit) {
		for i := range 16 {
			k.newUser(name("u", i))
		}
		k.oneWins(16, storage.ErrExists, func(i int) error {
			u := k.user(name("u", i))
			u.Username = "wanted"
			return k.s.ReplaceUser(k.Context(), u)
		})
		list, err := k.s.Users(k.Context(), "", 100)
		k.must(err)
		if len(list) != 16 {
			k.Errorf("%d usernames, want 16", len(list))
		}
	}},
}

// wantUser reads a user both ways.
func (k *kit) wantUser(want storage.User, username string) {
	k.Helper()
	got, err := k.s.User(k.Context(), want.ID)
	k.must(err)
	k.same(got, want, "user by id")
	got, err = k.s.UserByName(k.Context(), username)
	k.must(err)
	k.same(got, want, "user by username")
}
