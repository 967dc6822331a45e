package bolt

import (
	"path/filepath"
	"testing"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/storagetest/history"
)

func linear(*testing.T) history.Setup {
	return history.Setup{Name: "bolt", Open: func(t testing.TB) storage.Store {
		return open(t, filepath.Join(t.TempDir(), "ingam.db"))
	}}
}

// INV1 to INV6 (storage/PROMISES.md). One process: the file belongs to it alone (S5).
func TestWhatManyClientsSeeHasAnOrder(t *testing.T) { history.Suite(t, 1, linear) }

// R4, R5, T2.
func TestOfEightWhoRedeemAtOnceOneWins(t *testing.T) { history.Race(t, 1, linear) }
