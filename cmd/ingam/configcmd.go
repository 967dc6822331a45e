package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// newConfigCommand is about configurations only: none of its commands opens a store or a port.
func newConfigCommand(a *app) *cobra.Command {
	p := &printer{app: a}
	cmd := group(&cobra.Command{Use: "config", Short: "Check, show or begin a configuration"})
	p.addFormatTo(cmd)
	check, show := newConfigCheckCommand(a, p), newConfigShowCommand(a, p)
	addSettingFlags(check)
	addSettingFlags(show)
	cmd.AddCommand(check, show, newConfigInitCommand(a))
	return cmd
}

// addFormatTo gives the commands below cmd the flag --output; printer.addTo is for those that speak to a server.
func (p *printer) addFormatTo(cmd *cobra.Command) {
	p.format = outputTable
	cmd.PersistentFlags().VarP(&p.format, "output", "o", "how to print: table or json")
}

// checkReport is the JSON of `ingam config check`.
type checkReport struct {
	OK       bool            `json:"ok"`
	File     string          `json:"file,omitempty"`
	Clients  int             `json:"clients"`
	Users    int             `json:"users"`
	Problems []problemReport `json:"problems"`
	// Warnings are about what is allowed and probably a mistake.
	Warnings []string `json:"warnings,omitempty"`
}

// problemReport is a problem for programs.
type problemReport struct {
	File    string `json:"file,omitempty"` // or the name of the flag or of the variable in the environment
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"`
	Value   string `json:"value,omitempty"`
	Message string `json:"message"`
}

// newConfigCheckCommand says what `serve` would say, for deployment scripts and editors.
func newConfigCheckCommand(a *app, p *printer) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Say everything that is wrong with the configuration",
		Long: "Say everything that is wrong with the configuration and with the files of clients_dir and users_dir, all at\n" +
			"once. The exit status is 0 if nothing is and 2 otherwise. 'ingam serve' checks the same before it opens a port.",
		Example: "  ingam config check\n  ingam config check --config /etc/ingam/ingam.yaml && systemctl restart ingam\n" +
			"  ingam config check -o json | jq -r '.problems[].message'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, static, found := a.loadAll(cmd)
			if len(found) > 0 && p.format != outputJSON {
				return found.asError()
			}
			r := checkReport{
				OK: len(found) == 0, File: c.file, Problems: []problemReport{},
				Clients: len(static.clients), Users: len(static.users),
			}
			if unused := c.unusedRedis(); len(unused) > 0 {
				r.Warnings = append(r.Warnings, fmt.Sprintf("%s: not used, since storage.driver is %s", strings.Join(unused, ", "), c.StorageDriver))
			}
			for _, f := range found {
				r.Problems = append(r.Problems, problemReport{f.at.file, f.at.line, f.at.column, f.key, f.value, f.message})
			}
			err := p.print(r, func(w *tabwriter.Writer) {
				for _, warning := range r.Warnings {
					p.remark("warning: %s", warning)
				}
				row(w, fmt.Sprintf("%s: no problems; %d clients and %d users in files",
					orDefault(c.file, "no configuration file"), r.Clients, r.Users))
			})
			if err == nil && len(found) > 0 {
				err = usagef("%d problems in the configuration", len(found))
			}
			return err
		},
	}
}

// shownSetting is the JSON of one line of `ingam config show`.
type shownSetting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// newConfigShowCommand answers the question which of file, environment and flag has won.
func newConfigShowCommand(a *app, p *printer) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Print the settings in force and where each comes from",
		Example: "  ingam config show\n" +
			"  ingam config show --config /etc/ingam/ingam.yaml -o json | jq -r '.[] | select(.source != \"default\") | .key'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, found := a.loadConfig(cmd)
			if err := found.asError(); err != nil {
				return err
			}
			var all []shownSetting
			for _, s := range c.settings() {
				all = append(all, shownSetting{s.key, s.show(), c.origin(s.key)})
			}
			return p.print(all, func(w *tabwriter.Writer) {
				row(w, "SETTING", "VALUE", "SOURCE")
				for _, s := range all {
					row(w, s.Key, orDash(s.Value), s.Source)
				}
			})
		},
	}
}

// newConfigInitCommand prints to stdout, so that it never overwrites a file.
func newConfigInitCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "init",
		Short:   "Print a configuration file with every setting and its default",
		Example: "  ingam config init > ingam.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return writeExample(a.stdout)
		},
	}
}

// writeExample writes the table as a file: what must be set as it is, everything else commented out.
func writeExample(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Configuration of ingam. Every setting can also come from the environment: tokens.access_lifetime is\n" +
		"# INGAM_TOKENS_ACCESS_LIFETIME, lists separated by commas. Relative paths start at the folder of this file.\n" +
		"# Durations are written like 90s, 5m, 12h or 30d. 'ingam config check' says what is wrong.\n")
	var inside []string
	for _, s := range new(config).settings() {
		parts := strings.Split(s.key, ".")
		groups, name := parts[:len(parts)-1], parts[len(parts)-1]
		for i, g := range groups {
			if i < len(inside) && inside[i] == g {
				continue
			}
			fmt.Fprintf(&b, "\n%s%s:", strings.Repeat("  ", i), g)
			inside = append(inside[:min(i, len(inside))], g)
		}
		inside = inside[:len(groups)]
		indent := strings.Repeat("  ", len(groups))
		for _, line := range wrap(s.help, 116-len(indent)) {
			fmt.Fprintf(&b, "\n%s# %s", indent, line)
		}
		fmt.Fprintf(&b, "\n%s%s\n", indent, exampleLine(s, name))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// exampleLine is one setting of the example file.
func exampleLine(s setting, name string) string {
	switch {
	case s.key == "issuer":
		return name + ": https://login.example.com"
	case s.key == "keys.master_key_file":
		return name + ": master.key # ingam keys new-master-key --out master.key"
	case s.isList():
		return "# " + name + ": []"
	case s.def == "":
		return "# " + name + `: ""`
	}
	return "# " + name + ": " + yamlText(s.def)
}

// yamlText quotes what YAML would read as something else, like the address :8080.
func yamlText(text string) string {
	if strings.Contains(text, ":") {
		return `"` + text + `"`
	}
	return text
}

// wrap breaks text into lines of at most width bytes.
func wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case len(*last)+1+len(word) > width:
			lines = append(lines, word)
		default:
			*last += " " + word
		}
	}
	return lines
}
