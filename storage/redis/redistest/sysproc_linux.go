package redistest

import "syscall"

// sysProcAttr puts a child into a process group of its own, so that a signal reaches a wrapper and what it runs, and
// lets the kernel kill it when the thread that started it ends, which is the test process's end (see spawn).
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
