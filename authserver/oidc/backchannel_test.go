package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// posted is one call to a client.
type posted struct {
	url   string
	token string
	at    time.Time
}

// postman takes calls and answers what it is told to.
type postman struct {
	mu     sync.Mutex
	calls  []posted
	now    int // calls under way
	most   int
	answer func(url string, n int) (int, error) // n counts the calls to that address, from 1
	takes  time.Duration
}

func (p *postman) PostForm(ctx context.Context, url string, form url.Values) (int, error) {
	p.mu.Lock()
	n := 1
	for _, c := range p.calls {
		if c.url == url {
			n++
		}
	}
	p.calls = append(p.calls, posted{url, form.Get("logout_token"), time.Now()})
	p.now++
	p.most = max(p.most, p.now)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
	}()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(p.takes):
	}
	if len(form) != 1 {
		return 0, fmt.Errorf("the form is %v", form)
	}
	if p.answer == nil {
		return 200, nil
	}
	return p.answer(url, n)
}

func (p *postman) seen() []posted {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// couriers runs so many couriers over one store until the test ends.
func couriers(t *testing.T, store storage.Store, p Poster, n int, log *slog.Logger) []*Courier {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	all := make([]*Courier, n)
	for i := range all {
		all[i] = NewCourier(issuer, store, plainSigner{}, p, log)
		running.Go(func() { all[i].Run(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return all
}

// storeWithDeliveries has so many deliveries to each of the clients, due now.
func storeWithDeliveries(t *testing.T, each int, clients ...string) storage.Store {
	t.Helper()
	store := memory.New()
	for _, id := range clients {
		must(t, store.CreateClient(t.Context(), storage.Client{ID: id, BackchannelLogoutURI: "https://" + id + ".test/logout?key=hush"}))
		for i := range each {
			now := time.Now()
			must(t, storage.Outbox{Entries: store}.Add(t.Context(), storage.Delivery{
				ID: fmt.Sprintf("%s-%d", id, i), ClientID: id, URI: "https://" + id + ".test/logout?key=hush", Subject: "usr_1", SessionID: "sid",
				CreatedAt: now, NextAt: now, ExpiresAt: now.Add(deliveryLifetime + deliveryMargin),
			}))
		}
	}
	return store
}

// OIDC Back-Channel Logout §2.4
func TestTheLogoutTokenIsThatOfTheSpecification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := storeWithDeliveries(t, 2, "web"), &postman{}
		couriers(t, store, p, 1, nil)
		synctest.Wait()
		calls := p.seen()
		if len(calls) != 2 || calls[0].url != "https://web.test/logout?key=hush" || len(outbox(t, store)) != 0 {
			t.Fatalf("calls %v, outbox %v", calls, outbox(t, store))
		}
		claims := payload(t, "logout+jwt", calls[0].token)
		names := slices.Sorted(maps.Keys(claims))
		if !slices.Equal(names, []string{"aud", "events", "exp", "iat", "iss", "jti", "sid", "sub"}) {
			t.Errorf("claims are %v", names)
		}
		now := float64(time.Now().Unix())
		if claims["iss"] != issuer || claims["aud"] != "web" || claims["sub"] != "usr_1" || claims["sid"] != "sid" ||
			claims["iat"] != now || claims["exp"] != now+120 {
			t.Errorf("got %v", claims)
		}
		events, err := json.Marshal(claims["events"])
		if err != nil || string(events) != `{"http://schemas.openid.net/event/backchannel-logout":{}}` {
			t.Errorf("events are %s", events)
		}
		if claims["jti"] == payload(t, "logout+jwt", calls[1].token)["jti"] {
			t.Error("two tokens have one jti")
		}
	})
}

func TestAKickIsDeliveredAtOnceAndWhatAnotherNodeWroteWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := storeWithDeliveries(t, 0, "web"), &postman{}
		nodes := couriers(t, store, p, 1, nil)
		time.Sleep(500 * time.Millisecond)
		add := func(id string) time.Time {
			now := time.Now()
			must(t, storage.Outbox{Entries: store}.Add(t.Context(), storage.Delivery{
				ID: id, ClientID: "web", CreatedAt: now, NextAt: now, ExpiresAt: now.Add(time.Hour),
			}))
			return now
		}
		at := add("one")
		nodes[0].Kick()
		nodes[0].Kick()
		synctest.Wait()
		if calls := p.seen(); len(calls) != 1 || calls[0].at != at {
			t.Errorf("kicked at %v: %v", at, calls)
		}
		at = add("two")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if calls := p.seen(); len(calls) != 2 || calls[1].at.Sub(at) > 2*time.Second {
			t.Errorf("written at %v: %v", at, calls)
		}
	})
}

// OIDC Back-Channel Logout §2.8
func TestTheAnswerOfTheClientDecidesWhetherItIsTriedAgain(t *testing.T) {
	for status, c := range map[int]struct {
		left, failed bool
	}{
		200: {}, 204: {}, 400: {left: true, failed: true},
		202: {left: true}, 301: {left: true}, 404: {left: true}, 429: {left: true}, 500: {left: true}, 503: {left: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := storeWithDeliveries(t, 1, "web")
			p := &postman{answer: func(string, int) (int, error) { return status, nil }}
			couriers(t, store, p, 1, nil)
			synctest.Wait()
			left := outbox(t, store)
			if (len(left) == 1) != c.left || c.left && (left[0].Failed != c.failed || left[0].Attempts != 1 || left[0].LastError != fmt.Sprintf("answered %d", status)) {
				t.Errorf("%d: %+v", status, left)
			}
			time.Sleep(time.Minute)
			if again := len(p.seen()) > 1; again != (c.left && !c.failed) {
				t.Errorf("%d: tried %d times", status, len(p.seen()))
			}
		})
	}
}

func TestADeliveryIsTriedLessAndLessOftenAndGivenUpAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storeWithDeliveries(t, 1, "web")
		var log bytes.Buffer
		p := &postman{answer: func(string, int) (int, error) { return 503, nil }}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { NewCourier(issuer, store, plainSigner{}, p, slog.New(slog.NewTextHandler(&log, nil))).Run(ctx) })
		born := time.Now()
		time.Sleep(25 * time.Hour)
		stop() // it would look in vain every two seconds of a week
		running.Wait()
		calls := p.seen()
		for i, want := range retryAfter {
			gap := calls[i+1].at.Sub(calls[i].at)
			if gap < want || gap > want+want/4+pollEvery {
				t.Errorf("pause %d is %s, want about %s", i+1, gap, want)
			}
		}
		last := calls[len(calls)-1].at.Sub(born)
		left := outbox(t, store)
		if last > 24*time.Hour || last < 22*time.Hour || len(calls) > 31 || len(left) != 1 || !left[0].Failed || left[0].Attempts != len(calls) {
			t.Errorf("%d tries, the last after %s: %+v", len(calls), last, left)
		}
		if strings.Count(log.String(), "was not told of a logout") != 1 || strings.Contains(log.String(), "hush") {
			t.Errorf("log %s", log.String())
		}
		// The administrator sees it for a week, then it is gone.
		time.Sleep(6 * 24 * time.Hour)
		if len(outbox(t, store)) != 1 {
			t.Error("gone too early")
		}
		time.Sleep(2 * 24 * time.Hour)
		if len(outbox(t, store)) != 0 {
			t.Errorf("%v", outbox(t, store))
		}
	})
}

// G5: the guarded client refuses an address; that is an error like any other, and its text gives no secret away.
func TestAnAddressThatMayNotBeCalledIsAFailedTryWithoutItsSecrets_G5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storeWithDeliveries(t, 1, "web")
		var log bytes.Buffer
		p := &postman{answer: func(to string, n int) (int, error) {
			if n > 1 {
				return 200, nil
			}
			return 0, &url.Error{Op: "Post", URL: to, Err: errors.New("169.254.169.254 may not be called")}
		}}
		couriers(t, store, p, 1, slog.New(slog.NewTextHandler(&log, nil)))
		synctest.Wait()
		left := outbox(t, store)
		if len(left) != 1 || left[0].LastError != "169.254.169.254 may not be called" || left[0].Failed {
			t.Errorf("%+v", left)
		}
		time.Sleep(5 * time.Second)
		if len(outbox(t, store)) != 0 {
			t.Errorf("%+v", outbox(t, store))
		}
		if strings.Contains(log.String(), "hush") || strings.Contains(log.String(), "logout_token") {
			t.Errorf("log %s", log.String())
		}
	})
}

func TestErrorsOfDeliveriesAreShortAndWithoutAddresses(t *testing.T) {
	wrapped := fmt.Errorf("outbound: %w", &url.Error{Op: "Post", URL: "https://web.test/?key=hush", Err: errors.New(strings.Repeat("ü", 300))})
	if text := deliveryError(0, wrapped); strings.Contains(text, "hush") || len(text) > 210 || !json.Valid([]byte(`"`+text+`"`)) {
		t.Errorf("got %q", text)
	}
}

func TestOfSeveralNodesOneMakesEachTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storeWithDeliveries(t, 20, "a", "b")
		p := &postman{takes: 100 * time.Millisecond, answer: func(_ string, n int) (int, error) {
			if n <= 10 {
				return 503, nil
			}
			return 200, nil
		}}
		couriers(t, store, p, 3, nil)
		time.Sleep(time.Minute)
		if calls := p.seen(); len(calls) != 60 || len(outbox(t, store)) != 0 {
			t.Errorf("%d calls for 40 deliveries of which 20 were tried twice; left %v", len(calls), outbox(t, store))
		}
	})
}

func TestAtMostFourTriesRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, p := storeWithDeliveries(t, 5, "a", "b", "c", "d"), &postman{takes: time.Second}
		couriers(t, store, p, 1, nil)
		time.Sleep(6 * time.Second)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.most != parallel || len(p.calls) != 20 {
			t.Errorf("%d tries at once, %d in all", p.most, len(p.calls))
		}
	})
}

func TestASlowClientHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storeWithDeliveries(t, 20, "dead")
		for i := range 4 {
			id := fmt.Sprintf("live-%d", i)
			must(t, store.CreateClient(t.Context(), storage.Client{ID: id, BackchannelLogoutURI: "https://" + id + ".test/"}))
			now := time.Now()
			must(t, storage.Outbox{Entries: store}.Add(t.Context(), storage.Delivery{
				ID: id, ClientID: id, CreatedAt: now, NextAt: now, ExpiresAt: now.Add(30 * time.Hour), // listed last
			}))
		}
		p := &slowPostman{postman: postman{}, slow: "https://dead.test/logout?key=hush"}
		couriers(t, store, p, 1, nil)
		time.Sleep(time.Second)
		live := 0
		for _, c := range p.seen() {
			if strings.Contains(c.url, "live") {
				live++
			}
		}
		if live != 4 {
			t.Errorf("%d of 4 were told while one client does not answer", live)
		}
		time.Sleep(5 * time.Minute)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.most > parallel {
			t.Errorf("%d tries at once", p.most)
		}
	})
}

// What waits for its next try stands behind what is due: else a client that is down for a day hides all others' deliveries
// as soon as it has more than are read at once.
func TestWhatWaitsForItsNextTryStandsBehindWhatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storeWithDeliveries(t, 3, "dead")
		must(t, store.CreateClient(t.Context(), storage.Client{ID: "live", BackchannelLogoutURI: "https://live.test/"}))
		p := &postman{answer: func(url string, _ int) (int, error) {
			if url == "https://live.test/" {
				return 400, nil
			}
			return 503, nil
		}}
		couriers(t, store, p, 1, nil)
		time.Sleep(retryAfter[0] + retryAfter[1] + retryAfter[2] + time.Minute) // the next try is minutes away
		now := time.Now()
		must(t, storage.Outbox{Entries: store}.Add(t.Context(), storage.Delivery{
			ID: "live", ClientID: "live", CreatedAt: now, NextAt: now, ExpiresAt: now.Add(deliveryLifetime + deliveryMargin),
		}))
		list := outbox(t, store)
		if len(list) != 4 || list[0].ID != "live" {
			t.Errorf("first of %d in the outbox is %s", len(list), list[0].ID)
		}
		for _, d := range list[1:] {
			if d.Failed || d.Attempts < 3 || !d.NextAt.After(now) {
				t.Errorf("%+v", d)
			}
		}
		// What is given up stands behind everything.
		time.Sleep(2 * pollEvery)
		if list := outbox(t, store); list[len(list)-1].ID != "live" || !list[len(list)-1].Failed {
			t.Errorf("last in the outbox is %+v", list[len(list)-1])
		}
	})
}

func TestTheAuditHearsWhatBecameOfEachLogoutToken(t *testing.T) {
	for status, want := range map[int]Told{
		200: {ClientID: "web", Subject: "usr_1", Delivered: true},
		400: {ClientID: "web", Subject: "usr_1", Reason: "given up at attempt 1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := storeWithDeliveries(t, 1, "web")
			c := NewCourier(issuer, store, plainSigner{}, &postman{answer: func(string, int) (int, error) { return status, nil }}, nil)
			var heard []Told
			c.Audit = func(_ context.Context, told Told) { heard = append(heard, told) }
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() { c.Run(ctx) })
			time.Sleep(time.Minute)
			stop()
			running.Wait()
			if len(heard) != 1 || heard[0] != want {
				t.Errorf("%d: heard %+v, want %+v once", status, heard, want)
			}
		})
	}
}

// slowPostman never gets an answer from one address.
type slowPostman struct {
	postman
	slow string
}

func (p *slowPostman) PostForm(ctx context.Context, url string, form url.Values) (int, error) {
	status, err := p.postman.PostForm(ctx, url, form)
	if url == p.slow {
		p.mu.Lock()
		p.now++
		p.most = max(p.most, p.now)
		p.mu.Unlock()
		<-ctx.Done()
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
		return 0, ctx.Err()
	}
	return status, err
}

func TestWhatAServerThatStoppedHadInHandIsDoneByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storeWithDeliveries(t, 1, "web")
		ctx, cancel := context.WithCancel(t.Context())
		hanging := &postman{takes: time.Hour}
		var running sync.WaitGroup
		running.Go(func() { NewCourier(issuer, store, plainSigner{}, hanging, nil).Run(ctx) })
		time.Sleep(time.Second)
		cancel()
		running.Wait()
		left := outbox(t, store)
		if len(hanging.seen()) != 1 || len(left) != 1 || left[0].Attempts != 0 || left[0].NextAt.After(time.Now()) {
			t.Fatalf("%+v", left)
		}
		p := &postman{}
		couriers(t, store, p, 1, nil)
		synctest.Wait()
		if len(p.seen()) != 1 || len(outbox(t, store)) != 0 {
			t.Errorf("%v", outbox(t, store))
		}
	})
}

// A process that was killed has left its lease behind.
func TestATryThatNeverEndedIsMadeAgainWhenItsLeaseIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storeWithDeliveries(t, 1, "web")
		d := outbox(t, store)[0]
		d.NextAt, d.Attempts = time.Now().Add(leaseFor), 1
		must(t, storage.Outbox{Entries: store}.Replace(t.Context(), d))
		p := &postman{}
		couriers(t, store, p, 2, nil)
		time.Sleep(leaseFor - time.Second)
		if len(p.seen()) != 0 {
			t.Error("the lease does not hold")
		}
		time.Sleep(3 * time.Second)
		if len(p.seen()) != 1 || len(outbox(t, store)) != 0 {
			t.Errorf("%v", outbox(t, store))
		}
	})
}

func TestAClientIsToldWhereItIsRegisteredNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storeWithDeliveries(t, 1, "moved", "removed", "silent")
		change := func(id string, uri string) {
			c, err := store.Client(t.Context(), id)
			must(t, err)
			c.BackchannelLogoutURI = uri
			must(t, store.ReplaceClient(t.Context(), c))
		}
		change("moved", "https://new.test/")
		change("silent", "")
		must(t, store.DeleteClient(t.Context(), "removed"))
		p := &postman{}
		couriers(t, store, p, 1, nil)
		synctest.Wait()
		if calls := p.seen(); len(calls) != 1 || calls[0].url != "https://new.test/" || len(outbox(t, store)) != 0 {
			t.Errorf("%v, left %v", calls, outbox(t, store))
		}
	})
}

// flakyStore does not answer for a while.
type flakyStore struct {
	storage.Store
	mu   sync.Mutex
	down bool
}

func (s *flakyStore) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *flakyStore) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDisk
	}
	return nil
}

func (s *flakyStore) EntriesOf(ctx context.Context, kind, owner string, limit int) ([]storage.Entry, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.EntriesOf(ctx, kind, owner, limit)
}

func (s *flakyStore) TakeEntry(ctx context.Context, kind, id string) (storage.Entry, error) {
	if err := s.err(); err != nil {
		return storage.Entry{}, err
	}
	return s.Store.TakeEntry(ctx, kind, id)
}

func TestAStoreThatFailsForAWhileLosesNoDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flakyStore{Store: storeWithDeliveries(t, 1, "web")}
		var log bytes.Buffer
		p := &postman{answer: func(string, int) (int, error) {
			store.set(true) // the client has heard of it, and it cannot be written down
			return 200, nil
		}}
		couriers(t, store, p, 1, slog.New(slog.NewTextHandler(&log, nil)))
		time.Sleep(20 * time.Second)
		store.set(false)
		p.mu.Lock()
		p.answer = nil
		p.mu.Unlock()
		time.Sleep(20 * time.Second)
		if len(p.seen()) != 2 || len(outbox(t, store)) != 0 {
			t.Errorf("%d calls, left %v", len(p.seen()), outbox(t, store))
		}
		if strings.Count(log.String(), "cannot be read") != 1 || strings.Count(log.String(), "could not be stored") != 1 {
			t.Errorf("log %s", log.String())
		}
	})
}
