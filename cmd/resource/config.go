package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	envPrefix     = "INGAM_RESOURCE_"
	defaultListen = ":8081"
)

// config is what an operator can set, by flag or, failing that, in the environment.
// Package resource has the meaning of most fields; settings has their help.
type config struct {
	listen      string // host:port
	issuer      string
	jwksURL     string
	audience    []string
	resourceURL string
	scope       []string
	corsOrigins []string
	algorithms  []string
	allowHTTP   bool // dangerous: see resource.Config.InsecureAllowHTTP
	logLevel    slog.Level
}

// setting is one flag, its variable INGAM_RESOURCE_… and where its value goes.
type setting struct {
	name, usage string
	set         func(value string) error
}

// env returns the variable of a flag: jwks-url is INGAM_RESOURCE_JWKS_URL, and resource-url,
// which need not say it twice, INGAM_RESOURCE_URL.
func (s setting) env() string {
	name := strings.TrimPrefix(s.name, "resource-")
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// settings is the one list that flags, variables and the help text are made from.
func (c *config) settings() []setting {
	// Text and lists are taken as they are: package resource judges them, all at once.
	text := func(p *string) func(string) error {
		return func(v string) error { *p = v; return nil }
	}
	list := func(p *[]string) func(string) error {
		return func(v string) error {
			*p = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
			return nil
		}
	}
	return []setting{
		{"issuer", "the authorization server, exactly as in the iss of its tokens (required)", text(&c.issuer)},
		{"resource-url", "the URL of this server as clients know it (required, default: the first audience)", text(&c.resourceURL)},
		{"audience", "accepted values of aud, separated by commas (default: the resource URL)", list(&c.audience)},
		{"jwks-url", "where to fetch the keys (default: the issuer's /.well-known/jwks.json)", text(&c.jwksURL)},
		{"scope", "scopes that /secure-data needs, separated by spaces (default: none)", list(&c.scope)},
		{"algorithms", "accepted signature algorithms: RS256, PS256, ES256, EdDSA (default: RS256)", list(&c.algorithms)},
		{"cors-origins", "origins whose pages may call /secure-data, separated by commas (default: none)", list(&c.corsOrigins)},
		{"listen", "address to listen on (default: " + defaultListen + ")", text(&c.listen)},
		{"log-level", "debug, info, warn or error; debug logs every request (default: info)", c.setLogLevel},
		{"insecure-allow-http", "true: fetch keys over plain http from another machine; whoever " +
			"can change that traffic can sign tokens (default: false)", c.setAllowHTTP},
	}
}

// setLogLevel is stricter than slog, which would take "info+3".
func (c *config) setLogLevel(v string) error {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, v) {
		return errors.New("want debug, info, warn or error")
	}
	return c.logLevel.UnmarshalText([]byte(v))
}

// setAllowHTTP takes what strconv.ParseBool does: true, false, 1, 0 and the like.
func (c *config) setAllowHTTP(v string) (err error) {
	if c.allowHTTP, err = strconv.ParseBool(v); err != nil {
		return errors.New("want true or false")
	}
	return nil
}

// parseConfig reads flags over environment over defaults. It returns flag.ErrHelp when the
// help was asked for, and otherwise everything that is wrong in one error. Whether
// the values make sense is for package resource to say.
func parseConfig(args []string, getenv func(string) string) (config, error) {
	c := config{listen: defaultListen}
	var errs []error
	fs := newFlagSet("resource")
	settings := c.settings()
	// The environment first, so that a flag replaces what it says.
	for _, s := range settings {
		if v := getenv(s.env()); v != "" {
			if err := s.set(v); err != nil {
				errs = append(errs, fmt.Errorf("%s: %q: %w", s.env(), v, err))
			}
		}
	}
	for _, s := range settings {
		fs.Func(s.name, s.usage, func(v string) error {
			if err := s.set(v); err != nil {
				errs = append(errs, fmt.Errorf("--%s: %q: %w", s.name, v, err))
			}
			return nil // collected, so that the others are read too
		})
	}
	flagErrs, help := parseAll(fs, args)
	if help {
		return config{}, flag.ErrHelp
	}
	errs = append(errs, flagErrs...)
	// RFC 9068 §3: the audience of a token is by default the resource it is for. One of the
	// two is enough, and the other is taken to be the same.
	switch {
	case len(c.audience) == 0 && c.resourceURL == "":
		errs = append(errs, fmt.Errorf("--resource-url or %sURL is required, such as https://api.example.com", envPrefix))
	case len(c.audience) == 0:
		c.audience = []string{c.resourceURL}
	case c.resourceURL == "":
		c.resourceURL = c.audience[0]
	}
	if _, _, err := net.SplitHostPort(c.listen); err != nil {
		errs = append(errs, fmt.Errorf("--listen: %q: want host:port, such as :8081", c.listen))
	}
	return c, errors.Join(errs...)
}

// parseAll parses args to the end. Package flag stops at the first flag it does not
// know; this goes on behind it, so that all of them are named at once.
func parseAll(fs *flag.FlagSet, args []string) (errs []error, help bool) {
	for {
		err := fs.Parse(args)
		args = fs.Args()
		if errors.Is(err, flag.ErrHelp) {
			return nil, true
		}
		if err == nil {
			break
		}
		errs = append(errs, err)
		// Its value, most likely; or itself, which package flag leaves there if its syntax is bad.
		if len(args) > 0 && (!strings.HasPrefix(args[0], "-") || badSyntax(args[0])) {
			args = args[1:]
		}
	}
	for _, arg := range args {
		errs = append(errs, fmt.Errorf("unexpected argument %q", arg))
	}
	return errs, false
}

// badSyntax reports whether arg looks like a flag that can have no name, such as ---issuer or --=x.
func badSyntax(arg string) bool {
	name := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	return strings.HasPrefix(name, "-") || strings.HasPrefix(name, "=")
}

// newFlagSet returns a quiet flag set: run alone decides what is printed.
func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

const helpHead = `resource serves GET /secure-data to callers with an access token.

Usage:
  resource --issuer URL --resource-url URL [flags]
  resource healthcheck [--url URL]

Flags, each of which can also be set in the environment:
`

const helpTail = `
Examples:
  # the authorization server of "ingam dev"
  resource --issuer http://localhost:8080 --resource-url http://localhost:8081

  # behind a proxy, with the keys fetched inside the cluster
  INGAM_RESOURCE_ISSUER=https://id.example.com \
  INGAM_RESOURCE_JWKS_URL=http://ingam:8080/.well-known/jwks.json \
  INGAM_RESOURCE_INSECURE_ALLOW_HTTP=true \
  resource --resource-url https://api.example.com --scope notes.read

  # is the server on this machine alive? (for Docker's HEALTHCHECK)
  resource healthcheck --url http://127.0.0.1:8081/healthz

Exit status: 0 done, 1 failed, 2 usage or configuration.
`

// printHelp writes the text of --help, with the flags as settings lists them.
func printHelp(w io.Writer) {
	var c config
	var b strings.Builder
	b.WriteString(helpHead)
	for _, s := range c.settings() {
		b.WriteString("  --" + s.name + "\n        " + s.usage + "\n        " + s.env() + "\n")
	}
	b.WriteString(helpTail)
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
