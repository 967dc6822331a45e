package resource

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestARememberedTokenIsForgottenAtItsEnd(t *testing.T) {
	v := newTestVerifier(t, nil)
	token := goodToken(t, nil)
	end := testNow.Add(14 * time.Minute)
	for _, tt := range []struct {
		name string
		now  time.Time
		want error
	}{
		{"now", testNow, nil},
		{"just before exp", end.Add(-time.Nanosecond), nil},
		{"at exp, within leeway", end, nil},
		{"at the end of the leeway", end.Add(30 * time.Second), errExpired},
		{"a year later", end.AddDate(1, 0, 0), errExpired},
	} {
		v.now = func() time.Time { return tt.now }
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		id := tokenID(token)
		remembered, err := v.remembered(t.Context(), &id, tt.now)
		if got, want := remembered != nil, tt.now.Before(end); got != want || err != nil {
			t.Errorf("%s: remembered %v, want %v (%v)", tt.name, got, want, err)
		}
	}
}

func TestARememberedTokenIsForgottenWithItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1", "rsa-2"))
		v, err := New(Config{Issuer: testIssuer, Audience: []string{testAudience}, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		v.now = func() time.Time { return testNow } // so that only the key set ages
		header := strings.Replace(goodHeader, "rsa-1", "rsa-2", 1)
		token := signJWS(t, "rsa-2", "", header, claims(t, nil))
		id := tokenID(token)
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		issuer.will(publish(t, "rsa-2"))
		time.Sleep(maxRefresh)
		if got, err := v.remembered(t.Context(), &id, testNow); got == nil || err != nil {
			t.Error("forgotten although its key stayed")
		}
		issuer.will(reply(http.StatusOK, `{"keys":[`+jwk(t, "stranger", map[string]any{"kid": "rsa-2"})+`]}`))
		time.Sleep(maxRefresh)
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, errSignature) {
			t.Errorf("kid given to another key: got %v, want a bad signature", err)
		}
		issuer.will(publish(t, "rsa-1"))
		time.Sleep(maxRefresh)
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, errUnknownKey) {
			t.Errorf("kid removed: got %v, want an unknown key", err)
		}
		issuer.will(refuseConnection)
		time.Sleep(maxStale)
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrKeysUnavailable) {
			t.Errorf("set too old: got %v, want ErrKeysUnavailable", err)
		}
	})
}

func TestARememberedTokenWaitsForItsKeyOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1"))
		v, err := New(Config{Issuer: testIssuer, Audience: []string{testAudience}, Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		v.now = func() time.Time { return testNow } // so that only the key set ages
		token := goodToken(t, nil)
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		issuer.will(hang) // and so a fetch is mostly under way
		time.Sleep(maxStale + 2*minRefresh)
		var waited time.Duration
		for range 100 {
			start := time.Now()
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrKeysUnavailable) {
				t.Fatalf("set too old: got %v, want ErrKeysUnavailable", err)
			}
			waited = max(waited, time.Since(start))
			time.Sleep(maxBackoff / 10)
		}
		if waited != missWait {
			t.Errorf("waited %v, want %v", waited, missWait)
		}
	})
}

func TestATokenThatDiffersInOneByteIsNotRemembered(t *testing.T) {
	v := newTestVerifier(t, nil)
	token := goodToken(t, nil)
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for i := range len(token) {
		c := byte('A')
		if token[i] == c {
			c = 'B'
		}
		other := token[:i] + string(c) + token[i+1:]
		if _, err := v.Verify(t.Context(), other); !errors.Is(err, ErrInvalidToken) {
			t.Fatalf("byte %d changed: got %v, want ErrInvalidToken", i, err)
		}
	}
}

func TestTheCacheIsBoundedAndKeepsWhatLivesLongest(t *testing.T) {
	c := newTokenCache(1000)
	if got := len(c.sets) * len(cacheSet{}); got != 2000 {
		t.Errorf("got %d places for 1000 tokens, want 2000", got)
	}
	c = newTokenCache(1) // one set
	entry := func(i int) *cacheEntry {
		return &cacheEntry{
			id:    [32]byte{byte(i)},
			token: &AccessToken{ExpiresAt: testNow.Add(time.Duration(i) * time.Minute)},
		}
	}
	for i := 1; i <= 9; i++ {
		c.put(entry(i))
		c.put(entry(i)) // takes no second place
	}
	for i := 1; i <= 9; i++ {
		id := [32]byte{byte(i)}
		if got, want := c.get(&id) != nil, i != 1; got != want {
			t.Errorf("entry %d: there is %v, want %v", i, got, want)
		}
	}
}

func TestWithoutACacheNothingIsRemembered(t *testing.T) {
	v := newTestVerifier(t, func(cfg *Config) { cfg.CacheSize = -1 })
	token := goodToken(t, nil)
	for range 2 {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if v.cache != nil {
		t.Error("there is a cache")
	}
}

func TestManyCallersAtOnceGetTheirOwnTokens(t *testing.T) {
	v := newTestVerifier(t, func(cfg *Config) { cfg.CacheSize = 4 })
	tokens := make([]string, 12)
	for i := range tokens {
		tokens[i] = goodToken(t, map[string]any{"sub": fmt.Sprint("u-", i)})
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 5 * len(tokens) {
				i %= len(tokens)
				got, err := v.Verify(t.Context(), tokens[i])
				if err != nil || got.Subject != fmt.Sprint("u-", i) {
					t.Errorf("got %+v, %v; want u-%d", got, err, i)
					return
				}
				got.Subject = "changed"
			}
		})
	}
	wg.Wait()
}

func TestARememberedTokenCostsAtMostTwoAllocations(t *testing.T) {
	v := newTestVerifier(t, nil)
	for _, token := range []string{goodToken(t, nil), goodToken(t, map[string]any{"x": strings.Repeat("x", 3000)})} {
		ctx := t.Context()
		got := testing.AllocsPerRun(100, func() {
			if _, err := v.Verify(ctx, token); err != nil {
				t.Fatal(err)
			}
		})
		if got > 2 {
			t.Errorf("token of %d bytes: got %v allocations, want at most 2", len(token), got)
		}
	}
}
