package bolt

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

func TestWhateverIsDoneToEntriesTheirRowsFitAndInTheEndNothingIsLeft(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		ctx := t.Context()
		random := rand.New(rand.NewPCG(1, 2))
		fit := func(when string) {
			t.Helper()
			if _, err := read(ctx, s, func(t *tx) (nothing, error) { return nothing{}, verifyRows(t) }); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
		}
		for step := range 2000 {
			e := storage.Entry{
				Kind: "k", ID: fmt.Sprint(random.IntN(8)), Owner: []string{"", "a", "b"}[random.IntN(3)],
				Data: json.RawMessage("1"), ExpiresAt: now().Add(time.Duration(random.IntN(30)-3) * time.Minute),
			}
			if random.IntN(5) == 0 {
				e.ExpiresAt = time.Time{}
			}
			var err error
			switch random.IntN(5) {
			case 0, 1:
				err = s.CreateEntry(ctx, e)
			case 2:
				var stored storage.Entry
				if stored, err = s.Entry(ctx, "k", e.ID); err == nil {
					e.Version = stored.Version
					err = s.ReplaceEntry(ctx, e)
				}
			case 3:
				_, err = s.TakeEntry(ctx, "k", e.ID)
			case 4:
				_, err = s.Sweep(ctx, 3)
			}
			if storage.IsFailure(err) {
				t.Fatal(err)
			}
			fit(fmt.Sprintf("after step %d", step))
			time.Sleep(time.Duration(random.IntN(120)) * time.Second)
		}
		time.Sleep(time.Hour)
		for i := range 8 {
			if _, err := s.TakeEntry(ctx, "k", fmt.Sprint(i)); storage.IsFailure(err) {
				t.Fatal(err)
			}
		}
		_, err := s.Sweep(ctx, 100)
		must(t, err)
		if keys, _ := count(t, s); keys["entries"]+keys["owners"]+keys["expiry"] != 0 {
			t.Errorf("left: %v", keys)
		}
	})
}

// A row that a damaged file may have must not cost an entry its life.
func TestAnEntryThatNeverEndsSurvivesARowThatSaysItHas(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		e := storage.Entry{Kind: "k", ID: "e", Owner: "o", Data: json.RawMessage("1")}
		must(t, s.CreateEntry(t.Context(), e))
		_, err := write(t.Context(), s, func(t *tx) (nothing, error) {
			return nothing{}, t.put(bucketExpiry, expiryRow(kindEntry, entryKey("k", "e"), t.now), nil)
		})
		must(t, err)
		time.Sleep(time.Hour)
		_, err = s.Sweep(t.Context(), 10)
		must(t, err)
		list, err := s.EntriesOf(t.Context(), "k", "o", 9)
		if err != nil || len(list) != 1 {
			t.Errorf("listed %v, %v", list, err)
		}
	})
}

func TestAnEntryThatNobodyCanReadIsAFailureAndStaysOutOfTheWay(t *testing.T) { // S4
	inBubble(t, Options{}, func(t bubble, s *Store) {
		for _, id := range []string{"bad", "good"} {
			must(t, s.CreateEntry(t.Context(), storage.Entry{
				Kind: "k", ID: id, Owner: "o", Data: json.RawMessage("1"), ExpiresAt: now().Add(time.Minute),
			}))
		}
		_, err := write(t.Context(), s, func(t *tx) (nothing, error) {
			return nothing{}, t.put(bucketEntries, entryKey("k", "bad"), []byte("no entry"))
		})
		must(t, err)
		_, readErr := s.Entry(t.Context(), "k", "bad")
		_, listErr := s.EntriesOf(t.Context(), "k", "o", 9)
		_, takeErr := s.TakeEntry(t.Context(), "k", "bad")
		createErr := s.CreateEntry(t.Context(), storage.Entry{Kind: "k", ID: "bad", Data: json.RawMessage("1")})
		for _, err := range []error{readErr, listErr, takeErr, createErr} {
			if !storage.IsFailure(err) {
				t.Errorf("got %v, want a failure", err)
			}
		}
		if _, err := s.Entry(t.Context(), "k", "good"); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		if removed, err := s.Sweep(t.Context(), 10); err != nil || removed != 1 {
			t.Errorf("swept %d, %v; want the good one", removed, err)
		}
	})
}

func TestEntriesAreThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ingam.db")
	s := open(t, path)
	e := storage.Entry{Kind: "k", ID: "e", Owner: "o", Data: json.RawMessage(`{"a":1}`)}
	must(t, s.CreateEntry(t.Context(), e))
	must(t, s.CreateEntry(t.Context(), storage.Entry{Kind: "k", ID: "taken", Owner: "o", Data: json.RawMessage("1")}))
	_, err := s.TakeEntry(t.Context(), "k", "taken")
	must(t, err)
	must(t, s.Close())
	list, err := open(t, path).EntriesOf(t.Context(), "k", "o", 9)
	if err != nil || len(list) != 1 || list[0].ID != "e" || list[0].Version != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
}
