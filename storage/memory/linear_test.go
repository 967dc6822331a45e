package memory_test

import (
	"testing"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
	"github.com/ingam/ingam/storage/storagetest/history"
)

func linear(*testing.T) history.Setup {
	return history.Setup{Name: "memory", Open: func(testing.TB) storage.Store { return memory.New() }}
}

// INV1 to INV6 (storage/PROMISES.md).
func TestWhatManyClientsSeeHasAnOrder(t *testing.T) { history.Suite(t, 1, linear) }

// R4, R5, T2.
func TestOfEightWhoRedeemAtOnceOneWins(t *testing.T) { history.Race(t, 1, linear) }
