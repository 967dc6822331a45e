package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/bolt"
)

// startDev runs dev mode on free ports and returns what it printed.
func startDev(t *testing.T, dir string, more ...string) (*running, devFacts) {
	t.Helper()
	r := start(t, nil, append([]string{
		"dev", "--data-dir", dir, "--port", "0", "--admin-port", "0", "--resource-port", "0", "--web-port", "0", "--spa-port", "0", "-o", "json",
	}, more...)...)
	var facts devFacts
	r.await(t, "facts", func() bool { return json.Unmarshal([]byte(r.stdout.String()), &facts) == nil })
	return r, facts
}

// tokens is a token response.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Type    string `json:"token_type"`
	Error   string `json:"error"`
}

// askToken asks the token endpoint; form is given as pairs.
func askToken(t *testing.T, issuer string, form ...string) (int, tokens) {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	answer, err := http.PostForm(issuer+"/oauth2/token", values)
	if err != nil {
		t.Fatal(err)
	}
	var got tokens
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, got
}

func TestDevModeGivesATokenThatTheResourceServerTakesAndKeepsSignInsOverARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	r, facts := startDev(t, dir)
	status, first := askToken(t, facts.Issuer, "grant_type", "password", "client_id", "demo-cli", "username", "alice", "password", "wonderland")
	if status != 200 || first.Access == "" || first.Refresh == "" {
		t.Fatalf("password grant: %d %+v", status, first)
	}
	if status, wrong := askToken(t, facts.Issuer, "grant_type", "password", "client_id", "demo-cli", "username", "alice", "password", "builder"); status != 400 || wrong.Error != "invalid_grant" {
		t.Errorf("wrong password: %d %+v", status, wrong)
	}
	assertAlice(t, facts, first.Access)
	if status, body := get(t, http.DefaultClient, facts.Resource+"/secure-data"); status != 401 {
		t.Errorf("no token: %d %s", status, body)
	}
	status, second := askToken(t, facts.Issuer, "grant_type", "refresh_token", "client_id", "demo-cli", "refresh_token", first.Refresh)
	if status != 200 || second.Refresh == first.Refresh {
		t.Fatalf("refresh: %d %+v", status, second)
	}
	http.DefaultClient.CloseIdleConnections()
	if status := r.end(t); status != exitDone {
		t.Fatalf("exit %d:\n%s", status, r.stderr)
	}

	r, facts = startDev(t, dir)
	status, third := askToken(t, facts.Issuer, "grant_type", "refresh_token", "client_id", "demo-cli", "refresh_token", second.Refresh)
	if status != 200 {
		t.Fatalf("refresh after a restart: %d %+v", status, third)
	}
	assertAlice(t, facts, third.Access)
	http.DefaultClient.CloseIdleConnections()
	r.end(t)

	_, facts = startDev(t, dir, "--fresh")
	if status, gone := askToken(t, facts.Issuer, "grant_type", "refresh_token", "client_id", "demo-cli", "refresh_token", third.Refresh); status != 400 {
		t.Errorf("refresh after --fresh: %d %+v", status, gone)
	}
	http.DefaultClient.CloseIdleConnections()
}

func assertAlice(t *testing.T, facts devFacts, access string) {
	t.Helper()
	status, body := get(t, http.DefaultClient, facts.Resource+"/secure-data", "Authorization", "Bearer "+access)
	var data struct{ Username string }
	if err := json.Unmarshal([]byte(body), &data); err != nil || status != 200 || data.Username != "alice" {
		t.Errorf("secure-data: %d %s", status, body)
	}
}

func TestThePrintedCommandsWorkWhenTheyArePasted(t *testing.T) {
	for _, program := range []string{"sh", "curl", "sed"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("this test needs %s: %v", program, err)
		}
	}
	_, facts := startDev(t, filepath.Join(t.TempDir(), "dev"))
	c := facts.Commands
	script := "set -eu\n" + c.Token + "\necho\n" + c.Call + "\necho\n" + c.Refresh + "\necho\n" + c.Login + "\n"
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "no_proxy=*"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if n := strings.Count(string(out), `"access_token":"`); n != 3 {
		t.Errorf("%d tokens in:\n%s", n, out)
	}
	if !strings.Contains(string(out), `"username":"alice"`) {
		t.Errorf("no secure data in:\n%s", out)
	}
}

func TestTheDemoClientsHaveTheSecretsOfTheContract(t *testing.T) {
	_, facts := startDev(t, filepath.Join(t.TempDir(), "dev"))
	if status, got := askToken(t, facts.Issuer, "grant_type", "client_credentials", "client_id", "demo-service",
		"client_secret", "demo-service-secret-for-local-use-only"); status != 200 {
		t.Errorf("demo-service: %d %+v", status, got)
	}
	if status, got := askToken(t, facts.Issuer, "grant_type", "password", "username", "bob", "password", "builder", "client_id", "demo-web",
		"client_secret", "demo-web-secret-for-local-use-only"); status != 200 {
		t.Errorf("demo-web: %d %+v", status, got)
	}
	if status, got := askToken(t, facts.Issuer, "grant_type", "password", "username", "bob", "password", "builder", "client_id", "demo-spa"); status != 400 {
		t.Errorf("demo-spa must not take passwords: %d %+v", status, got)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestSeedingTwiceChangesNothingAndKeepsWhatSomebodyChanged(t *testing.T) {
	store, err := bolt.Open(t.Context(), filepath.Join(t.TempDir(), storeFile), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := seed(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	bob, err := store.UserByName(t.Context(), "bob")
	if err != nil {
		t.Fatal(err)
	}
	bob.Disabled = true
	if err := store.ReplaceUser(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	before := contents(t, store)
	if err := seed(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	if after := contents(t, store); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func contents(t *testing.T, store storage.Store) string {
	t.Helper()
	users, err := store.Users(t.Context(), "", 100)
	if err != nil || len(users) != 2 {
		t.Fatal(users, err)
	}
	clients, err := store.Clients(t.Context(), "", 100)
	if err != nil || len(clients) != 4 {
		t.Fatal(clients, err)
	}
	text, err := json.Marshal([]any{users, clients})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDevModeRefusesAddressesThatOthersCanReach(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, address := range []string{"0.0.0.0", "0.0.0.0:8080", ":8080", "[::]:8080", "192.168.1.5", "example.com:80", "", "127.0.0.1.example.com", "localhost.example.com"} {
		r := runCommand(t, nil, "dev", "--listen", address, "--port", "0")
		if r.status != exitUsage || !strings.Contains(r.stderr, "can be reached from other machines") {
			t.Errorf("--listen %q: exit %d, %s", address, r.status, r.stderr)
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("it has made %v before refusing", entries)
	}
	for _, address := range []string{"127.0.0.1", "127.0.0.1:0", "localhost:0", "::1", "[::1]:0", "127.0.0.2"} {
		if err := (&devOptions{listen: address, output: "text"}).check(); err != nil {
			t.Errorf("--listen %q: %v", address, err)
		}
	}
}

func TestDevModeLeavesAFolderAloneThatItHasNotMade(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "thesis.tex"), "precious")
	for _, args := range [][]string{{"dev", "--data-dir", dir}, {"dev", "--data-dir", dir, "--fresh"}} {
		r := runCommand(t, nil, args...)
		if r.status != exitUsage || !strings.Contains(r.stderr, "has not made") {
			t.Errorf("%v: exit %d, %s", args, r.status, r.stderr)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("now it holds %v", entries)
	}
}

func TestFreshDoesNotPullTheFolderFromUnderARunningServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	startDev(t, dir)
	r := runCommand(t, nil, "dev", "--data-dir", dir, "--fresh", "--port", "0", "--admin-port", "0", "--resource-port", "0", "--web-port", "0", "--spa-port", "0")
	if r.status != exitFailed || !strings.Contains(r.stderr, "a server is running on "+dir) {
		t.Errorf("exit %d, %s", r.status, r.stderr)
	}
}

func TestAPortThatIsTakenIsNamedWithItsFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for _, flag := range []string{"--port", "--admin-port", "--resource-port", "--web-port", "--spa-port"} {
		args := []string{"dev", "--data-dir", filepath.Join(t.TempDir(), "dev"), "--port", "0", "--admin-port", "0", "--resource-port", "0", "--web-port", "0", "--spa-port", "0", flag, port}
		r := runCommand(t, nil, args...)
		if r.status != exitFailed || !strings.Contains(r.stderr, "port "+port+" is taken") || !strings.HasSuffix(strings.TrimSpace(r.stderr), flag) {
			t.Errorf("%s: exit %d, %s", flag, r.status, r.stderr)
		}
	}
}

func TestWhatDevModePrintsIsTheGoldenText(t *testing.T) {
	demo := testListener(t)
	ports := devPorts{
		public: []net.Listener{demo}, internal: []net.Listener{demo}, resource: []net.Listener{demo},
		web: []net.Listener{demo}, spa: []net.Listener{demo},
	}
	facts := ports.facts(devOptions{listen: "localhost", dataDir: ".ingam-dev"})
	_, port, _ := net.SplitHostPort(demo.Addr().String())
	var out strings.Builder
	facts.print(&out, "text")
	text := strings.ReplaceAll(strings.ReplaceAll(out.String(), port, "PORT"), facts.Version, "VERSION")
	golden, err := filepath.Abs("testdata/dev.txt")
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, golden, text)
}
