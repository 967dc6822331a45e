package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingam/ingam/keys"
)

func TestANewMasterKeyIsPrintedOrWrittenForItsOwnerOnly(t *testing.T) {
	r := runCommand(t, nil, "keys", "new-master-key")
	if _, err := keys.ParseMasterKey(r.stdout); err != nil || r.status != exitDone {
		t.Errorf("%v, exit %d", err, r.status)
	}
	path := filepath.Join(t.TempDir(), "master.key")
	if r := runCommand(t, nil, "keys", "new-master-key", "--out", path); r.status != exitDone || r.stdout != "" {
		t.Fatalf("%+v", r)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestAMasterKeyThatExistsIsNeverOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	writeFile(t, path, "the old one")
	for _, test := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"keys", "new-master-key", "--out", path}, exitFailed, "not overwritten"},
		{[]string{"keys", "new-master-key", "--out", path, "--if-missing"}, exitDone, "stays as it is"},
	} {
		r := runCommand(t, nil, test.args...)
		text, err := os.ReadFile(path)
		if r.status != test.status || !strings.Contains(r.stderr, test.says) || err != nil || string(text) != "the old one" {
			t.Errorf("%v: %+v; the file now holds %q", test.args, r, text)
		}
	}
}

func TestANewMasterKeyInJSONSaysWhereItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-o", "json"}, `"master_key": "`},
		{[]string{"-o", "json", "--out", path}, `"made": true`},
		{[]string{"-o", "json", "--out", path, "--if-missing"}, `"made": false`},
	} {
		r := runCommand(t, nil, append([]string{"keys", "new-master-key"}, test.args...)...)
		if r.status != exitDone || !strings.Contains(r.stdout, test.want) || strings.Contains(r.stdout, `"master_key"`) != (len(test.args) == 2) {
			t.Errorf("%v: %+v", test.args, r)
		}
	}
}
