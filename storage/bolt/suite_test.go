package bolt

import (
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/storagetest"
)

func TestTheBoltStoreKeepsThePromises(t *testing.T) {
	storagetest.Run(t, storagetest.Harness{
		Open:   func(t testing.TB) storage.Store { return open(t, filepath.Join(t.TempDir(), "data", "ingam.db")) },
		Bubble: synctest.Test,
	})
}

// open opens a store that is closed when the test ends.
func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
