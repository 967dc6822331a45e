package credential

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

// cheap makes tests fast; nothing but the time depends on it.
var cheap = Params{MemoryKiB: 64, Time: 1, Parallelism: 1}

const (
	right = "correct horse battery staple"
	wrong = "incorrect horse battery staple"
)

var (
	home      = netip.MustParseAddr("192.0.2.1")
	elsewhere = netip.MustParseAddr("198.51.100.7")
	errDown   = errors.New("store: connection refused")
)

// spy is a store that notes which of its methods were called and fails those it is told to.
type spy struct {
	storage.Store
	mu    sync.Mutex
	calls []string
	fails map[string]error
	// during, if set, is called with the name of each method before it does its work.
	during func(name string)
}

func (s *spy) call(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, name)
	if s.during != nil {
		s.during(name)
	}
	return s.fails[name]
}

func (s *spy) fail(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails[name] = err
}

func (s *spy) UserByName(ctx context.Context, name string) (storage.User, error) {
	if err := s.call("UserByName"); err != nil {
		return storage.User{}, err
	}
	return s.Store.UserByName(ctx, name)
}

func (s *spy) ReplaceUser(ctx context.Context, u storage.User) error {
	if err := s.call("ReplaceUser"); err != nil {
		return err
	}
	return s.Store.ReplaceUser(ctx, u)
}

func (s *spy) Spend(ctx context.Context, b ...storage.Budget) (wait time.Duration, err error) {
	if err := s.call("Spend"); err != nil {
		return 0, err
	}
	return s.Store.Spend(ctx, b...)
}

func (s *spy) Refund(ctx context.Context, r ...storage.Refund) error {
	if err := s.call("Refund"); err != nil {
		return err
	}
	return s.Store.Refund(ctx, r...)
}

func (s *spy) Remember(ctx context.Context, key string, until time.Time) (bool, error) {
	if err := s.call("Remember"); err != nil {
		return false, err
	}
	return s.Store.Remember(ctx, key, until)
}

func (s *spy) Remembered(ctx context.Context, key string) (bool, error) {
	if err := s.call("Remembered"); err != nil {
		return false, err
	}
	return s.Store.Remembered(ctx, key)
}

// desk is an Authenticator with everything a test looks at.
type desk struct {
	*Authenticator
	store *spy
	mu    sync.Mutex
	work  []string // the schemes computed
}

func newDesk(t testing.TB, c HasherConfig) *desk {
	t.Helper()
	if c.Params == (Params{}) {
		c.Params = cheap
	}
	h, err := NewHasher(c)
	if err != nil {
		t.Fatal(err)
	}
	s := &spy{Store: memory.New(), fails: map[string]error{}}
	d := &desk{Authenticator: &Authenticator{Users: s, Limits: s, Hasher: h}, store: s}
	h.computing = func(scheme string) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.work = append(d.work, scheme)
	}
	return d
}

// add stores a user whose id is "id-" and the name.
func (d *desk) add(t testing.TB, name, phc string, disabled bool) storage.User {
	t.Helper()
	u := storage.User{ID: "id-" + name, Username: name, PasswordHash: phc, Disabled: disabled, Epoch: 7}
	if err := d.store.CreateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	u.Version = 1
	return u
}

// try authenticates, and returns besides what was computed and asked for it.
func (d *desk) try(ctx context.Context, from netip.Addr, name, password string) (u storage.User, work, calls []string, err error) {
	d.mu.Lock()
	d.work = nil
	d.mu.Unlock()
	d.store.mu.Lock()
	d.store.calls = nil
	d.store.mu.Unlock()
	u, err = d.Authenticate(ctx, Attempt{Username: name, Password: password, Address: from})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	return u, d.work, d.store.calls, err
}

func (d *desk) guess(ctx context.Context, from netip.Addr, name, password string) error {
	_, _, _, err := d.try(ctx, from, name, password)
	return err
}

// cheapHash is the hash of right with cheap parameters.
func cheapHash() string { return newArgon2idHash(cheap, right).String() }

// address is one of 65536 different IPv4 addresses.
func address(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}) }

// refused tells whether err is the one answer to all wrong credentials, which is not even wrapped.
func refused(err error) bool {
	return err == ErrInvalidCredentials //nolint:errorlint // the very value: a wrapped one could be told from others
}

func throttled(err error) bool {
	var t *ThrottledError
	return errors.As(err, &t)
}

type vector struct {
	By       string `json:"by"`
	Hash     string `json:"hash"`
	Password string `json:"password"`
	Match    bool   `json:"match"`
	Note     string `json:"note"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 40 {
		t.Fatalf("testdata/vectors.json: %d vectors, want all of them", len(all))
	}
	return all
}
