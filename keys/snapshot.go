package keys

import (
	"slices"
	"time"

	"github.com/ingam/ingam/storage"
)

// snapshot is an opened ring together with what policy makes of it for some span of time, and everything that can be
// prepared from that. It is never changed after it was published; only its caches grow.
type snapshot struct {
	record storage.KeyRing
	opened map[string]*key // all keys of record
	until  time.Time       // when policy will say something else; zero: never

	signing    *key            // nil if no key is active
	published  map[string]*key // what Verify accepts, by kid
	algorithms []string
	document   Document
	secrets    []*key // what Derive derives from, in its order
	derived    cache[[][]byte]
}

// newSnapshot applies policy to an opened ring. It cannot fail: what could is checked when keys are opened.
func newSnapshot(record storage.KeyRing, opened map[string]*key, maxAge time.Duration, now time.Time) *snapshot {
	p := policy(record.Keys, now)
	s := &snapshot{
		record: record, opened: opened, until: p.until,
		signing: opened[p.signing], published: make(map[string]*key, len(p.published)),
	}
	published := make([]*key, 0, len(p.published))
	for _, id := range p.published {
		k := opened[id]
		published = append(published, k)
		s.published[id] = k
		if !slices.Contains(s.algorithms, k.algorithm) {
			s.algorithms = append(s.algorithms, k.algorithm)
		}
	}
	slices.Sort(s.algorithms)
	for _, id := range p.secrets {
		s.secrets = append(s.secrets, opened[id])
	}
	s.document = newDocument(published, maxAge)
	return s
}

// hasActiveSecret tells whether the first secret is one to make new things with.
func (s *snapshot) hasActiveSecret(now time.Time) bool {
	return slices.ContainsFunc(s.record.Keys, func(k storage.SealedKey) bool {
		return k.Use == useMAC && activeAt(k, now)
	})
}

// current returns the snapshot for this moment. When the time of the last one is over, the first caller to notice
// makes the next from the same keys; a reload that comes in between wins.
func (r *Ring) current() *snapshot {
	s := r.snap.Load()
	if s.until.IsZero() {
		return s
	}
	now := time.Now()
	if now.Before(s.until) {
		return s
	}
	next := newSnapshot(s.record, s.opened, r.maxAge, now)
	if r.snap.CompareAndSwap(s, next) {
		return next
	}
	return r.snap.Load()
}

// KeyInfo is what may be told about a key: nothing in it is secret.
type KeyInfo struct {
	ID        string    `json:"kid"`
	Use       string    `json:"use"`
	Algorithm string    `json:"alg"`
	Created   time.Time `json:"created"`
	State     State     `json:"state"`
}

// Keys lists all keys of the ring, forgotten ones included, newest first.
func (r *Ring) Keys() []KeyInfo {
	now := time.Now()
	records := r.current().record.Keys
	p := policy(records, now)
	infos := make([]KeyInfo, 0, len(records))
	for _, k := range slices.SortedFunc(slices.Values(records), newestFirst) {
		infos = append(infos, KeyInfo{
			ID: k.ID, Use: k.Use, Algorithm: k.Algorithm, Created: k.CreatedAt, State: p.state(k, now),
		})
	}
	return infos
}

// Algorithms lists the signature algorithms of the published keys, for the server's metadata.
func (r *Ring) Algorithms() []string { return slices.Clone(r.current().algorithms) }
