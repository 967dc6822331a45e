package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Row S4: after an fsync that failed nobody knows what is on the disk. The server refuses, says so, and ends, so that what
// starts it again begins with what is really there.
func TestAServerWhoseDiskFailsEndsAndKeepsWhatItHadAcknowledged(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		leaveOut(t, "strace", err)
	}
	s := prepareServer(t)
	s.start(t)
	s.publicClient(t, "app")
	s.want(t, carolsPassword, "user", "add", "carol", "--password-stdin")
	client := nodesClient(t)
	before := nodesSignIn(t, client, s.issuer, "app")
	if status := s.terminate(t); status != exitDone {
		t.Fatalf("exit %d", status)
	}

	broken := []string{
		"-f", "-qq", "-o", filepath.Join(t.TempDir(), "trace"), "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=1+",
		program(t, "ingam"), "serve",
	}
	s.process = spawn(t, s.env, strace, broken...)
	s.await(t, "ready", func() bool { return strings.Contains(s.stderr.String(), `"msg":"ready"`) })
	if a, err := signIn(client, s.issuer, "app", "carol", carolsPassword); err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("a sign-in that cannot be kept: %v, %v, want 503", a, err)
	}
	if status := s.exit(t); status != exitFailed || !strings.Contains(s.stderr.String(), "given up writing") {
		t.Errorf("exit %d:\n%s", status, lastLines(s.stderr.String(), 5))
	}

	s.start(t)
	if a := must(t)(refresh(client, s.issuer, "app", before.Refresh)); a.status != http.StatusOK {
		t.Errorf("a sign-in from before: %v", a)
	}
}
