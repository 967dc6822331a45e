package history

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ingam/ingam/storage"
)

// Setup says which store is checked and how to reach it.
type Setup struct {
	// Name is what the log calls the store.
	Name string
	// Open opens an empty store for a run, which is closed by whoever opened it. With Spec it is the store that the workers
	// open too.
	Open func(t testing.TB) storage.Store
	// Spec, if not empty, is what worker processes open, as many as Plan.Processes says; see Main. Otherwise all clients
	// are goroutines here.
	Spec string
	// UserLast: see Rules.
	UserLast bool
	// Failover: see Rules.
	Failover bool
}

// Linear runs a plan and checks what the clients saw. It logs one line that says what was proved.
func Linear(t *testing.T, setup Setup, p Plan) Verdict {
	t.Helper()
	p = p.withDefaults()
	rules := p.Rules()
	rules.UserLast, rules.Failover = setup.UserLast, setup.Failover
	v := Check(t, rules, run(t, setup, p))
	t.Logf("PROMISE linear store=%s mode=%s window=%v thieves=%t ends=%t clients=%d processes=%d operations=%d unknown=%d violations=%d",
		setup.Name, p.Mode, p.Grace, p.Thieves, p.Ends, p.Clients, p.Processes, v.Operations, v.Unknown, v.Violations())
	if missing := p.unseen(v); missing != "" {
		t.Errorf("nobody saw %s, so the run proves little: %d operations, %v", missing, v.Operations, v.Outcomes)
	}
	return v
}

// unseen names something that clients should have seen and did not.
func (p Plan) unseen(v Verdict) string {
	want := []storage.Outcome{storage.Rotated}
	if p.Mode == Mixed {
		want = append(want, storage.Reused, storage.Dead, storage.Outdated)
	}
	if p.Grace > 0 {
		want = append(want, storage.Replayed)
	}
	for _, outcome := range want {
		if v.Outcomes[outcome] == 0 {
			return outcome.String()
		}
	}
	if p.Unknown > 0 && v.Unknown == 0 {
		return "a failure"
	}
	return ""
}

// run prepares a store, lets the clients do their work, and reads what is left.
func run(t testing.TB, setup Setup, p Plan) []Event {
	t.Helper()
	s := setup.Open(t)
	before, err := Prepare(t.Context(), s, p)
	if err != nil {
		t.Fatal(err)
	}
	var events []Event
	if setup.Spec != "" {
		events = Processes(t, p.Processes, Task{Spec: setup.Spec, Plan: p})
	} else {
		var lines bytes.Buffer
		if err := Worker(t.Context(), s, p, &lines); err != nil {
			t.Fatal(err)
		}
		if events, err = Read(&lines); err != nil {
			t.Fatal(err)
		}
	}
	after, err := Finish(t.Context(), s, p)
	if err != nil {
		t.Fatal(err)
	}
	return append(append(before, events...), after...)
}

// Suite is what every store runs: windows of 0 and 10 s, with and without thieves, revocations and disabled users, failing
// calls, and honest clients. setup is called for each run. With INGAM_FULL=1 each is run with 20 seeds.
func Suite(t *testing.T, processes int, setup func(t *testing.T) Setup) {
	t.Helper()
	const window = 10 * time.Second
	seeds := 1
	if full() {
		seeds = 20
	}
	for i, p := range []Plan{
		{Mode: Mixed, Ends: true, Unknown: 0.05},
		{Mode: Mixed, Ends: true, Unknown: 0.05, Thieves: true},
		{Mode: Mixed, Grace: window, Ends: true, Unknown: 0.05},
		{Mode: Mixed, Grace: window, Ends: true, Unknown: 0.05, Thieves: true},
		{Mode: Mixed, Grace: window, Ends: true, Thieves: true},
		{Mode: Honest, Grace: window},
		{Mode: Honest, Grace: window, Unknown: 0.05},
	} {
		p.Processes = processes
		name := fmt.Sprintf("%s window %v thieves %t ends %t unknown %v", p.Mode, p.Grace, p.Thieves, p.Ends, p.Unknown)
		t.Run(name, func(t *testing.T) {
			for n := range seeds {
				p.Seed = uint64(100*n + i + 1)
				Linear(t, setup(t), p)
			}
		})
	}
}

// full tells whether the long figures are wanted.
func full() bool { return os.Getenv("INGAM_FULL") == "1" }
