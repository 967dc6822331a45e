package authserver_test

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/bolt"
	"github.com/ingam/ingam/storage/memory"
)

// inBubbles runs a test on each kind of store, in a synctest bubble whose clock is virtual. open makes a store that
// is closed with the test.
func inBubbles(t *testing.T, test func(t testing.TB, store storage.Store)) {
	t.Helper()
	testRing() // outside: its keys are shared by all bubbles
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			store := memory.New()
			defer store.Close()
			test(t, store)
		})
	})
	t.Run("bolt", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "data", "ingam.db")
		synctest.Test(t, func(t *testing.T) {
			store, err := bolt.Open(t.Context(), path, bolt.Options{})
			must(t, err)
			defer store.Close()
			test(t, store)
		})
	})
}

// bubble runs a test on the memory store alone, in a synctest bubble.
func bubble(t *testing.T, test func(t testing.TB, r *rig), options ...option) {
	t.Helper()
	testRing()
	synctest.Test(t, func(t *testing.T) { test(t, newRig(t, options...)) })
}

// tap is a store whose calls a test can see, fail, delay or blow up: before is asked with the verb before the inner
// store is, after when it has done its work. An error from either is the outcome of the call.
type tap struct {
	storage.Store
	before, after func(verb string) error
}

// tapped makes a rig on a memory store behind a tap.
func tapped(t testing.TB, options ...option) (*rig, *tap) {
	t.Helper()
	s := &tap{}
	wrap := withStore(func(inner storage.Store) storage.Store { s.Store = inner; return s })
	return newRig(t, append(options, wrap)...), s
}

func through[T any](s *tap, verb string, call func() (T, error)) (T, error) {
	var none T
	if s.before != nil {
		if err := s.before(verb); err != nil {
			return none, err
		}
	}
	v, err := call()
	if s.after != nil {
		if err := s.after(verb); err != nil {
			return none, err
		}
	}
	return v, err
}

func done(err error) (struct{}, error) { return struct{}{}, err }

func (s *tap) Client(ctx context.Context, id string) (storage.Client, error) {
	return through(s, "Client", func() (storage.Client, error) { return s.Store.Client(ctx, id) })
}

func (s *tap) User(ctx context.Context, id string) (storage.User, error) {
	return through(s, "User", func() (storage.User, error) { return s.Store.User(ctx, id) })
}

func (s *tap) RecallUser(ctx context.Context, id string) (storage.User, error) {
	return through(s, "RecallUser", func() (storage.User, error) { return s.Store.RecallUser(ctx, id) })
}

func (s *tap) ReplaceUser(ctx context.Context, u storage.User) error {
	_, err := through(s, "ReplaceUser", func() (struct{}, error) { return done(s.Store.ReplaceUser(ctx, u)) })
	return err
}

func (s *tap) KeyRing(ctx context.Context) (storage.KeyRing, error) {
	return through(s, "KeyRing", func() (storage.KeyRing, error) { return s.Store.KeyRing(ctx) })
}

func (s *tap) UserByName(ctx context.Context, name string) (storage.User, error) {
	return through(s, "UserByName", func() (storage.User, error) { return s.Store.UserByName(ctx, name) })
}

func (s *tap) CreateGrant(ctx context.Context, g storage.Grant) error {
	_, err := through(s, "CreateGrant", func() (struct{}, error) { return done(s.Store.CreateGrant(ctx, g)) })
	return err
}

func (s *tap) Grant(ctx context.Context, id string) (storage.Grant, error) {
	return through(s, "Grant", func() (storage.Grant, error) { return s.Store.Grant(ctx, id) })
}

func (s *tap) RecallGrant(ctx context.Context, id string) (storage.Grant, error) {
	return through(s, "RecallGrant", func() (storage.Grant, error) { return s.Store.RecallGrant(ctx, id) })
}

func (s *tap) Rotate(ctx context.Context, r storage.Rotation) (outcome storage.Outcome, g storage.Grant, err error) {
	g, err = through(s, "Rotate", func() (storage.Grant, error) {
		var inner storage.Grant
		outcome, inner, err = s.Store.Rotate(ctx, r)
		return inner, err
	})
	return outcome, g, err
}

func (s *tap) RevokeGrant(ctx context.Context, id, reason string) error {
	_, err := through(s, "RevokeGrant", func() (struct{}, error) { return done(s.Store.RevokeGrant(ctx, id, reason)) })
	return err
}

func (s *tap) Spend(ctx context.Context, b ...storage.Budget) (time.Duration, error) {
	return through(s, "Spend", func() (time.Duration, error) { return s.Store.Spend(ctx, b...) })
}

func (s *tap) Refund(ctx context.Context, f ...storage.Refund) error {
	_, err := through(s, "Refund", func() (struct{}, error) { return done(s.Store.Refund(ctx, f...)) })
	return err
}

func (s *tap) Remember(ctx context.Context, key string, until time.Time) (bool, error) {
	return through(s, "Remember", func() (bool, error) { return s.Store.Remember(ctx, key, until) })
}

func (s *tap) Remembered(ctx context.Context, key string) (bool, error) {
	return through(s, "Remembered", func() (bool, error) { return s.Store.Remembered(ctx, key) })
}

func (s *tap) Ping(ctx context.Context) error {
	_, err := through(s, "Ping", func() (struct{}, error) { return done(s.Store.Ping(ctx)) })
	return err
}

// record lists the verbs that are called from now on.
func (s *tap) record() *[]string {
	verbs := new([]string)
	s.before = func(verb string) error { *verbs = append(*verbs, verb); return nil }
	return verbs
}

// changeClient and changeUser edit a record in the store.
func (r *rig) changeClient(id string, edit func(*storage.Client)) {
	r.t.Helper()
	c, err := r.store.Client(context.Background(), id)
	must(r.t, err)
	edit(&c)
	must(r.t, r.store.ReplaceClient(context.Background(), c))
}

func (r *rig) changeUser(id string, edit func(*storage.User)) {
	r.t.Helper()
	u, err := r.store.User(context.Background(), id)
	must(r.t, err)
	edit(&u)
	must(r.t, r.store.ReplaceUser(context.Background(), u))
}

// found is two answers of one call.
type found struct {
	grant storage.Grant
	user  storage.User
}

func (s *tap) GrantAndUser(ctx context.Context, id, userID string) (storage.Grant, storage.User, error) {
	both, err := through(s, "GrantAndUser", func() (found, error) {
		g, u, err := s.Store.GrantAndUser(ctx, id, userID)
		return found{g, u}, err
	})
	return both.grant, both.user, err
}

func (s *tap) Entry(ctx context.Context, kind, id string) (storage.Entry, error) {
	return through(s, "Entry", func() (storage.Entry, error) { return s.Store.Entry(ctx, kind, id) })
}

func (s *tap) CreateEntry(ctx context.Context, e storage.Entry) error {
	_, err := through(s, "CreateEntry", func() (struct{}, error) { return done(s.Store.CreateEntry(ctx, e)) })
	return err
}

func (s *tap) ReplaceEntry(ctx context.Context, e storage.Entry) error {
	_, err := through(s, "ReplaceEntry", func() (struct{}, error) { return done(s.Store.ReplaceEntry(ctx, e)) })
	return err
}

func (s *tap) TakeEntry(ctx context.Context, kind, id string) (storage.Entry, error) {
	return through(s, "TakeEntry", func() (storage.Entry, error) { return s.Store.TakeEntry(ctx, kind, id) })
}
