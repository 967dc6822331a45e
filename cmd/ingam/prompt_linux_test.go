package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingam/ingam/authserver/admin"
)

// openTerminal makes a pseudo-terminal: what is written to keyboard is typed, what is read from it is on the screen.
func openTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	keyboard = os.NewFile(uintptr(fd), "keyboard")
	t.Cleanup(func() {
		_ = keyboard.Close()
		_ = terminal.Close()
	})
	return keyboard, terminal
}

// screen reads what the terminal shows until it shows last.
func screen(t *testing.T, keyboard *os.File, last string) string {
	t.Helper()
	var shown bytes.Buffer
	buffer := make([]byte, 256)
	for !strings.Contains(shown.String(), last) {
		n, err := keyboard.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q", err, shown.String())
		}
		shown.Write(buffer[:n])
	}
	return shown.String()
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), ioctlGetTermios)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// typeAt waits for each question on stderr and types the answer.
func typeAt(t *testing.T, stderr *syncBuffer, keyboard *os.File, dialogue ...string) {
	t.Helper()
	for i := 0; i < len(dialogue); i += 2 {
		awaitText(t, stderr, dialogue[i])
		if _, err := keyboard.WriteString(dialogue[i+1]); err != nil {
			t.Fatal(err)
		}
	}
}

func awaitText(t *testing.T, b *syncBuffer, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(b.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in %q", text, b.String())
		}
	}
}

func TestThePromptAsksTwiceAndShowsNothing_G8(t *testing.T) {
	for name, tc := range map[string]struct {
		dialogue []string
		status   int
		want     string
	}{
		"twice the same": {[]string{"Password: ", aPassword + "\n", "Once more: ", aPassword + "\n"}, exitDone, "Added user alice."},
		"two different":  {[]string{"Password: ", aPassword + "\n", "Once more: ", anotherOne + "\n"}, exitFailed, "the two passwords differ"},
		"nothing":        {[]string{"Password: ", "\x04"}, exitFailed, "no password was typed"},
		"too weak":       {[]string{"Password: ", "short\n", "Once more: ", "short\n"}, exitUsage, "at least 8"},
	} {
		t.Run(name, func(t *testing.T) {
			c := offline(t)
			keyboard, terminal := openTerminal(t)
			var stdout, stderr syncBuffer
			a := newTestApp(cheapHashes, &stdout, &stderr)
			a.stdin = terminal
			done := make(chan int, 1)
			go func() { done <- run(t.Context(), a, []string{"user", "add", "alice", "--data-dir", c.dir}) }()
			typeAt(t, &stderr, keyboard, tc.dialogue...)
			if status := <-done; status != tc.status || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("exit %d, stderr %q", status, stderr.String())
			}
			if !echoes(t, terminal) {
				t.Error("the terminal was left without echo")
			}
			if _, err := terminal.WriteString("the end"); err != nil {
				t.Fatal(err)
			}
			if shown := screen(t, keyboard, "the end") + stdout.String() + stderr.String(); strings.Contains(shown, "canary") {
				t.Errorf("the password was shown: %q", shown)
			}
		})
	}
}

func TestAnInterruptedPromptGivesTheEchoBackAndChangesNothing(t *testing.T) {
	c := offline(t)
	_, terminal := openTerminal(t)
	var stdout, stderr syncBuffer
	a := newTestApp(cheapHashes, &stdout, &stderr)
	a.stdin = terminal
	interrupt := make(chan context.CancelFunc, 1)
	a.untilSignal = func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		interrupt <- cancel
		return ctx, cancel
	}
	done := make(chan int, 1)
	go func() { done <- run(t.Context(), a, []string{"user", "add", "alice", "--data-dir", c.dir}) }()
	awaitText(t, &stderr, "Password: ")
	if echoes(t, terminal) {
		t.Error("the echo is on while the password is asked for")
	}
	(<-interrupt)()
	if status := <-done; status != exitFailed || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit %d, stderr %q", status, stderr.String())
	}
	if !echoes(t, terminal) {
		t.Error("the terminal was left without echo")
	}
	var all []admin.User
	if c.want(&all, "", "user", "list"); len(all) != 0 {
		t.Errorf("users %+v", all)
	}
}
