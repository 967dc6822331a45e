package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"
)

// A result is what a command line left behind.
type result struct {
	status         int
	stdout, stderr string
}

// runCommand runs a command line in this process, with nothing in its environment but env.
func runCommand(t *testing.T, env []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := newTestApp(env, &stdout, &stderr)
	status := run(t.Context(), a, args)
	return result{status, stdout.String(), stderr.String()}
}

func newTestApp(env []string, stdout, stderr interface{ Write([]byte) (int, error) }) *app {
	return &app{
		stdin: strings.NewReader(""), stdout: stdout, stderr: stderr,
		environ: func() []string { return env },
		getenv: func(name string) string {
			for _, line := range env {
				if value, ok := strings.CutPrefix(line, name+"="); ok {
					return value
				}
			}
			return ""
		},
		untilSignal: context.WithCancel,
	}
}

// syncBuffer is a buffer that one goroutine reads while another writes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestAMistypedDataFolderDoesNotLookLikeAnEmptyServer(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{{"user", "list"}, {"client", "list", "--data-dir", "nowhere"}} {
		r := runCommand(t, nil, args...)
		if r.status != exitFailed || !strings.Contains(r.stderr, "there is no store in it") {
			t.Errorf("%v: exit %d, %s", args, r.status, r.stderr)
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("it has made %v", entries)
	}
}

func TestAdministrationWorksWhileOtherSettingsAreWrongButNotWhenTheFolderIsUnsure(t *testing.T) {
	t.Chdir(t.TempDir())
	a := newTestApp(nil, nil, nil)
	cmd := newServeCommand(a)
	for text, want := range map[string]string{
		"log: {level: loud}\ndata_dir: here": "here",
		"data_dir: [here]":                   "",
		"data_dir: 'here":                    "",
		"storage: {driver: blot}":            "", // which store is meant?
		"storage: {redis: {timeout: never}}": "",
	} {
		writeFile(t, defaultConfigFile, text)
		got, err := a.storeConfig(cmd)
		if (err != nil) != (want == "") || err == nil && got.DataDir != want || exitStatus(err) == exitFailed {
			t.Errorf("%s: %q, %v", text, got.DataDir, err)
		}
	}
}
