package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/ingam/ingam/storage"
)

// held is a store whose writer is held up in a verb of its own, so that a test decides what the next batch is.
type held struct {
	*Store
	release func()
	commits *int
}

// hold must be called in a bubble. It counts commits from now on.
func hold(t testing.TB, s *Store) held {
	t.Helper()
	commits, gate := new(int), make(chan struct{})
	go func() {
		_, _ = write(context.Background(), s, func(*tx) (nothing, error) {
			<-gate
			s.commitTx = func(tx *bbolt.Tx) error { *commits++; return tx.Commit() }
			return nothing{}, nil
		})
	}()
	synctest.Wait()
	return held{s, func() { close(gate); synctest.Wait() }, commits}
}

// later starts a verb and returns where its error will be.
func later(verb func() error) *error {
	err := new(error)
	*err = errors.New("no answer")
	go func() { *err = verb() }()
	synctest.Wait()
	return err
}

// put is a verb that writes one value under each key.
func putAll(ctx context.Context, s *Store, keys ...string) error {
	_, err := write(ctx, s, func(t *tx) (nothing, error) {
		for _, key := range keys {
			if err := t.put(bucketMeta, []byte(key), []byte("value")); err != nil {
				return nothing{}, err
			}
		}
		return nothing{}, nil
	})
	return err
}

func has(t testing.TB, s *Store, key string) bool {
	t.Helper()
	there, err := read(t.Context(), s, func(t *tx) (bool, error) { return t.get(bucketMeta, []byte(key)) != nil, nil })
	must(t, err)
	return there
}

// bubble is the testing.T inside of a bubble.
type bubble struct{ *testing.T }

// inBubble runs a test on a new store where time is virtual.
func inBubble(t *testing.T, opts Options, f func(t bubble, s *Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(t.Context(), filepath.Join(t.TempDir(), "ingam.db"), opts)
		must(t, err)
		f(bubble{t}, s)
		must(t, s.Close())
	})
}

func TestWhatIsQueuedSharesOneCommit(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		h := hold(t, s)
		var errs []*error
		for i := range 50 {
			errs = append(errs, later(func() error { return s.CreateGrant(t.Context(), benchGrant(fmt.Sprint(i))) }))
		}
		h.release()
		for _, err := range errs {
			must(t, *err)
		}
		if *h.commits != 1 {
			t.Errorf("%d commits, want 1", *h.commits)
		}
	})
}

func TestABatchIsBounded(t *testing.T) {
	inBubble(t, Options{MaxBatch: 10}, func(t bubble, s *Store) {
		h := hold(t, s)
		var errs []*error
		for i := range 25 {
			errs = append(errs, later(func() error { return putAll(t.Context(), s, fmt.Sprint(i)) }))
		}
		h.release()
		for _, err := range errs {
			must(t, *err)
		}
		if *h.commits != 3 {
			t.Errorf("%d commits, want 3", *h.commits)
		}
	})
}

func TestABatchThatChangesNothingCostsNoCommit(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		must(t, s.CreateGrant(t.Context(), benchGrant("g")))
		r := storage.Rotation{GrantID: "g", Generation: 1, Attempt: "a", IdleLifetime: time.Hour}
		_, _, err := s.Rotate(t.Context(), r)
		must(t, err)
		h := hold(t, s)
		exists := later(func() error { return s.CreateGrant(t.Context(), benchGrant("g")) })
		replay := later(func() error { _, _, err := s.Rotate(t.Context(), r); return err })
		h.release()
		must(t, *replay)
		if !errors.Is(*exists, storage.ErrExists) || *h.commits != 0 {
			t.Errorf("got %v and %d commits, want ErrExists and none", *exists, *h.commits)
		}
	})
}

// R17: a verb that fails between its writes leaves no trace, and its neighbours do not notice.
func TestAVerbThatFailsInTheMiddleLeavesNoTraceAndHarmsNobody(t *testing.T) {
	for name, spoil := range map[string]func() error{
		"error": func() error { return errors.New("the second of three writes failed") },
		"panic": func() error { panic("the second of three writes panicked") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(t bubble, s *Store) {
				h := hold(t, s)
				before := later(func() error { return putAll(t.Context(), s, "before") })
				bad := later(func() error {
					_, err := write(t.Context(), s, func(t *tx) (nothing, error) {
						if err := t.put(bucketMeta, []byte("bad 1"), nil); err != nil {
							return nothing{}, err
						}
						return nothing{}, spoil()
					})
					return err
				})
				after := later(func() error { return putAll(t.Context(), s, "after") })
				h.release()
				must(t, *before)
				must(t, *after)
				if *bad == nil || !strings.Contains((*bad).Error(), "second of three") || !storage.IsFailure(*bad) {
					t.Errorf("the verb got %v", *bad)
				}
				if has(t, s, "bad 1") || !has(t, s, "before") || !has(t, s, "after") {
					t.Error("the wrong writes are there")
				}
				must(t, s.Ping(t.Context()))
			})
		})
	}
}

func TestACallerWhoLeavesTheQueueIsNotServed(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		h := hold(t, s)
		gone, cancel := context.WithCancel(t.Context())
		queued := later(func() error { return putAll(gone, s, "queued") })
		stays := later(func() error { return putAll(t.Context(), s, "stays") })
		cancel()
		synctest.Wait()
		if !errors.Is(*queued, context.Canceled) || !storage.IsFailure(*queued) {
			t.Errorf("got %v before the writer was free, want context.Canceled", *queued)
		}
		h.release()
		must(t, *stays)
		if has(t, s, "queued") {
			t.Error("the verb of the caller who had left was run")
		}
	})
}

func TestACallerWhoLeavesBeforeItsTurnInTheBatchIsNotServed(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		h := hold(t, s)
		gone, cancel := context.WithCancel(t.Context())
		gate := make(chan struct{})
		first := later(func() error {
			_, err := write(t.Context(), s, func(*tx) (nothing, error) { <-gate; return nothing{}, nil })
			return err
		})
		second := later(func() error { return putAll(gone, s, "second") })
		third := later(func() error { return putAll(t.Context(), s, "third") })
		h.release() // now all three are one batch
		cancel()
		close(gate)
		synctest.Wait()
		must(t, errors.Join(*first, *third))
		if !errors.Is(*second, context.Canceled) || has(t, s, "second") || !has(t, s, "third") {
			t.Errorf("got %v, or the wrong writes are there", *second)
		}
	})
}

func TestACallerWhoLeavesDuringTheWorkGetsAFailure(t *testing.T) {
	inBubble(t, Options{}, func(t bubble, s *Store) {
		gone, cancel := context.WithCancel(t.Context())
		gate := make(chan struct{})
		begun := later(func() error {
			_, err := write(gone, s, func(t *tx) (nothing, error) {
				<-gate
				return nothing{}, t.put(bucketMeta, []byte("begun"), nil)
			})
			return err
		})
		cancel()
		synctest.Wait()
		if !errors.Is(*begun, context.Canceled) || !storage.IsFailure(*begun) {
			t.Errorf("got %v, want context.Canceled", *begun)
		}
		close(gate)
		synctest.Wait()
		if !has(t, s, "begun") {
			t.Error("a verb that has begun was not brought to its end")
		}
	})
}

// TestAfterAFailedSyncNothingIsWrittenAnyMore is threat S4. commit fails as bbolt's fdatasync does.
func TestAfterAFailedSyncNothingIsWrittenAnyMore(t *testing.T) {
	failures := map[string]func(*bbolt.Tx) error{
		"error": func(tx *bbolt.Tx) error { return errors.Join(syscall.EIO, tx.Rollback()) },
		"panic": func(*bbolt.Tx) error { panic("assertion failed: a page is broken") },
	}
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(t bubble, s *Store) {
				must(t, putAll(t.Context(), s, "old"))
				h := hold(t, s)
				doomed := later(func() error { return putAll(t.Context(), s, "doomed") })
				answer := later(func() error { return s.DeleteClient(t.Context(), "unknown") })
				tries := 0
				breakDisk := later(func() error {
					_, err := write(t.Context(), s, func(*tx) (nothing, error) {
						s.commitTx = func(tx *bbolt.Tx) error { tries++; return failure(tx) }
						return nothing{}, nil
					})
					return err
				})
				h.release()
				// All of the batch: who only read may have read what is now not there.
				for _, err := range []*error{doomed, answer, breakDisk} {
					if !storage.IsFailure(*err) {
						t.Errorf("in the batch: got %v, want a failure", *err)
					}
				}
				for range 3 {
					if err := putAll(t.Context(), s, "later"); !storage.IsFailure(err) || !strings.Contains(err.Error(), "earlier") {
						t.Errorf("later: got %v, want a failure that tells of an earlier one", err)
					}
				}
				if tries != 1 {
					t.Errorf("the disk was tried %d times, want 1", tries)
				}
				if err := s.Ping(t.Context()); err == nil {
					t.Error("Ping still says that all is well")
				}
				if !has(t, s, "old") {
					t.Error("reads do not go on")
				}
			})
		})
	}
}

func TestAFullDiskIsAnErrorAndNothingMore(t *testing.T) { // S3
	inBubble(t, Options{}, func(t bubble, s *Store) {
		full := errors.Join(&fs.PathError{Op: "write", Path: "ingam.db", Err: syscall.ENOSPC})
		_, err := write(t.Context(), s, func(t *tx) (nothing, error) {
			s.commitTx = func(tx *bbolt.Tx) error { return errors.Join(full, tx.Rollback()) }
			return nothing{}, t.put(bucketMeta, []byte("full"), nil)
		})
		if !errors.Is(err, syscall.ENOSPC) || !storage.IsFailure(err) {
			t.Errorf("got %v, want a failure that wraps ENOSPC", err)
		}
		must(t, s.Ping(t.Context()))
		_, err = write(t.Context(), s, func(*tx) (nothing, error) {
			s.commitTx = (*bbolt.Tx).Commit
			return nothing{}, nil
		})
		must(t, err)
		must(t, putAll(t.Context(), s, "after"))
		if has(t, s, "full") || !has(t, s, "after") {
			t.Error("the wrong writes are there")
		}
	})
}

func TestErrorsOfSpaceAreToldFromErrorsOfTheDisk(t *testing.T) {
	write := func(err error) error { return &fs.PathError{Op: "write", Path: "ingam.db", Err: err} }
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{write(syscall.ENOSPC), true},
		{write(syscall.EDQUOT), true},
		{write(syscall.EFBIG), true},
		{write(syscall.EIO), false},
		{write(syscall.EROFS), false},
		{syscall.ENOSPC, false}, // fdatasync: the pages are gone
		{syscall.EIO, false},
		{errors.New("file resize error: truncate ingam.db: file too large"), true},
		{errors.New("file resize error: truncate ingam.db: input/output error"), false},
		{errors.New("file sync error: sync ingam.db: no space left on device"), false},
		{berrors.ErrMaxSizeReached, true},
		{panicError{"page 7: no space left on device"}, false},
	} {
		if got := diskFull(tc.err); got != tc.want {
			t.Errorf("%v: got %v, want %v", tc.err, got, tc.want)
		}
	}
}
