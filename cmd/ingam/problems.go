package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A problem is one thing an operator has to change: where, which setting, what is there, and what would be right.
type problem struct {
	at      position // a place in a file, or the name of a flag or an environment variable as its file
	key     string   // path of the setting or field; "" for the file as a whole
	value   string   // as given; "" for what must not be shown (secrets) or is not there
	message string
}

func (p problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.at.String(), p.key} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	if p.value != "" {
		fmt.Fprintf(&b, "%q ", p.value)
	}
	return b.String() + p.message
}

// problems are all that was found, so that one round of editing repairs a file.
type problems []problem

// Error lists the problems, one a line.
func (ps problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// report is Error with a heading, for the terminal.
func (ps problems) report() string {
	heading := "ingam: 1 problem in the configuration:"
	if len(ps) != 1 {
		heading = fmt.Sprintf("ingam: %d problems in the configuration:", len(ps))
	}
	return heading + "\n  " + strings.ReplaceAll(ps.Error(), "\n", "\n  ")
}

// asError is nil where nothing was found, and otherwise ends the program with exit status 2.
func (ps problems) asError() error {
	if len(ps) == 0 {
		return nil
	}
	return usageError{ps}
}

// inOrder sorts the problems of one file as they stand in it.
func (ps problems) inOrder() problems {
	slices.SortStableFunc(ps, func(a, b problem) int {
		return cmp.Or(cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.column, b.at.column))
	})
	return ps
}

// about returns the problems of one setting, and those of a file as a whole, which may hide it.
func (ps problems) about(key string) problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p problem) bool { return p.key != key && p.key != "" })
}
