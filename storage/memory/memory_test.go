package memory_test

import (
	"testing"
	"testing/synctest"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
	"github.com/ingam/ingam/storage/storagetest"
)

func TestTheMemoryStoreKeepsThePromises(t *testing.T) {
	storagetest.Run(t, storagetest.Harness{
		Open:   func(testing.TB) storage.Store { return memory.New() },
		Bubble: synctest.Test,
	})
}
