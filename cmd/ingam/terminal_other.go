//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package main

import (
	"errors"
	"os"
)

// isTerminal is never true where we cannot turn the echo off: better no prompt than a password on the screen.
func isTerminal(*os.File) bool { return false }

func echoOff(*os.File) (restore func(), err error) {
	return nil, errors.New("not supported on this system")
}
