//go:build !unix

package redistest

import (
	"errors"
	"syscall"
)

// Redis does not run here, so Binary has ended the test before any of this is used; it only has to compile.
const (
	sigStop     = syscall.Signal(0)
	sigContinue = syscall.Signal(0)
)

func signalGroup(int, syscall.Signal) error { return errors.ErrUnsupported }

func sysProcAttr() *syscall.SysProcAttr { return nil }
