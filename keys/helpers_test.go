package keys

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// golden is testdata/ring-v1.json: a ring, what it is sealed under and what follows from it, written once by the first
// version of this package. It stands for the rings out there, so it is never made anew; a new format gets a new file.
type golden struct {
	Master  string          `json:"master"`
	Ring    storage.KeyRing `json:"ring"`
	Type    string          `json:"typ"`
	Payload string          `json:"payload"`
	Token   string          `json:"token"`
	Purpose string          `json:"purpose"`
	Derived []string        `json:"derived"`
	JWKS    string          `json:"jwks"`
	ETag    string          `json:"etag"`
}

// loadGolden reads the file; its two RSA keys also spare the other tests from making keys.
func loadGolden(t testing.TB) (golden, MasterKey) {
	t.Helper()
	text, err := os.ReadFile("testdata/ring-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Ring.Keys) != 4 || len(g.Derived) != 2 {
		t.Fatalf("testdata/ring-v1.json has %d keys and %d derived secrets", len(g.Ring.Keys), len(g.Derived))
	}
	master, err := ParseMasterKey(g.Master)
	if err != nil {
		t.Fatal(err)
	}
	return g, master
}

// testRSA returns one of the two RSA keys of the golden ring.
func testRSA(t testing.TB, n int) *rsa.PrivateKey {
	t.Helper()
	g, master := loadGolden(t)
	k, err := openKey(testSealer(t, master), g.Ring.Keys[n])
	if err != nil {
		t.Fatal(err)
	}
	return k.signer.(*rsa.PrivateKey)
}

func testSealer(t testing.TB, master MasterKey) *sealer {
	t.Helper()
	s, err := newSealer(master)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testConfig opens with the nth RSA key of the golden ring where it has to make one.
func testConfig(t testing.TB, store storage.KeyRings, master MasterKey, n int) Config {
	return Config{
		Store: store, Master: master,
		generate: func() (*rsa.PrivateKey, error) { return testRSA(t, n), nil },
	}
}

func mustOpen(t testing.TB, c Config) *Ring {
	t.Helper()
	r, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustSign(t testing.TB, r *Ring, typ, payload string) string {
	t.Helper()
	token, err := r.Sign(context.Background(), typ, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// goldenRing opens the golden ring from a store of its own.
func goldenRing(t testing.TB) (*Ring, *fakeStore) {
	t.Helper()
	g, master := loadGolden(t)
	store := storeWith(t, g.Ring)
	return mustOpen(t, Config{Store: store, Master: master}), store
}

// fakeStore keeps the bytes of one ring, as the contract of [storage.KeyRings] has it, and fails on demand.
type fakeStore struct {
	mu     sync.Mutex
	text   []byte // nil: no ring yet
	puts   int    // successful ones
	getErr error
	putErr error
	drop   bool   // PutKeyRing says nil and keeps nothing
	before func() // runs at the start of PutKeyRing
}

var _ storage.KeyRings = (*fakeStore)(nil)

func storeWith(t testing.TB, ring storage.KeyRing) *fakeStore {
	t.Helper()
	text, err := json.Marshal(ring)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeStore{text: text}
}

func (f *fakeStore) KeyRing(context.Context) (ring storage.KeyRing, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.getErr != nil {
		return ring, f.getErr
	}
	if f.text == nil {
		return ring, storage.ErrNotFound
	}
	return ring, json.Unmarshal(f.text, &ring)
}

func (f *fakeStore) PutKeyRing(_ context.Context, ring storage.KeyRing) error {
	if f.before != nil {
		f.before()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.putErr != nil {
		return f.putErr
	}
	if f.drop {
		return nil
	}
	var stored storage.KeyRing
	if f.text != nil {
		if err := json.Unmarshal(f.text, &stored); err != nil {
			return err
		}
	}
	if ring.Version != stored.Version {
		return storage.ErrConflict
	}
	ring.Version++
	text, err := json.Marshal(ring)
	if err != nil {
		return err
	}
	f.text = text
	f.puts++
	return nil
}

// change rewrites the stored ring as a rotation would: the version moves on.
func (f *fakeStore) change(t testing.TB, edit func(*storage.KeyRing)) {
	t.Helper()
	ctx := context.Background()
	ring, err := f.KeyRing(ctx)
	if err != nil {
		t.Fatal(err)
	}
	edit(&ring)
	if err := f.PutKeyRing(ctx, ring); err != nil {
		t.Fatal(err)
	}
}

func (f *fakeStore) bytes() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.text)
}

// at is a moment n hours after the golden ring was made.
func at(hours int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(hours) * time.Hour)
}
