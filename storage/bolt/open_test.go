package bolt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/ingam/ingam/storage"
)

func TestOnlyTheOwnerCanReadFileAndFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "deep", "ingam.db")
	open(t, path)
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if got := mode(t, p); got != want {
			t.Errorf("%s has mode %o, want %o", p, got, want)
		}
	}
}

func TestOpenTakesRightsAwayFromTheFileAndLeavesAnExistingFolderAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	path := filepath.Join(dir, "ingam.db")
	must(t, os.Mkdir(dir, 0o755))
	must(t, open(t, path).Close())
	must(t, os.Chmod(path, 0o644))
	open(t, path)
	if got := mode(t, path); got != 0o600 {
		t.Errorf("the file has mode %o, want 600", got)
	}
	if got := mode(t, dir); got != 0o755 {
		t.Errorf("the folder has mode %o, want 755 as before", got)
	}
}

func TestASecondOpenIsRefusedAtOnceAndNamesTheFile(t *testing.T) { // S5
	path := filepath.Join(t.TempDir(), "ingam.db")
	first := open(t, path)
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, storage.ErrInUse) || !strings.Contains(err.Error(), path) {
		t.Errorf("in this process: got %v, want ErrInUse with the path", err)
	}
	if out := child(t, "open", path); !strings.Contains(out, "in use: true") || !strings.Contains(out, path) {
		t.Errorf("in another process: got %q", out)
	}
	must(t, first.Close())
	if out := child(t, "open", path); out != "opened" {
		t.Errorf("after Close: got %q", out)
	}
}

func TestANewerSchemaIsRefusedAndTheFileLeftAsItIs(t *testing.T) { // S18
	path := filepath.Join(t.TempDir(), "ingam.db")
	s := open(t, path)
	_, err := write(t.Context(), s, func(t *tx) (nothing, error) {
		return nothing{}, t.put(bucketMeta, keySchema, []byte("7"))
	})
	must(t, errors.Join(err, s.Close()))
	before, err := os.ReadFile(path)
	must(t, err)
	_, err = Open(t.Context(), path, Options{})
	if !errors.Is(err, storage.ErrNewerSchema) || !strings.Contains(err.Error(), "version is 7, this program knows up to 2") {
		t.Errorf("got %v, want ErrNewerSchema with both versions", err)
	}
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("the file has changed")
	}
}

func TestFilesThatAreNoStoreAreRefusedAndLeftAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign")
	db, err := bbolt.Open(foreign, 0o600, nil)
	must(t, err)
	must(t, db.Close())
	contents := map[string][]byte{
		"empty": nil, "short": []byte("x"), "text": bytes.Repeat([]byte("this is no database. "), 5000),
		"zeros": make([]byte, 1<<16),
	}
	for name, content := range contents {
		must(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	contents["foreign"], err = os.ReadFile(foreign)
	must(t, err)
	for name, want := range contents {
		path := filepath.Join(dir, name)
		if _, err := Open(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error with the path", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: the file has changed (%v)", name, err)
		}
	}
	if _, err := Open(t.Context(), dir, Options{}); err == nil {
		t.Error("a folder was opened")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(gone, filepath.Join(dir, "new"), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("caller gone: got %v", err)
	}
}

func TestACrashWhileCreatingLeavesNoHalfStore(t *testing.T) {
	for _, point := range []string{"empty", "no buckets", "complete", "linked"} {
		t.Run(point, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ingam.db")
			if out := child(t, "create and die", path, point); out != "" {
				t.Fatalf("the child lived on and said %q", out)
			}
			if n := len(files(t, path)); n == 0 {
				t.Fatal("the child left nothing: this test proves nothing")
			}
			s := open(t, path)
			must(t, s.Ping(t.Context()))
			if left := files(t, path); len(left) != 1 {
				t.Errorf("there is still %v", left)
			}
		})
	}
}

func TestOfProcessesThatCreateAtOnceOneGetsTheStore(t *testing.T) {
	for range 5 {
		path := filepath.Join(t.TempDir(), "data", "ingam.db")
		type result struct {
			s   *Store
			err error
		}
		results := make(chan result)
		const openers = 6
		for range openers {
			go func() {
				s, err := Open(t.Context(), path, Options{})
				results <- result{s, err}
			}()
		}
		opened := 0
		for range openers {
			switch r := <-results; {
			case r.err == nil:
				opened++
				defer r.s.Close()
			case !errors.Is(r.err, storage.ErrInUse):
				t.Error(r.err)
			}
		}
		if opened != 1 {
			t.Fatalf("%d have opened the store, want 1", opened)
		}
	}
}

func TestWhatWasStoredIsThereAfterReopening(t *testing.T) { // R8
	path := filepath.Join(t.TempDir(), "ingam.db")
	s := open(t, path)
	must(t, s.CreateGrant(t.Context(), benchGrant("g")))
	rotation := storage.Rotation{GrantID: "g", Generation: 1, Attempt: "a", IdleLifetime: time.Hour}
	if outcome, _, err := s.Rotate(t.Context(), rotation); err != nil || outcome != storage.Rotated {
		t.Fatal(outcome, err)
	}
	must(t, s.Close())
	s = open(t, path)
	rotation.Attempt = "b"
	if outcome, _, err := s.Rotate(t.Context(), rotation); err != nil || outcome != storage.Reused {
		t.Errorf("the used generation after a restart: got %v, %v; want reused", outcome, err)
	}
}

// files are the names in the folder of path.
func files(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Mode().Perm()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
