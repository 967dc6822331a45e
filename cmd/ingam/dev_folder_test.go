package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingam/ingam/storage/bolt"
)

func TestDevModeOnOneAddressSaysThatAPortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	dir := filepath.Join(t.TempDir(), "dev")
	for _, flag := range []string{"--port", "--admin-port", "--resource-port", "--web-port", "--spa-port"} {
		r := runCommand(t, nil, "dev", "--data-dir", dir, "--listen", "127.0.0.1", "--port", "0", "--admin-port", "0", "--resource-port", "0", "--web-port", "0", "--spa-port", "0", flag, port)
		if r.status != exitFailed || !strings.Contains(r.stderr, "port "+port+" is taken") {
			t.Errorf("%s: exit %d, %s", flag, r.status, r.stderr)
		}
	}
}

func TestDevModeTakesAnIPv6AddressInBracketsAndRefusesWhatIsNoPort(t *testing.T) {
	t.Chdir(t.TempDir())
	o := devOptions{listen: "[::1]", port: "0", adminPort: "0", resourcePort: "0", webPort: "0", spaPort: "0", output: "text"}
	if err := o.check(); err != nil || o.listen != "::1" {
		t.Errorf("%q, %v", o.listen, err)
	}
	for _, args := range [][]string{
		{"--port", "banana"}, {"--admin-port", "65536"}, {"--resource-port", "-1"}, {"--web-port", "x"}, {"--spa-port", "65536"}, {"--port", ""}, {"--listen", "localhost:"},
	} {
		r := runCommand(t, nil, append([]string{"dev"}, args...)...)
		if r.status != exitUsage || !strings.Contains(r.stderr, "is not a port") {
			t.Errorf("%v: exit %d, %s", args, r.status, r.stderr)
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("it has made %v before refusing", entries)
	}
}

// Whenever `ingam dev` is killed, what it leaves is still its own: the marker is the first file made and none is
// removed while others are there.
func TestTheMarkerOfDevModeIsThereAsLongAsAnythingElseIs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	if err := prepareDevDir(t.Context(), dir, false); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, storeFile), "demo users")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := emptyDevDir(dir, entries); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != devMarker {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := prepareDevDir(t.Context(), dir, true); err != nil || !isDevDir(dir) {
		t.Errorf("the next start: %v", err)
	}
}

func TestAFileInThePlaceOfTheDataFolderIsNotCalledDevModes(t *testing.T) {
	_, args := serveArgs(t)
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "x")
	got := runCommand(t, nil, append(args, "--data-dir", file)...)
	if got.status == exitDone || strings.Contains(got.stderr, "ingam dev") || !strings.Contains(got.stderr, "not a directory") {
		t.Errorf("exit %d: %s", got.status, got.stderr)
	}
}

// CONTRACT: `ingam config check` says what `serve` would say.
func TestConfigCheckRefusesTheDataOfDevModeAsServeDoes(t *testing.T) {
	_, args := serveArgs(t)
	dir := filepath.Join(t.TempDir(), "dev")
	if err := prepareDevDir(t.Context(), dir, false); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, nil, append(append([]string{"config", "check"}, args[1:]...), "--data-dir", dir)...)
	if got.status != exitUsage || !strings.Contains(got.stderr, "belongs to 'ingam dev'") {
		t.Errorf("exit %d: %s", got.status, got.stderr)
	}
}

// A server that holds the store but has no socket yet must not lose its folder.
func TestFreshRefusesAFolderWhoseStoreIsHeld(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	if err := prepareDevDir(t.Context(), dir, false); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, storeFile)
	store, err := bolt.Open(t.Context(), path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := prepareDevDir(t.Context(), dir, true); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("while it is held: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the store of a running server is gone: %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := prepareDevDir(t.Context(), dir, true); err != nil {
		t.Errorf("when it is free: %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("--fresh left the store: %v", err)
	}
}
