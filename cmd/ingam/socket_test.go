package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheAdminSocketIsForItsOwnerOnlyAndGoesAwayWithTheServer(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, adminSocket)
	l, err := listenAdminSocket(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestAStaleAdminSocketIsReplacedAndOneThatAnswersIsNot(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, adminSocket)
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenAdminSocket(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "another server is running") {
		t.Fatalf("a socket that answers: %v", err)
	}
	old.SetUnlinkOnClose(false) // as after a crash
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := listenAdminSocket(t.Context(), dir)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	assertAnswers(t, dir)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFileInThePlaceOfTheAdminSocketIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, adminSocket), "precious")
	if _, err := listenAdminSocket(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, adminSocket)); err != nil || string(text) != "precious" {
		t.Errorf("%q %v", text, err)
	}
}

func TestAnAdminSocketWorksUnderAPathThatIsTooLongForASocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := listenAdminSocket(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	assertAnswers(t, dir)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, adminSocket)); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
}

func assertAnswers(t *testing.T, dir string) {
	t.Helper()
	conn, err := dialAdminSocket(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAKilledStartLeftOfASocketIsRemoved(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ".socket-123"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".socket-123", "s"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := listenAdminSocket(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != adminSocket {
		t.Errorf("in the folder: %v %v", entries, err)
	}
}
