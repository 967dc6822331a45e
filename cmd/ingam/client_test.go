package main

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/storage"
)

func TestTheLifeOfAClient(t *testing.T) {
	both(t, func(c cli) {
		t := c.t
		var made, rotated, shown admin.Client
		r := c.want(&made, "", "client", "add", "report-job", "--name", "Reports", "--grant-type", "client_credentials",
			"--scope", "read write", "--scope", "admin", "--default-scope", "read", "--audience", "https://api.example.com")
		if !strings.Contains(r.stderr, "Shown once") || len(made.ClientSecret) != 43 || made.Scope != "read write admin" {
			t.Errorf("made %+v, stderr %q", made, r.stderr)
		}
		r = c.want(&rotated, "", "client", "rotate-secret", "report-job", "--overlap", "7d")
		if rotated.ClientSecret == made.ClientSecret || len(rotated.Secrets) != 2 || !strings.Contains(r.stderr, "good until") {
			t.Errorf("rotated %+v, stderr %q", rotated, r.stderr)
		}
		if left := time.Until(rotated.Secrets[1].ExpiresAt); left < 6*24*time.Hour || left > 7*24*time.Hour {
			t.Errorf("the overlap of 7d is %s", left)
		}
		if r := c.run("", "client", "rotate-secret", "report-job"); r.status != exitFailed || !strings.Contains(r.stderr, "two live secrets") {
			t.Errorf("%+v", r)
		}
		r = c.want(nil, "", "client", "rotate-secret", "report-job", "--overlap", "0s")
		if !strings.Contains(r.stderr, "no longer good") || !strings.Contains(r.stdout, "client_secret") {
			t.Errorf("%+v", r)
		}
		c.want(&shown, "", "client", "show", "report-job")
		if shown.ClientSecret != "" || len(shown.Secrets) != 1 || shown.ClientName != "Reports" {
			t.Errorf("shown %+v", shown)
		}
		if r := c.want(nil, "", "client", "list"); !strings.Contains(r.stdout, "report-job") || !strings.Contains(r.stdout, "client_secret_basic") {
			t.Errorf("list %q", r.stdout)
		}
		if r := c.want(nil, "", "client", "remove", "report-job"); r.stdout != "" || r.stderr != "Removed client report-job.\n" {
			t.Errorf("%+v", r)
		}
		var none []admin.Client
		if c.want(&none, "", "client", "list"); none == nil || len(none) != 0 {
			t.Errorf("an empty list is an empty array: %v", none)
		}
	})
}

func TestThePrintedSecretIsTheOneThatIsKept_C3(t *testing.T) {
	c := offline(t)
	r := c.want(nil, "", "client", "add", "job", "--grant-type", "client_credentials")
	fields := strings.Fields(r.stdout)
	i := slices.Index(fields, "client_secret")
	if i < 0 || strings.Contains(r.stderr, fields[i+1]) {
		t.Fatalf("%+v", r)
	}
	digest := sha256.Sum256([]byte(fields[i+1]))
	c.stored(func(s storage.Store) {
		client, err := s.Client(t.Context(), "job")
		if err != nil || len(client.Secrets) != 1 || !slices.Equal(client.Secrets[0].Hash, digest[:]) {
			t.Errorf("%+v %v", client, err)
		}
	})
}

func TestAPublicClientIsMadeWithoutASecret(t *testing.T) {
	both(t, func(c cli) {
		t := c.t
		var made admin.Client
		r := c.want(&made, "", "client", "add", "--public", "--grant-type", "authorization_code,refresh_token",
			"--redirect-uri", "http://localhost:8083/callback", "--redirect-uri", "com.example.app:/cb?a=1,2", "--refresh-grace", "30s")
		if strings.Contains(r.stderr, "Shown once") || made.ClientSecret != "" || made.TokenEndpointAuthMethod != "none" {
			t.Errorf("made %+v, stderr %q", made, r.stderr)
		}
		if len(made.RedirectURIs) != 2 || made.RefreshGrace != "30s" || !strings.HasPrefix(made.ClientID, "cl_") {
			t.Errorf("made %+v", made)
		}
		r = c.run("", "client", "rotate-secret", made.ClientID)
		if r.status != exitUsage || !strings.Contains(r.stderr, "is public") {
			t.Errorf("%+v", r)
		}
	})
}

func TestARefusedClientNamesEveryProblemAndExits2(t *testing.T) {
	both(t, func(c cli) {
		t := c.t
		r := c.run("", "client", "add", "usr_x", "--public", "--grant-type", "client_credentials", "--redirect-uri", "javascript:alert(1)",
			"--default-scope", "b", "--refresh-grace", "10m")
		if r.status != exitUsage || r.stdout != "" {
			t.Errorf("%+v", r)
		}
		for _, part := range []string{"usr_", "client_credentials needs", "javascript", "not in scope", "5m"} {
			if !strings.Contains(r.stderr, part) {
				t.Errorf("stderr %q lacks %q", r.stderr, part)
			}
		}
		for line, want := range map[string]string{
			"client add a --refresh-grace soon":     "not a duration",
			"client rotate-secret a --overlap soon": "not a duration",
			"client rotate-secret a --overlap 91d":  "not a duration from 0s to",
			"client rotate-secret nobody":           "no client nobody",
		} {
			if r := c.run("", strings.Fields(line)...); r.status == exitDone || !strings.Contains(r.stderr, want) {
				t.Errorf("%s: %+v", line, r)
			}
		}
	})
}

// brokenPipe fails like standard output whose reader has gone.
type brokenPipe struct{}

var errPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errPipe }

func TestASecretThatCouldNotBePrintedIsAFailure(t *testing.T) {
	c := offline(t)
	for _, format := range []string{"table", "json"} {
		var stderr syncBuffer
		a := newTestApp(cheapHashes, brokenPipe{}, &stderr)
		status := run(t.Context(), a, []string{"client", "add", format, "--grant-type", "client_credentials", "-o", format, "--data-dir", c.dir})
		if status != exitFailed || !strings.Contains(stderr.String(), errPipe.Error()) {
			t.Errorf("%s: exit %d, stderr %q", format, status, stderr.String())
		}
	}
}
