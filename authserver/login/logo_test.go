package login

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// Pages make no third-party request: this server gets the logo of a client, seldom, and shows it as an image only.
func TestTheLogoOfAClientIsFetchedByTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		for id, uri := range map[string]string{"app": "https://img.example/logo.png", "page": "https://img.example/page", "away": "https://away.example/", "none": ""} {
			if err := store.CreateClient(t.Context(), storage.Client{ID: id, LogoURI: uri}); err != nil {
				t.Fatal(err)
			}
		}
		asked := map[string]int{}
		p := &Pages{store: store, logos: logos{log: slog.New(slog.DiscardHandler), fetch: func(_ context.Context, address string, maxBytes int64) ([]byte, http.Header, error) {
			asked[address]++
			switch {
			case maxBytes != maxLogoBytes:
				t.Errorf("at most %d bytes are taken", maxBytes)
			case strings.HasSuffix(address, ".png"):
				return []byte("PNG"), http.Header{"Content-Type": {"image/png; charset=binary"}}, nil
			case strings.HasSuffix(address, "page"):
				return []byte("<script>"), http.Header{"Content-Type": {"text/html"}}, nil
			}
			return nil, nil, errors.New("away")
		}}}
		for range 5 {
			if file, ok := p.logos.of(t.Context(), store, "app"); !ok || string(file.body) != "PNG" || file.contentType != "image/png" {
				t.Fatalf("got %v %v", file, ok)
			}
			for _, id := range []string{"page", "away", "none", "ghost"} {
				if _, ok := p.logos.of(t.Context(), store, id); ok {
					t.Errorf("%s has a logo", id)
				}
			}
		}
		time.Sleep(noLogoFor)
		_, _ = p.logos.of(t.Context(), store, "app")
		_, _ = p.logos.of(t.Context(), store, "away")
		if asked["https://img.example/logo.png"] != 1 || asked["https://away.example/"] != 2 || asked["https://img.example/page"] != 1 {
			t.Errorf("asked %v", asked)
		}
		time.Sleep(logoFor)
		_, _ = p.logos.of(t.Context(), store, "app")
		if asked["https://img.example/logo.png"] != 2 {
			t.Errorf("asked %v after an hour", asked)
		}
		w := httptest.NewRecorder()
		p.ServeAsset(w, httptest.NewRequest(http.MethodGet, logoPath+"app", nil))
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/png" || w.Header().Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(w.Header().Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("got %d %v", w.Code, w.Header())
		}
		if got := p.logoOf(storage.Client{ID: "a/b", LogoURI: "https://x.example"}); got != "/assets/logo/a%2Fb" {
			t.Errorf("the page names %s", got)
		}
	})
}

// logoRig has clients with a logo each, whose fetches the test answers.
func logoRig(t *testing.T, clients int, fetch Fetch) (*logos, storage.Store) {
	t.Helper()
	store := memory.New()
	for i := range clients {
		c := storage.Client{ID: fmt.Sprint("c", i), LogoURI: fmt.Sprintf("https://img.example/%d.png", i)}
		if err := store.CreateClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	return &logos{fetch: fetch, log: slog.New(slog.DiscardHandler)}, store
}

var pngHeader = http.Header{"Content-Type": {"image/png"}}

// G5: who opens pages cannot have this server hammer an address, nor spoil the logo for others by hanging up.
func TestALogoThatManyWaitForIsFetchedOnceWhoeverHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		l, store := logoRig(t, 1, func(ctx context.Context, _ string, _ int64) ([]byte, http.Header, error) {
			asked++
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > logoWithin {
				t.Errorf("the fetch may take until %v", end)
			}
			select {
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			case <-time.After(time.Second):
				return []byte("PNG"), pngHeader, nil
			}
		})
		first, hangUp := context.WithCancel(t.Context())
		second, hangUpToo := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _, _ = l.of(first, store, "c0") })
		synctest.Wait()
		group.Go(func() {
			if _, ok := l.of(second, store, "c0"); ok {
				t.Error("a logo before there is one")
			}
		})
		for range 5 {
			group.Go(func() {
				if file, ok := l.of(t.Context(), store, "c0"); !ok || string(file.body) != "PNG" {
					t.Errorf("who waits gets %v %v", file, ok)
				}
			})
		}
		synctest.Wait()
		hangUp()
		hangUpToo()
		group.Wait()
		if file, ok := l.of(t.Context(), store, "c0"); !ok || string(file.body) != "PNG" || asked != 1 {
			t.Errorf("%v %v after %d fetches", file, ok, asked)
		}
	})
}

func TestOnlySoManyLogosAreFetchedAtATimeAndNoneIsForgottenForThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		var asked atomic.Int64
		l, store := logoRig(t, logosAtOnce+1, func(context.Context, string, int64) ([]byte, http.Header, error) {
			asked.Add(1)
			<-goOn
			return []byte("PNG"), pngHeader, nil
		})
		var group sync.WaitGroup
		for i := range logosAtOnce {
			group.Go(func() { _, _ = l.of(t.Context(), store, fmt.Sprint("c", i)) })
		}
		synctest.Wait()
		last := fmt.Sprint("c", logosAtOnce)
		if _, ok := l.of(t.Context(), store, last); ok || asked.Load() != logosAtOnce {
			t.Errorf("got a logo: %v, %d fetches", ok, asked.Load())
		}
		close(goOn)
		group.Wait()
		if _, ok := l.of(t.Context(), store, last); !ok {
			t.Error("that there was no room is remembered as no logo")
		}
	})
}

func TestTheOldestLogoMakesRoomForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]int{}
		l, store := logoRig(t, maxLogos+1, func(_ context.Context, address string, _ int64) ([]byte, http.Header, error) {
			asked[address]++
			return []byte("PNG"), pngHeader, nil
		})
		for i := range maxLogos + 1 {
			_, _ = l.of(t.Context(), store, fmt.Sprint("c", i))
			time.Sleep(time.Millisecond)
		}
		for i := maxLogos; i >= 0; i-- { // the first, which is gone, drops another
			_, _ = l.of(t.Context(), store, fmt.Sprint("c", i))
		}
		for address, n := range asked {
			if want := map[bool]int{true: 2, false: 1}[address == "https://img.example/0.png"]; n != want {
				t.Errorf("%s was fetched %d times, want %d", address, n, want)
			}
		}
		if len(l.kept) != maxLogos {
			t.Errorf("%d are kept", len(l.kept))
		}
	})
}

// An operator hears why a page shows no logo, as often as the address is asked, and reads no secret of an address.
func TestALogoThatCannotBeFetchedIsWrittenDownOncePerFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, log := memory.New(), &bytes.Buffer{}
		for id, uri := range map[string]string{
			"app": "https://img.example/logo.png?key=canary", "page": "https://user:canary@img.example/page#canary",
			"empty": "https://img.example/empty", "away": "https://away.example/a%2Fb?key=canary", "none": "",
		} {
			if err := store.CreateClient(t.Context(), storage.Client{ID: id, LogoURI: uri}); err != nil {
				t.Fatal(err)
			}
		}
		l := &logos{log: slog.New(slog.NewJSONHandler(log, nil)), fetch: func(_ context.Context, address string, _ int64) ([]byte, http.Header, error) {
			switch {
			case strings.Contains(address, "away"):
				return nil, nil, errors.New("away.example: connection refused")
			case strings.Contains(address, "page"):
				return []byte("<html>"), http.Header{"Content-Type": {"text/html"}}, nil
			case strings.Contains(address, "empty"):
				return nil, pngHeader, nil
			}
			return []byte("PNG"), pngHeader, nil
		}}
		look := func() string {
			log.Reset()
			for range 3 {
				for _, id := range []string{"app", "page", "empty", "away", "none", "ghost"} {
					_, _ = l.of(t.Context(), store, id)
				}
			}
			return log.String()
		}
		for _, pause := range []time.Duration{0, noLogoFor} {
			time.Sleep(pause)
			said := look()
			for _, want := range []string{
				`"client_id":"away","address":"https://away.example/a%2Fb","error":"away.example: connection refused"`,
				`"client_id":"page","address":"https://img.example/page","error":"the answer is \"text/html\": it must be one of image/png`,
				`"client_id":"empty","address":"https://img.example/empty","error":"the answer is empty`,
			} {
				if strings.Count(said, want) != 1 {
					t.Errorf("%d times %s in\n%s", strings.Count(said, want), want, said)
				}
			}
			if strings.Count(said, `"level":"WARN"`) != 3 || strings.Contains(said, "canary") {
				t.Errorf("it says\n%s", said)
			}
		}
		if said := look(); said != "" {
			t.Errorf("what is remembered is written down again:\n%s", said)
		}
	})
}
