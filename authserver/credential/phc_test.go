package credential

import (
	"strings"
	"testing"
)

func TestHashesOfOtherProgramsVerifyAsTheyDidThere(t *testing.T) {
	d := newDesk(t, HasherConfig{})
	matched, refused := map[string]int{}, map[string]int{}
	for _, v := range vectors(t) {
		if err := CheckHash(v.Hash); err != nil {
			t.Errorf("%s %s: %v", v.By, v.Hash, err)
		}
		match, outdated, err := d.Hasher.Verify(t.Context(), v.Hash, v.Password)
		if err != nil || match != v.Match {
			t.Errorf("%s %s (%s): match %v, %v; want %v", v.By, v.Hash, v.Note, match, err, v.Match)
		}
		if want := v.Match && !strings.HasPrefix(v.Hash, "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$"); outdated != want {
			t.Errorf("%s: outdated %v, want %v", v.Hash, outdated, want)
		}
		stored, err := parse(v.Hash)
		if err != nil {
			t.Fatal(err)
		}
		if v.Match {
			matched[stored.scheme()]++
		} else {
			refused[stored.scheme()]++
		}
	}
	for _, scheme := range []string{"argon2id", "bcrypt", "pbkdf2"} {
		if matched[scheme] == 0 || refused[scheme] == 0 {
			t.Errorf("%s: %d vectors that match, %d that do not; want some of each", scheme, matched[scheme], refused[scheme])
		}
	}
}

// Each line differs in one fact from a string that is accepted.
func TestAMalformedHashIsRefusedWithTheReason(t *testing.T) {
	const (
		salt   = "c2FsdHNhbHRzYWx0c2FsdA"
		tag    = "TUhCoV6YH8thtZpQqRp0JvQQ5ZYgiLA0LYApKDG6qtM"
		argon  = "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + tag
		body   = "abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
		django = "pbkdf2_sha256$10$saltsalt$TUhCoV6YH8thtZpQqRp0JvQQ5ZYgiLA0LYApKDG6qtM="
	)
	for _, good := range []string{argon, "$2b$04$" + body, "$pbkdf2-sha256$10$" + salt + "$" + tag, django} {
		if err := CheckHash(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, c := range []struct{ hash, want string }{
		{"", "it is empty"},
		{"hunter2 is my secret", "does not begin like one"},
		{" " + argon, "does not begin like one"},
		{strings.Repeat("$argon2id$", 60), "600 bytes are more"},

		{argon + "$", "must look like $argon2id$"},
		{"$argon2id$m=64,t=1,p=1$" + salt + "$" + tag, "must look like $argon2id$"},
		{strings.Replace(argon, "v=19", "v=16", 1), "version 0x13"},
		{strings.Replace(argon, "m=64,t=1", "t=1,m=64", 1), "parameters must look like"},
		{strings.Replace(argon, "p=1", "p=1,x=1", 1), "parameters must look like"},
		{strings.Replace(argon, "p=1", "p=1,", 1), "parameters must look like"},
		{strings.Replace(argon, "m=64", "m=064", 1), "without leading zeros"},
		{strings.Replace(argon, "m=64", "m=+64", 1), "without leading zeros"},
		{strings.Replace(argon, "m=64", "m=64 ", 1), "without leading zeros"},
		{strings.Replace(argon, "m=64", "m=", 1), "without leading zeros"},
		{strings.Replace(argon, "m=64", "m=99999999999999999999", 1), "decimal number from 1 to"},
		{strings.Replace(argon, "m=64", "m=7", 1), "8×p = 8"},
		{strings.Replace(argon, "t=1", "t=0", 1), "argon2id t is 0"},
		{strings.Replace(argon, "p=1", "p=0", 1), "argon2id p is 0"},
		{strings.Replace(argon, salt, "c2FsdA", 1), "salt has 4 bytes"},
		{strings.Replace(argon, salt, salt+"==", 1), "salt must be base64"},
		{strings.Replace(argon, salt, salt[:21]+"B", 1), "salt must be base64"}, // bits that decode to nothing
		{strings.Replace(argon, salt, salt+"\n", 1), "line break"},
		{strings.Replace(argon, tag, "", 1), "tag has 0 bytes"},
		{strings.Replace(argon, tag, tag[:16], 1), "tag has 12 bytes"},
		{strings.Replace(argon, "argon2id", "argon2i", 1), "argon2i is not supported"},
		{strings.Replace(argon, "argon2id", "argon2d", 1), "argon2d is not supported"},

		{"$2b$04$" + body[1:], "60 in all"},
		{"$2b$04$" + body + "5", "60 in all"},
		{"$2b$4$" + body + "5", "60 in all"},
		{"$2b$03$" + body, "bcrypt cost is 3"},
		{"$2b$xx$" + body, "bcrypt cost must be"},
		{"$2b$04$" + body[:40] + "=" + body[41:], "characters ./A-Za-z0-9"},
		{"$2x$04$" + body, "broken kind 2x"},
		{"$2$04$" + body, "first kind"},

		{"$pbkdf2-sha256$" + salt + "$" + tag, "PBKDF2 must look like"},
		{"$pbkdf2-sha256$0$" + salt + "$" + tag, "iterations is 0"},
		{"$pbkdf2-sha256$i=10,$" + salt + "$" + tag, "here l=32"},
		{"$pbkdf2-sha256$i=10,l=31$" + salt + "$" + tag, "here l=32"},
		{"$pbkdf2-sha256$i=10,l=32,l=32$" + salt + "$" + tag, "here l=32"},
		{"$pbkdf2-sha256$i=10$" + salt + "$..........................", "hash must be base64"},
		{"$pbkdf2-sha256$10$c2FsdA$" + tag, "salt has 4 bytes"},
		{"$pbkdf2-sha256$10$" + salt + "$" + salt[:8], "hash has 6 bytes"},
		{"$pbkdf2$10$" + salt + "$" + tag, "SHA-1"},
		{strings.TrimSuffix(django, "="), "with padding"},
		{django + "=", "with padding"},
		{strings.Replace(django, "saltsalt", "salt", 1), "salt has 4 bytes"},
		{strings.Replace(django, "saltsalt", "\nsaltsalt", 1), "printable ASCII"},
		{strings.Replace(django, "saltsalt", "sältsalt", 1), "printable ASCII"},
		{strings.Replace(django, "$10$", "$$", 1), "iterations must be"},
		{strings.Replace(django, "$10$", "$10$more$", 1), "must look like pbkdf2_sha256$"},
		{strings.Replace(django, "G6qtM=", "G6qt*=", 1), "hash must be base64"},
		{"pbkdf2_sha1$10$saltsalt$" + tag, "SHA-1"},
		{"{SSHA}" + tag, "LDAP"},
		{"$6$rounds=5000$salt$hash", "SHA512-crypt"},
	} {
		err := CheckHash(c.hash)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("CheckHash(%q) = %v; want an error with %q", c.hash, err, c.want)
			continue
		}
		for _, secret := range []string{"hunter2", salt, tag, body} {
			if strings.Contains(err.Error(), secret) { // row G1
				t.Errorf("the error quotes what may be a secret: %v", err)
			}
		}
	}
}

func TestAnImportedHashMustBeAffordable(t *testing.T) { // row L11
	const tail = "$c2FsdHNhbHRzYWx0c2FsdA$TUhCoV6YH8thtZpQqRp0JvQQ5ZYgiLA0LYApKDG6qtM"
	const long = "TUhCoV6YH8thtZpQqRp0JvQQ5ZYgiLA0LYApKDG6qtNNSEKhXpgfy2G1mlCpGnQm9BDlliCIsDQtgCkoMbqq0w"
	const body = "abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
	for _, c := range []struct{ accepted, refused, want string }{
		{"$argon2id$v=19$m=262144,t=4,p=1" + tail, "$argon2id$v=19$m=262145,t=4,p=1" + tail, "m is 262145"},
		{"$argon2id$v=19$m=65536,t=16,p=1" + tail, "$argon2id$v=19$m=65536,t=17,p=1" + tail, "t is 17"},
		{"$argon2id$v=19$m=65536,t=16,p=16" + tail, "$argon2id$v=19$m=65536,t=16,p=17" + tail, "p is 17"},
		{"$argon2id$v=19$m=262144,t=4,p=4" + tail, "$argon2id$v=19$m=262144,t=5,p=4" + tail, "lower one of them"},
		{"$2b$14$" + body, "$2b$15$" + body, "cost is 15"},
		{"$pbkdf2-sha256$2000000" + tail, "$pbkdf2-sha256$2000001" + tail, "iterations is 2000001"},
		{
			"$pbkdf2-sha256$1000000$c2FsdHNhbHRzYWx0c2FsdA$" + long,
			"$pbkdf2-sha256$1000001$c2FsdHNhbHRzYWx0c2FsdA$" + long,
			"each of 2 blocks",
		},
		{"$pbkdf2-sha512$2000000$c2FsdHNhbHRzYWx0c2FsdA$" + long, "$pbkdf2-sha512$2000001$c2FsdHNhbHRzYWx0c2FsdA$" + long, "2000001"},
	} {
		if err := CheckHash(c.accepted); err != nil {
			t.Errorf("%s: %v", c.accepted, err)
		}
		if err := CheckHash(c.refused); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want an error with %q", c.refused, err, c.want)
		}
	}
}

// What is accepted is bounded in cost and reads back as it was; what is refused is not quoted.
func FuzzCheckHash(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Hash)
	}
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$c2FsdHNhbHQ$AAAA")
	f.Add("$2b$31$")
	f.Add("pbkdf2_sha256$1$\n0000000$000000000000000000000000")
	f.Fuzz(func(t *testing.T, phc string) {
		stored, err := parse(phc)
		if err != nil {
			last := phc[strings.LastIndexByte(phc, '$')+1:]
			if len(last) > 20 && strings.Contains(err.Error(), last) {
				t.Errorf("%q is quoted in %v", phc, err)
			}
			return
		}
		switch s := stored.(type) {
		case argon2idHash:
			if err := s.params.check(); err != nil {
				t.Errorf("%q: %v", phc, err)
			}
			if s.String() != phc {
				t.Errorf("%q reads back as %q", phc, s.String())
			}
		case bcryptHash:
			if s[4:6] > "14" {
				t.Errorf("%q: too expensive", phc)
			}
		case pbkdf2Hash:
			if s.iterations < 1 || s.iterations*len(s.key) > maxIterations*maxPBKDF2Key {
				t.Errorf("%q: too expensive", phc)
			}
		}
		if strings.ContainsAny(phc, "\r\n") {
			t.Errorf("%q has a line break", phc)
		}
	})
}
