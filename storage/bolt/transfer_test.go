package bolt

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// exportAll reads an export to its end.
func exportAll(t testing.TB, s *Store) (list []storage.Record) {
	t.Helper()
	for r, err := range s.Export(t.Context()) {
		must(t, err)
		list = append(list, r)
	}
	return list
}

func records(list ...storage.Record) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func manyClients(n int) (list []storage.Record) {
	for i := range n {
		list = append(list, storage.Record{Client: &storage.Client{ID: fmt.Sprint(i)}})
	}
	return list
}

func TestAnExportHasEachBudgetOnceAndAsItIsNow(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		start := time.Now()
		for spent := 1; spent <= 3; spent++ {
			spend(t, s) // waits for a transaction now
			list := exportAll(t, s)
			if len(list) != 1 || list[0].Budget == nil || !list[0].Budget.FullAt.Equal(start.Add(time.Duration(spent)*time.Minute)) {
				t.Fatalf("after %d spends: exported %+v", spent, list)
			}
			_, err := write(t.Context(), s, func(t *tx) (nothing, error) { return nothing{}, t.put(bucketMeta, []byte("x"), nil) })
			must(t, err)
			if again := exportAll(t, s); len(again) != 1 || !again[0].Budget.FullAt.Equal(list[0].Budget.FullAt) {
				t.Fatalf("after the transaction: exported %+v", again)
			}
		}
		must(t, s.Refund(t.Context(), storage.Refund{Budget: threeAMinute, Units: 3}))
		if list := exportAll(t, s); len(list) != 0 {
			t.Errorf("a budget that is full was exported: %+v", list)
		}
	})
}

func TestAnExportIsOfOneMoment(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "ingam.db"))
	must(t, s.Import(t.Context(), records(manyClients(100)...)))
	for i := range 50 { // leaves free pages, so that the write below need not grow the file
		must(t, s.DeleteClient(t.Context(), fmt.Sprint(i)))
	}
	n := 0
	for r, err := range s.Export(t.Context()) {
		must(t, err)
		if n++; n == 1 {
			must(t, s.CreateClient(t.Context(), storage.Client{ID: "zz late"}))
		}
		if r.Client.ID == "zz late" {
			t.Error("the export has what was written while it ran")
		}
	}
	if n != 50 || len(exportAll(t, s)) != 51 {
		t.Errorf("exported %d records, want 50", n)
	}
}

func TestAnImportPutsSomeHundredRecordsIntoATransaction(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "ingam.db"))
	commits := countCommits(t, s)
	must(t, s.Import(t.Context(), records(manyClients(4*importBatch)...)))
	if *commits != 4 {
		t.Errorf("%d transactions, want 4", *commits)
	}
}

func TestWhatWasImportedIsSweptWhenItHasEnded(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		g := benchGrant("g")
		hash := record.HashKey("k")
		end := time.Now().Add(time.Hour)
		g.IdleExpiresAt, g.ExpiresAt = end, end
		must(t, s.Import(t.Context(), records(
			storage.Record{Grant: &g},
			storage.Record{Budget: &storage.BudgetState{KeyHash: hash[:], FullAt: end}},
			storage.Record{Mark: &storage.MarkState{KeyHash: hash[:], Until: end}},
			storage.Record{Entry: &storage.Entry{Kind: "k", ID: "e", Owner: "o", Data: []byte("1"), ExpiresAt: end}})))
		for _, want := range []int{0, 4, 0} {
			removed, err := s.Sweep(t.Context(), 100)
			must(t, err)
			if removed != want {
				t.Errorf("%d records were swept, want %d", removed, want)
			}
			time.Sleep(time.Hour)
		}
		if keys, _ := count(t, s); keys["expiry"]+keys["owners"]+keys["grants by user"] != 0 || len(exportAll(t, s)) != 0 {
			t.Errorf("rows are left: %v", keys)
		}
		// An ended grant is not found; swept away it leaves a store that can be filled anew.
		must(t, s.Import(t.Context(), records(manyClients(1)...)))
	})
}

// S4: a record that nobody can read must not be left out in silence.
func TestAnExportOfADamagedRecordIsAnError(t *testing.T) {
	for _, bucket := range [][]byte{bucketClients, bucketUsers, bucketGrants, bucketBudgets, bucketMarks, bucketEntries} {
		s := open(t, filepath.Join(t.TempDir(), "ingam.db"))
		_, err := write(t.Context(), s, func(t *tx) (nothing, error) {
			return nothing{}, t.put(bucket, make([]byte, 32), []byte("\xff"))
		})
		must(t, err)
		var failed error
		for _, err := range s.Export(t.Context()) {
			if failed != nil {
				t.Errorf("%s: the export went on after %v", bucket, failed)
			}
			failed = err
		}
		if failed == nil || !strings.Contains(failed.Error(), string(bucket)) {
			t.Errorf("%s: got %v, want an error that names it", bucket, failed)
		}
	}
}

func TestAPanicInTheLoopOfAnExportIsTheCallersAndLeavesNothingOpen(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "ingam.db"))
	must(t, s.Import(t.Context(), records(manyClients(1)...)))
	own := errors.New("own")
	func() {
		defer func() {
			if p := recover(); p != own { //nolint:errorlint // it must be the very value
				t.Errorf("got panic %v, want the caller's", p)
			}
		}()
		for range s.Export(t.Context()) {
			panic(own)
		}
	}()
	must(t, s.CreateClient(t.Context(), storage.Client{ID: "c"}))
	must(t, s.Close()) // would wait for the transaction
}
