package history

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/ingam/ingam/storage"
)

// Rules are what a history is judged by.
type Rules struct {
	// Window is the grace window of refresh tokens: 0, or longer by 2 s at least than a family was in use.
	Window time.Duration
	// Honest: no client did wrong and nobody ended a grant, so every grant is alive at the end.
	Honest bool
	// UserLast: the store looks at the user after it has moved the grant, not in the same step. An answer that comes from
	// the user may then have moved the grant; see storage.Dead.
	UserLast bool
	// Failover: the server behind the store was replaced during the run, so that codes may be Fenced.
	Failover bool
	// Limit is how long the search for an order may take for one family, 0 for 20 s.
	Limit time.Duration
}

// Verdict is what a judge found.
type Verdict struct {
	Operations int // calls in the history
	Unknown    int // of them failed
	// Outcomes are how many rotations ended in which way.
	Outcomes map[storage.Outcome]int
	// Illegal describes each family whose history has no order.
	Illegal []string
	// Undecided are families for which the search took too long. That is no pass.
	Undecided []string
	// Broken are violations that plain counting has found, by invariant.
	Broken []string
}

// Violations is how many complaints there are.
func (v Verdict) Violations() int { return len(v.Illegal) + len(v.Undecided) + len(v.Broken) }

// Err is nil if the history is right.
func (v Verdict) Err() error {
	if v.Violations() == 0 {
		return nil
	}
	const most = 3
	var text []string
	for _, list := range [][]string{v.Illegal, v.Undecided, v.Broken} {
		text = append(text, list[:min(most, len(list))]...)
		if len(list) > most {
			text = append(text, fmt.Sprintf("… and %d more like this", len(list)-most))
		}
	}
	return errors.New(strings.Join(text, "\n"))
}

// Check judges the events of a run, whose parts may come from several processes, and fails the test with an account of
// what is wrong.
func Check(t testing.TB, rules Rules, histories ...[]Event) Verdict {
	t.Helper()
	v := Judge(rules, histories...)
	if err := v.Err(); err != nil {
		t.Errorf("history: %d operations, %d violations:\n%v", v.Operations, v.Violations(), err)
	}
	return v
}

// Judge is Check without a test. It writes porcupine's pictures of what is wrong into the temporary folder.
func Judge(rules Rules, histories ...[]Event) Verdict {
	if rules.Limit == 0 {
		rules.Limit = 20 * time.Second
	}
	events := slices.Concat(histories...)
	v := Verdict{Operations: len(events), Outcomes: map[storage.Outcome]int{}}
	if len(events) == 0 {
		v.Broken = append(v.Broken, "the history is empty")
		return v
	}
	for _, e := range events {
		if e.Output.Unknown {
			v.Unknown++
		} else if e.Output.Outcome != 0 {
			v.Outcomes[e.Output.Outcome]++
		}
	}
	families := byFamily(events)
	for _, f := range families {
		v.Broken = append(v.Broken, plain(rules, f)...)
	}
	v.Illegal, v.Undecided = search(rules, families)
	return v
}

// byFamily splits a history, in order of the calls.
func byFamily(events []Event) [][]Event {
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Input.Family, b.Input.Family), cmp.Compare(a.Call, b.Call))
	})
	var families [][]Event
	for start := 0; start < len(events); {
		end := start
		for end < len(events) && events[end].Input.Family == events[start].Input.Family {
			end++
		}
		families = append(families, events[start:end:end])
		start = end
	}
	return families
}

// checkLength complains about a family that was refreshed for so long that a window may have closed: see the comment of the
// package.
func checkLength(rules Rules, events []Event) string {
	var begin, end int64
	for _, e := range events {
		if e.Input.Window {
			if begin == 0 {
				begin = e.Call
			}
			end = max(end, e.Return)
		}
	}
	length := time.Duration(end - begin)
	if rules.Window == 0 || length < rules.Window-2*time.Second {
		return ""
	}
	return fmt.Sprintf("the run took %v: too long to say that a window of %v was always open", length, rules.Window)
}

// search looks for an order in each family.
func search(rules Rules, families [][]Event) (illegal, undecided []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	queue := make(chan *family)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for f := range queue {
				result := porcupine.CheckOperationsTimeout(f.model(), f.operations(), rules.Limit)
				if result == porcupine.Ok {
					continue
				}
				mu.Lock()
				name := f.events[0].Input.Family
				switch {
				case result == porcupine.Unknown:
					undecided = append(undecided, fmt.Sprintf("%s: no order found for %d events within %v", name, len(f.events), rules.Limit))
				case len(illegal) < 3: // an account takes a while
					illegal = append(illegal, f.account())
				default:
					illegal = append(illegal, name+": no order of the operations explains the answers")
				}
				mu.Unlock()
			}
		})
	}
	for _, events := range families {
		queue <- newFamily(rules, events)
	}
	close(queue)
	wg.Wait()
	return illegal, undecided
}

// account describes a family that has no order: the shortest history that has none, from the last calls before it on.
func (f *family) account() string {
	const context = 12
	short := f.shortest()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: no order of the operations explains the answers. Up to the first answer that has no explanation",
		f.events[0].Input.Family)
	if len(short.events) > context {
		fmt.Fprintf(&b, " (the last %d of %d)", context, len(short.events))
	}
	b.WriteString(":\n")
	begin := f.events[0].Call
	for _, e := range short.events[max(0, len(short.events)-context):] {
		fmt.Fprintf(&b, "  client %2d  %9.3f to %9.3f ms  %v\n", e.Client,
			float64(e.Call-begin)/1e6, float64(e.Return-begin)/1e6, e)
	}
	fmt.Fprintf(&b, "  picture: %s", short.picture())
	return b.String()
}

// shortest returns the shortest prefix of the history that has no order, in order of the returns. What had not returned
// then counts as unknown.
func (f *family) shortest() *family {
	returns := slices.Clone(f.events)
	slices.SortStableFunc(returns, func(a, b Event) int { return cmp.Compare(a.Return, b.Return) })
	until := func(n int) *family {
		end := returns[n].Return
		var events []Event
		for _, e := range returns {
			if e.Return > end {
				e.Output = Output{Unknown: true}
			}
			if e.Call <= end {
				events = append(events, e)
			}
		}
		return newFamily(f.rules, events)
	}
	// A history that can be explained up to its end can be up to any moment before.
	n := sort.Search(len(returns)-1, func(n int) bool {
		g := until(n)
		return porcupine.CheckOperationsTimeout(g.model(), g.operations(), f.rules.Limit) == porcupine.Illegal
	})
	return until(n)
}

// picture writes porcupine's page and returns its path.
func (f *family) picture() string {
	_, info := porcupine.CheckOperationsVerbose(f.model(), f.operations(), f.rules.Limit)
	file, err := os.CreateTemp("", "history-"+f.events[0].Input.Family+"-*.html")
	if err != nil {
		return err.Error()
	}
	err = errors.Join(porcupine.Visualize(f.model(), info, file), file.Close())
	if err != nil {
		return err.Error()
	}
	return file.Name()
}
