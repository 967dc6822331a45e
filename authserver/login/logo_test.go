package login

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
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
		p := &Pages{store: store, logos: logos{fetch: func(_ context.Context, address string, maxBytes int64) ([]byte, http.Header, error) {
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
