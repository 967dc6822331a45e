package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nodeAttributes lets the kernel kill a node when the test process ends, however that happens.
func nodeAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// procVitals are what a process holds and has used.
type procVitals struct {
	threads, files int
	cpu            time.Duration // user and system
}

// vitalsOf looks at a process from outside. Only Linux tells; elsewhere all is 0.
func vitalsOf(t testing.TB, pid int) (v procVitals) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "Threads:"); ok {
			if v.threads, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	v.files = len(files)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name of the program is in parentheses and may hold anything; utime and stime are the 12th and 13th field after it,
	// in hundredths of a second (proc_pid_stat(5)).
	fields := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:]))
	for _, field := range fields[11:13] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		v.cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	return v
}
