//go:build unix

package bolt

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingam/ingam/storage"
)

// A file that has lost pages under the store is read as memory that is not there. That must be a failure of the store, not
// the end of the process, which would take the published keys with it.
func TestAPageThatIsGoneIsAFailureAndNotTheEndOfTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ingam.db")
	s := open(t, path)
	for i := range 200 {
		must(t, s.CreateClient(t.Context(), storage.Client{ID: fmt.Sprint("client", i)}))
	}
	must(t, os.Truncate(path, int64(2*os.Getpagesize()))) // the two meta pages are left
	failures := 0
	for i := range 200 {
		if _, err := s.Client(t.Context(), fmt.Sprint("client", i)); storage.IsFailure(err) {
			failures++
		}
	}
	if failures == 0 {
		t.Error("no read failed: this test proves nothing")
	}
	// How closing ends is open: bbolt only unmaps and unlocks.
	_ = s.Close()
}
