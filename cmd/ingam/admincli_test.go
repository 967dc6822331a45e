package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
	"github.com/ingam/ingam/storage/bolt"
	"github.com/ingam/ingam/storage/memory"
)

// cheapHashes make the passwords of these tests quick; they are settings of the smallest cost that serve would take.
var cheapHashes = []string{"INGAM_PASSWORDS_MEMORY_KIB=7168", "INGAM_PASSWORDS_TIME=1"}

// cli runs command lines against one data folder.
type cli struct {
	t   *testing.T
	dir string
}

// run runs one command line with input as its standard input.
func (c cli) run(input string, args ...string) result {
	c.t.Helper()
	return c.runWith(strings.NewReader(input), args...)
}

func (c cli) runWith(stdin io.Reader, args ...string) result {
	c.t.Helper()
	var stdout, stderr bytes.Buffer
	a := newTestApp(cheapHashes, &stdout, &stderr)
	a.stdin = stdin
	status := run(c.t.Context(), a, append(args, "--data-dir", c.dir))
	return result{status, stdout.String(), stderr.String()}
}

// want runs a command line that must succeed and decodes its JSON into out, if not nil.
func (c cli) want(out any, input string, args ...string) result {
	c.t.Helper()
	if out != nil {
		args = append(args, "-o", "json")
	}
	r := c.run(input, args...)
	if r.status != exitDone {
		c.t.Fatalf("ingam %s: exit %d, stderr %q", strings.Join(args, " "), r.status, r.stderr)
	}
	if out != nil {
		if err := json.Unmarshal([]byte(r.stdout), out); err != nil {
			c.t.Fatalf("ingam %s: %v in %q", strings.Join(args, " "), err, r.stdout)
		}
	}
	return r
}

// offline is a data folder with a store that no server holds.
func offline(t *testing.T) cli {
	t.Helper()
	dir := t.TempDir()
	store, err := bolt.Open(t.Context(), filepath.Join(dir, storeFile), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return cli{t, dir}
}

// online is a data folder with a server on its admin socket, over a store in memory: nothing that works here can have
// come from a file.
func online(t *testing.T) cli {
	t.Helper()
	return serveAdmin(t, t.TempDir())
}

func serveAdmin(t *testing.T, dir string) cli {
	t.Helper()
	hasher, err := credential.NewHasher(credential.HasherConfig{Params: credential.Params{MemoryKiB: 8, Time: 1, Parallelism: 1}})
	if err != nil {
		t.Fatal(err)
	}
	serveOnSocket(t, dir, admin.New(admin.Config{Store: memory.New(), Hasher: hasher, Log: slog.New(slog.DiscardHandler)}))
	return cli{t, dir}
}

func serveOnSocket(t *testing.T, dir string, handler http.Handler) {
	t.Helper()
	l, err := listenAdminSocket(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// both runs a test over the socket and offline: the commands must not differ.
func both(t *testing.T, test func(c cli)) {
	t.Helper()
	t.Run("socket", func(t *testing.T) { test(online(t)) })
	t.Run("offline", func(t *testing.T) { test(offline(t)) })
}

func TestVerboseSaysWhichWayWasTaken(t *testing.T) {
	for name, tc := range map[string]struct {
		cli  cli
		want string
	}{
		"socket":  {online(t), "using the running server: "},
		"offline": {offline(t), "no server is running: opened the store in "},
	} {
		if r := tc.cli.want(nil, "", "user", "list", "-v"); !strings.Contains(r.stderr, tc.want+tc.cli.dir) {
			t.Errorf("%s: stderr %q", name, r.stderr)
		}
		if r := tc.cli.want(nil, "", "user", "list"); r.stderr != "" {
			t.Errorf("%s: without -v stderr %q", name, r.stderr)
		}
	}
}

func TestAStaleSocketIsTakenForNoServer(t *testing.T) {
	c := offline(t)
	l, err := listenAdminSocket(t.Context(), c.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.(removingListener).Listener.Close(); err != nil { // as after a crash: the file stays
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(c.dir, adminSocket)); err != nil {
		t.Fatal(err)
	}
	c.want(nil, "", "user", "list")
}

func TestAStoreInUseWithoutASocketIsExplained(t *testing.T) {
	c := offline(t)
	store, err := bolt.Open(t.Context(), filepath.Join(c.dir, storeFile), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	r := c.run("", "user", "list")
	if r.status != exitFailed || !strings.Contains(r.stderr, "in use") || !strings.Contains(r.stderr, adminSocket) {
		t.Errorf("exit %d, stderr %q", r.status, r.stderr)
	}
}

func TestAMistypedFolderIsNotAnEmptyServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nowhere")
	r := cli{t, dir}.run("", "user", "list")
	if r.status != exitFailed || !strings.Contains(r.stderr, "no store") {
		t.Errorf("exit %d, stderr %q", r.status, r.stderr)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestTheSocketWorksUnderAPathThatIsTooLongForASocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	serveAdmin(t, dir).want(nil, "", "user", "add", "alice", "--no-password")
}

func TestOnlyWhereNobodyListensIsTheStoreOpenedDirectly(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOENT: "", syscall.ENOTDIR: "", syscall.ECONNREFUSED: "",
		syscall.EACCES: "no permission to connect to /data/admin.sock", syscall.EPERM: "no permission",
		syscall.EAGAIN: "connect to the server", syscall.ETIMEDOUT: "connect to the server", syscall.EMFILE: "connect to the server",
	} {
		err := unlessNobodyListens("/data/admin.sock", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errno)})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", errno.Error(), err)
		}
	}
}

func TestAnAnswerThatIsNotOursIsAnErrorAndRedirectsAreNotFollowed(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"text":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }, "not what this version"},
		"404":      {http.NotFound, "status 404"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "status 302"},
		"hang-up":  {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "does not answer"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			serveOnSocket(t, dir, tc.handler)
			if r := (cli{t, dir}).run("", "user", "list"); r.status != exitFailed || !strings.Contains(r.stderr, tc.want) {
				t.Errorf("exit %d, stderr %q", r.status, r.stderr)
			}
		})
	}
}

func TestRecordsOfFilesAreSeenOfflineAndChangedOnlyThere(t *testing.T) {
	c := offline(t)
	users, clients := t.TempDir(), t.TempDir()
	writeFile(t, filepath.Join(users, "team.yaml"), "username: filed\nclaims: {name: Filed}\n")
	writeFile(t, filepath.Join(clients, "apps.yaml"), "client_id: filed\ntoken_endpoint_auth_method: none\ngrant_types: [password]\n")
	runIt := func(args ...string) result {
		var stdout, stderr bytes.Buffer
		a := newTestApp(append([]string{"INGAM_USERS_DIR=" + users, "INGAM_CLIENTS_DIR=" + clients}, cheapHashes...), &stdout, &stderr)
		status := run(t.Context(), a, append(args, "--data-dir", c.dir))
		return result{status, stdout.String(), stderr.String()}
	}
	for _, args := range [][]string{{"user", "list"}, {"user", "show", "filed"}, {"client", "list"}, {"client", "show", "filed"}} {
		if r := runIt(args...); r.status != exitDone || !strings.Contains(r.stdout, ".yaml") {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", args, r.status, r.stdout, r.stderr)
		}
	}
	for _, args := range [][]string{{"user", "disable", "filed"}, {"user", "remove", "filed"}, {"client", "remove", "filed"}} {
		if r := runIt(args...); r.status != exitFailed || !strings.Contains(r.stderr, ".yaml and is changed there") {
			t.Errorf("%v: exit %d, stderr %q", args, r.status, r.stderr)
		}
	}
	writeFile(t, filepath.Join(users, "team.yaml"), "username: filed\npasword: x\n")
	if r := runIt("user", "list"); r.status != exitDone || !strings.Contains(r.stderr, "config check") {
		t.Errorf("with a broken file: exit %d, stderr %q", r.status, r.stderr)
	}
}

func TestAFailureOfTheStoreIsExplainedOffline(t *testing.T) {
	var stdout, stderr bytes.Buffer
	store := memory.New()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&stderr, nil))
	hasher, err := credential.NewHasher(credential.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	c := newAdminClient(inProcess{admin.New(admin.Config{Store: store, Hasher: hasher, Log: log})}, "", store.Close)
	err = c.do(t.Context(), http.MethodGet, "/users", nil, nil)
	if err == nil || !answered(err, admin.CodeUnavailable) || exitStatus(err) != exitFailed {
		t.Errorf("%v", err)
	}
	if !strings.Contains(stderr.String(), "closed") || stdout.Len() != 0 {
		t.Errorf("stderr %q", stderr.String())
	}
}

func TestARequestEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	serveOnSocket(t, dir, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	c, err := connectSocket(t.Context(), dir)
	if err != nil || c == nil {
		t.Fatal(c, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.do(ctx, http.MethodGet, "/users", nil, nil); err == nil {
		t.Error("an answer from nowhere")
	}
}

func TestPathSegmentsAreNamesAndNeverAWayUp(t *testing.T) {
	for name, want := range map[string]string{
		"alice": "/users/alice", "..": "/users/%2E%2E", ".": "/users/%2E", "a/b": "/users/a%2Fb", "a?b#c%": "/users/a%3Fb%23c%25", "김": "/users/%EA%B9%80",
	} {
		if got := pathOf("users", name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// stored opens the store of an offline folder and hands it to look.
func (c cli) stored(look func(storage.Store)) {
	c.t.Helper()
	store, err := bolt.Open(c.t.Context(), filepath.Join(c.dir, storeFile), bolt.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	look(store)
	if err := store.Close(); err != nil {
		c.t.Fatal(err)
	}
}
