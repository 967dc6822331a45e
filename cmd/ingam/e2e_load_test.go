package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Row L11: with argon2id as it comes, 200 people who sign in at once cost a bounded amount of memory. Those for whom there
// is no room are told when to come again, all of them get in, and who does not sign in notices nothing.
func TestTwoHundredPeopleWhoSignInAtOnceAreServedWithinBounds(t *testing.T) {
	const people = 200
	users := filepath.Join(t.TempDir(), "users.d")
	if err := os.Mkdir(users, 0o700); err != nil {
		t.Fatal(err)
	}
	demo, err := demoRecords()
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	for i := range people { // all have alice's password; each has an account, and guesses, of their own
		fmt.Fprintf(&file, "- {username: person%d, password_hash: %q}\n", i, demo.users[0].PasswordHash)
	}
	writeFile(t, filepath.Join(users, "people.yaml"), file.String())
	s := newServer(t, slices.Concat(manyGuesses, []string{"INGAM_USERS_DIR=" + users})...)
	s.publicClient(t, "cli")
	client := newClient(t)
	token := mustSignIn(t, client, s.issuer, "cli", "person0", "wonderland")

	var in, turnedAway atomic.Int64
	var wg sync.WaitGroup
	for i := range people {
		wg.Go(func() {
			away, err := signInPatiently(s.issuer, fmt.Sprint("person", i))
			turnedAway.Add(away)
			if err != nil {
				t.Errorf("person%d: %v", i, err)
				return
			}
			in.Add(1)
		})
	}
	served := useWhile(t, client, s.issuer, "cli", token.Refresh, func() bool { return in.Load() < people && !t.Failed() })
	wg.Wait()
	peak := peakMemoryMiB(t, s.cmd.Process.Pid)
	t.Logf("%d signed in, %d times turned away, %d refreshes meanwhile, %d MiB at most", in.Load(), turnedAway.Load(), served, peak)
	if turnedAway.Load() == 0 {
		t.Error("nobody was turned away: there was no crowd")
	}
	// A hash takes 19 MiB, one is computed for each processor at once, and the garbage of a few more may lie about.
	if bound := 100 + 75*runtime.NumCPU(); peak > bound {
		t.Errorf("the server took %d MiB, more than %d", peak, bound)
	}
}

// signInPatiently signs in and does what it is told: it comes again after Retry-After.
func signInPatiently(issuer, username string) (turnedAway int64, err error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); turnedAway++ {
		a, err := signIn(client, issuer, "cli", username, "wonderland")
		switch {
		case err != nil:
			return turnedAway, err
		case a.status == http.StatusOK:
			return turnedAway, nil
		case a.status != http.StatusServiceUnavailable && a.status != http.StatusTooManyRequests:
			return turnedAway, fmt.Errorf("%v", a)
		}
		seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || seconds < 1 || seconds > 60 {
			return turnedAway, fmt.Errorf("%v, Retry-After: %q", a, a.header.Get("Retry-After"))
		}
		time.Sleep(time.Duration(seconds) * time.Second)
	}
	return turnedAway, fmt.Errorf("not within %v", patience)
}

// peakMemoryMiB is the most memory that a process ever had resident. Only Linux tells; elsewhere it is 0.
func peakMemoryMiB(t *testing.T, pid int) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib >> 10
		}
	}
	t.Fatalf("no VmHWM in\n%s", status)
	return 0
}
