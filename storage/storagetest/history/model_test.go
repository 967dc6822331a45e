package history

import (
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
)

// at places an event in time. Events of one step each do not overlap when their times do not.
func at(call, ret int64, in Input, out Output) Event {
	in.Family = "family"
	return Event{Call: call, Return: ret, Input: in, Output: out}
}

// redeemed is a rotation; open tells whether it came with a window.
func redeemed(call, ret int64, generation uint64, attempt string, open bool, outcome storage.Outcome, after uint64) Event {
	dies := outcome == storage.Reused || outcome == storage.Ahead
	return at(call, ret, Input{
		Kind: KindRotate, Generation: generation, Attempt: attempt, Window: open, UserVersion: firstVersion, UserEpoch: firstEpoch,
	}, Output{Outcome: outcome, Generation: after, Revoked: dies})
}

func dead(e Event) Event { e.Output.Revoked = true; return e }

func unknown(e Event) Event { e.Output = Output{Unknown: true}; return e }

func revoked(call, ret int64) Event { return at(call, ret, Input{Kind: KindRevoke}, Output{}) }

func disabled(call, ret int64) Event {
	return at(call, ret, Input{Kind: KindReplace, Version: firstVersion, Epoch: firstEpoch + 1, Disabled: true}, Output{})
}

func seen(call, ret int64, generation uint64, revoked bool) Event {
	return at(call, ret, Input{Kind: KindGrant}, Output{Generation: generation, Revoked: revoked})
}

const (
	rotated, replayed, reused = storage.Rotated, storage.Replayed, storage.Reused
	deadNow, outdated         = storage.Dead, storage.Outdated
)

// Each pair differs in one fact: the first history has an order, the second has none.
var pairs = []struct {
	name        string
	rules       Rules
	good, wrong []Event
}{
	{
		"one of two wins a code (INV1)",
		Rules{},
		[]Event{redeemed(1, 5, 0, "a", false, rotated, 1), redeemed(2, 6, 0, "b", false, reused, 1)},
		[]Event{redeemed(1, 5, 0, "a", false, rotated, 1), redeemed(2, 6, 0, "b", false, rotated, 1)},
	},
	{
		"the winner may ask again",
		Rules{},
		[]Event{redeemed(1, 2, 0, "a", false, rotated, 1), redeemed(3, 4, 0, "a", false, rotated, 1)},
		[]Event{redeemed(1, 2, 0, "a", false, rotated, 1), redeemed(3, 4, 0, "b", false, rotated, 1)},
	},
	{
		"a replay of a code needs a window (INV1)",
		Rules{},
		[]Event{redeemed(1, 2, 0, "a", true, rotated, 1), redeemed(3, 4, 0, "b", true, replayed, 1)},
		[]Event{redeemed(1, 2, 0, "a", true, rotated, 1), redeemed(3, 4, 0, "b", false, replayed, 1)},
	},
	{
		"a replay is of the generation before (INV3)",
		Rules{},
		[]Event{
			redeemed(1, 2, 0, "a", true, rotated, 1), redeemed(3, 6, 1, "b", true, rotated, 2), redeemed(4, 5, 0, "c", true, replayed, 1),
		},
		[]Event{
			redeemed(1, 2, 0, "a", true, rotated, 1), redeemed(3, 6, 1, "b", true, rotated, 2), redeemed(7, 8, 0, "c", true, replayed, 1),
		},
	},
	{
		"a refresh token is redeemed by one attempt (INV2)",
		Rules{},
		[]Event{
			redeemed(1, 2, 0, "a", false, rotated, 1), redeemed(3, 6, 1, "b", true, rotated, 2), redeemed(4, 5, 1, "c", true, replayed, 2),
		},
		[]Event{
			redeemed(1, 2, 0, "a", false, rotated, 1), redeemed(3, 6, 1, "b", true, rotated, 2), redeemed(4, 5, 1, "c", true, rotated, 2),
		},
	},
	{
		"an order must respect real time (INV3)",
		Rules{},
		[]Event{redeemed(1, 4, 0, "a", true, rotated, 1), seen(3, 5, 0, false)},
		[]Event{redeemed(1, 4, 0, "a", true, rotated, 1), seen(5, 6, 0, false)},
	},
	{
		"nothing succeeds after a revocation (INV5)",
		Rules{},
		[]Event{revoked(1, 4), redeemed(3, 5, 0, "a", true, rotated, 1)},
		[]Event{revoked(1, 4), redeemed(5, 6, 0, "a", true, rotated, 1)},
	},
	{
		"nothing succeeds after a user was disabled (INV5)",
		Rules{},
		[]Event{disabled(1, 4), redeemed(3, 5, 0, "a", true, rotated, 1)},
		[]Event{disabled(1, 4), redeemed(5, 6, 0, "a", true, rotated, 1)},
	},
	{
		"reuse ends the grant (INV6)",
		Rules{},
		[]Event{
			redeemed(1, 2, 0, "a", true, rotated, 1), redeemed(3, 4, 0, "b", false, reused, 1), dead(redeemed(5, 6, 1, "c", true, deadNow, 1)),
		},
		[]Event{
			redeemed(1, 2, 0, "a", true, rotated, 1), redeemed(3, 4, 0, "b", false, reused, 1), redeemed(5, 6, 1, "c", true, rotated, 2),
		},
	},
	{
		"a failed call may have had its effect, a refused one not",
		Rules{},
		[]Event{unknown(redeemed(1, 2, 0, "a", true, 0, 0)), seen(3, 4, 1, false)},
		[]Event{dead(redeemed(1, 2, 0, "a", true, deadNow, 0)), seen(3, 4, 1, false)},
	},
	{
		"a failed call may come late, and not before it was made",
		Rules{},
		[]Event{unknown(redeemed(1, 2, 0, "a", true, 0, 0)), seen(3, 4, 0, false), seen(5, 6, 1, false)},
		[]Event{seen(3, 4, 1, false), unknown(redeemed(5, 6, 0, "a", true, 0, 0)), seen(7, 8, 1, false)},
	},
	{
		"a failed call comes once",
		Rules{},
		[]Event{unknown(redeemed(1, 2, 0, "a", true, 0, 0)), seen(3, 4, 1, false), redeemed(5, 6, 1, "b", true, rotated, 2)},
		[]Event{unknown(redeemed(1, 2, 0, "a", true, 0, 0)), seen(3, 4, 1, false), seen(5, 6, 2, false)},
	},
	{
		"a failed call that is stale may end the grant, one that is current not",
		Rules{},
		[]Event{
			redeemed(1, 2, 0, "a", true, rotated, 1), redeemed(3, 4, 1, "b", true, rotated, 2),
			unknown(redeemed(5, 6, 0, "c", true, 0, 0)), seen(7, 8, 2, true),
		},
		[]Event{
			redeemed(1, 2, 0, "a", true, rotated, 1), redeemed(3, 4, 1, "b", true, rotated, 2),
			unknown(redeemed(5, 6, 1, "c", true, 0, 0)), seen(7, 8, 2, true),
		},
	},
	{
		"a failed revocation may come late, and is for ever",
		Rules{},
		[]Event{unknown(revoked(1, 2)), seen(3, 4, 0, false), seen(5, 6, 0, true)},
		[]Event{unknown(revoked(1, 2)), seen(3, 4, 0, true), seen(5, 6, 0, false)},
	},
	{
		"who dies by their user may have moved the grant where the user is looked at last",
		Rules{UserLast: true},
		[]Event{disabled(1, 4), redeemed(3, 6, 0, "a", true, deadNow, 1), seen(7, 8, 1, false)},
		[]Event{disabled(1, 4), redeemed(3, 6, 0, "a", true, deadNow, 0), seen(7, 8, 1, false)},
	},
	{
		"such a move is done when the answer is there",
		Rules{UserLast: true},
		[]Event{disabled(1, 4), redeemed(3, 6, 0, "a", true, deadNow, 1), seen(5, 8, 0, false), seen(9, 10, 1, false)},
		[]Event{disabled(1, 4), redeemed(3, 6, 0, "a", true, deadNow, 1), seen(7, 8, 0, false), seen(9, 10, 1, false)},
	},
	{
		"elsewhere who is outdated has moved nothing",
		Rules{},
		[]Event{
			at(1, 2, Input{Kind: KindReplace, Version: firstVersion, Epoch: firstEpoch}, Output{}),
			redeemed(3, 4, 0, "a", true, outdated, 0), seen(5, 6, 0, false),
		},
		[]Event{
			at(1, 2, Input{Kind: KindReplace, Version: firstVersion, Epoch: firstEpoch}, Output{}),
			redeemed(3, 4, 0, "a", true, outdated, 1), seen(5, 6, 1, false),
		},
	},
	{
		"a replacement needs the version that is there",
		Rules{},
		[]Event{disabled(1, 2), at(3, 4, Input{Kind: KindReplace, Version: firstVersion, Epoch: 7}, Output{Refused: "conflict"})},
		[]Event{disabled(1, 2), at(3, 4, Input{Kind: KindReplace, Version: firstVersion, Epoch: 7}, Output{})},
	},
	{
		"fences need a failover",
		Rules{Failover: true},
		[]Event{redeemed(1, 2, 0, "a", false, storage.Fenced, 0)},
		[]Event{redeemed(1, 2, 1, "a", false, storage.Fenced, 0)},
	},
}

func TestHistoriesWithAndWithoutAnOrder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // for the pictures
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			if err := Judge(p.rules, p.good).Err(); err != nil {
				t.Errorf("this has an order: %v", err)
			}
			if v := Judge(p.rules, p.wrong); len(v.Illegal) != 1 {
				t.Errorf("this has none: %+v", v)
			}
		})
	}
}

func TestCountingWithoutAModelFindsWhatItIsFor(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, p := range pairs {
		_, invariant, named := strings.Cut(p.name, "(")
		if !named {
			continue
		}
		invariant = strings.TrimSuffix(invariant, ")")
		if got := plain(p.rules, p.good); len(got) > 0 {
			t.Errorf("%s: the good one: %v", p.name, got)
		}
		got := strings.Join(plain(p.rules, p.wrong), "\n")
		if !strings.Contains(got, invariant) {
			t.Errorf("%s: the wrong one: %q", p.name, got)
		}
	}
}

func TestAnHonestClientWhoIsRefusedIsNoticed(t *testing.T) {
	rules := Rules{Window: window, Honest: true}
	good := []Event{redeemed(1, 5, 0, "a", true, rotated, 1), redeemed(2, 6, 0, "b", true, replayed, 1)}
	late := []Event{redeemed(1, 2, 0, "a", true, rotated, 1), redeemed(3, 4, 1, "b", true, rotated, 2), redeemed(5, 6, 0, "c", true, reused, 2)}
	if v := Judge(rules, good); v.Err() != nil {
		t.Error(v.Err())
	}
	if v := Judge(rules, late); len(v.Illegal) != 0 || len(v.Broken) != 1 {
		t.Errorf("a store may answer so, and an honest client may not be late: %+v", v)
	}
}

func TestARunAsLongAsItsWindowIsRefused(t *testing.T) {
	short := []Event{redeemed(1, 7e9, 0, "a", true, rotated, 1)}
	long := []Event{redeemed(1, 9e9, 0, "a", true, rotated, 1)}
	if err := Judge(Rules{Window: window}, short).Err(); err != nil {
		t.Error(err)
	}
	if err := Judge(Rules{Window: window}, long).Err(); err == nil {
		t.Error("a run of 9 s with a window of 10 s passes")
	}
	if err := Judge(Rules{}, long).Err(); err != nil {
		t.Errorf("without a window: %v", err)
	}
}

func TestAnEmptyHistoryProvesNothing(t *testing.T) {
	if Judge(Rules{}).Err() == nil {
		t.Error("it passes")
	}
}

func TestTheAccountNamesTheFamilyAndTheLastAnswerAndAPicture(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	events := []Event{
		redeemed(1, 2, 0, "a", true, rotated, 1), seen(3, 4, 0, false), redeemed(5, 6, 1, "later", true, rotated, 2),
	}
	text := Judge(Rules{}, events).Err().Error()
	for _, want := range []string{"family: no order", "rotate generation 0 by a", "grant -> generation 0", ".html"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	if account, _, _ := strings.Cut(text, "INV"); strings.Contains(account, "later") {
		t.Errorf("what came after the first answer without an explanation is in:\n%s", account)
	}
}
