package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/ingam/ingam/storage"
)

// schema is the version of the layout below. Raise it when an older program would misread the data, and teach
// checkSchema the way up.
const schema = 2

// The buckets, and what is in them.
var (
	bucketMeta      = []byte("meta")      // keySchema, keyRing
	bucketClients   = []byte("clients")   // id → JSON
	bucketUsers     = []byte("users")     // id → JSON
	bucketUsernames = []byte("usernames") // username → id
	bucketGrants    = []byte("grants")    // id → see codec.go
	bucketBudgets   = []byte("budgets")   // SHA-256 of the key → time at which the budget is full again
	bucketMarks     = []byte("marks")     // SHA-256 of the key → time at which the mark ends
	bucketExpiry    = []byte("expiry")    // see sweep.go

	// These came with schema 2.
	bucketGrantsOf = []byte("grants by user") // see grantsof.go
	bucketEntries  = []byte("entries")        // kind and id → JSON, see entries.go
	bucketOwners   = []byte("owners")         // see entries.go

	firstBuckets = [][]byte{
		bucketMeta, bucketClients, bucketUsers, bucketUsernames, bucketGrants, bucketBudgets, bucketMarks, bucketExpiry,
	}
	laterBuckets = [][]byte{bucketGrantsOf, bucketEntries, bucketOwners}
	allBuckets   = slices.Concat(firstBuckets, laterBuckets)

	keySchema = []byte("schema")
	keyRing   = []byte("keyring")
)

// Options tune a store. The zero value is right for nearly everyone.
type Options struct {
	// MaxBatch is how many writes may share one transaction; 0 means 256.
	MaxBatch int
}

// Store is a storage.Store in one file. Make one with Open.
type Store struct {
	db       *bbolt.DB
	maxBatch int
	commitTx func(*bbolt.Tx) error // (*bbolt.Tx).Commit; tests put a broken disk here

	budgets *budgets
	queue   chan *call    // unbuffered: who waits to send can still walk away
	closing chan struct{} // closed by Close
	stopped chan struct{} // closed by the writer when it has ended
	failed  atomic.Pointer[error]
	gaveUp  chan struct{} // closed after failed is set
	wedged  bool          // a panic left bbolt's lock behind; written by the writer, read after stopped

	closeOnce sync.Once
	closeErr  error
}

var _ storage.Store = (*Store)(nil)

// Open opens the store in the file at path, and makes folder and file if there are none. At most one process can have
// it open: the next one gets an error that wraps storage.ErrInUse, at once, and names the holder where the system tells
// it (Linux). Data of a newer version of this program is left alone; then the error wraps storage.ErrNewerSchema.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := prepare(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	err = checkSchema(db)
	if errors.Is(err, errOlder) {
		err = errors.Join(upgrade(db), checkSchema(db))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), db.Close())
	}
	removeLeftovers(path)

	s := &Store{
		db:       db,
		maxBatch: opts.MaxBatch,
		commitTx: (*bbolt.Tx).Commit,
		budgets:  newBudgets(),
		queue:    make(chan *call),
		closing:  make(chan struct{}),
		stopped:  make(chan struct{}),
		gaveUp:   make(chan struct{}),
	}
	if s.maxBatch <= 0 {
		s.maxBatch = 256
	}
	go s.writer()
	return s, nil
}

// prepare sees to it that there is a whole file with the right mode at path.
func prepare(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		createErr := create(path)
		if info, err = os.Stat(path); err != nil {
			return errors.Join(createErr, err)
		}
		// It is there: made by us, or by somebody who was faster and may have tidied our own file away.
	}
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case info.Size() == 0:
		// Not ours: create never leaves an empty file under this name. Somebody's mistake, or a disk that lost data.
		return fmt.Errorf("%s is empty; remove it to start with a new store", path)
	case info.Mode().Perm()&0o077 != 0:
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
	}
	// The name is on the disk when the folder is. Whoever made the file may have died just before.
	return syncDir(filepath.Dir(path))
}

// openFile opens a file that exists and locks it.
func openFile(path string) (db *bbolt.DB, err error) {
	options := &bbolt.Options{
		// bbolt reads 0 as "wait for ever". With anything below its 50 ms between attempts it tries just once.
		Timeout:      1,
		NoStatistics: true,
		// Finds free pages in O(1); the kind is not part of the file's format.
		FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			return os.OpenFile(name, flag&^os.O_CREATE, mode)
		},
	}
	// It reads the list of free pages, which may be damaged.
	err = safely(func() (err error) { db, err = bbolt.Open(path, 0o600, options); return err })
	if errors.Is(err, berrors.ErrTimeout) {
		if by := holder(path); by != "" {
			return nil, fmt.Errorf("%w: %s", storage.ErrInUse, by)
		}
		return nil, storage.ErrInUse
	}
	return db, err
}

// checkSchema reads only: a file that we do not understand stays as it is.
func checkSchema(db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil {
			return errors.New("a bbolt database, but not of ingam")
		}
		found, err := strconv.Atoi(string(meta.Get(keySchema)))
		switch {
		case err != nil || found < 1:
			return fmt.Errorf("its schema version is %q, which means nothing", meta.Get(keySchema))
		case found > schema:
			return fmt.Errorf("its schema version is %d, this program knows up to %d: %w", found, schema, storage.ErrNewerSchema)
		}
		needed := allBuckets
		if found < schema {
			needed = firstBuckets
		}
		for _, name := range needed {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("bucket %q is missing", name)
			}
		}
		if found < schema {
			return errOlder
		}
		return nil
	})
}

// crashPoint lets a test kill the process in the middle of create.
var crashPoint = func(string) {}

// create makes a complete store under a name of its own and then links it to path. A link never replaces a file: of
// two processes that create at the same time one makes the file, and then both try to open that one.
func create(path string) (err error) {
	dir := filepath.Dir(path)
	if err := makeFolder(dir); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+newSuffix+"*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone anyway if the link succeeded and nobody reads leftovers
	if err := tmp.Close(); err != nil {
		return err
	}
	crashPoint("empty")
	db, err := openFile(tmp.Name())
	if err != nil {
		return err
	}
	crashPoint("no buckets")
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range allBuckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(keySchema, []byte(strconv.Itoa(schema)))
	})
	// bbolt has called fsync; closing gives the lock back.
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	crashPoint("complete")
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	crashPoint("linked")
	return nil
}

// makeFolder makes dir with all that is missing above it. A new folder's name is on the disk when the folder above it is;
// whoever made one may have died before that, so all of them are synced, and before there is a store inside.
func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for above := filepath.Dir(dir); above != dir; dir, above = above, filepath.Dir(above) {
		// A folder that we may not read, or that cannot be synced, was not made by us.
		if err := syncDir(above); errors.Is(err, syscall.EIO) {
			return err
		}
	}
	return nil
}

// newSuffix marks files that create has not finished.
const newSuffix = ".new-"

// removeLeftovers tidies up after a crash in create. It is called with the store locked, so a creator whose file it
// takes away could not have won any more.
func removeLeftovers(path string) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), filepath.Base(path)+newSuffix) && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
}

func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close waits for the batch under way, lets everyone still queued fail, and gives the file back.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		<-s.stopped
		if s.wedged {
			s.closeErr = fmt.Errorf("close store: bbolt is stuck after: %w", s.failure())
			return
		}
		s.closeErr = s.db.Close()
	})
	return s.closeErr
}
