package keys

import (
	"crypto/hkdf"
	"crypto/sha256"
	"maps"
	"sync/atomic"
)

// derivedSize is the length of a derived secret.
const derivedSize = 32

// labelDerive stands before the purpose. Changing it ends everything that was ever made with a derived secret.
const labelDerive = "ingam derive v1: "

// Derive returns secrets of 32 bytes for one purpose (HKDF-SHA256, RFC 5869), one from each live secret of the ring.
// Make new things with the first, accept things made with any: after the active one they come newest first. There is
// at least one, unless a changed ring took the last away.
//
// Different purposes give independent secrets, so that one leaked or misused says nothing about another. A purpose is
// one of the program's own few constants. The result is shared: do not modify it.
func (r *Ring) Derive(purpose string) [][]byte {
	s := r.current()
	if derived, ok := s.derived.get(purpose); ok {
		return derived
	}
	derived := make([][]byte, 0, len(s.secrets))
	for _, k := range s.secrets {
		// HKDF expands a secret to up to 255 hashes and fails beyond; one hash is always possible.
		secret, err := hkdf.Key(sha256.New, k.secret, nil, labelDerive+purpose, derivedSize)
		if err != nil {
			panic("keys: " + err.Error())
		}
		derived = append(derived, secret)
	}
	return s.derived.put(purpose, derived)
}

// cacheSize bounds a cache. Keys are constants of the program; if some day they are not, memory still ends somewhere.
const cacheSize = 64

// cache remembers what was computed for a few names. Reading takes no lock and allocates nothing; a write copies the
// whole map, which happens a handful of times in the life of a process. The zero value is empty.
type cache[V any] struct {
	values atomic.Pointer[map[string]V]
}

func (c *cache[V]) get(name string) (value V, ok bool) {
	if values := c.values.Load(); values != nil {
		value, ok = (*values)[name]
	}
	return value, ok
}

// put keeps value unless there is one already, and returns the one that is kept. A full cache keeps nothing more.
func (c *cache[V]) put(name string, value V) V {
	for {
		old := c.values.Load()
		grown := map[string]V{name: value}
		if old != nil {
			if first, ok := (*old)[name]; ok {
				return first
			}
			if len(*old) >= cacheSize {
				return value
			}
			maps.Copy(grown, *old)
		}
		if c.values.CompareAndSwap(old, &grown) {
			return value
		}
	}
}
