package resource

import (
	"context"
	"math/rand/v2"
	"time"
)

// This file is the one goroutine of a RemoteKeySet. All fetches are its own, so that
// at most one is under way without a lock being held for its length.

// run fetches now, and then whenever it is time or demanded, until ctx ends.
func (s *RemoteKeySet) run(ctx context.Context) {
	defer close(s.done)
	var failures int
	for {
		s.begin()
		life, err := s.refresh(ctx)
		if err == nil {
			failures = 0
		} else {
			failures++
			if ctx.Err() == nil && worthSaying(failures) {
				s.logger.Warn("JWK set not refreshed", "url", s.fetcher.url, "failures", failures, "error", err)
			}
		}
		s.end()
		timer := time.NewTimer(s.pause(life, failures))
		select {
		case <-ctx.Done():
			timer.Stop()
			s.finish()
			return
		case <-timer.C:
		case <-s.demand:
			timer.Stop()
		}
	}
}

// worthSaying keeps an issuer that stays away, and is asked every second or two, from
// filling the log.
func worthSaying(failures int) bool { return failures <= 3 || failures%20 == 0 }

// begin opens an attempt, or takes on the one that was asked for.
func (s *RemoteKeySet) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.attempt == nil {
		s.attempt = make(chan struct{})
	}
	select {
	case <-s.demand: // met by this very attempt
	default:
	}
}

// end lets those who wait for the attempt go.
func (s *RemoteKeySet) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.attempt)
	s.attempt = nil
}

// finish turns later misses away: nobody is left to fetch for them.
func (s *RemoteKeySet) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.attempt != nil {
		close(s.attempt)
		s.attempt = nil
	}
}

// refresh fetches once and installs what it got. It returns how long the answer
// says that it may be used.
func (s *RemoteKeySet) refresh(ctx context.Context) (time.Duration, error) {
	old := s.snapshot.Load()
	next := &keySnapshot{confirmed: time.Now()}
	var etag string
	if old != nil {
		etag = old.etag
	}
	answer, err := s.fetcher.fetch(ctx, etag)
	if err != nil {
		return 0, err
	}
	if answer.notModified {
		next.keys, next.etag = old.keys, old.etag
		s.snapshot.Store(next)
		return answer.maxAge, nil
	}
	next.etag = answer.etag
	if next.keys, err = parseJWKS(answer.body, s.algorithms); err != nil {
		return 0, err
	}
	if old == nil {
		s.logger.Info("JWK set loaded", "url", s.fetcher.url, "keys", len(next.keys))
	} else {
		// A key that stays keeps its pointer, and with it the tokens that it verified.
		for kid, key := range next.keys {
			if before := old.keys[kid]; before != nil && sameKey(before, key) {
				next.keys[kid] = before
			}
		}
	}
	s.snapshot.Store(next)
	return answer.maxAge, nil
}

// pause says how long to wait before the next scheduled fetch. All pauses are spread
// at random, so that many servers started together do not ask together.
func (s *RemoteKeySet) pause(life time.Duration, failures int) time.Duration {
	spread := rand.Float64() //nolint:gosec // jitter is no secret
	if failures == 0 {
		if life < 0 {
			life = defaultRefresh
		}
		// At 75 to 90 % of its life, so that a short outage passes unnoticed.
		early := time.Duration((0.75 + 0.15*spread) * float64(min(life, maxRefresh)))
		return max(early, minRefresh)
	}
	if s.Ready() == nil {
		return minRefresh + time.Duration(spread*float64(minRefresh)/2)
	}
	backoff := min(minBackoff<<min(failures-1, 10), maxBackoff)
	return backoff/2 + time.Duration(spread*float64(backoff)/2)
}
