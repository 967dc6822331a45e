package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// syncBuffer is what a program writes to while the test reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// patience is how long anything may take before it counts as never happening.
const patience = 60 * time.Second

var listening = regexp.MustCompile(`"msg":"listening","address":"([^"]+)"`)

func TestBothApplicationsAreServedUntilTheProgramIsStopped(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var stderr syncBuffer
	status := make(chan int, 1)
	go func() {
		// The authorization server need not be there.
		status <- run(ctx, []string{"--listen-web", "127.0.0.1:0", "--listen-spa=127.0.0.1:0", "--issuer", "http://127.0.0.1:1"},
			env("DEMO_CLIENT_SECRET_FILE", secret, "DEMO_ISSUER", "overruled"), io.Discard, &stderr)
	}()
	var found [][]string
	for deadline := time.Now().Add(patience); len(found) < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		found = listening.FindAllStringSubmatch(stderr.String(), -1)
	}
	if len(found) < 2 {
		t.Fatalf("it does not listen:\n%s", &stderr)
	}
	for i, want := range []string{"Demo web application", "Demo single-page application"} {
		answer, err := http.Get("http://" + found[i][1] + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d %v", want, answer.StatusCode, err)
		}
	}
	check := func() int {
		return run(t.Context(), []string{"healthcheck"}, env("DEMO_LISTEN_WEB", found[0][1], "DEMO_LISTEN_SPA", found[1][1]), io.Discard, io.Discard)
	}
	if got := check(); got != statusDone {
		t.Errorf("healthcheck: %d", got)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if got := <-status; got != statusDone {
		t.Errorf("stopped: %d\n%s", got, &stderr)
	}
	if got := check(); got != statusFailed {
		t.Errorf("healthcheck of a stopped program: %d", got)
	}
}

func TestExitStatusesTellUsageFromFailure(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	sick := httptest.NewServer(http.NotFoundHandler())
	defer sick.Close()
	secret := []string{"DEMO_CLIENT_SECRET", "s3cret"}
	for name, tt := range map[string]struct {
		args, env []string
		want      int
		says      string
	}{
		"help":                  {[]string{"--help"}, nil, 0, "DEMO_RESOURCE_INTERNAL_URL"},
		"no secret":             {nil, nil, 2, "client secret is empty"},
		"two secrets":           {[]string{"--client-secret-file", "x"}, secret, 2, "both set"},
		"no such file":          {[]string{"--client-secret-file", "/nowhere/x"}, nil, 2, "/nowhere/x"},
		"an unknown flag":       {[]string{"--client-secret", "x"}, secret, 2, "client-secret"},
		"an argument":           {[]string{"serve"}, secret, 2, `"serve"`},
		"a bad address":         {[]string{"--listen-spa", "8083"}, secret, 2, `--listen-spa: "8083"`},
		"a bad issuer":          {[]string{"--issuer", "localhost"}, secret, 2, `issuer "localhost"`},
		"a port in use":         {[]string{"--listen-web", taken.Addr().String()}, secret, 1, "in use"},
		"the second in use":     {[]string{"--listen-web", "127.0.0.1:0", "--listen-spa", taken.Addr().String()}, secret, 1, "in use"},
		"healthcheck elsewhere": {[]string{"healthcheck", "--listen-web", sick.Listener.Addr().String()}, nil, 1, "404"},
		"healthcheck, argument": {[]string{"healthcheck", "now"}, nil, 2, `"now"`},
	} {
		var out syncBuffer
		if got := run(t.Context(), tt.args, env(tt.env...), &out, &out); got != tt.want || !strings.Contains(out.String(), tt.says) {
			t.Errorf("%s: %d, want %d with %s:\n%s", name, got, tt.want, tt.says, &out)
		}
		if strings.Contains(out.String(), "s3cret") {
			t.Errorf("%s: the secret is printed", name)
		}
	}
}
