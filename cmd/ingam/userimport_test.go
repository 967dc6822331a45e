package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/storage"
)

func TestUsersAreImportedFromLinesAndFromAnArray(t *testing.T) {
	lines := "\ufeff" + `{"username":"Alice","password_hash":"` + bcryptOfOne + `","claims":{"name":"Alice Kim"}}` + "\n\n" +
		`{"username":"bob","password":"` + aPassword + `","disabled":true}` + "\r\n" + `{"username":"carol"}`
	array := "[\n" + strings.Join(strings.Fields(strings.NewReplacer("\ufeff", "", "Alice Kim", "Alice_Kim").Replace(lines)), ",\n") + "\n]\n"
	for name, file := range map[string]string{"lines": lines, "array": array} {
		t.Run(name, func(t *testing.T) {
			both(t, func(c cli) {
				t := c.t
				var results []importResult
				r := c.want(&results, file, "user", "import", "-")
				if len(results) != 3 || results[0].Username != "alice" || results[0].Result != importedUser || results[0].ID == "" {
					t.Errorf("results %+v", results)
				}
				if !strings.Contains(r.stderr, "3 users imported, 0 users already there.") {
					t.Errorf("stderr %q", r.stderr)
				}
				var all []admin.User
				c.want(&all, "", "user", "list")
				if len(all) != 3 || all[0].HashKind != "bcrypt" || all[1].HashKind != "argon2id" || !all[1].Disabled || all[2].HasPassword {
					t.Errorf("users %+v", all)
				}
			})
		})
	}
}

func TestAnImportCanBeRepeatedAndLeavesExistingUsersAlone(t *testing.T) {
	c := offline(t)
	c.want(nil, "", "user", "add", "alice", "--no-password", "--name", "The first")
	file := filepath.Join(t.TempDir(), "users.jsonl")
	writeFile(t, file, `{"username":"ALICE","claims":{"name":"The second"}}`+"\n"+`{"username":"bob"}`+"\n")
	for range 2 {
		r := c.want(nil, "", "user", "import", file)
		if !strings.Contains(r.stderr, file+":1: user ALICE exists already") {
			t.Errorf("stderr %q", r.stderr)
		}
	}
	var alice admin.User
	if c.want(&alice, "", "user", "show", "alice"); alice.Claims["name"] != "The first" {
		t.Errorf("alice %+v", alice)
	}
}

func TestADryRunChecksEverythingAndChangesNothing(t *testing.T) {
	both(t, func(c cli) {
		t := c.t
		c.want(nil, "", "user", "add", "alice", "--no-password")
		var results []importResult
		c.want(&results, `{"username":"alice"}`+"\n"+`{"username":"bob","password":"`+aPassword+`"}`, "user", "import", "-", "--dry-run")
		if len(results) != 2 || results[0].Result != alreadyThereNow || results[1].Result != importableUser {
			t.Errorf("results %+v", results)
		}
		var all []admin.User
		if c.want(&all, "", "user", "list"); len(all) != 1 {
			t.Errorf("users %+v", all)
		}
	})
}

func TestWhereOneLineIsWrongAllWrongOnesAreListedAndNothingIsImported(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		want []string // "line: part of the message"
	}{
		"lines": {
			`{"username":"alice"}
{"username":"b b"}
{"username":"carol","role":"admin"}

{"username":"dave","password":"short","claims":{"sub":"x","email":1}}
not json
{"username":"ALICE"}
{"username":"erin","password_hash":"plain"}
{"username":"frank"} {"username":"grace"}
"henry"`,
			[]string{
				`:2: username: "b b"`, `:3: unknown field "role"`, ":5: password: ", `:5: claims: "sub"`, `:5: claims: "email"`,
				":6: this is not JSON", `:7: username: "alice" is in line 1 already`, ":8: password_hash: ", ":9: there is more", ":10: ",
			},
		},
		"array": {
			"[\n{\"username\":\"alice\"},\n{\n  \"username\": \"b b\"\n},\n\n{\"username\":\"alice\"}, 7]",
			[]string{`:3: username: "b b"`, `:7: username: "alice" is in line 2 already`, ":7: the whole: an object is expected here"},
		},
		"broken array":       {"[{\"username\":\"alice\"},\n{\"username\":]", []string{":2: from here on this is not JSON"}},
		"array not closed":   {"[{\"username\":\"alice\"}\n", []string{": the array is not closed"}},
		"text behind array":  {"[{\"username\":\"alice\"}]\nx", []string{": there is more after the array"}},
		"separator missing":  {"[{\"username\":\"alice\"} {\"username\":\"bob\"}]", []string{": from here on this is not JSON"}},
		"username not there": {`{"claims":{}}`, []string{":1: username: "}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, more := range [][]string{nil, {"--dry-run"}} {
				c := offline(t)
				file := filepath.Join(t.TempDir(), "users")
				writeFile(t, file, tc.file)
				r := c.run("", append([]string{"user", "import", file}, more...)...)
				if r.status != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, "nothing was") {
					t.Errorf("exit %d, stdout %q, stderr %q", r.status, r.stdout, r.stderr)
				}
				for _, want := range tc.want {
					if !strings.Contains(r.stderr, want) {
						t.Errorf("stderr %q lacks %q", r.stderr, want)
					}
				}
				if n := strings.Count(r.stderr, file+":"); n != len(tc.want) {
					t.Errorf("%d problems, want %d: %q", n, len(tc.want), r.stderr)
				}
				c.stored(func(s storage.Store) {
					if users, err := s.Users(t.Context(), "", 10); err != nil || len(users) != 0 {
						t.Errorf("imported %v %v", users, err)
					}
				})
			}
		})
	}
}

func TestAnImportFileThatCannotBeReadIsAUsageErrorAndAnEmptyOneIsNothing(t *testing.T) {
	c := offline(t)
	if r := c.run("", "user", "import", "/nonexistent/users"); r.status != exitUsage || !strings.Contains(r.stderr, "cannot be read") {
		t.Errorf("%+v", r)
	}
	for _, empty := range []string{"", "\n", "[]", " [ ] \n"} {
		var results []importResult
		if c.want(&results, empty, "user", "import", "-"); results == nil || len(results) != 0 {
			t.Errorf("%q: %v", empty, results)
		}
	}
}
