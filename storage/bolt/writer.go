package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/ingam/ingam/storage/internal/record"
)

var errClosed = errors.New("bolt: the store is closed")

// tx is what a verb works on: a transaction and the time at which it decides.
//
// The rule is: decide, then write. A verb reads and decides before its first put or del, so that when it answers with
// an error it has written nothing and its neighbours in the batch need not care. The writer notices a verb that
// breaks the rule and rolls back, which costs time but is never wrong. A verb may run twice, so it has no effects
// outside of the transaction.
type tx struct {
	*bbolt.Tx
	now    time.Time // UTC and without a monotonic part: as it will be read back
	writes int
}

// get returns bytes that are valid until the transaction ends; nil if there are none.
func (t *tx) get(bucket, key []byte) []byte { return t.Bucket(bucket).Get(key) }

func (t *tx) put(bucket, key, value []byte) error {
	t.writes++
	return t.Bucket(bucket).Put(key, value)
}

func (t *tx) del(bucket, key []byte) error {
	t.writes++
	return t.Bucket(bucket).Delete(key)
}

// call is a verb on its way through the writer.
type call struct {
	ctx  context.Context //nolint:containedctx // a call is a request in flight, and the writer must see it end
	run  func(*tx) error
	err  error
	done chan struct{} // closed when err is final
}

// read runs a verb on a snapshot.
func read[T any](ctx context.Context, s *Store, verb func(*tx) (T, error)) (T, error) {
	var v, zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	// bbolt panics at a page that makes no sense.
	err := safely(func() error {
		return s.db.View(func(btx *bbolt.Tx) (err error) {
			v, err = verb(&tx{Tx: btx, now: now()})
			return err
		})
	})
	if err != nil {
		return zero, err
	}
	return v, nil
}

// write hands a verb to the writer and waits until its effect is on the disk.
func write[T any](ctx context.Context, s *Store, verb func(*tx) (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, err
	}
	// The writer may still be at work when we have given up waiting, so v is read only when it has answered.
	v := new(T)
	c := &call{ctx: ctx, done: make(chan struct{}), run: func(t *tx) (err error) {
		*v, err = verb(t)
		return err
	}}
	select {
	case s.queue <- c:
	case <-ctx.Done():
		return zero, fmt.Errorf("bolt: not begun: %w", context.Cause(ctx))
	case <-s.closing:
		return zero, errClosed
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		return zero, fmt.Errorf("bolt: outcome unknown, nobody waited for it: %w", context.Cause(ctx))
	}
	if c.err != nil {
		return zero, c.err
	}
	return *v, nil
}

func now() time.Time { return time.Now().UTC().Round(0) }

// writer is the only goroutine that writes. It ends when Close wants it to, with nothing half done.
func (s *Store) writer() {
	defer close(s.stopped)
	batch := make([]*call, 0, s.maxBatch)
	var due <-chan time.Time // when changed budgets get a transaction of their own
	for {
		select {
		case <-s.closing:
			s.together(nil)
			return
		case <-s.budgets.touched:
			if due == nil {
				due = time.After(budgetDelay)
			}
			continue
		case <-due:
			due = nil
			s.together(nil)
			continue
		case c := <-s.queue:
			batch = append(batch[:0], c)
		}
		for more := true; more && len(batch) < s.maxBatch; {
			select {
			case c := <-s.queue:
				batch = append(batch, c)
			default:
				more = false
			}
		}
		if s.together(batch) {
			// Somebody spoilt the transaction. Alone, everyone else gets what is right for them.
			for i := range batch {
				s.together(batch[i : i+1])
			}
		}
		for _, c := range batch {
			close(c.done)
		}
	}
}

// together runs the calls in one transaction, and takes changed budgets along. spoilt says that it was rolled back
// because of one of several calls, and that nothing is decided yet.
func (s *Store) together(batch []*call) (spoilt bool) {
	if err := s.failure(); err != nil {
		fail(batch, err)
		return false
	}
	if len(batch) == 0 && !s.budgets.waiting() {
		return false
	}
	var t tx
	if err := safely(func() (err error) { t.Tx, err = s.db.Begin(true); return err }); err != nil {
		if isPanic(err) {
			s.wedged = true // bbolt may have kept its lock
			s.giveUp(err)
		}
		fail(batch, err)
		return false
	}
	for _, c := range batch {
		if err := c.ctx.Err(); err != nil {
			c.err = fmt.Errorf("bolt: not begun: %w", err)
			continue
		}
		writes := t.writes
		t.now = now()
		c.err = safely(func() error { return c.run(&t) })
		if isPanic(c.err) || (c.err != nil && t.writes > writes) {
			s.rollback(t.Tx)
			return len(batch) > 1
		}
	}
	if t.writes == 0 && len(batch) > 0 {
		s.rollback(t.Tx)
		return false
	}
	if err := s.commit(&t); err != nil {
		// Also for those who only read: they may have read what is now not there.
		fail(batch, fmt.Errorf("bolt: commit: %w", err))
	}
	return false
}

// commit adds the changed budgets and ends the transaction.
func (s *Store) commit(t *tx) error {
	t.now = now()
	var carried map[record.Hash]time.Time
	err := safely(func() (err error) {
		if carried, err = s.budgets.write(t); err != nil {
			return errors.Join(err, t.Rollback())
		}
		if t.writes == 0 {
			return t.Rollback() // the budgets are as they were
		}
		return s.commitTx(t.Tx)
	})
	switch {
	case err == nil:
		s.budgets.settled(carried)
		return nil
	case isPanic(err):
		s.rollback(t.Tx)
	}
	if !diskFull(err) {
		s.giveUp(err)
	}
	return err
}

func fail(batch []*call, err error) {
	for _, c := range batch {
		c.err = err
	}
}

func (s *Store) rollback(t *bbolt.Tx) {
	err := safely(t.Rollback)
	if err != nil && !errors.Is(err, berrors.ErrTxClosed) {
		s.wedged = true
		s.giveUp(err)
	}
}

// giveUp ends writing for good; the first reason stays.
func (s *Store) giveUp(err error) {
	err = fmt.Errorf("bolt: no writes until the next start, because of an earlier failure: %w", err)
	if s.failed.CompareAndSwap(nil, &err) {
		close(s.gaveUp)
	}
}

// GaveUp is closed when the store has given up writing: the disk has failed it in a way after which nobody knows what is
// on it (an fsync that fails may have dropped the data and succeed the next time). Reads go on. Only opening the file again
// tells what is there, so a server should end and be started again (S4).
func (s *Store) GaveUp() <-chan struct{} { return s.gaveUp }

// failure returns why the store has given up, or nil.
func (s *Store) failure() error {
	if p := s.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// diskFull tells an error of space from an error of the disk. Only write and truncate count: an fsync that reports no
// space has lost data like any other failed fsync.
func diskFull(err error) bool {
	if errors.Is(err, berrors.ErrMaxSizeReached) {
		return true
	}
	pathErr, isPath := errors.AsType[*fs.PathError](err)
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if isPath && pathErr.Op == "write" && errors.Is(pathErr.Err, full) {
			return true
		}
		// bbolt keeps only the text of this one (db.go, grow).
		if strings.HasPrefix(err.Error(), "file resize error: ") && strings.HasSuffix(err.Error(), full.Error()) {
			return true
		}
	}
	return false
}

// panicError is a panic that became an error.
type panicError struct{ value any }

func (p panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func isPanic(err error) bool {
	_, is := errors.AsType[panicError](err)
	return is
}

// safely turns a panic into an error, and so a page fault: bbolt reads the file as memory, and where the disk or somebody
// with a text editor has taken a page away, that would end the process otherwise.
func safely(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // of this goroutine
	defer func() {
		if p := recover(); p != nil {
			err = panicError{p}
		}
	}()
	return f()
}

// Ping tells whether the store can do all of its work now.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.failure(); err != nil {
		return err
	}
	_, err := read(ctx, s, func(t *tx) (struct{}, error) {
		if t.get(bucketMeta, keySchema) == nil {
			return struct{}{}, errors.New("bolt: the schema version is gone")
		}
		return struct{}{}, nil
	})
	return err
}
