package storagetest

import (
	"time"

	"github.com/ingam/ingam/storage"
)

var grantChecks = []check{
	{"a grant comes back exactly as it was stored", func(k *kit) {
		want := k.grant("g")
		want.Revoked, want.RevokedReason = true, "reason <&> 한국"
		k.full(want)
		k.must(k.s.CreateGrant(k.Context(), want))
		got, err := k.s.Grant(k.Context(), "g")
		k.must(err)
		k.same(got, want, "grant")
	}},
	{"a grant with nothing but an id and an end comes back too", func(k *kit) {
		end := k.now().Add(k.units(9))
		want := storage.Grant{ID: "g", IdleExpiresAt: end, ExpiresAt: end}
		k.must(k.s.CreateGrant(k.Context(), want))
		got, err := k.s.Grant(k.Context(), "g")
		k.must(err)
		if !got.RotatedAt.IsZero() || got.Generation != 0 || len(got.Scopes) != 0 || !got.ExpiresAt.Equal(end) {
			k.Errorf("got %+v, want %+v", got, want)
		}
	}},
	{"the times of a grant are instants, in whatever zone they were given", func(k *kit) {
		want := k.grant("g")
		want.AuthTime = want.AuthTime.In(time.FixedZone("KST", 9*3600))
		want.ExpiresAt = want.ExpiresAt.In(time.FixedZone("NST", -3*3600-1800))
		k.must(k.s.CreateGrant(k.Context(), want))
		got, err := k.s.Grant(k.Context(), "g")
		k.must(err)
		if !got.AuthTime.Equal(want.AuthTime) || !got.ExpiresAt.Equal(want.ExpiresAt) {
			k.Errorf("got %v and %v, want %v and %v", got.AuthTime, got.ExpiresAt, want.AuthTime, want.ExpiresAt)
		}
	}},
	{"creating a grant whose id is taken answers ErrExists and changes nothing", func(k *kit) {
		want := k.newGrant("g")
		again := k.grant("g")
		again.UserID = "thief"
		k.want(k.s.CreateGrant(k.Context(), again), storage.ErrExists, "create again")
		k.must(k.s.RevokeGrant(k.Context(), "g", "over"))
		k.want(k.s.CreateGrant(k.Context(), again), storage.ErrExists, "create over a revoked one")
		got, err := k.s.Grant(k.Context(), "g")
		k.must(err)
		want.Revoked, want.RevokedReason = true, "over"
		k.same(got, want, "grant")
	}},
	{"of 16 parallel creations of one grant exactly one wins", func(k *kit) {
		k.oneWins(16, storage.ErrExists, func(int) error { return k.s.CreateGrant(k.Context(), k.grant("g")) })
	}},
	{"an unknown grant is not found, and revoking it is no error", func(k *kit) {
		k.newGrant("g")
		for _, id := range append(endlessIDs(), "G", "g ", "g\x00") {
			_, err := k.s.Grant(k.Context(), id)
			k.want(err, storage.ErrNotFound, "read")
			_, _, err = k.s.Rotate(k.Context(), k.rotation(id, 1, "a"))
			k.want(err, storage.ErrNotFound, "rotate")
			k.want(k.s.RevokeGrant(k.Context(), id, "why not"), nil, "revoke")
		}
		k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
	}},
	{"grant ids are bytes: nothing is folded, cut or trimmed", func(k *kit) {
		for _, id := range oddIDs() {
			k.newGrant(id)
		}
		for i, id := range oddIDs() {
			for generation := range uint64(i%3 + 1) {
				k.rotate(k.rotation(id, generation+1, "a"), storage.Rotated)
			}
		}
		for i, id := range oddIDs() {
			got, err := k.s.Grant(k.Context(), id)
			k.must(err)
			if got.ID != id || got.Generation != uint64(i%3+2) {
				k.Errorf("%q has id %q and generation %d", id, got.ID, got.Generation)
			}
		}
	}},
	{"whatever a caller does to a grant changes nothing in the store", func(k *kit) { // R18
		spoil := func(g storage.Grant) {
			g.Scopes[0], g.Audience[0], g.AMR[0] = "spoilt", "spoilt", "spoilt"
			g.UserInfoClaims[0], g.IDTokenClaims[0] = "spoilt", "spoilt"
			g.Nonce[0]++
		}
		want := k.grant("g")
		given := want.Clone()
		k.must(k.s.CreateGrant(k.Context(), given))
		spoil(given)
		got, err := k.s.Grant(k.Context(), "g")
		k.must(err)
		k.same(got, want, "grant after spoiling what was given")
		spoil(got)
		got, err = k.s.Grant(k.Context(), "g")
		k.must(err)
		k.same(got, want, "grant after spoiling what was returned")
		want = k.rotate(k.rotation("g", 1, "a"), storage.Rotated).Clone()
		_, rotated, err := k.s.Rotate(k.Context(), k.rotation("g", 1, "b"))
		k.must(err)
		spoil(rotated)
		got, err = k.s.Grant(k.Context(), "g")
		k.must(err)
		k.same(got, want, "grant after spoiling what Rotate returned")
	}},
	{"an idle grant ends to the millisecond, swept or not", func(k *kit) { k.ends(20, 50) }},
	{"a grant at its absolute end is over to the millisecond, swept or not", func(k *kit) { k.ends(50, 20) }},
	{"a grant that is born expired is never found", func(k *kit) {
		for i, end := range []time.Time{{}, time.UnixMilli(0), k.now().Add(-k.unit), k.now()} {
			g := k.grant(name("g", i))
			g.IdleExpiresAt = end
			k.must(k.s.CreateGrant(k.Context(), g))
			_, err := k.s.Grant(k.Context(), g.ID)
			k.want(err, storage.ErrNotFound, "read")
			_, _, err = k.s.Rotate(k.Context(), k.rotation(g.ID, 1, "a"))
			k.want(err, storage.ErrNotFound, "rotate")
		}
	}},
	{"the id of an expired grant is free again, and the sweeper spares the new one", func(k *kit) {
		k.newGrant("g")
		k.advance(k.units(21))
		want := k.newGrant("g")
		_, err := k.s.Sweep(k.Context(), 100)
		k.must(err)
		got, err := k.s.Grant(k.Context(), "g")
		k.must(err)
		k.same(got, want, "the new grant")
	}},
	{"a revoked grant can be read, and keeps its first reason", func(k *kit) {
		want := k.newGrant("g")
		want.Revoked, want.RevokedReason = true, "signed out"
		for _, reason := range []string{"signed out", "another", ""} {
			k.must(k.s.RevokeGrant(k.Context(), "g", reason))
			got, err := k.s.Grant(k.Context(), "g")
			k.must(err)
			k.same(got, want, "grant")
		}
	}},
	{"revoking an expired grant is no error and does not bring it back", func(k *kit) {
		k.newGrant("g")
		k.advance(k.units(20) + k.grain)
		k.want(k.s.RevokeGrant(k.Context(), "g", "late"), nil, "revoke")
		_, err := k.s.Grant(k.Context(), "g")
		k.want(err, storage.ErrNotFound, "read")
	}},
	{"revoking one grant leaves its neighbours alone", func(k *kit) { // R11
		k.newGrant("g")
		k.newGrant("g2")
		k.must(k.s.RevokeGrant(k.Context(), "g", "over"))
		k.rotate(k.rotation("g2", 1, "a"), storage.Rotated)
		k.rotate(k.rotation("g", 1, "a"), storage.Dead)
	}},
}

// ends looks at a grant just before, at and just after the earlier of its two ends.
func (k *kit) ends(idle, absolute int) {
	k.Helper()
	born := k.now()
	end := born.Add(k.units(20))
	for _, id := range []string{"read", "rotated", "swept"} {
		g := k.grant(id)
		g.IdleExpiresAt, g.ExpiresAt = born.Add(k.units(idle)), born.Add(k.units(absolute))
		k.must(k.s.CreateGrant(k.Context(), g))
	}
	k.until(end.Add(-k.grain))
	_, err := k.s.Sweep(k.Context(), 100)
	k.must(err)
	for _, id := range []string{"read", "rotated", "swept"} {
		_, err := k.s.Grant(k.Context(), id)
		k.want(err, nil, "just before the end, "+id)
	}
	for _, moment := range []time.Time{end, end.Add(k.grain)} {
		k.until(moment)
		_, err := k.s.Grant(k.Context(), "read")
		k.want(err, storage.ErrNotFound, "read at the end or after")
		_, _, err = k.s.Rotate(k.Context(), k.rotation("rotated", 1, "a"))
		k.want(err, storage.ErrNotFound, "rotate at the end or after")
	}
	_, err = k.s.Sweep(k.Context(), 100)
	k.must(err)
	_, err = k.s.Grant(k.Context(), "swept")
	k.want(err, storage.ErrNotFound, "read after the sweep")
}
