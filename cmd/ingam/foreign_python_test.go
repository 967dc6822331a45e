package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

var unittestRan = regexp.MustCompile(`(?m)^Ran [1-9]\d* tests in .*\n\nOK\n`)

// Threats A6, A7: a client in Python, and what its library checks.
func TestProgramsInPythonSignPeopleInWithAuthlib(t *testing.T) {
	t.Parallel()
	python := pythonWithPackages(t)
	_, facts := spawnDev(t)
	const redirect, after = "http://localhost:9/callback", "http://localhost:9/bye"
	secret := addClient(t, facts, "", "python", "--kind", "web", "--redirect-uri", redirect, "--post-logout-redirect-uri", after,
		"--audience", devResourceID, "--session-bound")
	script, err := filepath.Abs(filepath.Join(foreign, "python", "signin.py"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, script, "-v")
	cmd.Dir = t.TempDir()
	cmd.Env = append(plainEnvironment(), "PYTHONDONTWRITEBYTECODE=1", "ISSUER="+facts.Issuer, "API="+facts.Resource,
		"BROWSER="+lendVisitors(t, facts.Issuer), "REDIRECT="+redirect, "AFTER="+after, "CLIENT=python", "SECRET="+secret)
	out, err := cmd.CombinedOutput()
	// "OK (skipped=1)" is not OK.
	if err != nil || !unittestRan.Match(out) {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
