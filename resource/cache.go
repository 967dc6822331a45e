package resource

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// tokenCache remembers verified tokens. It is a fixed table of sets with eight
// places each, read and written without locks: a place is one atomic pointer
// to an entry that never changes.
//
// The key of an entry is the SHA-256 of the whole token, signature included, so
// that a token that differs in one byte finds nothing, and no token rests in
// memory. Which set a token falls into cannot be used against us: only tokens that
// verified are put in.
//
// The cache does not decide whether an entry still counts. Verify compares
// exp and the key at each hit.
type tokenCache struct {
	sets []cacheSet
}

type cacheSet [8]atomic.Pointer[cacheEntry]

type cacheEntry struct {
	id    [32]byte // SHA-256 of the token
	token *AccessToken
	kid   string
	key   *jose.JSONWebKey // the very key that verified it
}

// newTokenCache makes room for twice as many tokens as it is meant to hold, so
// that few of them find the eight places of their set taken. The table takes 16
// bytes for each token it is meant for, the entries about a kilobyte each.
func newTokenCache(tokens int) *tokenCache {
	return &tokenCache{sets: make([]cacheSet, max(1, tokens/4))}
}

func (c *tokenCache) set(id *[32]byte) *cacheSet {
	return &c.sets[binary.LittleEndian.Uint64(id[:])%uint64(len(c.sets))]
}

// get returns the entry of a token, or nil. A nil cache is empty.
func (c *tokenCache) get(id *[32]byte) *cacheEntry {
	if c == nil {
		return nil
	}
	set := c.set(id)
	for i := range set {
		if e := set[i].Load(); e != nil && e.id == *id {
			return e
		}
	}
	return nil
}

// put stores an entry: in its own place if it has one, in a free one, or in
// that of the token of its set that expires first. Of two that store at once in the
// same place one is lost, which costs one more verification.
func (c *tokenCache) put(e *cacheEntry) {
	if c == nil {
		return
	}
	set := c.set(&e.id)
	var victim int
	var soonest time.Time
	for i := range set {
		old := set[i].Load()
		if old == nil || old.id == e.id {
			victim = i
			break
		}
		if i == 0 || old.token.ExpiresAt.Before(soonest) {
			victim, soonest = i, old.token.ExpiresAt
		}
	}
	set[victim].Store(e)
}
