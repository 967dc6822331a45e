package credential

import (
	"fmt"
	"testing"

	"golang.org/x/crypto/argon2"
)

// BenchmarkHash is what a sign-in costs besides the argon2id computation that it is about: compare raw with
// authenticate. B/op is the memory of one computation; x/crypto allocates it anew each time.
func BenchmarkHash(b *testing.B) {
	p := DefaultParams()
	b.Run("raw", func(b *testing.B) {
		salt := randomBytes(saltBytes)
		b.ReportAllocs()
		for b.Loop() {
			argon2.IDKey([]byte(right), salt, p.Time, p.MemoryKiB, p.Parallelism, tagBytes)
		}
	})
	b.Run("authenticate", func(b *testing.B) {
		d := newDesk(b, HasherConfig{Params: p})
		d.Hasher.computing = nil
		d.Users, d.Limits = d.store.Store, d.store.Store
		d.add(b, "alice", newArgon2idHash(p, right).String(), false)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Authenticate(b.Context(), Attempt{"alice", right, home}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("everything but the hash", func(b *testing.B) {
		d := newDesk(b, HasherConfig{Params: Params{MemoryKiB: 8, Time: 1, Parallelism: 1}})
		d.Hasher.computing = nil
		d.Users, d.Limits = d.store.Store, d.store.Store
		d.add(b, "alice", newArgon2idHash(d.Hasher.params, right).String(), false)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Authenticate(b.Context(), Attempt{"alice", right, home}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRefusal shows that the reasons of a refusal cannot be told apart by their time (row L10). That each is one
// computation of the same parameters is tested; this is to look at.
func BenchmarkRefusal(b *testing.B) {
	p := DefaultParams()
	for _, c := range []struct{ class, name, password string }{
		{"unknown", "nobody", wrong},
		{"wrong", "alice", wrong},
		{"disabled", "disabled", right},
		{"nopassword", "nopassword", wrong},
		{"empty", "alice", ""},
		{"noname", "no name", wrong},
	} {
		b.Run(c.class, func(b *testing.B) {
			d := newDesk(b, HasherConfig{Params: p})
			d.Guesses = GuessLimits{Account: Rate{1 << 20, 1}, Address: Rate{1 << 20, 1}, Sustained: Rate{1 << 20, 1}}
			d.add(b, "alice", newArgon2idHash(p, right).String(), false)
			d.add(b, "disabled", newArgon2idHash(p, right).String(), true)
			d.add(b, "nopassword", "", false)
			for b.Loop() {
				if err := d.guess(b.Context(), home, c.name, c.password); !refused(err) {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkImported shows what the strings at the ceilings of CheckHash cost (row L11): one to three seconds each.
func BenchmarkImported(b *testing.B) {
	const tail = "$c2FsdHNhbHRzYWx0c2FsdA$TUhCoV6YH8thtZpQqRp0JvQQ5ZYgiLA0LYApKDG6qtM"
	for _, phc := range []string{
		"$argon2id$v=19$m=262144,t=4,p=1" + tail,
		"$argon2id$v=19$m=65536,t=16,p=1" + tail,
		"$2b$14$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
		fmt.Sprintf("$pbkdf2-sha256$%d", maxIterations) + tail,
		fmt.Sprintf("$pbkdf2-sha512$%d", maxIterations) + tail,
	} {
		b.Run(phc[1:24], func(b *testing.B) {
			h := hasher(b, HasherConfig{})
			for b.Loop() {
				if match, _, err := h.Verify(b.Context(), phc, right); match || err != nil {
					b.Fatal(match, err)
				}
			}
		})
	}
}
