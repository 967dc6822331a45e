//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// steadyLoad sends requests at a steady rate, as long as not too many are under way: a machine that is too slow gets fewer
// instead of ever more at once. Each has to succeed at the first try.
type steadyLoad struct {
	client   *http.Client
	at       string
	secrets  nodeSecrets
	sessions chan string // refresh tokens of "cli" that nobody uses at this moment

	cancel  context.CancelFunc
	running sync.WaitGroup
	sent    atomic.Int64
	slowest atomic.Int64 // nanoseconds

	mu       sync.Mutex
	failures []string
}

// startLoad begins to send to an address. The sign-ins are made before.
func startLoad(t *testing.T, client *http.Client, at string, secrets nodeSecrets, perSecond, underWay int) *steadyLoad {
	t.Helper()
	l := &steadyLoad{client: client, at: at, secrets: secrets, sessions: make(chan string, underWay)}
	stop, cancel := context.WithCancel(t.Context())
	l.cancel = cancel
	for range underWay {
		l.sessions <- nodesSignIn(t, client, at, "cli").Refresh
	}
	l.running.Go(func() {
		begin, slots := time.Now(), make(chan struct{}, underWay)
		for i := 0; ; i++ {
			select {
			case <-stop.Done():
				return
			case <-time.After(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(perSecond)))):
			}
			slots <- struct{}{}
			l.running.Go(func() {
				l.one(i)
				<-slots
			})
		}
	})
	return l
}

// end stops the load and waits for the last answer.
func (l *steadyLoad) end() {
	l.cancel()
	l.running.Wait()
}

// one sends the i-th request and notes what came back.
func (l *steadyLoad) one(i int) {
	begin := time.Now()
	what, good, a, err := l.ask(i)
	l.sent.Add(1)
	for took := int64(time.Since(begin)); ; {
		if slowest := l.slowest.Load(); took <= slowest || l.slowest.CompareAndSwap(slowest, took) {
			break
		}
	}
	if err != nil || a.status != http.StatusOK || !good {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.failures = append(l.failures, fmt.Sprintf("%s: %v, %v", what, a, err))
	}
}

// ask sends the i-th request. Of ten, five are refreshes, two client_credentials, two ask for the keys, and one is a
// password. good tells whether the answer has what was asked for.
func (l *steadyLoad) ask(i int) (what string, good bool, a answer, err error) {
	switch i % 10 {
	case 0:
		a, err = signIn(l.client, l.at, "cli", "carol", carolsPassword)
		return "password", a.tokens().Refresh != "", a, err
	case 2, 6:
		a, err = serviceToken(l.client, l.at, l.secrets.service)
		return "client_credentials", a.tokens().Access != "", a, err
	case 4, 8:
		a, err = ask(l.client, "GET", l.at+"/.well-known/jwks.json", "")
		return "keys", strings.Contains(a.body, `"keys"`), a, err
	}
	token := <-l.sessions
	a, err = refresh(l.client, l.at, "cli", token)
	next := a.tokens().Refresh
	good = next != "" && next != token
	if next == "" {
		next = token
	}
	l.sessions <- next
	return "refresh", good, a, err
}

// Rows T18 and O4.
func TestARollingRestartOfThreeNodesBehindABalancerLosesNoRequest(t *testing.T) {
	const perSecond = 200
	c := startNodes(t, 3, quickRedis(t), slices.Concat(quickHashes, manyGuesses, []string{"INGAM_SHUTDOWN_DELAY=1s"})...)
	secrets := c.furnish(t)
	balancer := c.balance(t)
	load := startLoad(t, nodesClient(t), c.issuer, secrets, perSecond, 32)
	begin, restarts := time.Now(), nodesFigure(5, 20)
	for range restarts {
		for i, n := range c.all {
			if status := n.terminate(t); status != exitDone {
				t.Errorf("%s: exit %d", n.name, status)
			}
			n.begin(t)
			n.awaitReady(t)
			nodesWait(t, n.name+" gets requests again", patience, balancer.ready[i].Load)
		}
	}
	took := time.Since(begin)
	load.end()
	for _, failure := range load.failures[:min(10, len(load.failures))] {
		t.Error(failure)
	}
	nodesPromise(t, "rolling restarts (T18, O4)", len(load.failures), "%d times 3 nodes, requests=%d at %.0f/s, slowest answer %v, failed=%d",
		restarts, load.sent.Load(), float64(load.sent.Load())/took.Seconds(), time.Duration(load.slowest.Load()).Round(time.Millisecond),
		len(load.failures))
	// The full figure is of a machine that does nothing else. Otherwise it is enough that each restart met some requests.
	if least := nodesFigure(restarts*len(c.all)*20, int(took.Seconds())*perSecond*95/100); load.sent.Load() < int64(least) {
		t.Errorf("%d requests in %v: that was no load", load.sent.Load(), took)
	}
	for _, n := range c.all { // each has taken part
		if count := strings.Count(n.log(), "token.refreshed"); count < restarts {
			t.Errorf("%s refreshed %d times in %d restarts", n.name, count, restarts)
		}
	}
}

// insistent is a client that loses answers and asks again at another node.
type insistent struct {
	nodes  *nodes
	client *http.Client
	token  string
	turn   int

	refreshed, interrupted, unsure, forked, loggedOut int // unsure: those of interrupted that were answered 503
	trouble                                           []string
}

// work refreshes until stop ends.
func (f *insistent) work(stop context.Context) {
	for stop.Err() == nil {
		lost := false
		for try := 0; ; try++ {
			f.turn++
			a, err := refresh(f.client, f.nodes.all[f.turn%len(f.nodes.all)].public, "cli", f.token)
			if err == nil && a.status == http.StatusServiceUnavailable { // a busy machine; as unknown as no answer
				err = fmt.Errorf("%v", a)
				f.unsure++
			}
			if err != nil && try < 100 {
				lost = true
				f.interrupted++
				continue
			}
			next := a.tokens().Refresh
			if err != nil || next == "" {
				f.loggedOut++
				f.trouble = append(f.trouble, fmt.Sprintf("try %d: %v, %v", try, a, err))
				return
			}
			if lost {
				f.askAgain(next)
			}
			f.token = next
			f.refreshed++
			break
		}
	}
}

// askAgain shows the token once more, to every node that answers: its successor must be the one that the retry got.
func (f *insistent) askAgain(successor string) {
	for _, n := range f.nodes.all {
		a, err := refresh(f.client, n.public, "cli", f.token)
		if err != nil || a.status == http.StatusServiceUnavailable {
			continue // the one that was killed
		}
		if next := a.tokens().Refresh; next != successor {
			f.forked++
			f.trouble = append(f.trouble, fmt.Sprintf("%s: %v, and before %q", n.name, a, successor))
		}
	}
}

// Rows S1 and S11 for nodes: one of them is killed at any moment, and nobody but it notices.
func TestKillMinusNineOfANodeUnderLoadLosesNobody(t *testing.T) {
	const people = 24
	c := startNodes(t, 3, quickRedis(t), slices.Concat(quickHashes, manyGuesses)...)
	c.furnish(t)
	client := nodesClient(t)
	all := make([]*insistent, people)
	for i := range all {
		all[i] = &insistent{nodes: c, client: client, turn: i, token: nodesSignIn(t, client, c.all[i%3].public, "cli").Refresh}
	}
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for _, f := range all {
		wg.Go(func() { f.work(stop) })
	}
	kills := nodesFigure(6, 100)
	for i := range kills {
		time.Sleep(100*time.Millisecond + rand.N(200*time.Millisecond)) // when it strikes is left to chance
		n := c.all[i%len(c.all)]
		n.kill()
		n.begin(t)
		n.awaitReady(t)
	}
	cancel()
	wg.Wait()
	var sum insistent
	for _, f := range all {
		sum.refreshed += f.refreshed
		sum.interrupted += f.interrupted
		sum.unsure += f.unsure
		sum.forked += f.forked
		sum.loggedOut += f.loggedOut
		for _, trouble := range f.trouble {
			t.Error(trouble)
		}
	}
	nodesPromise(t, "kill -9 of a node (S1, S11)", sum.forked+sum.loggedOut,
		"kills=%d people=%d refreshes=%d interrupted=%d (503: %d), forked=%d honest clients logged out=%d",
		kills, people, sum.refreshed, sum.interrupted, sum.unsure, sum.forked, sum.loggedOut)
	if sum.interrupted-sum.unsure < kills {
		t.Errorf("%d requests were interrupted by %d kills: there was no load", sum.interrupted-sum.unsure, kills)
	}
}
