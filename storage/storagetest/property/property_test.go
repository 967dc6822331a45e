package property

import (
	"flag"
	"testing"

	"pgregory.net/rapid"
)

func TestAPropertyIsTriedAsOftenAsAsked(t *testing.T) {
	before, calls, want := flag.Lookup("rapid.checks").Value.String(), 0, 320
	if testing.Short() {
		want /= 5
	}
	Holds(t, 320, func(*rapid.T) { calls++ })
	if after := flag.Lookup("rapid.checks").Value.String(); calls != want || after != before {
		t.Errorf("tried %d times, want %d; the flag is %s, was %s", calls, want, after, before)
	}
}

func TestOnlyAnAnswerRefutes(t *testing.T) {
	for name, of := range map[string]struct {
		prop func(*rapid.T)
		want bool
	}{
		"one case in many": {func(t *rapid.T) {
			if n := rapid.IntRange(0, 99).Draw(t, "n"); n == 77 {
				t.Errorf("%d is wrong", n)
			}
		}, true},
		"none":      {func(t *rapid.T) { rapid.IntRange(0, 99).Draw(t, "n") }, false},
		"a panic":   {func(*rapid.T) { panic("a fault of the test") }, false},
		"no case":   {func(t *rapid.T) { t.SkipNow() }, false},
		"any case":  {func(t *rapid.T) { t.Fatal("wrong") }, true},
		"each case": {func(t *rapid.T) { t.Fail() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			if said, refuted := refutation(t, 1000, of.prop); refuted != of.want {
				t.Errorf("refuted is %t: %s", refuted, said)
			}
		})
	}
}
