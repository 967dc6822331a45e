package storagetest

import (
	"time"

	"github.com/ingam/ingam/storage"
)

var rotateChecks = []check{
	{"redeeming the current generation moves the grant on", func(k *kit) {
		born := k.newGrant("g")
		k.advance(k.unit)
		before := k.now()
		g := k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		if g.RotatedAt.Before(before) || g.RotatedAt.After(k.now().Add(k.grain)) {
			k.Errorf("rotated at %v, asked at %v", g.RotatedAt, before)
		}
		born.Generation, born.Attempt, born.RotatedAt = 2, "a", g.RotatedAt
		born.IdleExpiresAt = g.RotatedAt.Add(k.units(20))
		k.same(g, born, "grant")
		g = k.rotate(k.rotation("g", 2, "b"), storage.Rotated)
		if g.Generation != 3 || g.Attempt != "b" {
			k.Errorf("generation %d by %q, want 3 by b", g.Generation, g.Attempt)
		}
	}},
	{"the generation before is replayed inside the window, and nothing moves", func(k *kit) { // R5
		k.newGrant("g")
		want := k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		k.advance(k.unit)
		for _, attempt := range []string{"b", "c", ""} {
			k.same(k.rotate(k.rotation("g", 1, attempt), storage.Replayed), want, "grant")
		}
		k.rotate(k.rotation("g", 2, "d"), storage.Rotated)
	}},
	{"the window is open up to its last millisecond", func(k *kit) {
		k.newGrant("g")
		g := k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		k.until(g.RotatedAt.Add(k.units(5) - k.grain))
		k.rotate(k.rotation("g", 1, "b"), storage.Replayed)
	}},
	{"after the window the generation before is reuse, and the grant dies", func(k *kit) { // R6
		k.newGrant("g")
		g := k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		k.until(g.RotatedAt.Add(k.units(5) + k.grain))
		g.Revoked, g.RevokedReason = true, storage.ReasonReused
		k.same(k.rotate(k.rotation("g", 1, "b"), storage.Reused), g, "grant")
		k.rotate(k.rotation("g", 2, "c"), storage.Dead)
	}},
	{"a replay does not prolong the window", func(k *kit) {
		k.newGrant("g")
		g := k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		k.advance(k.units(4))
		k.rotate(k.rotation("g", 1, "b"), storage.Replayed)
		k.until(g.RotatedAt.Add(k.units(5) + k.grain))
		k.rotate(k.rotation("g", 1, "c"), storage.Reused)
	}},
	// R4: also in the very millisecond of the rotation, where "elapsed <= grace" would hold with both 0.
	{"without a window the generation before is reuse at once", func(k *kit) {
		k.newGrant("g")
		r := k.rotation("g", 1, "a")
		r.Grace = 0
		k.rotate(r, storage.Rotated)
		r.Attempt = "b"
		k.rotate(r, storage.Reused)
	}},
	// R9: two rotations within one tick of the clock (Keycloak #50999); counting decides, not time.
	{"two generations back is reuse even at the same instant and inside the window", func(k *kit) {
		k.newGrant("g")
		k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		k.rotate(k.rotation("g", 2, "b"), storage.Rotated)
		k.rotate(k.rotation("g", 1, "c"), storage.Reused)
		k.rotate(k.rotation("g", 3, "d"), storage.Dead)
	}},
	// R15, S11: the reply was lost and the driver asks again.
	{"the winner who asks again gets the same answer, inside the window and after it", func(k *kit) {
		k.newGrant("g")
		r := k.rotation("g", 1, "a")
		r.Grace = 0
		want := k.rotate(r, storage.Rotated)
		k.same(k.rotate(r, storage.Rotated), want, "grant at once")
		k.advance(k.units(10))
		k.same(k.rotate(r, storage.Rotated), want, "grant later")
		k.rotate(k.rotation("g", 2, "b"), storage.Rotated)
	}},
	{"the winner of one rotation has no rights after the next", func(k *kit) {
		k.newGrant("g")
		k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		k.rotate(k.rotation("g", 2, "b"), storage.Rotated)
		k.rotate(k.rotation("g", 1, "a"), storage.Reused)
	}},
	{"one attempt id may win one generation after the other", func(k *kit) {
		k.newGrant("g")
		for generation := range uint64(3) {
			k.rotate(k.rotation("g", generation+1, "a"), storage.Rotated)
		}
	}},
	{"an attempt without an id is never taken for another", func(k *kit) {
		k.newGrant("g")
		r := k.rotation("g", 1, "")
		r.Grace = 0
		k.rotate(r, storage.Rotated)
		k.rotate(r, storage.Reused)
	}},
	// R16: the credential is genuine, so the store must have lost a write.
	{"a generation newer than the store knows kills the grant", func(k *kit) {
		want := k.newGrant("g")
		want.Revoked, want.RevokedReason = true, storage.ReasonAhead
		k.same(k.rotate(k.rotation("g", 2, "a"), storage.Ahead), want, "grant")
		k.rotate(k.rotation("g", 1, "b"), storage.Dead)
	}},
	{"generations no grant ever had are reuse or ahead, and never succeed", func(k *kit) {
		for generation, want := range map[uint64]storage.Outcome{
			0: storage.Reused, 1 << 53: storage.Ahead, 1<<64 - 1: storage.Ahead,
		} {
			g := k.grant(name("g", int(generation%1000)))
			g.RotatedAt, g.Attempt = time.Time{}, "" // as they are at birth
			k.must(k.s.CreateGrant(k.Context(), g))
			k.rotate(k.rotation(g.ID, generation, ""), want)
		}
	}},
	{"dead stays dead, whatever is presented and however long it takes", func(k *kit) {
		k.newGrant("g")
		k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		k.must(k.s.RevokeGrant(k.Context(), "g", "signed out"))
		want, err := k.s.Grant(k.Context(), "g")
		k.must(err)
		for range 2 {
			for generation := range uint64(5) {
				k.same(k.rotate(k.rotation("g", generation, "a"), storage.Dead), want, "grant")
			}
			k.advance(k.units(9))
		}
	}},
	// R13: both ends of a sign-in.
	{"each rotation moves the idle end, but never beyond the absolute end", func(k *kit) {
		born := k.newGrant("g")
		for generation := range uint64(4) {
			k.advance(k.units(12))
			g := k.rotate(k.rotation("g", generation+1, "a"), storage.Rotated)
			want := g.RotatedAt.Add(k.units(20))
			if want.After(born.ExpiresAt) {
				want = born.ExpiresAt
			}
			if !g.IdleExpiresAt.Equal(want) || !g.ExpiresAt.Equal(born.ExpiresAt) {
				k.Errorf("ends %v and %v, want %v and %v", g.IdleExpiresAt, g.ExpiresAt, want, born.ExpiresAt)
			}
		}
		k.until(born.ExpiresAt)
		_, _, err := k.s.Rotate(k.Context(), k.rotation("g", 5, "a"))
		k.want(err, storage.ErrNotFound, "rotate at the absolute end")
	}},
	{"a replay does not move the idle end", func(k *kit) {
		k.newGrant("g")
		g := k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		k.advance(k.units(4))
		k.rotate(k.rotation("g", 1, "b"), storage.Replayed)
		k.until(g.IdleExpiresAt)
		_, err := k.s.Grant(k.Context(), "g")
		k.want(err, storage.ErrNotFound, "read at the idle end")
	}},
	{"an idle lifetime that became shorter counts from the next rotation", func(k *kit) {
		k.newGrant("g")
		r := k.rotation("g", 1, "a")
		r.IdleLifetime = k.units(3)
		g := k.rotate(r, storage.Rotated)
		k.until(g.RotatedAt.Add(k.units(3)))
		_, err := k.s.Grant(k.Context(), "g")
		k.want(err, storage.ErrNotFound, "read")
	}},
	{"a grant that is kept in use outlives its first idle end and every sweep", func(k *kit) {
		k.newGrant("g")
		for generation := range uint64(4) {
			k.advance(k.units(11))
			k.rotate(k.rotation("g", generation+1, "a"), storage.Rotated)
			_, err := k.s.Sweep(k.Context(), 100)
			k.must(err)
		}
		k.rotate(k.rotation("g", 5, "a"), storage.Rotated)
	}},
	{"two sign-ins of one user at one client rotate on their own", func(k *kit) { // R11
		k.newGrant("g")
		k.newGrant("h")
		k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		k.rotate(k.rotation("h", 1, "a"), storage.Rotated)
		k.rotate(k.rotation("h", 9, "a"), storage.Ahead)
		k.rotate(k.rotation("g", 2, "a"), storage.Rotated)
	}},
}
