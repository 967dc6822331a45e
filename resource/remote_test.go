package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestManyUnknownKidsAtOnceShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1"))
		issuer.will(slowly(100*time.Millisecond, publish(t, "rsa-1", "rsa-2")))
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantKey(t, keys, "rsa-2") })
		}
		wg.Wait()
		if got := issuer.count(); got != 2 {
			t.Errorf("got %d fetches, want 2", got)
		}
	})
}

func TestAKeyRotatedInWorksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1"))
		wantNoKey(t, keys, "rsa-2", ErrUnknownKey)
		time.Sleep(missInterval)
		issuer.will(publish(t, "rsa-1", "rsa-2"))
		wantKey(t, keys, "rsa-2")
	})
}

func TestAKeyRotatedInRightAfterAMissWaitsForTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1"))
		wantNoKey(t, keys, "made-up", ErrUnknownKey)
		issuer.will(publish(t, "rsa-1", "rsa-2"))
		time.Sleep(missInterval - time.Second)
		wantNoKey(t, keys, "rsa-2", ErrUnknownKey)
		time.Sleep(time.Second)
		wantKey(t, keys, "rsa-2")
	})
}

func TestASlowIssuerHoldsACallerForAQuarterSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1"))
		issuer.will(slowly(time.Second, publish(t, "rsa-1", "rsa-2")))
		wantNoKey(t, keys, "rsa-2", ErrUnknownKey) // checks that it waited no longer
		start := time.Now()
		wantNoKey(t, keys, "rsa-2", ErrUnknownKey)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the second time it waited %v, want not at all", waited)
		}
		time.Sleep(time.Second)
		wantKey(t, keys, "rsa-2")
	})
}

func TestACallerThatGivesUpDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1"))
		issuer.will(hang)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := keys.Key(ctx, "rsa-2")
		if !errors.Is(err, ErrKeysUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want both ErrKeysUnavailable and the context's error", err)
		}
	})
}

func TestABadSignatureNeverFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1"))
		v, err := New(Config{Issuer: testIssuer, Audience: []string{testAudience}, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		token := signJWS(t, "stranger", "", goodHeader, claims(t, nil))
		for range 1000 {
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrInvalidToken) {
				t.Fatalf("got %v, want ErrInvalidToken", err)
			}
		}
		if got := issuer.count(); got != 1 {
			t.Errorf("got %d fetches, want the first alone", got)
		}
	})
}

func TestTheLastGoodSetOutlivesAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, failure := range map[string]answer{
			"500":             reply(http.StatusInternalServerError, ""),
			"404":             reply(http.StatusNotFound, string(publicJWKS(t, "rsa-2"))),
			"HTML":            reply(http.StatusOK, "<html>captive portal</html>"),
			"an empty set":    reply(http.StatusOK, `{"keys":[]}`),
			"null":            reply(http.StatusOK, "null"),
			"an unusable set": reply(http.StatusOK, string(publicJWKS(t, "rsa-1024"))),
			"refused":         refuseConnection,
			"a time-out":      hang,
		} {
			keys, issuer := startKeys(t, publish(t, "rsa-1"))
			issuer.will(failure)
			time.Sleep(maxStale - time.Second)
			wantKey(t, keys, "rsa-1")
			if err := keys.Ready(); err != nil {
				t.Errorf("%s: got %v just before 24 hours, want ready", name, err)
			}
			// While there is hope, the failing issuer is asked at most once a minute.
			if got, most := issuer.count(), int(maxStale/minRefresh)+1; got > most {
				t.Errorf("%s: got %d fetches in a day, want at most %d", name, got, most)
			}
			time.Sleep(time.Second)
			wantNoKey(t, keys, "rsa-1", ErrKeysUnavailable)
			if err := keys.Ready(); !errors.Is(err, ErrKeysUnavailable) {
				t.Errorf("%s: got %v after 24 hours, want ErrKeysUnavailable", name, err)
			}
			time.Sleep(time.Hour)
			issuer.will(publish(t, "rsa-1"))
			time.Sleep(fetchTimeout + maxBackoff)
			wantKey(t, keys, "rsa-1")
			_ = keys.Close()
		}
	})
}

func TestAnIssuerThatComesLateIsFoundWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, refuseConnection)
		wantNoKey(t, keys, "rsa-1", ErrKeysUnavailable)
		time.Sleep(time.Hour)
		wantNoKey(t, keys, "rsa-1", ErrKeysUnavailable)
		issuer.will(publish(t, "rsa-1"))
		time.Sleep(maxBackoff)
		synctest.Wait()
		wantKey(t, keys, "rsa-1")
	})
}

func TestTheFirstCallersWaitForTheFirstFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, _ := startKeys(t, slowly(200*time.Millisecond, publish(t, "rsa-1")))
		wantKey(t, keys, "rsa-1")
	})
}

func TestARemovedKeyStopsWorking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1", "rsa-2"))
		wantKey(t, keys, "rsa-2")
		issuer.will(publish(t, "rsa-1"))
		time.Sleep(maxRefresh)
		wantNoKey(t, keys, "rsa-2", ErrUnknownKey)
		wantKey(t, keys, "rsa-1")
	})
}

func TestCacheControlIsHonouredWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			header      string
			least, most time.Duration
		}{
			{"", 225 * time.Second, 270 * time.Second},
			{"public, max-age=600", 450 * time.Second, 540 * time.Second},
			{"max-age=1", minRefresh, minRefresh},
			{"no-store", minRefresh, minRefresh},
			{"max-age=31536000", 45 * time.Minute, 54 * time.Minute},
			{"max-age=many", 225 * time.Second, 270 * time.Second},
		} {
			keys, issuer := startKeys(t, reply(http.StatusOK, string(publicJWKS(t, "rsa-1")), "Cache-Control", tt.header))
			time.Sleep(2 * maxRefresh)
			_ = keys.Close()
			if got := issuer.fetches[1].Sub(issuer.fetches[0]); got < tt.least || got > tt.most {
				t.Errorf("%q: the second fetch came after %v, want %v to %v", tt.header, got, tt.least, tt.most)
			}
		}
	})
}

func TestAnUnchangedSetIsConfirmedByItsETag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, reply(http.StatusOK, string(publicJWKS(t, "rsa-1")), "ETag", `"v1"`))
		before, err := keys.Key(t.Context(), "rsa-1")
		if err != nil {
			t.Fatal(err)
		}
		issuer.will(answer{status: http.StatusNotModified, check: func(r *http.Request) {
			if got := r.Header.Get("If-None-Match"); got != `"v1"` {
				t.Errorf("got If-None-Match %q, want the tag", got)
			}
		}})
		time.Sleep(3 * maxStale)
		if after, err := keys.Key(t.Context(), "rsa-1"); after != before {
			t.Errorf("got another key after 304 (%v)", err)
		}
	})
}

func TestAKeyThatStaysKeepsItsPointer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1"))
		before, err := keys.Key(t.Context(), "rsa-1")
		if err != nil {
			t.Fatal(err)
		}
		issuer.will(publish(t, "rsa-1", "rsa-2"))
		time.Sleep(maxRefresh)
		if after, err := keys.Key(t.Context(), "rsa-1"); after != before {
			t.Errorf("got another pointer (%v)", err)
		}
	})
}

func TestAClosedSetAnswersFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1"))
		for range 2 {
			if err := keys.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		start := time.Now()
		wantKey(t, keys, "rsa-1")
		wantNoKey(t, keys, "rsa-2", ErrUnknownKey)
		if waited := time.Since(start); waited != 0 || issuer.count() != 1 {
			t.Errorf("waited %v and fetched %d times after Close", waited, issuer.count())
		}
	})
}

func TestTheMemoryOfMissesIsBounded(t *testing.T) {
	keys := &RemoteKeySet{missing: make(map[string]time.Time)}
	for i := range 10 * maxMissing {
		keys.remember(fmt.Sprint(i), time.Time{})
		if len(keys.missing) > maxMissing {
			t.Fatalf("got %d entries, want at most %d", len(keys.missing), maxMissing)
		}
	}
}
