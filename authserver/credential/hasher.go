package credential

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// MaxPasswordBytes is the longest password, in bytes of UTF-8. A longer one is never compared with anything, so that
// the length of a request does not decide what it costs.
const MaxPasswordBytes = 1024

// HasherConfig says what hashing may cost the server. The zero value is a good configuration.
//
// At most MaxHashes × Params.MemoryKiB of memory is in use at a time (imported strings may take more, see [CheckHash]),
// plus what the garbage collector has not yet taken back.
type HasherConfig struct {
	// Params are the cost of new hashes; the zero value means DefaultParams.
	Params Params
	// MaxHashes is how many computations run at once; 0 means GOMAXPROCS.
	MaxHashes int
	// MaxQueue is how many more may wait; 0 means 16 for each of MaxHashes.
	MaxQueue int
	// MaxWait is how long one waits for its turn before it gets ErrBusy; 0 means 2 seconds.
	MaxWait time.Duration
}

// Hasher makes and checks password hashes, a bounded number at a time. It is safe for concurrent use.
type Hasher struct {
	params Params
	gate   *gate
	// decoy stands in where there is no hash to compare with. Its salt and tag are random: no password fits.
	decoy argon2idHash
	// computing, if set, is called by each worker with the scheme it is about to compute. Tests count work with it.
	computing func(scheme string)
}

// NewHasher returns a Hasher, or an error that names the setting that cannot be used.
func NewHasher(c HasherConfig) (*Hasher, error) {
	if c.Params == (Params{}) {
		c.Params = DefaultParams()
	}
	if err := c.Params.check(); err != nil {
		return nil, err
	}
	if c.MaxHashes < 0 || c.MaxQueue < 0 || c.MaxWait < 0 {
		return nil, fmt.Errorf("MaxHashes %d, MaxQueue %d, MaxWait %v: none may be negative; 0 means the default",
			c.MaxHashes, c.MaxQueue, c.MaxWait)
	}
	if c.MaxHashes == 0 {
		c.MaxHashes = runtime.GOMAXPROCS(0)
	}
	if c.MaxQueue == 0 {
		c.MaxQueue = 16 * c.MaxHashes
	}
	if c.MaxWait == 0 {
		c.MaxWait = 2 * time.Second
	}
	return &Hasher{
		params: c.Params,
		gate:   newGate(c.MaxHashes, c.MaxQueue, c.MaxWait),
		decoy:  argon2idHash{params: c.Params, salt: randomBytes(saltBytes), tag: randomBytes(tagBytes)},
	}, nil
}

// Hash returns the PHC string of a password to store. It refuses only what could never match again (an empty
// password, one longer than MaxPasswordBytes); whether it is a good one is for [CheckPassword] to say.
func (h *Hasher) Hash(ctx context.Context, password string) (phc string, err error) {
	return h.hash(ctx, password, h.gate.run)
}

// hashIfIdle is Hash, except that it fails with ErrBusy where Hash would wait.
func (h *Hasher) hashIfIdle(ctx context.Context, password string) (phc string, err error) {
	return h.hash(ctx, password, h.gate.runIfIdle)
}

func (h *Hasher) hash(ctx context.Context, password string, run func(context.Context, func()) error) (string, error) {
	if !eligible(password) {
		return "", fmt.Errorf("a password has 1 to %d bytes, this one has %d", MaxPasswordBytes, len(password))
	}
	var phc string // belongs to the worker until run has returned nil
	err := run(ctx, func() {
		h.observe(schemeArgon2id)
		phc = newArgon2idHash(h.params, password).String()
	})
	if err != nil {
		return "", err
	}
	return phc, nil
}

// Verify compares a password with a stored hash. match tells whether it is the one; outdated, only then, whether the
// hash should be replaced by one of today's scheme and parameters.
//
// It costs one computation in every case. Where there is nothing to compare (phc is "", the password is empty or
// longer than MaxPasswordBytes) that is an argon2id of today's parameters, and match is false; so it is where phc
// cannot be used, which is an error that says why and does not contain it. [ErrBusy], or the end of ctx, means that
// nothing is known.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (match, outdated bool, err error) {
	var stored storedHash = h.decoy
	var unusable error
	if phc != "" && eligible(password) {
		if stored, unusable = parse(phc); unusable != nil {
			stored = h.decoy
		}
	}
	if !eligible(password) {
		password = "any other, for the work"
	}
	var fits bool // both belong to the worker until run has returned nil
	var failed error
	err = h.gate.run(ctx, func() {
		h.observe(stored.scheme())
		fits, failed = stored.matches(password)
	})
	if err != nil {
		return false, false, err
	}
	if err = errors.Join(unusable, failed); err != nil {
		return false, false, err
	}
	return fits, fits && !stored.current(h.params), nil
}

func (h *Hasher) observe(scheme string) {
	if h.computing != nil {
		h.computing(scheme)
	}
}

// eligible tells whether a password can be anybody's.
func eligible(password string) bool { return password != "" && len(password) <= MaxPasswordBytes }

// randomBytes never fails: crypto/rand ends the process if the system has no randomness.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}
