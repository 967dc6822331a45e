package storage_test

import (
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// K7: clocks jump. A budget that was paid for in what is now the far future is only empty, not shut for hours.
func TestABudgetIsAtMostEmptyWhenTheClockWasSetBack(t *testing.T) {
	budget := storage.Budget{Key: "k", Burst: 3, Every: time.Minute}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	_, wait := budget.SpendOne(now.Add(time.Hour), now)
	if wait != time.Minute {
		t.Errorf("after the clock went back an hour the wait is %s, want %s", wait, time.Minute)
	}
	if _, wait := budget.SpendOne(now.Add(2*time.Minute), now); wait != 0 {
		t.Errorf("with one unit left the wait is %s, want none", wait)
	}
}
