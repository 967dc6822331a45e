//go:build unix

package main

import (
	"net/http"
	"sync"
	"testing"
	"time"
)

// Row S9: a crowd that meets a Redis which swallows everything.
func TestACrowdDuringAnOutageIsAnsweredInTimeAndLeavesNothingBehind(t *testing.T) {
	const crowd, people = 200, 50
	o := newOutage(t)
	tokens := make([]string, crowd)
	for i := range tokens {
		if tokens[i] = tokens[i%people]; i < people { // each has four tabs
			_, tokens[i] = o.webSignIn(t)
		}
	}
	tick := func() (v []procVitals) {
		for _, n := range o.all {
			v = append(v, vitalsOf(t, n.cmd.Process.Pid))
		}
		return v
	}
	burst := func() {
		var wg sync.WaitGroup
		for i, token := range tokens {
			n := o.all[i%len(o.all)]
			wg.Go(func() {
				o.unknown(t, "refresh", o.timed(t, "refresh", func() (answer, error) {
					return post(o.client, n.public+"/oauth2/token", "grant_type", "refresh_token", "client_id", "web",
						"client_secret", o.secrets.web, "refresh_token", token)
				}))
			})
		}
		wg.Wait()
	}
	o.proxy.Cut()
	burst() // makes the connections of the clients
	before := tick()
	bursts := nodesFigure(4, 40)
	for range bursts {
		burst()
	}
	after := tick()
	o.proxy.Heal()
	back := o.assertBack(t)
	for i, n := range o.all {
		// Connections that are being dialled count as well.
		if more := after[i].files - before[i].files; more > 2*outagePool {
			t.Errorf("%s has %d more open files after %d crowds than after one", n.name, more, bursts)
		}
		if more := after[i].threads - before[i].threads; more > 8 {
			t.Errorf("%s has %d more threads after %d crowds than after one", n.name, more, bursts)
		}
	}
	nodesPromise(t, "a crowd during an outage (S9)", int(o.lies.Load()+o.late.Load()),
		"%d times %d requests, slowest answer %v, threads %d to %d, open files %d to %d, back after %v,",
		bursts, crowd, time.Duration(o.slowest.Load()).Round(time.Millisecond), before[0].threads, after[0].threads,
		before[0].files, after[0].files, back.Round(time.Millisecond))
	refused := 0
	for i, token := range tokens { // nobody was logged out
		n := o.all[(i+1)%len(o.all)]
		a := o.settled(t, "refresh", func() (answer, error) {
			return post(o.client, n.public+"/oauth2/token", "grant_type", "refresh_token", "client_id", "web",
				"client_secret", o.secrets.web, "refresh_token", token)
		})
		if a.status != http.StatusOK {
			refused++
			t.Errorf("after the outage: %v", a)
		}
	}
	nodesPromise(t, "honest clients after an outage", refused, "%d people with %d tabs, refused=%d", people, crowd, refused)
	o.client.CloseIdleConnections()
	for i, n := range o.all {
		nodesWait(t, n.name+" has let the connections of the crowd go", patience, func() bool {
			return vitalsOf(t, n.cmd.Process.Pid).files < max(before[i].files, 1)
		})
	}
}
