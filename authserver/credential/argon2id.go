package credential

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

const schemeArgon2id = "argon2id"

// Sizes of new salts and tags, RFC 9106 §4.
const (
	saltBytes = 16
	tagBytes  = 32
)

// Ceilings of an argon2id hash, this server's own as well as imported ones. The product is what bounds the time.
const (
	maxMemoryKiB   = 256 << 10 // 256 MiB
	maxTime        = 16
	maxParallelism = 16
	maxMemoryTime  = 1 << 20 // KiB × passes: 1 GiB
)

// Params are the cost parameters of argon2id (RFC 9106 §3.1).
type Params struct {
	// MemoryKiB is the memory of one computation, m, in KiB: at least 8 for each lane.
	MemoryKiB uint32
	// Time is how often the memory is passed over, t.
	Time uint32
	// Parallelism is the number of lanes, p. One computation uses that many processors at once.
	Parallelism uint8
}

// DefaultParams are 19 MiB, two passes, one lane: the first choice of OWASP's Password Storage Cheat Sheet for a server
// that has many requests to answer. RFC 9106 §4 has heavier ones for whoever can afford them.
func DefaultParams() Params { return Params{MemoryKiB: 19456, Time: 2, Parallelism: 1} }

// check tells whether the parameters are possible (RFC 9106 §3.1) and affordable.
func (p Params) check() error {
	switch {
	case p.Parallelism < 1 || p.Parallelism > maxParallelism:
		return fmt.Errorf("argon2id parallelism p=%d; accepted are 1 to %d", p.Parallelism, maxParallelism)
	case p.Time < 1 || p.Time > maxTime:
		return fmt.Errorf("argon2id time t=%d; accepted are 1 to %d passes", p.Time, maxTime)
	case p.MemoryKiB < 8*uint32(p.Parallelism) || p.MemoryKiB > maxMemoryKiB:
		return fmt.Errorf("argon2id memory m=%d; accepted are 8×p = %d to %d KiB",
			p.MemoryKiB, 8*uint32(p.Parallelism), maxMemoryKiB)
	case p.MemoryKiB*p.Time > maxMemoryTime:
		return fmt.Errorf("argon2id m=%d,t=%d: together they may be at most %d KiB × passes, lower one of them",
			p.MemoryKiB, p.Time, maxMemoryTime)
	}
	return nil
}

// argon2idHash is $argon2id$v=19$m=…,t=…,p=…$salt$tag.
type argon2idHash struct {
	params    Params
	salt, tag []byte
}

func newArgon2idHash(p Params, password string) argon2idHash {
	h := argon2idHash{params: p, salt: randomBytes(saltBytes)}
	h.tag = h.compute(password, tagBytes)
	return h
}

func (h argon2idHash) compute(password string, tagLen int) []byte {
	p := h.params
	return argon2.IDKey([]byte(password), h.salt, p.Time, p.MemoryKiB, p.Parallelism, uint32(tagLen))
}

func (h argon2idHash) matches(password string) (bool, error) {
	return subtle.ConstantTimeCompare(h.compute(password, len(h.tag)), h.tag) == 1, nil
}

// current asks for equal parameters, not for strong enough ones: only while all hashes cost the same does the time of
// a refusal tell nothing about a user.
func (h argon2idHash) current(p Params) bool {
	return h.params == p && len(h.salt) >= saltBytes && len(h.tag) == tagBytes
}

func (argon2idHash) scheme() string { return schemeArgon2id }

// String is the form at rest. It is no secret to the store, and one to everybody else.
func (h argon2idHash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.params.MemoryKiB, h.params.Time, h.params.Parallelism, b64.EncodeToString(h.salt), b64.EncodeToString(h.tag))
}

// parseArgon2id reads the PHC string format as the reference implementation of argon2 writes it: all five fields, the
// parameters in that order, no keyid and no data.
func parseArgon2id(phc string) (storedHash, error) {
	fields := strings.Split(phc, "$")
	if len(fields) != 6 {
		return nil, errors.New("argon2id must look like $argon2id$v=19$m=19456,t=2,p=1$salt$tag")
	}
	if fields[2] != "v=19" {
		return nil, errors.New("argon2id must be of version 0x13, written v=19 (RFC 9106)")
	}
	names := []string{"m", "t", "p"}
	values := [3]int{}
	costs := strings.Split(fields[3], ",")
	if len(costs) != len(names) {
		return nil, errors.New("argon2id parameters must look like m=19456,t=2,p=1")
	}
	for i, most := range []int{maxMemoryKiB, maxTime, maxParallelism} {
		text, ok := strings.CutPrefix(costs[i], names[i]+"=")
		if !ok {
			return nil, errors.New("argon2id parameters must look like m=19456,t=2,p=1")
		}
		var err error
		if values[i], err = number("argon2id "+names[i], text, 1, most); err != nil {
			return nil, err
		}
	}
	h := argon2idHash{params: Params{uint32(values[0]), uint32(values[1]), uint8(values[2])}}
	err := h.params.check()
	if err != nil {
		return nil, err
	}
	if h.salt, err = unbase64("argon2id salt", fields[4], 8, 64); err != nil {
		return nil, err
	}
	if h.tag, err = unbase64("argon2id tag", fields[5], 16, 64); err != nil {
		return nil, err
	}
	return h, nil
}
