package redis

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// verdict is how the ledger and the store compare.
type verdict struct {
	codes, double, fenced                  int
	moves, lostMoves, undetected, detected int
	revoked, lostRevokes                   int
	users, lostUsers, marks, lostMarks     int
	asked, failed, wrong                   int
}

// lost is how many acknowledged writes are gone.
func (v verdict) lost() int { return v.lostMoves + v.lostRevokes + v.lostUsers + v.lostMarks }

func (v verdict) String() string {
	return fmt.Sprintf("codes=%d double=%d fenced_answers=%d rotations=%d lost_rotations=%d detected=%d undetected=%d "+
		"revokes=%d lost_revokes=%d users=%d lost_users=%d marks=%d lost_marks=%d verbs=%d failures=%d wrong_answers=%d",
		v.codes, v.double, v.fenced, v.moves, v.lostMoves, v.detected, v.undetected,
		v.revoked, v.lostRevokes, v.users, v.lostUsers, v.marks, v.lostMarks, v.asked, v.failed, v.wrong)
}

func (v *verdict) add(o verdict) {
	v.codes, v.double, v.fenced = v.codes+o.codes, v.double+o.double, v.fenced+o.fenced
	v.moves, v.lostMoves = v.moves+o.moves, v.lostMoves+o.lostMoves
	v.undetected, v.detected = v.undetected+o.undetected, v.detected+o.detected
	v.revoked, v.lostRevokes = v.revoked+o.revoked, v.lostRevokes+o.lostRevokes
	v.users, v.lostUsers = v.users+o.users, v.lostUsers+o.lostUsers
	v.marks, v.lostMarks = v.marks+o.marks, v.lostMarks+o.lostMarks
	v.asked, v.failed, v.wrong = v.asked+o.asked, v.failed+o.failed, v.wrong+o.wrong
}

// judge compares, by asking the same store, which was never reopened. It presents every code once more, and every newest
// refresh token. The store must be healthy.
func (l *traffic) judge(t testing.TB) verdict {
	t.Helper()
	ctx := t.Context()
	asked, failed := int(l.asked.Load()), int(l.failed.Load())
	v := verdict{asked: asked, failed: failed, moves: l.moves, detected: l.ahead, lostMoves: l.ahead}
	var mu sync.Mutex
	each := func(ids []string, f func(id string)) {
		parallel(len(ids), func(i int) { f(ids[i]) })
	}
	count := func(n *int, yes bool) {
		mu.Lock()
		defer mu.Unlock()
		if yes {
			*n++
		}
	}
	each(keysIn(l.codes), func(id string) {
		answered(t, id, func() error {
			if !l.present(ctx, id, "latecomer") {
				return errUnconfirmed // or another failure
			}
			return nil
		})
	})
	for _, wins := range l.codes {
		count(&v.double, wins > 1)
	}
	each(keysIn(l.families), func(id string) { l.presentNewest(t, id, count, &v) })
	each(l.revoked, func(id string) {
		var outcome storage.Outcome
		err := answered(t, id, func() (err error) {
			outcome, _, err = l.store.Rotate(ctx, aRotation(id, l.user, 1, "after the revocation"))
			return err
		})
		count(&v.lostRevokes, outcome != storage.Dead && !errors.Is(err, storage.ErrNotFound))
	})
	each(l.users, func(id string) {
		err := answered(t, id, func() error { return first(l.store.User(ctx, id)) })
		count(&v.lostUsers, err != nil)
	})
	each(l.marks, func(key string) {
		var seen bool
		err := answered(t, key, func() (err error) { seen, err = l.store.Remembered(ctx, key); return err })
		count(&v.lostMarks, !seen || err != nil)
	})
	v.codes, v.fenced, v.revoked, v.users, v.marks = len(l.codes), l.fenced, len(l.revoked), len(l.users), len(l.marks)
	v.wrong = len(l.wrong)
	for _, answer := range l.wrong[:min(10, len(l.wrong))] {
		t.Logf("wrong answer: %s", answer)
	}
	return v
}

// presentNewest presents the newest refresh token of a family. A store that knows it answers Rotated; one that has lost the
// rotation must notice. The last attempt of the load may have moved the family without an answer; then the token is the one
// before, and the answer is the successor that was lost (Replayed).
func (l *traffic) presentNewest(t testing.TB, id string, count func(*int, bool), v *verdict) {
	var g, after storage.Grant
	var outcome storage.Outcome
	ctx, newest := t.Context(), l.families[id]
	err := answered(t, id, func() (err error) { g, err = l.store.Grant(ctx, id); return err })
	lost := errors.Is(err, storage.ErrNotFound) || err == nil && g.Generation < newest
	count(&v.lostMoves, lost)
	r := aRotation(id, l.user, newest, "the newest")
	r.Grace = time.Hour
	tries := 0
	err = answered(t, id, func() (err error) { tries++; outcome, after, err = l.store.Rotate(ctx, r); return err })
	switch {
	case lost && (outcome == storage.Ahead || errors.Is(err, storage.ErrNotFound) || tries > 1 && outcome == storage.Dead):
		count(&v.detected, true)
	case lost:
		count(&v.undetected, true)
	case !success(outcome) || after.Generation != newest+1:
		l.lie("%s: newest generation %d: %v, %v, generation %d", id, newest, outcome, err, after.Generation)
	}
}

// answered asks until there is an answer: after a failover the replicas that confirm may still be on their way. It is
// eventually for any goroutine.
func answered(t testing.TB, what string, ask func() error) error {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		err := ask()
		if !storage.IsFailure(err) {
			return err
		}
		if time.Since(begin) > patience || t.Failed() {
			t.Errorf("%s: the store has not recovered: %v", what, err)
			return err
		}
	}
}

func keysIn[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}
