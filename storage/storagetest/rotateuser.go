package storagetest

import (
	"sync"
	"sync/atomic"

	"github.com/ingam/ingam/storage"
)

// A rotation that names a user looks at them in the same step as at the grant, or right after it. So these checks allow
// that Dead and Outdated have moved the grant already; what they want is that nothing succeeds after a user's end, and
// that nothing is lost when the user has merely changed.
var rotateUserChecks = []check{
	{"a grant whose user is as the caller knows them rotates by the same rules as any other", func(k *kit) {
		u := k.newAlive("u")
		k.newGrant("g")
		r := k.rotationOf(u, "g", 1, "a")
		k.rotate(r, storage.Rotated)
		k.rotate(r, storage.Rotated)
		k.rotate(k.rotationOf(u, "g", 1, "b"), storage.Replayed)
		k.rotate(k.rotationOf(u, "g", 2, "c"), storage.Rotated)
		k.rotate(k.rotationOf(u, "g", 1, "a"), storage.Reused)
		k.rotate(k.rotationOf(u, "g", 3, "d"), storage.Dead)
		k.newGrant("h")
		k.rotate(k.rotationOf(u, "h", 2, "a"), storage.Ahead)
	}},
	// R14: whatever ends all sign-ins of a user at once.
	{"once its user is gone, disabled or of another epoch a grant is dead, whoever asks and how often", func(k *kit) {
		for what, end := range map[string]func(u storage.User) error{
			"gone": func(u storage.User) error { return k.s.DeleteUser(k.Context(), u.ID) },
			"disabled": func(u storage.User) error {
				u.Disabled = true
				return k.s.ReplaceUser(k.Context(), u)
			},
			"of another epoch": func(u storage.User) error {
				u.Epoch++
				return k.s.ReplaceUser(k.Context(), u)
			},
		} {
			u := k.newAlive(what)
			k.newGrant(what)
			k.rotate(k.rotationOf(u, what, 1, "a"), storage.Rotated)
			k.must(end(u))
			k.rotate(k.rotationOf(u, what, 2, "b"), storage.Dead)
			for _, attempt := range []string{"a", "b", "c", ""} {
				for generation := range uint64(5) {
					for version := range uint64(3) {
						r := k.rotationOf(u, what, generation, attempt)
						r.UserVersion = version
						k.fails(r)
					}
				}
			}
		}
	}},
	{"a rotation for a user who was never there is dead", func(k *kit) {
		k.newGrant("g")
		k.rotate(k.rotationOf(k.user("u"), "g", 1, "a"), storage.Dead)
		k.newAlive("u")
		k.newGrant("h")
		for _, id := range append(endlessIDs(), "u", "id of U", "id of u ") {
			if id == "" {
				continue // nobody is asked for
			}
			r := k.rotationOf(k.user("u"), "h", 1, "a")
			r.UserID = id
			k.fails(r)
		}
	}},
	{"a user who has changed is outdated, and asking again with the right version loses nothing", func(k *kit) {
		old := k.newAlive("u")
		now := k.renamed(old, "v")
		for i, grace := range []int{0, 5} {
			id := name("g", i)
			k.newGrant(id)
			ask := func(u storage.User, generation uint64, attempt string, want storage.Outcome) storage.Grant {
				k.Helper()
				r := k.rotationOf(u, id, generation, attempt)
				r.Grace = k.units(grace)
				return k.rotate(r, want)
			}
			ask(old, 1, "a", storage.Outdated)
			ask(old, 1, "a", storage.Outdated)
			g := ask(now, 1, "a", storage.Rotated)
			if g.Generation != 2 || g.Revoked {
				k.Errorf("generation %d, revoked %v; want 2 and alive", g.Generation, g.Revoked)
			}
			ask(old, 1, "a", storage.Outdated)
			k.same(ask(now, 1, "a", storage.Rotated), g, "grant")
			if grace > 0 {
				ask(old, 1, "b", storage.Outdated)
				k.same(ask(now, 1, "b", storage.Replayed), g, "grant")
			}
			ask(now, 2, "c", storage.Rotated)
		}
	}},
	{"versions that the user has not had yet are outdated too", func(k *kit) {
		u := k.newAlive("u")
		k.newGrant("g")
		for _, version := range []uint64{0, 2, 1 << 53} {
			r := k.rotationOf(u, "g", 1, "a")
			r.UserVersion = version
			k.rotate(r, storage.Outdated)
		}
		k.rotate(k.rotationOf(u, "g", 1, "a"), storage.Rotated)
	}},
	{"a used token of an outdated user never succeeds, and is reuse when the version is right", func(k *kit) { // R6
		old := k.newAlive("u")
		k.newGrant("g")
		k.rotate(k.rotationOf(old, "g", 1, "a"), storage.Rotated)
		k.rotate(k.rotationOf(old, "g", 2, "b"), storage.Rotated)
		now := k.renamed(old, "v")
		k.fails(k.rotationOf(old, "g", 1, "c"))
		k.fails(k.rotationOf(now, "g", 1, "c"))
		k.rotate(k.rotationOf(now, "g", 3, "d"), storage.Dead)
	}},
	{"a rotation that names no user looks at nobody", func(k *kit) {
		k.newGrant("g")
		r := k.rotation("g", 1, "a")
		r.UserEpoch, r.UserVersion = 7, 7
		k.rotate(r, storage.Rotated)
		u := k.user("u") // disabled
		k.must(k.s.CreateUser(k.Context(), u))
		k.rotate(k.rotation("g", 2, "b"), storage.Rotated)
		k.rotate(k.rotationOf(u, "g", 3, "c"), storage.Dead)
	}},
	{"the grant comes first: unknown is not found and revoked is dead, whatever its user is", func(k *kit) {
		u := k.newAlive("u")
		stale := u
		stale.Version = 9
		k.newGrant("g")
		k.must(k.s.RevokeGrant(k.Context(), "g", "signed out"))
		for _, user := range []storage.User{u, stale, k.user("nobody")} {
			k.rotate(k.rotationOf(user, "g", 1, "a"), storage.Dead)
			_, _, err := k.s.Rotate(k.Context(), k.rotationOf(user, "h", 1, "a"))
			k.want(err, storage.ErrNotFound, "rotate an unknown grant")
		}
	}},
	{"a store that has forgotten nothing rotates behind the fence as well, once", func(k *kit) {
		u := k.newAlive("u")
		g := k.grant("g")
		g.Generation, g.RotatedAt, g.Attempt = 0, g.BornAt, "" // an authorization code
		k.must(k.s.CreateGrant(k.Context(), g))
		r := k.rotationOf(u, "g", 0, "a")
		r.Fence, r.Grace = true, 0
		k.rotate(r, storage.Rotated)
		k.rotate(r, storage.Rotated)
		r.Attempt = "b"
		k.rotate(r, storage.Reused)
	}},
	// R10, R14: an administrator has disabled somebody and was told so.
	{"once ReplaceUser has returned with the user disabled nothing is refreshed any more", func(k *kit) {
		for round := range 25 {
			k.raceDisable(name("u", round))
		}
	}},
	{"a user who changes all the time costs their sign-ins more questions and no sign-in", func(k *kit) {
		const changes, grants, generations = 20, 3, 20
		first := k.newAlive("u")
		for i := range grants {
			k.newGrant(name("g", i))
		}
		k.parallel(grants+1, func(i int) {
			if i == grants {
				u := first
				for n := range changes {
					u.Username = name("u", n)
					if err := k.s.ReplaceUser(k.Context(), u); err != nil {
						k.Errorf("replace: %v", err)
					}
					u.Version++
				}
				return
			}
			known := first
			for generation := range uint64(generations) {
				r := k.rotationOf(known, name("g", i), generation+1, name("a", int(generation)))
				r.Grace = 0
				r.UserVersion-- // so that each generation is asked for twice at least
				for {
					outcome, g, err := k.s.Rotate(k.Context(), r)
					if outcome == storage.Outdated && err == nil {
						if known, err = k.s.User(k.Context(), known.ID); err == nil {
							r.UserVersion = known.Version
							continue
						}
					}
					if err != nil || outcome != storage.Rotated || g.Generation != generation+2 {
						k.Errorf("grant %d: %v with generation %d, %v", i, outcome, g.Generation, err)
						return
					}
					break
				}
			}
		})
	}},
}

// raceDisable disables a user while four sign-ins of theirs refresh as fast as they can.
func (k *kit) raceDisable(username string) {
	k.Helper()
	const grants = 4
	u := k.newAlive(username)
	for i := range grants {
		k.newGrant(name(username, i))
	}
	var disabled atomic.Bool
	var once sync.Once
	running := make(chan struct{})     // closed when the first rotation was answered
	var succeeded, seen [grants]uint64 // the last generation won; the generation after the user was disabled
	k.parallel(grants+1, func(i int) {
		if i == grants {
			<-running
			u := u
			u.Disabled = true
			if err := k.s.ReplaceUser(k.Context(), u); err != nil {
				k.Errorf("disable: %v", err)
			}
			disabled.Store(true)
			for i := range seen {
				g, err := k.s.Grant(k.Context(), name(username, i))
				if err != nil {
					k.Errorf("read: %v", err)
				}
				seen[i] = g.Generation
			}
			return
		}
		for generation := uint64(1); ; generation++ {
			over := disabled.Load()
			outcome, _, err := k.s.Rotate(k.Context(), k.rotationOf(u, name(username, i), generation, name("a", i)))
			once.Do(func() { close(running) })
			if err != nil || outcome != storage.Rotated {
				k.same([]any{outcome.String(), err}, []any{"dead", nil}, "the end")
				return
			}
			succeeded[i] = generation + 1
			if over {
				k.Errorf("rotated after the user was disabled")
				return
			}
		}
	})
	for i := range grants {
		if succeeded[i] > seen[i] {
			k.Errorf("a grant of generation %d when its user was disabled has won generation %d", seen[i], succeeded[i])
		}
		k.fails(k.rotationOf(u, name(username, i), succeeded[i], "late"))
	}
}

// newAlive is newUser, but not disabled.
func (k *kit) newAlive(username string) storage.User {
	k.Helper()
	u := k.user(username)
	u.Disabled = false
	k.must(k.s.CreateUser(k.Context(), u))
	return u
}

// renamed changes a user and nothing about their sign-ins.
func (k *kit) renamed(u storage.User, username string) storage.User {
	k.Helper()
	u.Username = username
	k.must(k.s.ReplaceUser(k.Context(), u))
	u.Version++
	return u
}

// rotationOf is rotation with the user as the caller knows them.
func (k *kit) rotationOf(u storage.User, id string, generation uint64, attempt string) storage.Rotation {
	r := k.rotation(id, generation, attempt)
	r.UserID, r.UserEpoch, r.UserVersion = u.ID, u.Epoch, u.Version
	return r
}

// fails complains when a rotation succeeds.
func (k *kit) fails(r storage.Rotation) {
	k.Helper()
	outcome, _, err := k.s.Rotate(k.Context(), r)
	k.must(err)
	if outcome == storage.Rotated || outcome == storage.Replayed || outcome == 0 {
		k.Errorf("generation %d by %q of version %d: %v", r.Generation, r.Attempt, r.UserVersion, outcome)
	}
}
