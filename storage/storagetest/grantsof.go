package storagetest

import (
	"slices"
	"time"

	"github.com/ingam/ingam/storage"
)

// grantOf creates a grant of a user.
func (k *kit) grantOf(id, userID string) storage.Grant {
	k.Helper()
	g := k.grant(id)
	g.UserID = userID
	k.must(k.s.CreateGrant(k.Context(), g))
	return g
}

// grantsOf lists in order of the id, and checks that each is what Grant says.
func (k *kit) grantsOf(userID string, limit int) []string {
	k.Helper()
	list, err := k.s.GrantsOf(k.Context(), userID, limit)
	k.must(err)
	ids := []string{}
	for _, g := range list {
		stored, err := k.s.Grant(k.Context(), g.ID)
		k.want(err, nil, "read a grant that is listed")
		k.same(g, stored, "the grant as it is listed")
		if g.UserID != userID || g.Revoked {
			k.Errorf("among the live grants of %q is %s", userID, asJSON(k, g))
		}
		ids = append(ids, g.ID)
	}
	slices.Sort(ids)
	return ids
}

var grantsOfChecks = []check{
	{"a user's grants are listed from their creation to their end, and nobody else's", func(k *kit) {
		k.same(k.grantsOf("u", 9), []string{}, "grants before the first")
		for _, id := range []string{"a", "b", "c", "d"} {
			k.grantOf(id, "u")
		}
		k.grantOf("another's", "v")
		k.grantOf("of a similar name", "u2")
		k.same(k.grantsOf("u", 9), []string{"a", "b", "c", "d"}, "grants of the user")
		for _, limit := range []int{0, 1, 3} {
			k.same(len(k.grantsOf("u", limit)), limit, "grants up to a limit")
		}
		k.rotate(k.rotation("a", 1, "x"), storage.Rotated)
		k.must(k.s.RevokeGrant(k.Context(), "b", "signed out"))
		strict := k.rotation("c", 1, "x")
		strict.Grace = 0
		k.rotate(strict, storage.Rotated)
		strict.Attempt = "y"
		k.rotate(strict, storage.Reused)
		k.same(k.grantsOf("u", 9), []string{"a", "d"}, "grants that were not revoked")
		k.same(k.grantsOf("v", 9), []string{"another's"}, "grants of another user")
		for _, nobody := range append(endlessIDs(), "U", "u ", "") {
			k.same(k.grantsOf(nobody, 9), []string{}, "grants of nobody")
		}
	}},
	{"a grant leaves its user's list at its end, swept or not, and a refresh puts that off", func(k *kit) {
		k.grantOf("refreshed", "u")
		end := k.grantOf("idle", "u").IdleExpiresAt
		k.until(end.Add(-k.units(5)))
		refreshed := k.rotate(k.rotation("refreshed", 1, "a"), storage.Rotated)
		k.until(end.Add(-k.grain))
		k.same(k.grantsOf("u", 9), []string{"idle", "refreshed"}, "grants just before the end")
		for _, moment := range []time.Time{end, end.Add(k.grain), refreshed.IdleExpiresAt.Add(-k.unit)} {
			k.until(moment)
			k.same(k.grantsOf("u", 9), []string{"refreshed"}, "grants at the end of one and after")
			_, err := k.s.Sweep(k.Context(), 100)
			k.must(err)
		}
		k.until(refreshed.IdleExpiresAt)
		k.same(k.grantsOf("u", 9), []string{}, "grants at the end of all")
		_, err := k.s.Sweep(k.Context(), 100)
		k.must(err)
	}},
	{"what ended before does not count against the limit of a user's grants", func(k *kit) {
		for i := range 30 {
			k.grantOf(name("revoked", i), "u")
			k.must(k.s.RevokeGrant(k.Context(), name("revoked", i), "signed out"))
			dead := k.grant(name("dead", i))
			dead.UserID, dead.IdleExpiresAt = "u", k.now()
			k.must(k.s.CreateGrant(k.Context(), dead))
		}
		k.grantOf("x", "u")
		k.grantOf("y", "u")
		k.same(k.grantsOf("u", 2), []string{"x", "y"}, "grants")
	}},
	{"a grant under the id of an ended one is its new user's", func(k *kit) {
		k.grantOf("g", "first")
		k.advance(k.units(21))
		k.grantOf("g", "second")
		for range 2 {
			k.same(k.grantsOf("first", 9), []string{}, "grants of the first user")
			k.same(k.grantsOf("second", 9), []string{"g"}, "grants of the second user")
			_, err := k.s.Sweep(k.Context(), 100)
			k.must(err)
		}
	}},
	{"users of grants are bytes, and a user's id and a grant's are not glued together", func(k *kit) {
		for i, id := range oddIDs() {
			k.grantOf(name("g", i), id)
		}
		k.grantOf("bc", "xa")
		k.grantOf("c", "xab")
		for i, id := range oddIDs() {
			k.same(k.grantsOf(id, 9), []string{name("g", i)}, "grants of an odd user")
		}
		k.same(k.grantsOf("xa", 9), []string{"bc"}, "grants of xa")
		k.same(k.grantsOf("xab", 9), []string{"c"}, "grants of xab")
	}},
	// L3: ending all sign-ins at a logout must miss none that was answered.
	{"a grant is listed when CreateGrant has returned, however many are made at once", func(k *kit) {
		k.parallel(16, func(i int) {
			g := k.grant(name("g", i))
			g.UserID = "u"
			if err := k.s.CreateGrant(k.Context(), g); err != nil {
				k.Errorf("create: %v", err)
			}
			list, err := k.s.GrantsOf(k.Context(), "u", 100)
			if err != nil || !slices.ContainsFunc(list, func(l storage.Grant) bool { return l.ID == g.ID }) {
				k.Errorf("%s is not listed: %v", g.ID, err)
			}
		})
		k.same(len(k.grantsOf("u", 100)), 16, "listed")
	}},
	{"a grant and a user are read together as they are now", func(k *kit) {
		u := k.newUser("u")
		g := k.grantOf("g", "whoever")
		both := func(when string) {
			k.Helper()
			gotG, gotU, err := k.s.GrantAndUser(k.Context(), "g", u.ID)
			k.must(err)
			k.same(gotG, g, "the grant "+when)
			k.same(gotU, u, "the user "+when)
			gotG.Scopes[0], gotG.Nonce[0], gotU.Claims["name"] = "spoilt", 9, "spoilt"
		}
		both("at first")
		both("after what was returned was spoilt") // R18
		u = k.renamed(u, "renamed")
		both("after a change of the user")
		g = k.rotate(k.rotation("g", 1, "a"), storage.Rotated)
		both("after a refresh")
		k.must(k.s.RevokeGrant(k.Context(), "g", "signed out"))
		g.Revoked, g.RevokedReason = true, "signed out"
		both("after the revocation")
	}},
	{"of a grant and a user both must be there", func(k *kit) {
		u := k.newUser("u")
		g := k.newGrant("g")
		for _, pair := range [][2]string{{"g", "u"}, {"g", "nobody"}, {"G", u.ID}, {"", u.ID}, {"g", ""}, {"", ""}, {"\xff", "\xff"}} {
			_, _, err := k.s.GrantAndUser(k.Context(), pair[0], pair[1])
			k.want(err, storage.ErrNotFound, "read a pair that is not there")
		}
		_, _, err := k.s.GrantAndUser(k.Context(), "g", u.ID)
		k.want(err, nil, "read a pair that is there")
		k.until(g.IdleExpiresAt)
		_, _, err = k.s.GrantAndUser(k.Context(), "g", u.ID)
		k.want(err, storage.ErrNotFound, "read a grant that has ended")
		k.newGrant("g2")
		k.must(k.s.DeleteUser(k.Context(), u.ID))
		_, _, err = k.s.GrantAndUser(k.Context(), "g2", u.ID)
		k.want(err, storage.ErrNotFound, "read a user who is gone")
	}},
}
