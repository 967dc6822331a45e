package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestConfigurationsSayWhatTheGoldenFilesSay runs a command line in each folder of testdata/config and compares all it
// says. A folder may hold args (default: config check --config ingam.yaml) and env; master.key is written for it.
// INGAM_TEST_UPDATE=1 writes what is said now; read the difference before committing it.
func TestConfigurationsSayWhatTheGoldenFilesSay(t *testing.T) {
	cases, err := filepath.Glob("testdata/config/*")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases found", err)
	}
	for _, path := range cases {
		t.Run(filepath.Base(path), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(path)); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, "master.key"), "wpYbU9rEpBWbQyAtsKRWpJfW-gqAzrpTd4RHS0cLVek\r\n")
			args, env := []string{"config", "check", "--config", "ingam.yaml"}, []string{"PATH=/bin"}
			if text, err := os.ReadFile(filepath.Join(path, "args")); err == nil {
				args = strings.Fields(string(text))
			}
			if text, err := os.ReadFile(filepath.Join(path, "env")); err == nil {
				env = append(env, strings.Split(strings.TrimSpace(string(text)), "\n")...)
			}
			golden, err := filepath.Abs(filepath.Join(path, "want.txt"))
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)

			r := runCommand(t, env, args...)

			got := fmt.Sprintf("%s%sexit %d\n", r.stdout, r.stderr, r.status)
			if strings.Contains(got, "SECRET-") {
				t.Errorf("a secret is shown:\n%s", got)
			}
			compareGolden(t, golden, got)
		})
	}
}

func compareGolden(t *testing.T, golden, got string) {
	t.Helper()
	if os.Getenv("INGAM_TEST_UPDATE") != "" {
		writeFile(t, golden, got)
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEverySettingHasOneNameInTheEnvironmentAndOneFlag(t *testing.T) {
	seen := map[string]string{}
	for _, s := range new(config).settings() {
		for _, name := range []string{s.env(), s.flag()} {
			if other := seen[name]; other != "" {
				t.Errorf("%s and %s are both %s", other, s.key, name)
			}
			seen[name] = s.key
		}
		if s.help == "" {
			t.Errorf("%s has no help", s.key)
		}
		if hasAnyPrefix(s.env(), foreignEnv) || s.env() == envConfigFile {
			t.Errorf("%s would be ignored in the environment", s.env())
		}
	}
}

func TestEverySecretCanComeFromAFileAndHasNoFlag(t *testing.T) {
	rows := new(config).settings()
	cmd := newServeCommand(newTestApp(nil, nil, nil))
	secrets := 0
	for _, s := range rows {
		if !s.secret {
			continue
		}
		secrets++
		if !slices.ContainsFunc(rows, func(o setting) bool { return o.key == s.key+"_file" && o.path }) {
			t.Errorf("%s has no %s_file", s.key, s.key)
		}
		if cmd.Flags().Lookup(s.flag()) != nil {
			t.Errorf("--%s would show a secret in the list of processes", s.flag())
		}
	}
	if secrets == 0 {
		t.Fatal("there are no secrets")
	}
}

func TestTheExampleFileWithEveryLineUncommentedHoldsTheDefaults(t *testing.T) {
	t.Chdir(t.TempDir())
	r := runCommand(t, nil, "config", "init")
	names := map[string]bool{}
	for _, s := range new(config).settings() {
		names[s.key[strings.LastIndex(s.key, ".")+1:]] = true
	}
	var all []string
	for _, line := range strings.Split(r.stdout, "\n") {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "# "); ok && names[strings.Split(text, ":")[0]] {
			line = strings.Replace(line, "# ", "", 1)
		}
		all = append(all, line)
	}
	writeFile(t, "ingam.yaml", strings.Join(all, "\n"))
	writeFile(t, "master.key", "wpYbU9rEpBWbQyAtsKRWpJfW-gqAzrpTd4RHS0cLVek")
	c, found := newTestApp(nil, nil, nil).loadConfig(newServeCommand(nil))
	if len(found) > 0 {
		t.Fatal(found)
	}
	want := newConfig()
	for i, s := range c.settings() {
		if c.origins[s.key].line == 0 && s.key != "keys.master_key" {
			t.Errorf("%s is not in the example", s.key)
		}
		if s.key != "issuer" && !strings.HasPrefix(s.key, "keys.") && s.show() != want.settings()[i].show() {
			t.Errorf("%s is %q in the example, its default is %q", s.key, s.show(), want.settings()[i].show())
		}
	}
}

func TestRelativePathsInTheFileStartAtItsFolderAndOthersWhereTheCommandRuns(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"etc", "etc/clients.d", "etc/mine.d", "here.d"} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, "etc/plain.yaml", "listen: ':1'\n")
	writeFile(t, "etc/named.yaml", "data_dir: d\nclients_dir: mine.d\n")
	for _, test := range []struct {
		name, file, dataDir, clients string
		env                          []string
	}{
		{name: "nothing named", file: "etc/plain.yaml", dataDir: "etc/ingam-data", clients: "etc/clients.d"},
		{name: "named in the file", file: "etc/named.yaml", dataDir: "etc/d", clients: "etc/mine.d"},
		{
			name: "named in the environment", file: "etc/named.yaml", dataDir: "e", clients: "here.d",
			env: []string{"INGAM_DATA_DIR=e", "INGAM_CLIENTS_DIR=here.d"},
		},
		{name: "no file", dataDir: "ingam-data"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := test.env
			if test.file != "" {
				env = append(env, "INGAM_CONFIG="+test.file)
			}
			c, found := newTestApp(env, nil, nil).loadConfig(newServeCommand(nil))
			if len(found) > 0 {
				t.Fatal(found)
			}
			if c.DataDir != test.dataDir || c.ClientsDir != test.clients || c.UsersDir != "" {
				t.Errorf("data_dir %q, clients_dir %q, users_dir %q", c.DataDir, c.ClientsDir, c.UsersDir)
			}
		})
	}
}

func TestDurationsAreReadAndWrittenWithDays(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "90s": 90 * time.Second, "5m": 5 * time.Minute, "30d": 30 * day, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute,
	} {
		got, ok := parseDuration(text)
		if !ok || got != want {
			t.Errorf("%s is %v, %v", text, got, ok)
		}
		if again, ok := parseDuration(formatDuration(want)); !ok || again != want {
			t.Errorf("%v is written as %s", want, formatDuration(want))
		}
	}
	for _, text := range []string{"", "5", "5 m", "d", "-1d", "-5m", "1d1", "1.5d", "99999999999d", "1dd", "30D"} {
		if got, ok := parseDuration(text); ok {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func TestOddYAMLIsAProblemAndNeverACrash(t *testing.T) {
	for _, text := range []string{
		"", "\n", "# only a comment\n", "~", "null", "[]", "a", "- a", "{", "}", "a: b: c", "? a\n: b", "<<: {a: b}", "a: *b",
		"a: !!binary x", "a: &x [*x]", "\ufeffissuer: x", "a:\n  - b\n c", "\x00", "a: |\n  x", "%YAML 1.2\n---\na: b", "'", "\"", "a: [",
		"---\n---\n---", "...", "? [a]\n: b", "1: 2", "a: >-\n", ":", "- - - a", "\t", "*a: b", "[a]: b", "{a: b}: c",
	} {
		docs, found := parseYAML("f", []byte(text))
		if docs == nil && found == nil && strings.ContainsAny(text, "abx") && !strings.HasPrefix(text, "#") {
			t.Errorf("%q is read as nothing", text)
		}
		for _, d := range docs {
			_ = d.value() // walks all of it
		}
	}
}
