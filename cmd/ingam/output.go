package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// outputFormat is the value of --output.
type outputFormat string

const (
	outputTable outputFormat = "table"
	outputJSON  outputFormat = "json"
)

var _ pflag.Value = (*outputFormat)(nil)

func (o *outputFormat) String() string { return string(*o) }
func (o *outputFormat) Type() string   { return "table|json" }

// Set refuses what is not a format, so that a mistyped one is a wrong command line and not a surprise at the end.
func (o *outputFormat) Set(text string) error {
	switch f := outputFormat(text); f {
	case outputTable, outputJSON:
		*o = f
		return nil
	}
	return fmt.Errorf("choose table or json")
}

// printer writes the data of a command to stdout, as a table for people or as JSON for programs. Remarks go to stderr,
// so that a pipe gets data only.
type printer struct {
	app    *app
	format outputFormat
}

// addTo gives the commands below cmd the flags that all of them have.
func (p *printer) addTo(cmd *cobra.Command) {
	p.format = outputTable
	cmd.PersistentFlags().VarP(&p.format, "output", "o", "how to print: table or json")
	cmd.PersistentFlags().BoolP("verbose", "v", false, "say on stderr how the server or its store was reached")
}

// print writes value as JSON, or what table prints.
func (p *printer) print(value any, table func(w *tabwriter.Writer)) error {
	if p.format == outputJSON {
		e := json.NewEncoder(p.app.stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	out := &failingWriter{to: p.app.stdout}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.StripEscape)
	table(w)
	_ = w.Flush() // out remembers
	return out.err
}

// remark writes one line to stderr.
func (p *printer) remark(format string, args ...any) {
	_, _ = fmt.Fprintf(p.app.stderr, format+"\n", args...)
}

// shownOnce goes to stderr with each secret on stdout.
func (p *printer) shownOnce() {
	p.remark("Shown once: the server keeps only a hash of the secret. Store it now where the client can read it.")
}

// failingWriter keeps the first error, which a table of several prints would lose: a secret that was not written must
// not look like success.
type failingWriter struct {
	to  io.Writer
	err error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.to.Write(p)
	w.err = err
	return n, err
}

// row writes one line of a table.
func row(w io.Writer, cells ...string) {
	for i, c := range cells {
		cells[i] = printable(c)
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// fact writes a name and its value, if it has one.
func fact(w io.Writer, name, value string) {
	if value != "" {
		row(w, name, value)
	}
}

// printable shows what a terminal would obey (escape sequences, line ends, reversed text) instead of sending it
// (threats G2).
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// when writes a time for a table.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// orDash is text, or a dash for an empty cell.
func orDash(text string) string { return orDefault(text, "-") }

// compact is a value as JSON on one line.
func compact(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}
