package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func TestProgramsInJavaScriptUseTheServerWithOpenidClientAndJose(t *testing.T) {
	t.Parallel()
	_, facts := spawnDev(t)
	runScripts(t, "clients.test.mjs", "ISSUER="+facts.Issuer, "API="+facts.Resource, "AUDIENCE="+devResourceID,
		"WEB_SECRET="+demoWebSecret, "SERVICE_SECRET="+demoServiceSecret)
}

// Threats A1, A4, A6, A7, A8: what the library checks, and what it is refused.
func TestProgramsInJavaScriptSignPeopleInWithOpenidClient(t *testing.T) {
	t.Parallel()
	_, facts := spawnDev(t)
	runScripts(t, "signin.test.mjs", signInEnvironment(t, facts)...)
}

// Threats A1, A4, A7: the same with the library below it, answer by answer.
func TestProgramsInJavaScriptSignPeopleInWithOauth4webapi(t *testing.T) {
	t.Parallel()
	_, facts := spawnDev(t)
	runScripts(t, "strict.test.mjs", signInEnvironment(t, facts)...)
}

// signInEnvironment registers the clients of the scripts, and says all they must know.
func signInEnvironment(t *testing.T, facts devFacts) []string {
	t.Helper()
	const redirect, after = "http://localhost:9/callback", "http://localhost:9/bye"
	private, public := clientKey(t)
	flags := func(more ...string) []string {
		return append([]string{
			"--kind", "web", "--audience", devResourceID, "--session-bound", "--redirect-uri", redirect,
			"--post-logout-redirect-uri", after,
		}, more...)
	}
	addClient(t, facts, public, "js-key", flags("--auth-method", "private_key_jwt", "--jwks-file", "-", "--require-par")...)
	addClient(t, facts, public, "js-jar", flags("--auth-method", "private_key_jwt", "--jwks-file", "-", "--require-signed-request",
		"--userinfo-alg", "RS256", "--subject-type", "pairwise")...)
	secret := addClient(t, facts, "", "js-secret", flags("--require-pkce")...)
	return []string{
		"ISSUER=" + facts.Issuer, "BROWSER=" + lendVisitors(t, facts.Issuer), "REDIRECT=" + redirect, "AFTER=" + after,
		"SPA_REDIRECT=" + facts.Apps.SPA + "/callback", "KEY=" + private, "SECRET=" + secret, "API_AUDIENCE=" + devResourceID,
	}
}

// clientKey makes a key: the private one as a JWK, the public one as a key set.
func clientKey(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk := jose.JSONWebKey{Key: key, KeyID: "first", Algorithm: string(jose.ES256), Use: "sig"}
	one, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	return string(one), string(set)
}

// runScripts runs the tests of one script, and wants each to pass.
func runScripts(t *testing.T, script string, env ...string) {
	t.Helper()
	node, modules := nodeModules(t)
	// Node looks for packages beside the file that imports them.
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{script, "browser.mjs"} {
		text, err := os.ReadFile(filepath.Join(foreign, "js", name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), string(text))
	}
	cmd := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=tap", script)
	cmd.Dir = dir
	cmd.Env = append(plainEnvironment(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^# pass [1-9]`).Match(out) || !bytes.Contains(out, []byte("\n# skipped 0\n")) {
		t.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "ok ") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
