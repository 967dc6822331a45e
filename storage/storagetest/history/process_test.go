package history

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/memory"
)

func TestMain(m *testing.M) {
	Main(openPrepared)
	os.Exit(m.Run())
}

// openPrepared gives each worker a store of its own: what is tested here is how the workers begin, meet and report.
func openPrepared(ctx context.Context, spec string) (storage.Store, error) {
	if spec == "" {
		return nil, errors.New("there is no such store")
	}
	var p Plan
	if err := json.Unmarshal([]byte(spec), &p); err != nil {
		return nil, err
	}
	s := memory.New()
	_, err := Prepare(ctx, s, p)
	return s, err
}

func TestProcessesShareTheClientsAndTheirMeetings(t *testing.T) {
	p := Plan{Mode: Raced, Grace: window, Families: 48, Clients: 24}
	spec, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	events := Processes(t, 3, Task{Spec: string(spec), Plan: p})
	attempts := map[string]int{}
	clients := map[int]bool{}
	for _, e := range events {
		attempts[e.Input.Family]++
		clients[e.Client] = true
		if e.Return < e.Call || e.Output.Unknown {
			t.Fatalf("an event is %+v", e)
		}
	}
	if len(attempts) != p.Families || len(clients) != p.Clients || len(events) != p.Families*groupSize {
		t.Errorf("%d events of %d clients about %d families", len(events), len(clients), len(attempts))
	}
	// The clocks agree: nobody raced for a later batch before all had come to it.
	var batch, next int64
	for _, e := range events {
		switch e.Input.Family {
		case "family-9": // of the first batch of group 0
			batch = max(batch, e.Call)
		case "family-12": // the first of its second
			if next == 0 || e.Call < next {
				next = e.Call
			}
		}
	}
	if next <= batch {
		t.Errorf("a second batch began at %d, before the first had been called at %d", next, batch)
	}
}

func TestAWorkerThatCannotOpenTheStoreFailsTheTest(t *testing.T) {
	rec := &recorder{TB: t}
	done := make(chan struct{})
	go func() { // FailNow ends its goroutine
		defer close(done)
		Processes(rec, 2, Task{Plan: Plan{Mode: Raced, Families: 16, Clients: 16}})
	}()
	<-done
	if !rec.Failed() || !strings.Contains(rec.text.String(), "there is no such store") {
		t.Errorf("failed %t, and the test is told %q", rec.Failed(), rec.text.String())
	}
}

func TestEventsSurviveTheirJourney(t *testing.T) {
	s := memory.New()
	p := Plan{Mode: Honest, Grace: window, Seed: 3, Clients: 16, Steps: 4}
	if _, err := Prepare(t.Context(), s, p); err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	if err := Worker(t.Context(), s, p, &lines); err != nil {
		t.Fatal(err)
	}
	written := lines.String()
	events, err := Read(strings.NewReader(written))
	if err != nil || len(events) != 16*4 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if _, err := Read(strings.NewReader(written[:len(written)-5])); err == nil {
		t.Error("a history that breaks off is read as whole")
	}
	if _, err := Read(iotest.ErrReader(errInjected)); !errors.Is(err, errInjected) {
		t.Errorf("a reader that fails: %v", err)
	}
}

func TestAClientThatCannotGoOnLetsNobodyWait(t *testing.T) {
	s := memory.New()
	p := Plan{Mode: "nonsense", Clients: 8}
	if err := Worker(t.Context(), s, p, &bytes.Buffer{}); err == nil {
		t.Error("a plan without a mode is run")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newHall(2).arrive(ctx, "group"); !errors.Is(err, context.Canceled) {
		t.Errorf("a meeting that nobody else will come to: %v", err)
	}
}
