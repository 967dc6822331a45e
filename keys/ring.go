package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ingam/ingam/storage"
)

// DefaultJWKSMaxAge is how long others may keep the JWKS where [Config] does not say.
const DefaultJWKSMaxAge = 10 * time.Minute

// openAttempts bounds how often [Open] reads the store: absent, lost the race or won it, then there.
const openAttempts = 3

// Config says what [Open] needs.
type Config struct {
	// Store keeps the ring.
	Store storage.KeyRings
	// Master seals and opens it.
	Master MasterKey
	// JWKSMaxAge is how long others may keep the JWKS, and so how long a key must be published before it signs.
	// 0 means DefaultJWKSMaxAge.
	JWKSMaxAge time.Duration

	// generate makes the first key pair; nil means RSA from the system's randomness. Tests bring keys along.
	generate func() (*rsa.PrivateKey, error)
}

// Ring is the server's keys, opened and ready. It is safe for concurrent use.
type Ring struct {
	store  storage.KeyRings
	sealer *sealer
	maxAge time.Duration
	// slots holds one place for each signature that may be computed at the same time; see Sign.
	slots chan struct{}

	reloading sync.Mutex // one Reload at a time
	snap      atomic.Pointer[snapshot]
}

// Open loads the ring of the store. Where there is none it makes one, with an RSA key that signs RS256 and a secret
// for [Ring.Derive], and agrees with other nodes that do the same at the same moment. A ring that cannot be opened or
// has no active keys is an error ([ErrWrongMasterKey], [ErrDamaged], [ErrNoActiveKey]) and stays as it is.
func Open(ctx context.Context, c Config) (*Ring, error) {
	if c.Store == nil {
		return nil, errors.New("keys: a store is needed (Config.Store is nil)")
	}
	if c.JWKSMaxAge < 0 {
		return nil, fmt.Errorf("keys: Config.JWKSMaxAge is %v, it must not be negative", c.JWKSMaxAge)
	}
	if c.JWKSMaxAge == 0 {
		c.JWKSMaxAge = DefaultJWKSMaxAge
	}
	s, err := newSealer(c.Master)
	if err != nil {
		return nil, err
	}
	record, err := readOrMake(ctx, c, s)
	if err != nil {
		return nil, err
	}
	opened, err := openRecord(s, record)
	if err != nil {
		return nil, err
	}
	r := &Ring{
		store: c.Store, sealer: s, maxAge: c.JWKSMaxAge,
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	now := time.Now()
	snap := newSnapshot(record, opened, r.maxAge, now)
	// A server that cannot sign should not start. (One that is running already goes on: see Reload.)
	if snap.signing == nil || !snap.hasActiveSecret(now) {
		return nil, fmt.Errorf("keys: %w: version %d holds %d keys", ErrNoActiveKey, record.Version, len(record.Keys))
	}
	r.snap.Store(snap)
	return r, nil
}

// readOrMake returns the ring as it is stored, after putting one there if there was none. It always ends with a
// read, so that the node works with what everybody else sees.
func readOrMake(ctx context.Context, c Config, s *sealer) (storage.KeyRing, error) {
	for range openAttempts {
		record, err := c.Store.KeyRing(ctx)
		if err == nil {
			return record, nil
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return storage.KeyRing{}, fmt.Errorf("keys: reading the key ring: %w", err)
		}
		made, err := makeRecord(c, s)
		if err != nil {
			return storage.KeyRing{}, err
		}
		// ErrConflict: another node was first. Its keys are as good as ours; ours are dropped.
		if err := c.Store.PutKeyRing(ctx, made); err != nil && !errors.Is(err, storage.ErrConflict) {
			return storage.KeyRing{}, fmt.Errorf("keys: storing the new key ring: %w", err)
		}
	}
	return storage.KeyRing{}, errors.New("keys: the store took a key ring and does not give it back")
}

// makeRecord makes the first ring.
func makeRecord(c Config, s *sealer) (storage.KeyRing, error) {
	generate := c.generate
	if generate == nil {
		generate = func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, rsaBits) }
	}
	private, err := generate()
	if err != nil {
		return storage.KeyRing{}, fmt.Errorf("keys: making an RSA key: %w", err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	signing, err := newSigningKey(s, private, now)
	if err != nil {
		return storage.KeyRing{}, err
	}
	return storage.KeyRing{Keys: []storage.SealedKey{signing, newMACKey(s, now)}}, nil
}

// openRecord opens all keys of a ring or none.
func openRecord(s *sealer, record storage.KeyRing) (map[string]*key, error) {
	opened := make(map[string]*key, len(record.Keys))
	for _, sealed := range record.Keys {
		if opened[sealed.ID] != nil {
			return nil, damaged(sealed, "its id occurs twice")
		}
		k, err := openKey(s, sealed)
		if err != nil {
			return nil, err
		}
		opened[sealed.ID] = k
	}
	return opened, nil
}

// Reload reads the ring from the store again; call it from time to time, and after changing the ring. On any error
// the keys in use stay in use: a store that is away stops no server. A ring that is older than the one in use, or not
// there any more, is refused with [ErrRolledBack]. A ring without active keys is taken, since withdrawing a key must
// work even where there is no other: then [Ring.Sign] answers [ErrNoActiveKey].
func (r *Ring) Reload(ctx context.Context) error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	record, err := r.store.KeyRing(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		return fmt.Errorf("keys: %w: there is none", ErrRolledBack)
	}
	if err != nil {
		return fmt.Errorf("keys: reading the key ring: %w", err)
	}
	seen := r.snap.Load().record
	switch {
	case record.Version < seen.Version:
		return fmt.Errorf("keys: %w: version %d, in use is %d", ErrRolledBack, record.Version, seen.Version)
	case record.Version == seen.Version:
		if !slices.EqualFunc(record.Keys, seen.Keys, sameRecord) {
			return fmt.Errorf("keys: %w: version %d has other keys than before", ErrRolledBack, record.Version)
		}
		return nil
	}
	opened, err := openRecord(r.sealer, record)
	if err != nil {
		return err
	}
	r.snap.Store(newSnapshot(record, opened, r.maxAge, time.Now()))
	return nil
}

// sameRecord compares everything but how a time is written.
func sameRecord(a, b storage.SealedKey) bool {
	return a.ID == b.ID && a.Use == b.Use && a.Algorithm == b.Algorithm && bytes.Equal(a.Sealed, b.Sealed) &&
		a.CreatedAt.Equal(b.CreatedAt) && a.ActivateAt.Equal(b.ActivateAt) &&
		a.RetireAt.Equal(b.RetireAt) && a.ForgetAt.Equal(b.ForgetAt)
}

// Format prints the type's name for every verb, whatever is inside.
func (*Ring) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "keys.Ring") }

// LogValue keeps the ring's insides out of logs.
func (*Ring) LogValue() slog.Value { return slog.StringValue("keys.Ring") }
