package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// version is set by the release build (-ldflags "-X main.version=v1.2.3").
var version = ""

// run executes one command line and returns the exit status.
func run(ctx context.Context, a *app, args []string) int {
	root, started := newRootCommand(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	// What fails before a command began is a wrong command line, whatever cobra calls it.
	if !*started {
		err = usageError{err}
	}
	var all problems
	switch {
	case errors.As(err, &all):
		_, _ = fmt.Fprintln(a.stderr, all.report())
	default:
		_, _ = fmt.Fprintln(a.stderr, "ingam:", strings.TrimRight(err.Error(), "\n"))
	}
	if !*started {
		_, _ = fmt.Fprintf(a.stderr, "Try '%s --help'.\n", cmd.CommandPath())
	}
	return exitStatus(err)
}

// newRootCommand builds the tree. started tells afterwards whether a command began to run.
func newRootCommand(a *app) (root *cobra.Command, started *bool) {
	root = group(&cobra.Command{
		Use:   "ingam",
		Short: "An OAuth 2.0 and OpenID Connect authorization server",
		Long: "Ingam is an OAuth 2.0 and OpenID Connect authorization server with its own users and login page.\n" +
			"Begin with 'ingam dev': everything on this machine, nothing to configure.",
		Version: versionText(),
	})
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetVersionTemplate("ingam {{.Version}}\n")
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().String("config", "", "configuration file; environment INGAM_CONFIG; default ingam.yaml if there is one")
	root.PersistentFlags().String("data-dir", "", "folder of the embedded store and of the admin socket (data_dir)")
	root.AddCommand(
		newServeCommand(a), newDevCommand(a), newHealthcheckCommand(a),
		newUserCommand(a), newClientCommand(a), newLogoutsCommand(a), newKeysCommand(a), newStoreCommand(a), newConfigCommand(a),
		newVersionCommand(a),
	)
	started = new(bool)
	markStart(root, started)
	return root, started
}

// group turns a command that only holds others into one that fails without a known one. cobra alone would print the
// help and exit 0 at a mistyped name, and a script would go on.
func group(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
		if len(args) == 0 {
			cmd.SetOut(cmd.ErrOrStderr())
			_ = cmd.Help()
			return usagef("%q needs a command: %s", cmd.CommandPath(), strings.Join(names, ", "))
		}
		return usagef("unknown command %q for %q%s", args[0], cmd.CommandPath(), didYouMean(args[0], names))
	}
	return cmd
}

// flagError adds a suggestion to cobra's complaint about an unknown flag.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return usageError{err}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return usagef("%w%s", err, didYouMean("--"+unknown.GetSpecifiedName(), names))
}

// markStart wraps every command so that started tells a wrong command line from a command that failed.
func markStart(cmd *cobra.Command, started *bool) {
	if inner := cmd.RunE; inner != nil && !cmd.HasSubCommands() { // a group never gets further than its arguments
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return inner(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		markStart(c, started)
	}
}

// newVersionCommand says the same as --version, for those who look among the commands.
func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  ingam version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.stdout, "ingam", versionText())
			return err
		},
	}
}

// versionText is the release, or what the Go tool knows about a build from source.
func versionText() string {
	info, ok := debug.ReadBuildInfo()
	switch {
	case version != "":
		return version
	case !ok || info.Main.Version == "":
		return "(unknown)"
	}
	return info.Main.Version
}

// didYouMean returns `; did you mean "x"?` for the candidate nearest to word, or "" when none is near.
func didYouMean(word string, candidates []string) string {
	best, least := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if d := editDistance(word, c); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours that turn a into b.
func editDistance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = slices.Min([]int{last[j] + 1, row[j-1] + 1, last[j-1] + cost})
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
