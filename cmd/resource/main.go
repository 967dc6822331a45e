// Command resource is a resource server: it shows who an access token speaks for.
//
//	resource --issuer https://id.example.com --resource-url https://api.example.com
//
// It serves GET /secure-data to callers with a bearer token of the issuer, GET /healthz,
// GET /readyz and the metadata of RFC 9728. All of that is
// [github.com/ingam/ingam/resource.NewHandler]; this command adds the configuration, the
// listener and an orderly end. Try resource --help.
//
// It exits with 0 when told to stop, 1 when something failed, and 2 when the
// configuration is wrong, which it says in full before it opens a port.
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
