package resource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The times of a RemoteKeySet. Scheduled refreshes are at least minRefresh apart
// from whatever fetch came before, and demanded ones at least missInterval apart
// from each other, so that t seconds of unknown kids cost at most 1 + ⌈t/30 s⌉
// fetches.
const (
	minRefresh     = time.Minute      // Cache-Control cannot ask for more fetches than this
	maxRefresh     = time.Hour        // nor keep a removed key alive for longer
	defaultRefresh = 5 * time.Minute  // when the answer does not say
	maxStale       = 24 * time.Hour   // how long the last good set outlives the issuer
	missInterval   = 30 * time.Second // between fetches that unknown kids ask for
	missWait       = 250 * time.Millisecond
	minBackoff     = 100 * time.Millisecond // without any keys: this, doubled,
	maxBackoff     = 2 * time.Second        // up to this
	maxMissing     = 256                    // kids remembered as unknown
)

// RemoteKeySetConfig says where the keys of a [RemoteKeySet] come from.
type RemoteKeySetConfig struct {
	// URL is the address of the JWK set (jwks_uri). It is required, and https
	// unless the host is the local machine.
	URL string
	// Algorithms lists the signature algorithms whose keys are kept; RS256 if empty.
	Algorithms []string
	// HTTPClient makes the requests. It is copied; redirects are never followed
	// and each fetch ends after 3 seconds. Nil means a client with the
	// default transport.
	HTTPClient *http.Client
	// InsecureAllowHTTP allows plain http to other machines. Whoever can
	// change that traffic can then sign tokens. It MUST NOT be set outside a
	// network where nobody can.
	InsecureAllowHTTP bool
	// Logger hears of fetches that failed and of the first that worked; nil means nobody.
	Logger *slog.Logger
}

// RemoteKeySet is a KeySet behind an https address. NewRemoteKeySet starts the one
// goroutine that fetches, and Close ends it. Readers take an immutable
// snapshot from an atomic pointer and never wait for the network, with one
// exception: who asks for a kid that is not in the snapshot, and thereby causes or
// meets a fetch, waits up to 250 ms for it, so that a key just rotated in works.
//
// Nobody can make it fetch by sending tokens: an unknown kid is given a fetch at
// most once in 30 seconds, and none while there are no keys at all, when the
// goroutine tries by itself every two seconds or sooner. The last good set serves
// for 24 hours after the last contact, and is never replaced by one without usable keys.
type RemoteKeySet struct {
	fetcher    *jwksFetcher
	algorithms []string
	logger     *slog.Logger
	snapshot   atomic.Pointer[keySnapshot]
	demand     chan struct{} // holds at most one request for a fetch
	stop       context.CancelFunc
	done       chan struct{} // closed when the goroutine has ended

	mu       sync.Mutex
	attempt  chan struct{}        // closed at the end of the fetch under way or asked for; nil if none
	nextMiss time.Time            // no unknown kid is given a fetch before
	missing  map[string]time.Time // kids that were looked for in vain, until when
	closed   bool
}

// keySnapshot is what one fetch brought. It never changes.
type keySnapshot struct {
	keys      map[string]*jose.JSONWebKey
	etag      string
	confirmed time.Time // when the issuer last said that these are its keys
}

func (s *keySnapshot) fresh(now time.Time) bool {
	return s != nil && now.Sub(s.confirmed) < maxStale
}

var _ KeySet = (*RemoteKeySet)(nil)

// NewRemoteKeySet starts fetching and returns at once; the issuer need not be up.
// All that is wrong with the configuration is in the one error. Call Close when done.
func NewRemoteKeySet(cfg RemoteKeySetConfig) (*RemoteKeySet, error) {
	algorithms, algErr := checkAlgorithms(cfg.Algorithms)
	fetcher, urlErr := newJWKSFetcher(cfg.URL, cfg.HTTPClient, cfg.InsecureAllowHTTP)
	if err := errors.Join(algErr, urlErr); err != nil {
		return nil, err
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &RemoteKeySet{
		fetcher:    fetcher,
		algorithms: algorithms,
		logger:     logger,
		demand:     make(chan struct{}, 1),
		stop:       stop,
		done:       make(chan struct{}),
		attempt:    make(chan struct{}), // so that the first callers wait for the first fetch
		missing:    make(map[string]time.Time),
	}
	go s.run(ctx)
	return s, nil
}

// Close ends the goroutine and waits for it. The keys stay as they are.
// It may be called more than once.
func (s *RemoteKeySet) Close() error {
	s.stop()
	<-s.done
	return nil
}

// Ready returns nil if there are keys to verify with, else an error that wraps
// ErrKeysUnavailable.
func (s *RemoteKeySet) Ready() error {
	if !s.snapshot.Load().fresh(time.Now()) {
		return ErrKeysUnavailable
	}
	return nil
}

// Key returns the key named kid. The error wraps ErrUnknownKey if the issuer has no
// such key, or ErrKeysUnavailable if there are no keys at all or none younger than
// 24 hours. It waits no longer than 250 ms, nor than ctx allows.
func (s *RemoteKeySet) Key(ctx context.Context, kid string) (*jose.JSONWebKey, error) {
	now := time.Now()
	snap := s.snapshot.Load()
	fresh := snap.fresh(now)
	if fresh {
		if key := snap.keys[kid]; key != nil {
			return key, nil
		}
	}
	if !validKeyID(kid) {
		return nil, ErrUnknownKey
	}
	if attempt := s.miss(kid, fresh, now); attempt != nil {
		timer := time.NewTimer(missWait)
		defer timer.Stop()
		select {
		case <-attempt:
		case <-timer.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrKeysUnavailable, ctx.Err())
		}
		now = time.Now()
		snap = s.snapshot.Load()
		fresh = snap.fresh(now)
		if fresh {
			if key := snap.keys[kid]; key != nil {
				return key, nil
			}
			s.remember(kid, now)
		}
	}
	if !fresh {
		return nil, ErrKeysUnavailable
	}
	return nil, ErrUnknownKey
}

// miss decides what an unknown kid is worth. It returns the fetch to wait for, or
// nil to answer now.
func (s *RemoteKeySet) miss(kid string, fresh bool, now time.Time) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed, fresh && now.Before(s.missing[kid]):
		return nil
	case s.attempt != nil:
		return s.attempt
	case !fresh:
		// The goroutine is between two tries of its own. Strangers do not
		// shorten the pause.
		return nil
	case now.Before(s.nextMiss):
		return nil
	}
	// The slot is taken before the fetch, so that neither a failure nor an empty
	// answer gives it back.
	s.nextMiss = now.Add(missInterval)
	s.attempt = make(chan struct{})
	s.demand <- struct{}{} // never blocks: attempt was nil, so the buffer is empty
	return s.attempt
}

// remember notes that kid was looked for in vain. It never hides a key: Key looks
// into the snapshot first.
func (s *RemoteKeySet) remember(kid string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.missing) >= maxMissing {
		clear(s.missing)
	}
	s.missing[kid] = now.Add(missInterval)
}
