// Command demo runs two small applications that share one login: one with a server of its own, one that runs in the
// browser. `ingam dev` has them in its own process; this program is for docker-compose.yml and for looking at from
// another authorization server.
//
//	DEMO_CLIENT_SECRET_FILE=secret.txt demo --issuer https://id.example.com --resource-url https://api.example.com
//
// It exits with 0 when told to stop, 1 when something failed, and 2 when the configuration is wrong, which it says in
// full before it opens a port.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}
