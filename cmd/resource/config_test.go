package main

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
)

func TestFlagsGoBeforeTheEnvironmentAndThatBeforeDefaults(t *testing.T) {
	getenv := env(
		"INGAM_RESOURCE_ISSUER", "https://env.example",
		"INGAM_RESOURCE_URL", "https://api.example.com",
		"INGAM_RESOURCE_LISTEN", ":9000",
		"INGAM_RESOURCE_SCOPE", "a b",
		"INGAM_RESOURCE_CORS_ORIGINS", "https://a.example, https://b.example",
	)
	got, err := parseConfig([]string{"--issuer=https://flag.example", "--scope", "c"}, getenv)
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		listen:      ":9000",
		issuer:      "https://flag.example",
		audience:    []string{"https://api.example.com"},
		resourceURL: "https://api.example.com",
		scope:       []string{"c"},
		corsOrigins: []string{"https://a.example", "https://b.example"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got, err = parseConfig([]string{"--audience", "https://api.example.com,y"}, env())
	if err != nil || got.resourceURL != "https://api.example.com" {
		t.Errorf("got resource URL %q (%v), want the first audience", got.resourceURL, err)
	}
	got, err = parseConfig([]string{"--resource-url", "https://api.example.com", "--audience", "x,y"}, env())
	if err != nil {
		t.Fatal(err)
	}
	if got.listen != defaultListen || !reflect.DeepEqual(got.audience, []string{"x", "y"}) {
		t.Errorf("got %+v, want the default address and the given audiences", got)
	}
}

// Package flag leaves an argument of bad syntax where it is, and reading on met it for ever.
func TestFlagsOfBadSyntaxAreNamedOnce(t *testing.T) {
	for _, bad := range []string{"---issuer", "---issuer=x", "--=x", "-=x"} {
		errs, _ := parseAll(newFlagSet("resource"), []string{"--unknown", "x", bad, "--other", "y"})
		if len(errs) != 3 || !strings.Contains(errs[1].Error(), bad) {
			t.Errorf("%s: got %v, want three errors, one of them about it", bad, errs)
		}
	}
}

func TestTheHelpNamesEveryFlagAndVariable(t *testing.T) {
	var help bytes.Buffer
	if status := run(t.Context(), []string{"--help"}, env(), &help, io.Discard); status != statusDone {
		t.Errorf("got status %d, want 0", status)
	}
	var c config
	for _, s := range c.settings() {
		if !strings.Contains(help.String(), "--"+s.name+"\n") || !strings.Contains(help.String(), s.env()+"\n") {
			t.Errorf("the help does not name --%s and %s", s.name, s.env())
		}
	}
	for _, want := range []string{"Examples:", "healthcheck", "Exit status"} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("the help has no %q", want)
		}
	}
}

func TestTheHealthcheckFindsTheServerOnThisMachine(t *testing.T) {
	for listen, want := range map[string]string{
		":8081":          "http://127.0.0.1:8081/healthz",
		"0.0.0.0:80":     "http://127.0.0.1:80/healthz",
		"[::]:80":        "http://127.0.0.1:80/healthz",
		"[::1]:80":       "http://[::1]:80/healthz",
		"10.1.2.3:8081":  "http://10.1.2.3:8081/healthz",
		"not an address": "",
	} {
		if got := healthURL(listen); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}
