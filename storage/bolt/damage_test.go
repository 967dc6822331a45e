package bolt

import (
	"testing"

	"github.com/ingam/ingam/storage"
)

// bbolt panics where a page makes no sense. To the caller that is a failure of the store like any other.
func TestAPanicWhileReadingIsAFailureAndTheStoreGoesOn(t *testing.T) {
	s := open(t, t.TempDir()+"/ingam.db")
	_, err := read(t.Context(), s, func(*tx) (nothing, error) { panic("page 7: invalid page type") })
	if !storage.IsFailure(err) || !isPanic(err) {
		t.Errorf("got %v", err)
	}
	must(t, s.Ping(t.Context()))
	must(t, s.CreateGrant(t.Context(), benchGrant("g")))
	must(t, s.Close())
}
