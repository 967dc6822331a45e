package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxSecretInput bounds what is read for one password; credential has its own, smaller limit and says so.
const maxSecretInput = 64 << 10

// neverAnArgument is the answer to somebody who tries (threats G8).
const neverAnArgument = "a password or secret is never an argument: other users see it in the list of processes, and it stays in " +
	"the shell's history. Use the prompt, --password-stdin or --password-file FILE"

// passwordInput says where a password comes from: a prompt, standard input or a file.
type passwordInput struct {
	app   *app
	stdin bool
	file  string
	none  bool
}

// addTo gives cmd the flags. Only a new user may go without a password.
func (p *passwordInput) addTo(cmd *cobra.Command, mayBeNone bool) {
	f := cmd.Flags()
	f.BoolVar(&p.stdin, "password-stdin", false, "read the password from standard input")
	f.StringVar(&p.file, "password-file", "", "read the password from this file")
	names := []string{"password-stdin", "password-file"}
	if mayBeNone {
		f.BoolVar(&p.none, "no-password", false, "set no password: nobody can sign in with one until it is set")
		names = append(names, "no-password")
	}
	cmd.MarkFlagsMutuallyExclusive(names...)
}

// read returns the password, or nil where none is wanted. A final line end belongs to the file, not to the password.
func (p *passwordInput) read(cmd *cobra.Command) (*string, error) {
	var text string
	var err error
	switch terminal, ok := p.app.terminal(); {
	case p.none:
		return nil, nil
	case p.stdin:
		text, err = readSecret(p.app.stdin, "standard input")
	case cmd.Flags().Changed("password-file"):
		text, err = p.readFile()
	case ok:
		text, err = p.app.promptTwice(cmd.Context(), terminal)
	default:
		other := ""
		if cmd.Flags().Lookup("no-password") != nil {
			other = " or --no-password"
		}
		return nil, usagef("standard input is not a terminal to ask for the password on: use --password-stdin, --password-file FILE%s", other)
	}
	if err != nil {
		return nil, err
	}
	return &text, nil
}

// readFile reads the password file, and says so if others can read it too.
func (p *passwordInput) readFile() (string, error) {
	f, err := os.Open(p.file)
	if err != nil {
		return "", usagef("--password-file: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		_, _ = fmt.Fprintf(p.app.stderr, "warning: others can read %s (mode %04o); 'chmod 600' it\n", p.file, info.Mode().Perm())
	}
	return readSecret(f, p.file)
}

func readSecret(from io.Reader, name string) (string, error) {
	data, err := io.ReadAll(io.LimitReader(from, maxSecretInput+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read the password from %s: %w", name, err)
	case len(data) > maxSecretInput:
		return "", usagef("%s is too long for a password", name)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", usagef("the password from %s is empty", name)
	}
	return text, nil
}

// terminal returns standard input if a person sits there.
func (a *app) terminal() (*os.File, bool) {
	f, ok := a.stdin.(*os.File)
	return f, ok && isTerminal(f)
}

// promptTwice asks for a new password without showing it. Twice, since nobody sees a slip of the finger.
func (a *app) promptTwice(ctx context.Context, terminal *os.File) (string, error) {
	first, err := a.prompt(ctx, terminal, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := a.prompt(ctx, terminal, "Once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ; nothing was changed")
	}
	return first, nil
}

// prompt asks on stderr and reads one line with the echo off. Whatever happens, also at Ctrl-C, the terminal gets its
// echo back.
func (a *app) prompt(ctx context.Context, terminal *os.File, question string) (string, error) {
	ctx, stop := a.untilSignal(ctx)
	defer stop()
	restore, err := echoOff(terminal)
	if err != nil {
		return "", fmt.Errorf("turn off the echo of the terminal: %w; use --password-stdin", err)
	}
	defer restore()
	_, _ = fmt.Fprint(a.stderr, question)
	defer func() { _, _ = fmt.Fprintln(a.stderr) }() // the line end that was typed was not shown

	type line struct {
		text string
		err  error
	}
	typed := make(chan line, 1)
	// Reading a terminal cannot be called off; at a signal the goroutine stays behind for the moment until exit.
	go func() {
		text, err := readLine(terminal)
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		return l.text, l.err
	case <-ctx.Done():
		return "", errors.New("interrupted; nothing was changed")
	}
}

// readLine reads byte by byte: what comes after the line is for the next prompt.
func readLine(from io.Reader) (string, error) {
	var line []byte
	one := make([]byte, 1)
	for len(line) <= maxSecretInput {
		n, err := from.Read(one)
		switch {
		case n == 1 && one[0] == '\n':
			return strings.TrimSuffix(string(line), "\r"), nil
		case n == 1:
			line = append(line, one[0])
		case err == io.EOF:
			return "", errors.New("no password was typed; nothing was changed")
		case err != nil:
			return "", fmt.Errorf("read the password: %w", err)
		}
	}
	return "", usagef("this is too long for a password")
}

// secretFlagError answers --password and its like with the reason why there is none, and never repeats what was given.
func secretFlagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		switch unknown.GetSpecifiedName() {
		case "password", "pass", "passwd", "p", "secret", "client-secret", "password-hash":
			return usageError{errors.New(neverAnArgument)}
		}
	}
	return flagError(cmd, err)
}

// exactly wants one argument for each name. It does not repeat the arguments: one too many is often a password.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s is missing", names[len(args)])
		case len(args) > len(names) && cmd.Flags().Lookup("password-stdin") != nil:
			return usagef("one %s is expected, and %s", names[0], neverAnArgument)
		case len(args) > len(names):
			return usagef("%d arguments are expected, there are %d", len(names), len(args))
		}
		return nil
	}
}
