//go:build unix && !linux

package main

import (
	"syscall"
	"testing"
	"time"
)

// nodeAttributes asks for nothing: elsewhere than on Linux a node outlives a test process that was killed.
func nodeAttributes() *syscall.SysProcAttr { return nil }

// procVitals are what a process holds and has used.
type procVitals struct {
	threads, files int
	cpu            time.Duration
}

// vitalsOf cannot look: all is 0, and bounds hold trivially.
func vitalsOf(testing.TB, int) (v procVitals) { return v }
