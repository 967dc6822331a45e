package redis

import (
	"errors"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/redis/redistest"
)

// A copy that is killed must not leave a store on which a server starts with half of the users.
func TestAStoreWithHalfAnImportCannotBeOpened(t *testing.T) {
	server, prefix := redistest.Shared(t)
	cfg := Config{Addresses: []string{server.Addr()}, Prefix: prefix, Timeout: MaxTimeout}
	s := open(t, cfg)
	brokenOff := errors.New("broken off")
	err := s.Import(t.Context(), func(yield func(storage.Record, error) bool) {
		if yield(storage.Record{Client: &storage.Client{ID: "c", Version: 1}}, nil) {
			yield(storage.Record{}, brokenOff)
		}
	})
	if !errors.Is(err, brokenOff) {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), "not finished") {
		t.Errorf("opened after half an import: %v", err)
	}

	server, prefix = redistest.Shared(t)
	cfg = Config{Addresses: []string{server.Addr()}, Prefix: prefix, Timeout: MaxTimeout}
	must(t, open(t, cfg).Import(t.Context(), func(yield func(storage.Record, error) bool) {
		yield(storage.Record{Client: &storage.Client{ID: "c", Version: 1}}, nil)
	}))
	if _, err := reopen(t, cfg).Client(t.Context(), "c"); err != nil {
		t.Errorf("after a whole import: %v", err)
	}
}
