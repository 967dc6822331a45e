package storagetest

import "github.com/ingam/ingam/storage"

var keyRingChecks = []check{
	// S17: an empty store must be recognizable as one, so that a server does not quietly begin a new life.
	{"an empty store has no key ring, and says so", func(k *kit) {
		_, err := k.s.KeyRing(k.Context())
		k.want(err, storage.ErrNotFound, "key ring")
	}},
	{"a key ring comes back exactly as stored, with its version counted up", func(k *kit) {
		want := k.ring("k1")
		want.Version = 1
		k.full(want)
		want.Version = 0
		for version := range uint64(3) {
			k.must(k.s.PutKeyRing(k.Context(), want))
			want.Version = version + 1
			got, err := k.s.KeyRing(k.Context())
			k.must(err)
			k.same(got, want, "ring")
			want.Keys = append(want.Keys, want.Keys[0])
		}
	}},
	{"a ring of another version answers ErrConflict and changes nothing", func(k *kit) {
		early := k.ring("early")
		early.Version = 1
		k.want(k.s.PutKeyRing(k.Context(), early), storage.ErrConflict, "version 1 before there is any")
		_, err := k.s.KeyRing(k.Context())
		k.want(err, storage.ErrNotFound, "key ring")
		want := k.ring("k1")
		k.must(k.s.PutKeyRing(k.Context(), want))
		want.Version = 1
		for _, version := range []uint64{0, 2} {
			stale := k.ring("stale")
			stale.Version = version
			k.want(k.s.PutKeyRing(k.Context(), stale), storage.ErrConflict, "put")
		}
		got, err := k.s.KeyRing(k.Context())
		k.must(err)
		k.same(got, want, "ring")
	}},
	{"of 16 nodes that start at once exactly one makes the keys", func(k *kit) {
		k.oneWins(16, storage.ErrConflict, func(i int) error { return k.s.PutKeyRing(k.Context(), k.ring(name("k", i))) })
	}},
	{"of 16 nodes that rotate the keys at once exactly one wins", func(k *kit) {
		k.must(k.s.PutKeyRing(k.Context(), k.ring("k1")))
		k.oneWins(16, storage.ErrConflict, func(i int) error {
			next := k.ring(name("k", i))
			next.Version = 1
			return k.s.PutKeyRing(k.Context(), next)
		})
	}},
	{"whatever a caller does to a key ring changes nothing in the store", func(k *kit) { // R18
		want, given := k.ring("k1"), k.ring("k1")
		want.Version = 1
		k.must(k.s.PutKeyRing(k.Context(), given))
		given.Keys[0].Sealed[0]++
		got, err := k.s.KeyRing(k.Context())
		k.must(err)
		k.same(got, want, "ring after spoiling what was given")
		got.Keys[0].Sealed[0]++
		got.Keys[0].ID = "spoilt"
		got, err = k.s.KeyRing(k.Context())
		k.must(err)
		k.same(got, want, "ring after spoiling what was returned")
	}},
}
