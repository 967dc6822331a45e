package bolt

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/internal/record"
)

// count returns how many keys each bucket has, and how many bytes they are with their values.
func count(t testing.TB, s *Store) (keys map[string]int, size int) {
	t.Helper()
	keys = map[string]int{}
	_, err := read(t.Context(), s, func(t *tx) (nothing, error) {
		for _, name := range allBuckets {
			err := t.Bucket(name).ForEach(func(key, value []byte) error {
				keys[string(name)]++
				size += len(key) + len(value)
				return nil
			})
			if err != nil {
				return nothing{}, err
			}
		}
		return nothing{}, nil
	})
	must(t, err)
	return keys, size
}

func TestASignInTakesNoMoreSpaceHoweverOftenItIsRefreshed(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		must(t, s.CreateGrant(t.Context(), benchGrant("g")))
		rotate := func(from, to uint64) {
			for generation := from; generation < to; generation++ {
				r := storage.Rotation{
					GrantID: "g", Generation: generation, Attempt: "ABCDEFGHIJKLMNOPQRSTUVWXYZ", IdleLifetime: 24 * time.Hour,
				}
				if outcome, _, err := s.Rotate(t.Context(), r); err != nil || outcome != storage.Rotated {
					t.Fatal(outcome, err)
				}
				time.Sleep(20 * time.Minute)
			}
		}
		rotate(1, 2)
		keysBefore, sizeBefore := count(t, s)
		rotate(2, 1002) // two weeks
		for range 3 {
			_, err := s.Sweep(t.Context(), 100)
			must(t, err)
		}
		keys, size := count(t, s)
		if fmt.Sprint(keys) != fmt.Sprint(keysBefore) || keys["grants"] != 1 || keys["expiry"] != 1 {
			t.Errorf("keys %v, want %v", keys, keysBefore)
		}
		if size > sizeBefore+8 { // the generation's number has become longer
			t.Errorf("%d bytes, were %d", size, sizeBefore)
		}
	})
}

func TestEachRecordThatEndsHasItsRowsAndInTheEndNothingIsLeft(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		balanced := func(when string) {
			t.Helper()
			if _, err := read(t.Context(), s, func(t *tx) (nothing, error) { return nothing{}, verifyRows(t) }); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		ctx := t.Context()
		for round := range 30 {
			for i := range 5 {
				key := fmt.Sprint(i)
				g := benchGrant(key)
				g.IdleExpiresAt = now().Add(time.Duration(i+1) * 7 * time.Minute)
				_ = s.CreateGrant(ctx, g) // ErrExists while the last one lives
				_, _, _ = s.Rotate(ctx, storage.Rotation{
					GrantID: key, Generation: uint64(round%3 + 1), Attempt: "a", Grace: time.Minute, IdleLifetime: 5 * time.Minute,
				})
				budget := storage.Budget{Key: key, Burst: 3, Every: 4 * time.Minute}
				_, err := s.Spend(ctx, budget)
				must(t, err)
				if i%2 == 0 {
					must(t, s.Refund(ctx, storage.Refund{Budget: budget, Units: 1}))
				}
				budget.Key = "never spent"
				must(t, s.Refund(ctx, storage.Refund{Budget: budget, Units: 1}))
				_, err = s.Remember(ctx, key, now().Add(time.Duration(i)*3*time.Minute))
				must(t, err)
			}
			balanced("at work")
			if round%4 == 0 {
				_, err := s.Sweep(ctx, 3)
				must(t, err)
				balanced("after a sweep")
			}
			time.Sleep(time.Minute)
		}
		time.Sleep(1000 * time.Hour)
		total := 0
		for {
			removed, err := s.Sweep(ctx, 4)
			must(t, err)
			if removed == 0 {
				break
			}
			total += removed
			balanced("while sweeping out")
		}
		if keys, _ := count(t, s); total == 0 || keys["expiry"]+keys["grants"]+keys["budgets"]+keys["marks"]+keys["grants by user"] != 0 {
			t.Errorf("swept %d, left %v", total, keys)
		}
	})
}

func TestARecordIsOverWhenItsRowIsDue(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	for _, past := range []time.Duration{0, 1, 500 * time.Microsecond, time.Millisecond - 1} {
		due := time.UnixMilli(int64(binary.BigEndian.Uint64(expiryRow(kindMark, nil, at.Add(past)))))
		if late := due.Sub(at.Add(past)); late < 0 || late >= time.Millisecond {
			t.Errorf("a row for %v past the millisecond is due %v later", past, late)
		}
	}
	if ms := binary.BigEndian.Uint64(expiryRow(kindMark, nil, time.Time{})); ms != 0 {
		t.Errorf("the zero time is due at %d, want 0", ms)
	}
}

func TestARecordThatNobodyCanReadDoesNotStopTheSweeper(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		must(t, s.CreateGrant(t.Context(), benchGrant("bad")))
		must(t, s.CreateGrant(t.Context(), benchGrant("good")))
		_, err := write(t.Context(), s, func(t *tx) (nothing, error) {
			return nothing{}, t.put(bucketGrants, []byte("bad"), []byte("not a grant"))
		})
		must(t, err)
		if _, err := s.Grant(t.Context(), "bad"); !storage.IsFailure(err) {
			t.Errorf("read: got %v, want a failure", err)
		}
		time.Sleep(25 * time.Hour)
		if removed, err := s.Sweep(t.Context(), 10); err != nil || removed != 1 {
			t.Errorf("swept %d, %v; want the good one", removed, err)
		}
	})
}

func TestABigSweepGoesInSmallTransactions(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		const marks = 3*sweepBatch + 5
		_, err := write(t.Context(), s, func(t *tx) (nothing, error) {
			for i := range marks {
				end := t.now.Add(time.Duration(i) * time.Second)
				key := record.HashKey(fmt.Sprint(i))
				if err := t.putExpiring(kindMark, key[:], encodeTime(end), end); err != nil {
					return nothing{}, err
				}
			}
			return nothing{}, nil
		})
		must(t, err)
		time.Sleep(time.Hour)
		h := hold(t, s)
		h.release()
		if removed, err := s.Sweep(t.Context(), 1<<20); err != nil || removed != marks || *h.commits != 4 {
			t.Errorf("swept %d in %d transactions, %v; want %d in 4", removed, *h.commits, err, marks)
		}
	})
}
