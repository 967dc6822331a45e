//go:build unix

package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/redis/redistest"
)

// BenchmarkNodes is what one and two servers do on this machine, with 32 clients that ask without a pause, a Redis on
// loopback that waits for no disk, and everything on the same processors. Beside the rate it tells what the servers
// themselves spend on a request, from their accounts in /proc, to be compared with what a signature costs.
//
//	go test ./cmd/ingam -run '^$' -bench Nodes -benchtime 10s
func BenchmarkNodes(b *testing.B) {
	const workers = 32
	b.Run("signature", signatures)
	for _, request := range []string{"refresh", "client_credentials"} {
		for _, count := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/nodes=%d", request, count), func(b *testing.B) {
				server := redistest.Start(b, redistest.AppendFsync("no"))
				c := startNodes(b, count, server.Addr(), append(quickHashes, manyGuesses...)...)
				secrets := c.furnish(b)
				client := nodesClient(b)
				all := make([]func() bool, workers)
				for i := range all {
					at := c.all[i%count].public
					all[i] = func() bool {
						a, err := serviceToken(client, at, secrets.service)
						return err == nil && a.status == http.StatusOK
					}
					if request == "refresh" {
						all[i] = refresher(client, at, nodesSignIn(b, client, at, "cli").Refresh)
					}
					all[i]() // connects
				}
				measure(b, c, all)
			})
		}
	}
}

// signatures is what the RSA signature in each of those answers costs on this machine at this moment, on all processors and
// in the same unit.
func signatures(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a token"))
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	before := vitalsOf(b, os.Getpid()).cpu
	b.ResetTimer()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((vitalsOf(b, os.Getpid()).cpu-before).Microseconds())/float64(b.N), "cpu-µs/signature")
}

// refresher refreshes one sign-in again and again.
func refresher(client *http.Client, at, token string) func() bool {
	return func() bool {
		a, err := refresh(client, at, "cli", token)
		token = a.tokens().Refresh
		return err == nil && token != ""
	}
}

// measure shares b.N requests among the workers.
func measure(b *testing.B, c *nodes, workers []func() bool) {
	b.Helper()
	spent := func() (cpu time.Duration) {
		for _, n := range c.all {
			cpu += vitalsOf(b, n.cmd.Process.Pid).cpu
		}
		return cpu
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	before := spent()
	b.ResetTimer()
	for _, ask := range workers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if !ask() {
					b.Error("a request failed")
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64((spent()-before).Microseconds())/float64(b.N), "server-cpu-µs/req")
}
