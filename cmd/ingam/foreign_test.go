package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Programs in other languages, unchanged, against `ingam dev`. What they need is installed once, from lock files in
// testdata/foreign, into a folder for caches.

const foreign = "testdata/foreign"

// leaveOut skips a test that cannot run on this machine, and fails it where INGAM_REQUIRE names what is missing.
func leaveOut(t *testing.T, what string, why ...any) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("INGAM_REQUIRE"), ","), what) {
		t.Fatalf("INGAM_REQUIRE names %s, but %s", what, fmt.Sprint(why...))
	}
	t.Skipf("LEFT OUT: what needs %s is not tested here: %s", what, fmt.Sprint(why...))
}

// installed returns a folder that install has filled, made once for each content of the lock file and each version of
// the interpreter.
func installed(t *testing.T, what, lockFile, interpreter string, install func(ctx context.Context, dir string) error) string {
	t.Helper()
	lock, err := os.ReadFile(lockFile)
	if err != nil {
		t.Fatal(err)
	}
	version, err := exec.Command(interpreter, "--version").CombinedOutput()
	if err != nil {
		leaveOut(t, what, interpreter, " does not run: ", err)
	}
	return madeOnce(t, what, lockFile, slices.Concat(lock, []byte(interpreter), version), install)
}

// making has a lock for each folder, so that tests that run at once wait for each other and not for other folders.
var making sync.Map

// madeOnce returns a folder for caches that install has filled, one for each key. It appears whole or not at all.
func madeOnce(t *testing.T, what, from string, key []byte, install func(ctx context.Context, dir string) error) string {
	t.Helper()
	sum := sha256.Sum256(key)
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir() // a machine without a home installs it each time
	}
	dir := filepath.Join(cache, "ingam-test", what+"-"+hex.EncodeToString(sum[:8]))
	lock, _ := making.LoadOrStore(dir, new(sync.Mutex))
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), what+"-making-")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(fresh) }() // moved away by then, or of no use
	ctx, done := context.WithTimeout(t.Context(), 4*time.Minute)
	defer done()
	begun := time.Now()
	if err := install(ctx, fresh); err != nil {
		leaveOut(t, what, "what ", from, " names could not be installed: ", err)
	}
	t.Logf("installed %s in %v", from, time.Since(begun).Round(time.Millisecond))
	// Another run may have been faster; what it made is the same.
	if err := os.Rename(fresh, dir); err != nil {
		if _, statErr := os.Stat(dir); statErr != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runIn runs a program in a folder, with the whole environment: proxies and registries are configured there.
func runIn(ctx context.Context, dir, path string, args ...string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(path), strings.Join(args, " "), err, lastLines(string(out), 20))
	}
	return nil
}

// nodeModules returns node and a folder with node_modules.
func nodeModules(t *testing.T) (node, dir string) {
	t.Helper()
	return nodePackages(t, "node", filepath.Join(foreign, "js"))
}

// nodePackages returns node and a folder with the packages of another one's lock file, for the tests that need what.
func nodePackages(t *testing.T, what, folder string) (node, dir string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		leaveOut(t, "node", err)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		leaveOut(t, "node", err)
	}
	// Older ones lack what these libraries need (package.json, engines).
	version, err := exec.CommandContext(t.Context(), node, "-p", "parseInt(process.versions.node) >= 20 || process.version").Output()
	if err != nil || string(version) != "true\n" {
		leaveOut(t, "node", "Node 20 or newer is needed, this is ", string(version), err)
	}
	source, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	return node, installed(t, what, filepath.Join(source, "package-lock.json"), node, func(ctx context.Context, dir string) error {
		for _, name := range []string{"package.json", "package-lock.json"} {
			data, err := os.ReadFile(filepath.Join(source, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				return err
			}
		}
		return runIn(ctx, dir, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=30000")
	})
}

// pythonWithPackages returns a Python with the packages of requirements.txt.
func pythonWithPackages(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		leaveOut(t, "python", err)
	}
	requirements, err := filepath.Abs(filepath.Join(foreign, "python", "requirements.txt"))
	if err != nil {
		t.Fatal(err)
	}
	dir := installed(t, "python", requirements, python, func(ctx context.Context, dir string) error {
		if err := runIn(ctx, dir, python, "-m", "venv", "."); err != nil {
			return err
		}
		return runIn(ctx, dir, filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-input",
			"--disable-pip-version-check", "--only-binary", ":all:", "--retries", "1", "-r", requirements)
	})
	return filepath.Join(dir, "bin", "python")
}

func TestTheLockFilesNameNoRegistry(t *testing.T) {
	for _, folder := range []string{filepath.Join(foreign, "js"), browserTests} {
		lock, err := os.ReadFile(filepath.Join(folder, "package-lock.json"))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(lock, []byte(`"resolved"`)) || !bytes.Contains(lock, []byte(`"integrity"`)) {
			t.Errorf("%s: make it with 'npm install --package-lock-only --omit-lockfile-registry-resolved=true'", folder)
		}
	}
}

var uvicornListens = regexp.MustCompile(`running on (http://\S+)`)

func TestAPythonAPIWithFastAPITrustsOurTokensAndNoOthers(t *testing.T) {
	t.Parallel()
	python := pythonWithPackages(t)
	_, facts := spawnDev(t)
	folder, err := filepath.Abs(filepath.Join(foreign, "python"))
	if err != nil {
		t.Fatal(err)
	}
	p := spawn(t, []string{"ISSUER=" + facts.Issuer, "AUDIENCE=" + devResourceID, "PYTHONDONTWRITEBYTECODE=1"}, python,
		"-m", "uvicorn", "app:app", "--app-dir", folder, "--host", "127.0.0.1", "--port", "0")
	var api string
	p.await(t, "address", func() bool {
		if m := uvicornListens.FindStringSubmatch(p.stderr.String()); m != nil {
			api = m[1]
		}
		return api != ""
	})
	client := newClient(t)
	// The form of the generated documentation page asks at the address that the API names, with the client in a Basic
	// header and an empty secret for a public one.
	tokenURL := passwordFlowOf(t, must(t)(ask(client, "GET", api+"/openapi.json", "")).body)
	signedIn := must(t)(ask(client, "POST", tokenURL, encode("grant_type", "password", "username", "alice", "password", "wonderland"),
		"Content-Type", "application/x-www-form-urlencoded", "Authorization", "Basic ZGVtby1jbGk6")).tokens()
	withID := mustSignIn(t, client, facts.Issuer, "demo-cli", "alice", "wonderland", "scope", "openid")

	good := must(t)(secureData(client, api, signedIn.Access))
	if good.status != 200 || !strings.Contains(good.body, `"username":"alice"`) {
		t.Errorf("a good token: %v", good)
	}
	for name, token := range map[string]string{
		"no token":                        "",
		"a tampered token":                tamper(t, signedIn.Access),
		"the ID token":                    withID.ID,
		"the refresh token":               signedIn.Refresh,
		"a token for another resource":    foreignAudience(t, facts),
		"a token of another server's key": tokenOfAnotherServer(t, client),
	} {
		if a := must(t)(secureData(client, api, token)); a.status != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: %v", name, a)
		}
	}
}

// passwordFlowOf reads the token URL from an OpenAPI document.
func passwordFlowOf(t *testing.T, document string) string {
	t.Helper()
	var doc struct {
		Components struct {
			SecuritySchemes map[string]struct {
				Flows struct {
					Password struct {
						TokenURL string `json:"tokenUrl"`
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	return doc.Components.SecuritySchemes["OAuth2PasswordBearer"].Flows.Password.TokenURL
}

// tokenOfAnotherServer is a token of another installation with the same clients and users.
func tokenOfAnotherServer(t *testing.T, client *http.Client) string {
	t.Helper()
	_, other := spawnDev(t)
	return mustSignIn(t, client, other.Issuer, "demo-cli", "alice", "wonderland").Access
}
