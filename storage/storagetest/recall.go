package storagetest

import (
	"bytes"
	"slices"

	"github.com/ingam/ingam/storage"
)

// What is recalled may be old, but it was true once.
var recallChecks = []check{
	{"a recalled user is the user as they are or were", func(k *kit) {
		u := k.newUser("u")
		var versions []any
		for range 3 {
			versions = append(versions, u)
			got, err := k.s.RecallUser(k.Context(), u.ID)
			k.must(err)
			k.oneOf(got, versions, "recalled user")
			u.Epoch++
			k.must(k.s.ReplaceUser(k.Context(), u))
			u.Version++
		}
		k.must(k.s.DeleteUser(k.Context(), u.ID))
		if got, err := k.s.RecallUser(k.Context(), u.ID); err == nil {
			k.oneOf(got, append(versions, u), "recalled user after the end")
		} else {
			k.want(err, storage.ErrNotFound, "recall a deleted user")
		}
	}},
	{"a recalled grant is the grant as it is or was", func(k *kit) {
		g := k.newGrant("g")
		states := []any{g}
		for generation := range uint64(3) {
			got, err := k.s.RecallGrant(k.Context(), "g")
			k.must(err)
			k.oneOf(got, states, "recalled grant")
			g = k.rotate(k.rotation("g", generation+1, "a"), storage.Rotated)
			states = append(states, g)
		}
		k.must(k.s.RevokeGrant(k.Context(), "g", "signed out"))
		g.Revoked, g.RevokedReason = true, "signed out"
		got, err := k.s.RecallGrant(k.Context(), "g")
		k.must(err)
		k.oneOf(got, append(states, g), "recalled grant after the end")
		k.rotate(k.rotation("g", got.Generation, "b"), storage.Dead)
	}},
	{"what never was cannot be recalled, and what was not there can be later", func(k *kit) {
		for _, id := range append(endlessIDs(), "g", "id of u") {
			_, err := k.s.RecallGrant(k.Context(), id)
			k.want(err, storage.ErrNotFound, "grant")
			_, err = k.s.RecallUser(k.Context(), id)
			k.want(err, storage.ErrNotFound, "user")
		}
		u, g := k.newUser("u"), k.newGrant("g")
		gotUser, err := k.s.RecallUser(k.Context(), u.ID)
		k.must(err)
		k.same(gotUser, u, "user")
		gotGrant, err := k.s.RecallGrant(k.Context(), "g")
		k.must(err)
		k.same(gotGrant, g, "grant")
	}},
	{"whatever a caller does to what it recalled changes nothing for the next", func(k *kit) { // R18
		wantUser, wantGrant := k.newUser("u"), k.newGrant("g")
		for range 3 {
			u, err := k.s.RecallUser(k.Context(), wantUser.ID)
			k.must(err)
			k.same(u, wantUser, "user")
			u.Claims["name"] = "spoilt"
			u.Claims["address"].(map[string]any)["country"] = "spoilt"
			u.Claims["groups"].([]any)[0] = "spoilt"
			g, err := k.s.RecallGrant(k.Context(), "g")
			k.must(err)
			k.same(g, wantGrant, "grant")
			g.Scopes[0], g.Audience[0], g.AMR[0] = "spoilt", "spoilt", "spoilt"
			g.Nonce[0]++
		}
		k.wantUser(wantUser, "u")
	}},
}

// oneOf complains unless got is what one of the states says.
func (k *kit) oneOf(got any, states []any, what string) {
	k.Helper()
	b := asJSON(k, got)
	if !slices.ContainsFunc(states, func(s any) bool { return bytes.Equal(asJSON(k, s), b) }) {
		k.Errorf("%s: got %s, which it never was", what, b)
	}
}
