package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
)

const envPrefix = "DEMO_"

// config is what an operator can set, by flag or, failing that, in the environment.
type config struct {
	issuer, internalURL           string
	resourceURL, resourceInternal string
	listenWeb, listenSPA          string
	webURL, spaURL                string
	webClient, spaClient          string
	secret, secretFile            string
}

// setting is one flag, its variable DEMO_… and where its value goes.
type setting struct {
	name, usage string
	value       *string
	otherwise   string // the default
}

// env returns the variable of a flag: resource-url is DEMO_RESOURCE_URL.
func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// settings is the one list that flags, variables and the help text are made from.
func (c *config) settings() []setting {
	return []setting{
		{"issuer", "the authorization server, as browsers reach it", &c.issuer, "http://localhost:8080"},
		{"internal-url", "where this program reaches the authorization server, if elsewhere", &c.internalURL, ""},
		{"resource-url", "the resource server, as browsers reach it", &c.resourceURL, "http://localhost:8081"},
		{"resource-internal-url", "where this program reaches the resource server, if elsewhere", &c.resourceInternal, ""},
		{"listen-web", "address of the application on a server", &c.listenWeb, ":8082"},
		{"listen-spa", "address of the application in the browser", &c.listenSPA, ":8083"},
		{"web-url", "the first application, as browsers reach it", &c.webURL, "http://localhost:8082"},
		{"spa-url", "the second application, as browsers reach it", &c.spaURL, "http://localhost:8083"},
		{"web-client-id", "client of the first application", &c.webClient, "demo-web"},
		{"spa-client-id", "client of the second application", &c.spaClient, "demo-spa"},
		{
			"client-secret-file", "file with the secret of the first client; or the secret itself in " + envPrefix + "CLIENT_SECRET",
			&c.secretFile, "",
		},
	}
}

// parseConfig reads flags over environment over defaults. It returns flag.ErrHelp when the help was asked for.
func parseConfig(args []string, getenv func(string) string) (config, error) {
	var c config
	fs := newFlagSet("demo")
	for _, s := range c.settings() {
		*s.value = s.otherwise
		if v := getenv(s.env()); v != "" {
			*s.value = v
		}
		fs.StringVar(s.value, s.name, *s.value, s.usage)
	}
	if err := fs.Parse(args); err != nil {
		return config{}, err
	}
	var errs []error
	if fs.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	}
	// Not by flag: other accounts of the machine can read the command line.
	c.secret = getenv(envPrefix + "CLIENT_SECRET")
	switch {
	case c.secretFile != "" && c.secret != "":
		errs = append(errs, fmt.Errorf("%[1]sCLIENT_SECRET and %[1]sCLIENT_SECRET_FILE are both set; one is enough", envPrefix))
	case c.secretFile != "":
		text, err := os.ReadFile(c.secretFile)
		if c.secret = strings.TrimSpace(string(text)); err != nil {
			errs = append(errs, fmt.Errorf("--client-secret-file: %w", err))
		}
	}
	if c.resourceInternal == "" {
		c.resourceInternal = c.resourceURL
	}
	for _, one := range []struct{ name, address string }{{"listen-web", c.listenWeb}, {"listen-spa", c.listenSPA}} {
		if _, _, err := net.SplitHostPort(one.address); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %q: want host:port, such as :8082", one.name, one.address))
		}
	}
	return c, errors.Join(errs...)
}

// newFlagSet returns a quiet flag set: run alone decides what is printed.
func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// printHelp writes the text of --help, with the flags as settings lists them.
func printHelp(w io.Writer) {
	var c config
	var b strings.Builder
	b.WriteString("demo runs two small applications that share one login.\n\n" +
		"Usage:\n  demo [flags]\n  demo healthcheck\n\nFlags, each of which can also be set in the environment:\n")
	for _, s := range c.settings() {
		b.WriteString("  --" + s.name + "\n        " + s.usage)
		if s.otherwise != "" {
			b.WriteString(" (default: " + s.otherwise + ")")
		}
		b.WriteString("\n        " + s.env() + "\n")
	}
	b.WriteString("\nExit status: 0 done, 1 failed, 2 usage or configuration.\n")
	say(w, "%s", b.String())
}

// say prints to a person. If nobody is there to read it, nothing is lost.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// healthURL returns where the server on this machine answers /healthz.
func healthURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	// A server that listens everywhere is reached by the loopback address.
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(host, port), Path: "/healthz"}
	return u.String()
}
