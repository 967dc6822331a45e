package bolt

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/ingam/ingam/storage"
)

var threeAMinute = storage.Budget{Key: "k", Burst: 3, Every: time.Minute}

// spend takes one unit and tells whether there was one.
func spend(t testing.TB, s *Store) bool {
	t.Helper()
	wait, err := s.Spend(t.Context(), threeAMinute)
	must(t, err)
	return wait == 0
}

// countCommits has the store count its transactions.
func countCommits(t testing.TB, s *Store) *int {
	t.Helper()
	commits := new(int)
	_, err := write(t.Context(), s, func(*tx) (nothing, error) {
		s.commitTx = func(tx *bbolt.Tx) error { *commits++; return tx.Commit() }
		return nothing{}, nil
	})
	must(t, err)
	return commits
}

func TestBudgetsRideWithTheNextTransaction(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		commits := countCommits(t, s)
		spend(t, s)
		spend(t, s)
		must(t, s.Refund(t.Context(), storage.Refund{Budget: threeAMinute, Units: 1}))
		if *commits != 0 {
			t.Errorf("%d transactions for budgets alone, want none yet", *commits)
		}
		must(t, s.CreateGrant(t.Context(), benchGrant("g")))
		if *commits != 1 || s.budgets.waiting() {
			t.Errorf("after a grant: %d transactions, budgets waiting: %v; want 1 and none", *commits, s.budgets.waiting())
		}
	})
}

func TestBudgetsGetATransactionOfTheirOwnAfterAWhile(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		commits := countCommits(t, s)
		spend(t, s)
		time.Sleep(budgetDelay)
		synctest.Wait()
		if *commits != 1 || s.budgets.waiting() {
			t.Errorf("%d transactions, waiting: %v; want 1 and none", *commits, s.budgets.waiting())
		}
		time.Sleep(time.Hour)
		if *commits != 1 {
			t.Errorf("%d transactions though nothing changed", *commits)
		}
	})
}

func TestWhatWasSpentIsSpentAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ingam.db")
	s := open(t, path)
	for range 3 {
		if !spend(t, s) {
			t.Fatal("a full budget was refused")
		}
	}
	must(t, s.Close())
	if s = open(t, path); spend(t, s) {
		t.Error("an empty budget was full after a restart")
	}
}

// S3: a full disk must not open the door to guessing.
func TestBudgetsAreCountedWhileTheDiskIsFull(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		_, err := write(t.Context(), s, func(*tx) (nothing, error) {
			s.commitTx = func(tx *bbolt.Tx) error {
				return errors.Join(&fs.PathError{Op: "write", Path: "ingam.db", Err: syscall.ENOSPC}, tx.Rollback())
			}
			return nothing{}, nil
		})
		must(t, err)
		for range 3 {
			spend(t, s)
			time.Sleep(2 * budgetDelay)
		}
		if spend(t, s) {
			t.Error("a fourth guess passed")
		}
		_, err = write(t.Context(), s, func(*tx) (nothing, error) {
			s.commitTx = (*bbolt.Tx).Commit
			return nothing{}, nil
		})
		must(t, err)
		must(t, s.CreateGrant(t.Context(), benchGrant("g")))
		if s.budgets.waiting() {
			t.Error("the budgets were not written when there was space again")
		}
	})
}
