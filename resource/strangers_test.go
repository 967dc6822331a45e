package resource

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// flood asks for n unknown kids, one each 10 ms, and checks that the good key is there
// at once all the while. It returns how long that took.
func flood(t testing.TB, keys *RemoteKeySet, n int) time.Duration {
	t.Helper()
	start := time.Now()
	for i := range n {
		wantNoKey(t, keys, fmt.Sprintf("k%d", i), ErrUnknownKey)
		before := time.Now()
		wantKey(t, keys, "rsa-1")
		if waited := time.Since(before); waited != 0 {
			t.Fatalf("the good key took %v", waited)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// wantFewFetches checks the bound of row J22.
func wantFewFetches(t testing.TB, got int, during time.Duration) {
	t.Helper()
	bound := 1 + int((during+missInterval-1)/missInterval)
	if got > bound {
		t.Errorf("got %d fetches in %v, want at most %d", got, during, bound)
	}
}

func TestStrangersCannotDriveFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, publish(t, "rsa-1"))
		took := flood(t, keys, 10_000)
		wantFewFetches(t, issuer.count(), took)
		if issuer.count() < 2 {
			t.Error("an unknown kid caused no fetch at all")
		}
	})
}

func TestStrangersCannotDriveFetchesOfAFailingIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, failure := range []answer{
			reply(http.StatusInternalServerError, ""), reply(http.StatusOK, `{"keys":[]}`), refuseConnection, hang,
		} {
			keys, issuer := startKeys(t, publish(t, "rsa-1"))
			issuer.will(failure)
			took := flood(t, keys, 2_000)
			wantFewFetches(t, issuer.count(), took)
			_ = keys.Close()
		}
	})
}

func TestStrangersCannotHastenTheFirstFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, refuseConnection)
		start := time.Now()
		for i := range 5_000 {
			wantNoKey(t, keys, fmt.Sprintf("k%d", i), ErrKeysUnavailable)
			time.Sleep(10 * time.Millisecond)
		}
		// From the fifth failure on, the pauses are at least half of two seconds.
		if got, most := issuer.count(), 6+int(time.Since(start)/(maxBackoff/2)); got > most {
			t.Errorf("got %d fetches in %v, want at most %d", got, time.Since(start), most)
		}
		time.Sleep(missInterval) // what an unknown kid may ask for with keys, it may not without
		// Right after a failure there are at least nine tenths of a second without one.
		for before := issuer.count(); issuer.count() == before; {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(10 * time.Millisecond)
		before := issuer.count()
		for i := range 80 {
			wantNoKey(t, keys, fmt.Sprintf("late%d", i), ErrKeysUnavailable)
			time.Sleep(10 * time.Millisecond)
		}
		if got := issuer.count(); got != before {
			t.Errorf("strangers cut a pause short: got %d fetches in it", got-before)
		}
	})
}
