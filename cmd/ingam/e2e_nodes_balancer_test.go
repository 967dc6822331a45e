//go:build unix

package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancerPoll is how often a balancer asks each node whether it is ready.
const balancerPoll = 50 * time.Millisecond

// balancer passes requests on to the nodes that say that they are ready, in turn. Each request goes to one node once: what
// a node did not answer is 502, never tried elsewhere.
type balancer struct {
	nodes   []*serverNode
	proxies []*httputil.ReverseProxy
	ready   []atomic.Bool
	turn    atomic.Uint64
}

// balance starts a balancer at the issuer's address. It ends with the test.
func (c *nodes) balance(t testing.TB) *balancer {
	t.Helper()
	b := &balancer{nodes: c.all, ready: make([]atomic.Bool, len(c.all))}
	// A transport of net/http sends a POST again only if it can read the body again; bodies of incoming requests it cannot.
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	for _, n := range c.all {
		target, err := url.Parse(n.public)
		if err != nil {
			t.Fatal(err)
		}
		b.proxies = append(b.proxies, &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport: transport,
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
				http.Error(w, n.name+": "+err.Error(), http.StatusBadGateway)
			},
		})
	}
	ctx, stop := context.WithCancel(context.Background())
	var background sync.WaitGroup
	for i, n := range c.all {
		b.ready[i].Store(n.isReady())
		background.Go(func() {
			for ctx.Err() == nil {
				select {
				case <-ctx.Done():
				case <-time.After(balancerPoll):
					b.ready[i].Store(n.isReady())
				}
			}
		})
	}
	server := &http.Server{Handler: b}
	background.Go(func() {
		if err := server.Serve(c.front); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the balancer: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		_ = server.Close() // whoever still asks is of no interest
		background.Wait()
		transport.CloseIdleConnections()
	})
	return b
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	first := int(b.turn.Add(1) % uint64(len(b.nodes)))
	for i := range b.nodes {
		if at := (first + i) % len(b.nodes); b.ready[at].Load() {
			b.proxies[at].ServeHTTP(w, r)
			return
		}
	}
	http.Error(w, "no node is ready", http.StatusBadGateway)
}
