package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/authserver/credential"
	"github.com/ingam/ingam/storage"
)

const (
	aPassword   = "canary-correct-horse"
	anotherOne  = "canary-battery-staple"
	bcryptOfOne = "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
)

func TestTheLifeOfAUser(t *testing.T) {
	both(t, func(c cli) {
		t := c.t
		var made, shown admin.User
		r := c.want(&made, aPassword+"\n", "user", "add", "Alice", "--password-stdin", "--name", "Alice Kim", "--email", "a@example.com",
			"--claim", "level=7", "--claim", `groups=["x","y"]`, "--claim", "motto=a=b, c", "--claim", "zip=01234")
		if r.stderr != "Added user alice.\n" || made.Username != "alice" || made.HashKind != "argon2id" {
			t.Errorf("added %+v, stderr %q", made, r.stderr)
		}
		c.want(&shown, "", "user", "show", "ALICE")
		want := map[string]string{
			"name": `"Alice Kim"`, "email": `"a@example.com"`, "level": "7", "groups": `["x","y"]`, "motto": `"a=b, c"`, "zip": `"01234"`,
		}
		for name, value := range want {
			if got := compact(shown.Claims[name]); got != value {
				t.Errorf("claim %s: %s, want %s", name, got, value)
			}
		}
		if shown.ID != made.ID || len(shown.Claims) != len(want) {
			t.Errorf("shown %+v", shown)
		}
		var after admin.User
		c.want(&after, "", "user", "disable", "alice")
		if !after.Disabled {
			t.Error("not disabled")
		}
		if r := c.want(nil, "", "user", "list"); !strings.Contains(r.stdout, "alice") || !strings.Contains(r.stdout, "disabled") {
			t.Errorf("list %q", r.stdout)
		}
		if r := c.want(nil, "", "user", "enable", "alice"); r.stdout != "" || r.stderr != "Enabled alice.\n" {
			t.Errorf("enable: %+v", r)
		}
		if r := c.want(nil, anotherOne, "user", "passwd", "alice", "--password-stdin"); !strings.Contains(r.stderr, "ended all sign-ins") {
			t.Errorf("passwd: %+v", r)
		}
		if r := c.want(nil, "", "user", "remove", "alice"); r.stdout != "" || r.stderr != "Removed user alice.\n" {
			t.Errorf("remove: %+v", r)
		}
		if r := c.run("", "user", "show", "alice"); r.status != exitFailed || !strings.Contains(r.stderr, "no user alice") {
			t.Errorf("after removal: %+v", r)
		}
		var none []admin.User
		if c.want(&none, "", "user", "list"); none == nil || len(none) != 0 {
			t.Errorf("an empty list is an empty array: %v", none)
		}
	})
}

func TestTheStoredPasswordIsTheOneGivenWithoutItsLineEnd(t *testing.T) {
	hasher, err := credential.NewHasher(credential.HasherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ given, fits string }{
		"one line end":         {aPassword + "\n", aPassword},
		"a line end of DOS":    {aPassword + "\r\n", aPassword},
		"no line end":          {aPassword, aPassword},
		"blanks belong to it":  {"  " + aPassword + " \n", "  " + aPassword + " "},
		"only one is cut":      {aPassword + "\n\n", aPassword + "\n"},
		"several lines belong": {"one\ntwo\nthree\n", "one\ntwo\nthree"},
	} {
		t.Run(name, func(t *testing.T) {
			c := offline(t)
			file := filepath.Join(t.TempDir(), "pw")
			writeFile(t, file, tc.given)
			c.want(nil, tc.given, "user", "add", "piped", "--password-stdin")
			c.want(nil, "", "user", "add", "filed", "--password-file", file)
			c.stored(func(s storage.Store) {
				for _, user := range []string{"piped", "filed"} {
					u, err := s.UserByName(t.Context(), user)
					if err != nil {
						t.Fatal(err)
					}
					if match, _, err := hasher.Verify(t.Context(), u.PasswordHash, tc.fits); err != nil || !match {
						t.Errorf("%s: %v %v", user, match, err)
					}
				}
			})
		})
	}
}

func TestHashesCostWhatTheConfigurationSays(t *testing.T) {
	c := offline(t)
	c.want(nil, aPassword, "user", "add", "alice", "--password-stdin")
	c.stored(func(s storage.Store) {
		u, err := s.UserByName(t.Context(), "alice")
		if err != nil || !strings.HasPrefix(u.PasswordHash, "$argon2id$v=19$m=7168,t=1,p=1$") {
			t.Errorf("%v %v", u.PasswordHash, err)
		}
	})
}

func TestAnyEndOfUserAddIsOneOfThreeExitStatuses(t *testing.T) {
	both(t, func(c cli) {
		t := c.t
		c.want(nil, "", "user", "add", "taken", "--no-password")
		for name, tc := range map[string]struct {
			input  string
			args   []string
			status int
			want   string
		}{
			"taken":                 {"", []string{"taken", "--no-password"}, exitFailed, "user taken exists already"},
			"no username":           {"", []string{"--no-password"}, exitUsage, "USERNAME is missing"},
			"bad username":          {"", []string{"a b", "--no-password"}, exitUsage, "username"},
			"no password option":    {"", []string{"bob"}, exitUsage, "--password-stdin, --password-file FILE or --no-password"},
			"two password options":  {"", []string{"bob", "--password-stdin", "--no-password"}, exitUsage, "none of the others can be"},
			"empty input":           {"\n", []string{"bob", "--password-stdin"}, exitUsage, "empty"},
			"weak password":         {"short", []string{"bob", "--password-stdin"}, exitUsage, "at least 8"},
			"no such file":          {"", []string{"bob", "--password-file", "/nonexistent/pw"}, exitUsage, "--password-file"},
			"empty file name":       {"", []string{"bob", "--password-file", ""}, exitUsage, "--password-file"},
			"claim without value":   {"", []string{"bob", "--no-password", "--claim", "x"}, exitUsage, "not name=value"},
			"claim given twice":     {"", []string{"bob", "--no-password", "--claim", "name=x", "--name", "y"}, exitUsage, "given twice"},
			"claim of the server":   {"", []string{"bob", "--no-password", "--claim", "sub=x"}, exitUsage, `"sub" is set by the server`},
			"mistyped flag":         {"", []string{"bob", "--no-pasword"}, exitUsage, `did you mean "--no-password"?`},
			"unknown output format": {"", []string{"bob", "--no-password", "-o", "xml"}, exitUsage, "choose table or json"},
			"endless password":      {strings.Repeat("x", maxSecretInput+1), []string{"bob", "--password-stdin"}, exitUsage, "too long"},
		} {
			r := c.run(tc.input, append([]string{"user", "add"}, tc.args...)...)
			if r.status != tc.status || !strings.Contains(r.stderr, tc.want) || r.stdout != "" {
				t.Errorf("%s: exit %d, stdout %q, stderr %q; want %d and %q", name, r.status, r.stdout, r.stderr, tc.status, tc.want)
			}
		}
		var all []admin.User
		if c.want(&all, "", "user", "list"); len(all) != 1 {
			t.Errorf("users %+v", all)
		}
	})
}

func TestAMistypedCommandOfAGroupDoesNotExit0(t *testing.T) {
	for line, want := range map[string]string{
		"user":              "needs a command",
		"user ad alice":     `did you mean "add"?`,
		"user lsit":         `did you mean "list"?`,
		"client":            "needs a command",
		"client rotate app": `unknown command "rotate" for "ingam client"`,
		"client craete":     "unknown command",
		"user list extra":   "0 arguments are expected",
		"user show":         "USERNAME is missing",
		"client show":       "CLIENT_ID is missing",
	} {
		if r := offline(t).run("", strings.Fields(line)...); r.status != exitUsage || !strings.Contains(r.stderr, want) || r.stdout != "" {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", line, r.status, r.stdout, r.stderr)
		}
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	for _, line := range []string{
		"user", "user add", "user list", "user show", "user passwd", "user disable", "user enable", "user remove", "user import",
		"client", "client add", "client list", "client show", "client update", "client remove", "client rotate-secret",
	} {
		r := runCommand(t, nil, append(strings.Fields(line), "--help")...)
		if r.status != exitDone || !strings.Contains(r.stdout, "Examples:\n  ingam") && !strings.Contains(r.stdout, "Examples:\n  pwgen") {
			t.Errorf("%s: exit %d, %q", line, r.status, r.stdout)
		}
	}
}

func TestNoPasswordOrSecretCanBeAnArgument_G8(t *testing.T) {
	c := offline(t)
	const canary = "canary-in-argv"
	for _, args := range [][]string{
		{"user", "add", "alice", "--password", canary},
		{"user", "add", "alice", "--password=" + canary},
		{"user", "add", "alice", "-p", canary},
		{"user", "add", "alice", "-p" + canary},
		{"user", "add", "alice", "--password-hash=" + canary},
		{"user", "add", "alice", canary},
		{"user", "passwd", "alice", "--password=" + canary},
		{"user", "passwd", "alice", canary},
		{"client", "add", "app", "--secret=" + canary},
		{"client", "add", "app", "--client-secret", canary},
		{"client", "add", "app", canary},
		{"client", "rotate-secret", "app", "--secret", canary},
	} {
		r := c.run("", args...)
		if r.status != exitUsage || !strings.Contains(r.stderr, "never an argument") {
			t.Errorf("%v: exit %d, stderr %q", args, r.status, r.stderr)
		}
		if strings.Contains(r.stdout+r.stderr, canary) {
			t.Errorf("%v repeats it: %q", args, r.stderr)
		}
	}
	root, _ := newRootCommand(newTestApp(nil, nil, nil))
	for _, group := range []string{"user", "client"} {
		cmd, _, err := root.Find([]string{group})
		if err != nil {
			t.Fatal(err)
		}
		for _, sub := range cmd.Commands() {
			for _, name := range []string{"password", "secret", "client-secret", "password-hash"} {
				if sub.Flags().Lookup(name) != nil {
					t.Errorf("%s has --%s", sub.CommandPath(), name)
				}
			}
		}
	}
}

func TestNoPasswordIsPrinted_G1(t *testing.T) {
	both(t, func(c cli) {
		t := c.t
		var all strings.Builder
		for _, r := range []result{
			c.run(aPassword, "user", "add", "alice", "--password-stdin", "-v"),
			c.run(aPassword, "user", "add", "alice", "--password-stdin", "-o", "json"), // taken
			c.run(anotherOne, "user", "passwd", "alice", "--password-stdin", "-v", "-o", "json"),
			c.run(`{"username":"bob","password_hash":"`+bcryptOfOne+`"}`, "user", "import", "-", "-v"),
			c.run(`{"username":"carol","password_hash":"`+aPassword+`"}`, "user", "import", "-"),
			c.run(`{"username":"carol","password":"`+aPassword, "user", "import", "-"),
			c.run("", "user", "list", "-o", "json"),
			c.run("", "user", "show", "bob"),
		} {
			all.WriteString(r.stdout + r.stderr)
		}
		for _, canary := range []string{aPassword, anotherOne, bcryptOfOne, "$argon2id$v"} {
			if strings.Contains(all.String(), canary) {
				t.Errorf("%q came out: %s", canary, all.String())
			}
		}
		if !strings.Contains(all.String(), "bcrypt") {
			t.Errorf("looked at the wrong output: %s", all.String())
		}
	})
}

func TestAPasswordFileThatOthersCanReadIsRemarkedOn(t *testing.T) {
	c := offline(t)
	for user, tc := range map[string]struct {
		mode   os.FileMode
		warned bool
	}{"a": {0o600, false}, "b": {0o400, false}, "c": {0o640, true}, "d": {0o644, true}} {
		file := filepath.Join(t.TempDir(), "pw")
		writeFile(t, file, aPassword)
		if err := os.Chmod(file, tc.mode); err != nil {
			t.Fatal(err)
		}
		r := c.want(nil, "", "user", "add", user, "--password-file", file)
		if got := strings.Contains(r.stderr, "others can read"); got != tc.warned {
			t.Errorf("%04o: stderr %q", tc.mode, r.stderr)
		}
	}
}

func TestLongListsComeWholeOverManyPages(t *testing.T) {
	c := online(t)
	var lines strings.Builder
	for i := range pageSize + 3 {
		lines.WriteString(`{"username":"u` + strings.Repeat("x", i%100) + string(rune('a'+i/100)) + `"}` + "\n")
	}
	c.want(nil, lines.String(), "user", "import", "-")
	var all []admin.User
	c.want(&all, "", "user", "list")
	names := make([]string, len(all))
	for i, u := range all {
		names[i] = u.Username
	}
	if len(all) != pageSize+3 || !slices.IsSorted(names) || len(slices.Compact(names)) != len(all) {
		t.Errorf("%d users", len(all))
	}
}

func TestTablesShowControlCharactersInsteadOfSendingThem_G2(t *testing.T) {
	for text, want := range map[string]string{
		"plain 김": "plain 김", "\x1b[31mred": `\x1b[31mred`, "a\nb\tc": `a\nb\tc`, "\u202egnp.exe": `\u202egnp.exe`, "it's": "it's",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	c := online(t)
	c.want(nil, "", "user", "add", "alice", "--no-password", "--claim", "nickname=x\u202ey")
	if r := c.want(nil, "", "user", "show", "alice"); strings.ContainsRune(r.stdout, '\u202e') {
		t.Errorf("%q", r.stdout)
	}
}
