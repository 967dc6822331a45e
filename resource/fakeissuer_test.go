package resource

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// answer is what a fake issuer does when it is asked.
type answer struct {
	status int
	body   string
	header []string // names and values in turn
	err    error    // instead of all that
	after  time.Duration
	check  func(*http.Request)
}

func reply(status int, body string, header ...string) answer {
	return answer{status: status, body: body, header: header}
}

func publish(t testing.TB, kids ...string) answer {
	return reply(http.StatusOK, string(publicJWKS(t, kids...)))
}

func slowly(after time.Duration, a answer) answer {
	a.after = after
	return a
}

var (
	refuseConnection = answer{err: errors.New("connection refused")}
	hang             = answer{after: time.Hour}
)

// fakeIssuer is a transport that answers for the issuer, without a network, so that
// days pass in no time. Its answer can be changed under way.
type fakeIssuer struct {
	mu      sync.Mutex
	answer  answer
	fetches []time.Time
}

func (f *fakeIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.fetches = append(f.fetches, time.Now())
	a := f.answer
	f.mu.Unlock()
	select {
	case <-time.After(a.after):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if a.err != nil {
		return nil, a.err
	}
	if a.check != nil {
		a.check(r)
	}
	h := make(http.Header)
	for i := 0; i < len(a.header); i += 2 {
		h.Set(a.header[i], a.header[i+1])
	}
	body := io.NopCloser(strings.NewReader(a.body))
	return &http.Response{StatusCode: a.status, Header: h, Body: body, Request: r}, nil
}

// will changes the answer to all later questions.
func (f *fakeIssuer) will(a answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = a
}

// count returns how often the issuer was asked.
func (f *fakeIssuer) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.fetches)
}

// startKeys starts a set whose issuer gives the answer, and lets the first fetch end.
func startKeys(t testing.TB, first answer) (*RemoteKeySet, *fakeIssuer) {
	t.Helper()
	issuer := &fakeIssuer{answer: first}
	keys, err := NewRemoteKeySet(RemoteKeySetConfig{
		URL:        "https://id.example.com/.well-known/jwks.json",
		HTTPClient: &http.Client{Transport: issuer},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	synctest.Wait()
	return keys, issuer
}

func wantKey(t testing.TB, keys *RemoteKeySet, kid string) {
	t.Helper()
	start := time.Now()
	if key, err := keys.Key(t.Context(), kid); err != nil || key.KeyID != kid {
		t.Errorf("%s: got %v, want the key", kid, err)
	}
	if waited := time.Since(start); waited > missWait {
		t.Errorf("%s: waited %v", kid, waited)
	}
}

func wantNoKey(t testing.TB, keys *RemoteKeySet, kid string, want error) {
	t.Helper()
	start := time.Now()
	if _, err := keys.Key(t.Context(), kid); !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", kid, err, want)
	}
	if waited := time.Since(start); waited > missWait {
		t.Errorf("%s: waited %v", kid, waited)
	}
}

// wantKeyWithin waits out the longest pause between two fetches, then wants the key.
func wantKeyWithin(t testing.TB, keys *RemoteKeySet, kid string) {
	t.Helper()
	time.Sleep(maxBackoff)
	synctest.Wait()
	wantKey(t, keys, kid)
}
