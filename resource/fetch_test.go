package resource

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// serveKeys starts a server that publishes rsa-1, and counts its requests.
func serveKeys(t *testing.T, before string) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	body := before + string(publicJWKS(t, "rsa-1"))
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server, &n
}

func fetchFrom(t *testing.T, url string) (fetched, error) {
	t.Helper()
	f, err := newJWKSFetcher(url, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return f.fetch(t.Context(), "")
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	target, hits := serveKeys(t, "")
	if _, err := fetchFrom(t, target.URL); err != nil {
		t.Fatalf("without a redirect: %v", err)
	}
	redirect := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusFound))
	defer redirect.Close()
	if _, err := fetchFrom(t, redirect.URL); err == nil || !strings.Contains(err.Error(), "302") {
		t.Errorf("got %v, want an error that says 302", err)
	}
	if got := hits.Load(); got != 1 {
		t.Errorf("the target of the redirect was asked %d times, want 1", got)
	}
}

// RFC 9110 §15.4.5: 304 answers a condition, and there was none.
func TestNotModifiedWithoutASetIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, issuer := startKeys(t, reply(http.StatusNotModified, ""))
		wantNoKey(t, keys, "rsa-1", ErrKeysUnavailable)
		issuer.will(publish(t, "rsa-1"))
		wantKeyWithin(t, keys, "rsa-1")
	})
}

func TestAnAnswerOver64KiBIsRefused(t *testing.T) {
	size := len(publicJWKS(t, "rsa-1"))
	fits, _ := serveKeys(t, strings.Repeat(" ", maxJWKSSize-size))
	if answer, err := fetchFrom(t, fits.URL); err != nil || len(answer.body) != maxJWKSSize {
		t.Errorf("64 KiB: got %d bytes, %v", len(answer.body), err)
	}
	over, _ := serveKeys(t, strings.Repeat(" ", maxJWKSSize-size+1))
	if _, err := fetchFrom(t, over.URL); err == nil {
		t.Error("64 KiB and a byte: got no error")
	}
}

func TestARealServerIsReachedThroughARemoteKeySet(t *testing.T) {
	server, _ := serveKeys(t, "")
	v, err := New(Config{Issuer: server.URL, Audience: []string{testAudience}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}()
	for v.Ready() != nil {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestKeysAreFetchedOverHTTPSOrFromThisMachine(t *testing.T) {
	for _, tt := range []struct {
		url      string
		insecure bool
		want     bool
	}{
		{"https://id.example.com/jwks", false, true},
		{"https://id.example.com:8443/jwks?v=1", false, true},
		{"http://id.example.com/jwks", false, false},
		{"http://id.example.com/jwks", true, true},
		{"http://localhost:8080/jwks", false, true},
		{"http://id.localhost:8080/jwks", false, true},
		{"http://127.0.0.1:8080/jwks", false, true},
		{"http://[::1]:8080/jwks", false, true},
		{"http://10.0.0.1/jwks", false, false},
		{"http://localhost.example.com/jwks", false, false},
		{"http://127.0.0.1.example.com/jwks", false, false},
		{"https://user:secret@id.example.com/jwks", false, false},
		{"https://id.example.com/jwks#x", false, false},
		{"file:///etc/passwd", true, false},
		{"/jwks", true, false},
		{"", true, false},
		{"https:id.example.com", true, false},
		{"https://%zz", true, false},
	} {
		err := checkFetchURL(tt.url, tt.insecure)
		if (err == nil) != tt.want {
			t.Errorf("%q, insecure %v: got %v, want ok %v", tt.url, tt.insecure, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the message shows the password: %v", tt.url, err)
		}
	}
}

func TestTheCallersClientIsLeftAsItIs(t *testing.T) {
	mine := errors.New("mine")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return mine }}
	if _, err := newJWKSFetcher("https://id.example.com/jwks", client, false); err != nil {
		t.Fatal(err)
	}
	if err := client.CheckRedirect(nil, nil); !errors.Is(err, mine) {
		t.Error("newJWKSFetcher changed the client it was given")
	}
}
