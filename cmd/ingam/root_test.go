package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestAWrongCommandLineExits2AndSaysWhatWasMeant(t *testing.T) {
	t.Chdir(t.TempDir())
	for line, want := range map[string]string{
		"":                                 "needs a command",
		"serv":                             `unknown command "serv" for "ingam"; did you mean "serve"?`,
		"keys":                             `"ingam keys" needs a command: new-master-key`,
		"keys new-masterkey":               `did you mean "new-master-key"?`,
		"config chekc":                     `did you mean "check"?`,
		"serve --isuer x":                  `unknown flag: --isuer; did you mean "--issuer"?`,
		"serve --issuer":                   "flag needs an argument: --issuer",
		"serve now":                        `unknown command "now" for "ingam serve"`,
		"config check -o yaml":             "choose table or json",
		"keys new-master-key --if-missing": "--if-missing goes with --out FILE",
		"dev --config x":                   "dev takes no configuration file",
		"dev -o yaml":                      `--output "yaml" is not one of text, json`,
		"dev --log-level loud":             `--log-level "loud" is not one of debug, info, warn, error`,
		"healthcheck --url :":              "missing protocol scheme",
	} {
		r := runCommand(t, nil, strings.Fields(line)...)
		if r.status != exitUsage || !strings.Contains(r.stderr, want) || r.stdout != "" {
			t.Errorf("ingam %s: exit %d, stdout %q, stderr %q; want %q", line, r.status, r.stdout, r.stderr, want)
		}
	}
}

func TestHelpVersionAndCompletionExit0(t *testing.T) {
	for _, line := range []string{"--help", "serve --help", "config --help", "version", "--version", "completion bash"} {
		r := runCommand(t, nil, strings.Fields(line)...)
		if r.status != exitDone || r.stdout == "" || r.stderr != "" {
			t.Errorf("ingam %s: exit %d, stdout %q, stderr %q", line, r.status, r.stdout, r.stderr)
		}
	}
}

func TestEveryCommandSaysWhatItIsFor(t *testing.T) {
	root, _ := newRootCommand(newTestApp(nil, nil, nil))
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.RunE == nil {
			t.Errorf("%s has no description, or would print its help and exit 0", cmd.CommandPath())
		}
		if !cmd.HasSubCommands() && !strings.HasPrefix(cmd.Example, "  "+cmd.CommandPath()) {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
}

func TestASuggestionIsNearOrNotMade(t *testing.T) {
	names := []string{"listen", "issuer", "data_dir"}
	for word, want := range map[string]string{
		"lisetn": "listen", "isuer": "issuer", "datadir": "data_dir", "issuers": "issuer", "x": "", "port": "", "": "",
	} {
		got := didYouMean(word, names)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
