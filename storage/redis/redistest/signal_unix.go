//go:build unix

package redistest

import "syscall"

const (
	sigStop     = syscall.SIGSTOP
	sigContinue = syscall.SIGCONT
)

// signalGroup sends a signal to a process and whatever it started.
func signalGroup(pid int, sig syscall.Signal) error { return syscall.Kill(-pid, sig) }
