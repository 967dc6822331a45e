//go:build unix && !linux

package redistest

import "syscall"

// sysProcAttr puts a child into a process group of its own, so that a signal reaches a wrapper and what it runs.
// Elsewhere than on Linux a child outlives a test process that was killed.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
