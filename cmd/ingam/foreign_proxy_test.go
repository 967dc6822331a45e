package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// proxyPackage is a program that many put in front of applications that know nothing of OpenID Connect.
const proxyPackage = "github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.4"

// proxyProgram returns the program, built once. The checksum database of Go vouches for it.
func proxyProgram(t *testing.T) string {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		leaveOut(t, "proxy", err)
	}
	dir := madeOnce(t, "proxy", proxyPackage, []byte(proxyPackage), func(ctx context.Context, dir string) error {
		cmd := exec.CommandContext(ctx, goTool, "install", proxyPackage)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, lastLines(string(out), 20))
		}
		return nil
	})
	return filepath.Join(dir, "oauth2-proxy")
}

// seen is what the application behind the proxy is told about who asks.
var seen = []string{"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token"}

// spawnProxy runs oauth2-proxy in front of an application that shows what it is told. It returns the address.
func spawnProxy(t *testing.T, facts devFacts, after string) string {
	t.Helper()
	path := proxyProgram(t)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for _, name := range seen {
			fmt.Fprintf(w, "%s: %s\n", name, r.Header.Get(name))
		}
	}))
	t.Cleanup(app.Close)
	address := freeAddress(t)
	secret := addClient(t, facts, "", "proxy", "--kind", "web", "--redirect-uri", "http://"+address+"/oauth2/callback",
		"--post-logout-redirect-uri", after, "--session-bound")
	secretFile := filepath.Join(t.TempDir(), "secret")
	writeFile(t, secretFile, secret)
	issuer, err := url.Parse(facts.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	p := spawn(t, nil, path, "--http-address", address, "--provider", "oidc", "--oidc-issuer-url", facts.Issuer,
		"--client-id", "proxy", "--client-secret-file", secretFile, "--redirect-url", "http://"+address+"/oauth2/callback",
		"--scope", "openid profile email", "--code-challenge-method", "S256", "--insecure-oidc-skip-nonce=false",
		"--skip-provider-button", "--cookie-secret", strings.Repeat("c", 32), "--cookie-secure=false", "--cookie-refresh", "1s",
		"--email-domain", "*", "--whitelist-domain", issuer.Host, "--pass-access-token", "--upstream", app.URL)
	p.await(t, "ping", func() bool {
		resp, err := http.Get("http://" + address + "/ping")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return "http://" + address
}

func TestAnApplicationBehindOAuth2ProxyIsToldWhoAsks(t *testing.T) {
	t.Parallel()
	_, facts := spawnDev(t)
	const after = "http://localhost:9/bye"
	proxy := spawnProxy(t, facts, after)
	refusesUnasked(t, facts.Issuer, proxy)
	alice := mustVisitor(t, facts.Issuer, proxy)
	// page is what the application shows, and asked what was asked of her before.
	page := func() (token string, asked []string) {
		t.Helper()
		l, err := alice.visit(t.Context(), proxy+"/page")
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(l.Page), "\n")
		if l.Status != http.StatusOK || len(lines) != len(seen) || !strings.HasPrefix(lines[0], "X-Forwarded-User: usr_") ||
			lines[1] != "X-Forwarded-Email: alice@example.test" || lines[2] != "X-Forwarded-Preferred-Username: alice" {
			t.Fatalf("%d %s", l.Status, l.Page)
		}
		return strings.TrimPrefix(lines[3], "X-Forwarded-Access-Token: "), l.Asked
	}
	first, asked := page()
	if !slices.Equal(asked, []string{"/login", "/consent"}) {
		t.Errorf("at the first visit she was asked %v", asked)
	}
	if again, asked := page(); len(asked) != 0 || first == "" {
		t.Errorf("at the second visit she was asked %v, tokens %q, %q", asked, first, again)
	}
	next := first
	for end := time.Now().Add(patience); next == first; time.Sleep(100 * time.Millisecond) { // --cookie-refresh
		if next, asked = page(); len(asked) != 0 || time.Now().After(end) {
			t.Fatalf("the proxy has not refreshed the token; she was asked %v", asked)
		}
	}

	// Signing out of the proxy alone ends only that.
	if l, err := alice.visit(t.Context(), proxy+"/oauth2/sign_out"); err != nil || len(l.Asked) != 0 {
		t.Errorf("sign_out: %+v, %v", l, err)
	}
	if _, asked := page(); len(asked) != 0 {
		t.Errorf("who is signed in at the server was asked %v", asked)
	}
	// The documented way to sign out of both. There is no ID token in it, so the server asks (threats L15).
	end := facts.Issuer + "/oauth2/logout?" + url.Values{"client_id": {"proxy"}, "post_logout_redirect_uri": {after}}.Encode()
	l, err := alice.visit(t.Context(), proxy+"/oauth2/sign_out?"+url.Values{"rd": {end}}.Encode())
	if err != nil || l.URL != after || !slices.Equal(l.Asked, []string{"/logout"}) {
		t.Errorf("signing out of both: %+v, %v", l, err)
	}
	if _, asked := page(); !slices.Equal(asked, []string{"/login"}) {
		t.Errorf("after signing out she was asked %v", asked)
	}
}

// refusesUnasked wants the proxy to take no answer that this browser has not asked for.
func refusesUnasked(t *testing.T, issuer, proxy string) {
	t.Helper()
	for name, query := range map[string]string{
		"a code of nowhere":                "code=ac_x.0.x&state=s:/",
		"an error without a state of ours": "error=access_denied&state=s:/",
	} {
		l, err := mustVisitor(t, issuer, proxy).visit(t.Context(), proxy+"/oauth2/callback?"+query)
		if err != nil || l.Status < 400 || strings.Contains(l.Page, seen[0]) {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
}
