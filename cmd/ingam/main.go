// Command ingam is the authorization server: `ingam serve` runs it, `ingam dev` runs it on a developer's machine with
// everything that is needed to try it, and the other commands administer it.
//
// Reading order: app.go (what a command may touch), root.go (the tree of commands), settings.go (the one table of
// settings), config.go (flag > environment > file > default), yaml.go (documents with positions), files.go (clients.d
// and users.d), serve.go and build.go (a server from a configuration), dev.go. Flags, files and the environment are
// read here and nowhere else in the module.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// main holds only what a test cannot run: the real streams, signals and exit.
func main() {
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		getenv: os.Getenv, environ: os.Environ,
		untilSignal: func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
			context.AfterFunc(ctx, stop) // from now on a signal ends the process
			return ctx, stop
		},
	}
	os.Exit(run(context.Background(), a, os.Args[1:]))
}
