package oauth

import (
	"cmp"
	"container/list"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ingam/ingam/storage"
)

// Fetcher gets a document from an address that a client registered; *outbound.Client is one, and guards against addresses
// that only this server reaches (threats G5).
type Fetcher interface {
	// Get answers the body and the header of an answer 200; a body of more than maxBytes is an error.
	Get(ctx context.Context, address string, maxBytes int64) (body []byte, header http.Header, err error)
}

// The times of keys behind a jwks_uri. An unknown kid costs a client's server at most one request each missInterval, and a
// server that does not answer is asked again after failureInterval.
const (
	keysDefaultTTL  = 5 * time.Minute // where the answer does not say
	keysMinTTL      = time.Minute     // what the answer says is held within these
	keysMaxTTL      = time.Hour
	keysMaxStale    = 24 * time.Hour // how long the last good set outlives the client's server
	missInterval    = 30 * time.Second
	failureInterval = 5 * time.Second
	fetchTimeout    = 10 * time.Second // the fetcher's own is shorter

	maxKeySetBytes = 64 << 10
	maxKeySets     = 1000 // addresses remembered at once
)

var (
	errNoKeys     = errors.New("the client has no keys: neither jwks nor jwks_uri")
	errNotFetched = errors.New("not fetched yet")
)

// clientKeys finds the public keys of clients and remembers those behind addresses. Safe for concurrent use.
type clientKeys struct {
	fetcher Fetcher // nil: addresses are not called, and clients that have only one have no keys
	log     *slog.Logger

	mu     sync.Mutex
	sets   map[string]*list.Element // of *remoteSet, by address
	recent *list.List               // most recently used first
}

// remoteSet is what is known of one address. Its fields are guarded by clientKeys.mu.
type remoteSet struct {
	address string
	keys    keySet
	// good is when the keys came, zero before the first time; they are fresh until fresh.
	good, fresh time.Time
	// nextMiss is when an unknown kid is worth a fetch again, nextTry when a failure is.
	nextMiss, nextTry time.Time
	err               error         // of the last fetch
	fetching          chan struct{} // closed at the end of the fetch under way; nil if there is none
}

func newClientKeys(fetcher Fetcher, log *slog.Logger) *clientKeys {
	return &clientKeys{fetcher: fetcher, log: log, sets: make(map[string]*list.Element), recent: list.New()}
}

// keys answers the keys of a client that may have made a signature with that kid ("" where it names none) and alg. No keys
// and no error means that the client has others. An error says that its keys are not known.
func (k *clientKeys) keys(ctx context.Context, c storage.Client, kid, alg string) ([]crypto.PublicKey, error) {
	if len(c.JWKS) > 0 {
		set, err := parseKeySet(c.JWKS)
		if err != nil {
			return nil, fmt.Errorf("jwks of the client: %w", err)
		}
		return set.candidates(kid, alg), nil
	}
	if c.JWKSURI == "" {
		return nil, errNoKeys
	}
	if k.fetcher == nil {
		return nil, errors.New("jwks_uri of the client: this server calls no addresses")
	}
	found, wait, err := k.look(c.JWKSURI, kid, alg, false)
	if wait == nil {
		return found, err
	}
	select {
	case <-wait:
		found, _, err = k.look(c.JWKSURI, kid, alg, true)
		return found, err
	case <-ctx.Done():
		return nil, fmt.Errorf("jwks_uri of the client: %w", ctx.Err())
	}
}

// look answers from memory, or with a fetch to wait for before looking again; who has waited for one waits for no other.
func (k *clientKeys) look(address, kid, alg string, waited bool) (found []crypto.PublicKey, wait <-chan struct{}, err error) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.set(address)
	known := !s.good.IsZero() && now.Before(s.good.Add(keysMaxStale))
	if known {
		found = s.keys.candidates(kid, alg)
	}
	fresh := known && now.Before(s.fresh)
	if fresh && len(found) > 0 {
		return found, nil, nil
	}
	switch {
	case waited:
	case s.fetching != nil:
		return nil, s.fetching, nil
	case !fresh && !now.Before(s.nextTry):
		return nil, k.fetch(s), nil
	case fresh && !now.Before(s.nextMiss):
		s.nextMiss = now.Add(missInterval)
		return nil, k.fetch(s), nil
	}
	if !known {
		return nil, nil, fmt.Errorf("jwks_uri of the client: %w", cmp.Or(s.err, errNotFetched))
	}
	return found, nil, nil
}

// set finds or makes what is known of an address, and forgets the one that was not used for longest if there are too many.
func (k *clientKeys) set(address string) *remoteSet {
	if e := k.sets[address]; e != nil {
		k.recent.MoveToFront(e)
		return e.Value.(*remoteSet)
	}
	if k.recent.Len() >= maxKeySets {
		oldest := k.recent.Remove(k.recent.Back()).(*remoteSet)
		delete(k.sets, oldest.address)
	}
	s := &remoteSet{address: address}
	k.sets[address] = k.recent.PushFront(s)
	return s
}

// fetch starts the one fetch of an address. It does not end with the request that caused it, for others wait for it too.
func (k *clientKeys) fetch(s *remoteSet) <-chan struct{} {
	done := make(chan struct{})
	s.fetching = done
	go func() {
		keys, header, err := k.get(s.address)
		now := time.Now()
		k.mu.Lock()
		defer k.mu.Unlock()
		s.fetching, s.err = nil, err
		if err != nil {
			k.log.Warn("the keys of a client could not be fetched", "jwks_uri", withoutQuery(s.address), "error", err)
			s.nextTry = now.Add(failureInterval)
			if !s.good.IsZero() {
				s.nextTry = now.Add(missInterval) // there are keys to go on with
			}
		} else {
			s.keys, s.good, s.fresh = keys, now, now.Add(ttl(header))
		}
		close(done)
	}()
	return done
}

// get makes the one call. What strangers wrote is parsed where no request is there whose panic would be caught (threats O5).
func (k *clientKeys) get(address string) (keys keySet, header http.Header, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %T", p)
			k.log.Error("panic", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	body, header, err := k.fetcher.Get(ctx, address, maxKeySetBytes)
	if err == nil {
		keys, err = parseKeySet(body)
	}
	return keys, header, err
}

// ttl is how long an answer says that it is fresh (RFC 9111 §5.2.2), within our bounds.
func ttl(header http.Header) time.Duration {
	age := keysDefaultTTL
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return keysMinTTL
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return min(max(age, keysMinTTL), keysMaxTTL)
}

// withoutQuery is an address for a log: a query may hold a secret.
func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address
}
