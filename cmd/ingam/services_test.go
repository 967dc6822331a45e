package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/storage/memory"
)

func testListener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// runServices runs a lifecycle in the background until stop is called, which returns what it ended with.
func runServices(t *testing.T, timeout time.Duration, services ...service) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- lifecycle{
			started: func(context.Context) { close(started) }, drain: func() {},
			timeout: timeout, log: slog.New(slog.DiscardHandler),
		}.run(ctx, services)
	}()
	<-started
	return func() error {
		cancel()
		return <-ended
	}
}

func TestARequestThatHasBegunIsFinishedBeforeTheServerEnds(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		_, _ = io.WriteString(w, "whole")
	})
	l := testListener(t)
	stop := runServices(t, patience, newService("public", handler, slog.New(slog.DiscardHandler), l))
	body := make(chan string, 1)
	go func() {
		answer, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			body <- err.Error()
			return
		}
		text, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		body <- string(text)
	}()
	<-begun
	time.AfterFunc(50*time.Millisecond, func() { close(finish) })
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got := <-body; got != "whole" {
		t.Error(got)
	}
}

func TestARequestThatNeverEndsIsCutOffAfterTheTimeout(t *testing.T) {
	begun := make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})
	l := testListener(t)
	stop := runServices(t, 50*time.Millisecond, newService("public", handler, slog.New(slog.DiscardHandler), l))
	go func() {
		if answer, err := http.Get("http://" + l.Addr().String()); err == nil {
			_ = answer.Body.Close()
		}
	}()
	<-begun
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAListenerThatFailsEndsTheServerAndIsNamed(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	good, bad := testListener(t), testListener(t)
	if err := bad.Close(); err != nil {
		t.Fatal(err)
	}
	err := lifecycle{started: func(context.Context) {}, drain: func() {}, timeout: time.Second, log: log}.run(t.Context(), []service{
		newService("public", http.NotFoundHandler(), log, good), newService("internal", http.NotFoundHandler(), log, bad),
	})
	if err == nil || !strings.Contains(err.Error(), "internal listener") {
		t.Error(err)
	}
}

func TestEveryListenerBoundsWhatOneConnectionCosts(t *testing.T) {
	s := newService("public", http.NotFoundHandler(), slog.New(slog.DiscardHandler)).server
	got := fmt.Sprint(s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout, s.MaxHeaderBytes)
	if got != "5s 10s 15s 1m0s 32768" {
		t.Error(got)
	}
}

func TestMoreConnectionsThanAllowedWaitForOneToEnd(t *testing.T) {
	l := limited(testListener(t), 1)
	accepted := make(chan net.Conn)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- conn
		}
	}()
	for range 2 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	first := <-accepted
	select {
	case <-accepted:
		t.Fatal("two connections at once")
	case <-time.After(50 * time.Millisecond):
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if second := <-accepted; second == nil {
		t.Error("the second never came")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSweepingGoesOnUntilNothingExpiredIsLeft(t *testing.T) {
	store := memory.New()
	ctx := t.Context()
	const expired = 2*sweepBatch + 1
	for i := range expired {
		if _, err := store.Remember(ctx, fmt.Sprint("expired ", i), time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Remember(ctx, "alive", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond)
	in := &instance{store: store, log: slog.New(slog.DiscardHandler)}
	if err := in.sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if left, err := store.Sweep(ctx, expired); err != nil || left != 0 {
		t.Errorf("%d left, %v", left, err)
	}
	if alive, err := store.Remembered(ctx, "alive"); err != nil || !alive {
		t.Errorf("a live mark was removed: %v", err)
	}
}
