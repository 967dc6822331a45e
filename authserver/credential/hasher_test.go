package credential

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestANewHashIsArgon2idOfTodaysParameters(t *testing.T) {
	h := hasher(t, HasherConfig{})
	phc, err := h.Hash(t.Context(), right)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=64,t=1,p=1$") || len(phc) != 28+22+1+43 {
		t.Errorf("hash is %s", phc)
	}
	again, err := h.Hash(t.Context(), right)
	if err != nil || again == phc {
		t.Errorf("the same password twice: %s, %v; want another salt", again, err)
	}
	for password, want := range map[string]bool{right: true, wrong: false, right + " ": false, strings.ToUpper(right): false} {
		match, outdated, err := h.Verify(t.Context(), phc, password)
		if match != want || outdated || err != nil {
			t.Errorf("%q: match %v, outdated %v, %v", password, match, outdated, err)
		}
	}
}

func TestTheZeroConfigurationIsTheAdvisedOne(t *testing.T) {
	h, err := NewHasher(HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Params{MemoryKiB: 19 << 10, Time: 2, Parallelism: 1}); h.params != want || DefaultParams() != want {
		t.Errorf("params %+v, default %+v; want %+v", h.params, DefaultParams(), want)
	}
	cpus := runtime.GOMAXPROCS(0)
	if cap(h.gate.running) != cpus || cap(h.gate.admitted) != 17*cpus || h.gate.maxWait != 2*time.Second {
		t.Errorf("gate of %d, %d, %v", cap(h.gate.running), cap(h.gate.admitted), h.gate.maxWait)
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	for want, c := range map[string]HasherConfig{
		"MaxHashes -1":      {MaxHashes: -1},
		"MaxQueue -1":       {MaxQueue: -1},
		"MaxWait -1s":       {MaxWait: -time.Second},
		"parallelism p=0":   {Params: Params{MemoryKiB: 64, Time: 1}},
		"time t=0":          {Params: Params{MemoryKiB: 64, Parallelism: 1}},
		"memory m=15":       {Params: Params{MemoryKiB: 15, Time: 1, Parallelism: 2}},
		"memory m=4194304":  {Params: Params{MemoryKiB: 4 << 20, Time: 1, Parallelism: 1}},
		"lower one of them": {Params: Params{MemoryKiB: 256 << 10, Time: 16, Parallelism: 1}},
	} {
		if _, err := NewHasher(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want an error with %q", c, err, want)
		}
	}
}

func TestThereIsNothingToMatchWithoutAPasswordOrAHash(t *testing.T) { // rows L10, L11
	d := newDesk(t, HasherConfig{})
	h := d.Hasher
	longest, tooLong := strings.Repeat("x", MaxPasswordBytes), strings.Repeat("x", MaxPasswordBytes+1)
	ofEmpty, ofTooLong := newArgon2idHash(cheap, "").String(), newArgon2idHash(cheap, tooLong).String()
	ofLongest, err := h.Hash(t.Context(), longest)
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", tooLong} {
		if _, err := h.Hash(t.Context(), password); err == nil {
			t.Errorf("a password of %d bytes was hashed", len(password))
		}
	}
	d.work = nil
	for i, c := range []struct {
		phc, password string
		match, fails  bool
	}{
		{"", right, false, false},
		{"", "", false, false},
		{ofEmpty, "", false, false},
		{ofTooLong, tooLong, false, false},
		{ofLongest, longest, true, false},
		{ofLongest, tooLong, false, false},
		{"$argon2id$broken", right, false, true},
		{"$2b$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", "", false, false},
		{"$2b$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234", tooLong, false, false},
	} {
		match, _, err := h.Verify(t.Context(), c.phc, c.password)
		if match != c.match || (err != nil) != c.fails {
			t.Errorf("%d: match %v, %v", i, match, err)
		}
		if len(d.work) != i+1 || d.work[i] != "argon2id" {
			t.Errorf("%d: computed %v, want one argon2id for each", i, d.work)
		}
	}
}

func TestAHashIsOutdatedIfTodaysWouldCostSomethingElse(t *testing.T) { // row L12
	h := hasher(t, HasherConfig{})
	for _, c := range []struct {
		p        Params
		outdated bool
	}{
		{cheap, false},
		{Params{32, 1, 1}, true},
		{Params{128, 1, 1}, true}, // dearer: its refusals would take longer than those of unknown users for ever
		{Params{64, 2, 1}, true},
		{Params{64, 1, 2}, true},
	} {
		match, outdated, err := h.Verify(t.Context(), newArgon2idHash(c.p, right).String(), right)
		if !match || outdated != c.outdated || err != nil {
			t.Errorf("%+v: match %v, outdated %v, %v", c.p, match, outdated, err)
		}
		if _, outdated, _ = h.Verify(t.Context(), newArgon2idHash(c.p, right).String(), wrong); outdated {
			t.Errorf("%+v: outdated without a match", c.p)
		}
	}
}
