package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/authserver/admin"
	"github.com/ingam/ingam/authserver/credential"
)

// importEntry is one user of a file to import.
type importEntry struct {
	line  int
	user  admin.NewUser
	wrong []string
}

// importResult is one line of the answer of `ingam user import`.
type importResult struct {
	Username string `json:"username"`
	ID       string `json:"id,omitempty"`
	Result   string `json:"result"`
}

// The values of importResult.Result.
const (
	importedUser    = "imported"
	importableUser  = "would be imported" // --dry-run
	alreadyThereNow = "exists already"
)

func (u *userCommands) importFile() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Add users from a file, for instance of another server",
		Long: "Add users from a file, or from standard input for '-'. The file has one JSON object a line, or one JSON array:\n\n" +
			`  {"username":"alice","password_hash":"$2b$12$…","claims":{"name":"Alice Kim"},"disabled":false}` + "\n\n" +
			"Hashes of argon2id, bcrypt and PBKDF2 are taken over as they are, and replaced at the first sign-in. All lines are " +
			"checked first: if one is wrong, nothing is imported. Users that exist are left as they are and reported, so a run " +
			"that was cut off can simply be repeated.",
		Example: "  ingam user import --dry-run users.jsonl\n  ingam user import users.jsonl\n" +
			"  zcat users.json.gz | ingam user import -",
		Args:              exactly("FILE"),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, name, err := u.readImport(args[0])
			if err != nil {
				return err
			}
			entries := parseImport(data)
			checkImport(entries)
			if bad := u.reportImport(name, entries); bad > 0 {
				return fmt.Errorf("%s cannot be imported; nothing was", count(bad, "line"))
			}
			return u.app.withAdmin(cmd, func(ctx context.Context, c *adminClient) error {
				return u.runImport(ctx, c, name, entries, dryRun)
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "check everything and change nothing")
	return cmd
}

func (u *userCommands) readImport(file string) (data []byte, name string, err error) {
	if file == "-" {
		data, err = io.ReadAll(u.app.stdin)
		return data, "standard input", err
	}
	data, err = os.ReadFile(file)
	if err != nil {
		return nil, "", usagef("%q cannot be read: %s", file, plain(err))
	}
	return data, file, nil
}

// parseImport reads an array, or else one object a line. Each entry knows where it stands.
func parseImport(data []byte) (entries []importEntry) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		return parseImportArray(data)
	}
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if len(bytes.TrimSpace(text)) > 0 {
			entries = append(entries, parseEntry(line, text))
		}
	}
	return entries
}

func parseImportArray(data []byte) (entries []importEntry) {
	lineAt := func(offset int) int { return 1 + bytes.Count(data[:offset], []byte("\n")) }
	broken := func(d *json.Decoder, wrong string) []importEntry {
		rest := bytes.TrimLeft(data[d.InputOffset():], ", \t\r\n") // begins with what cannot be read
		return append(entries, importEntry{line: lineAt(len(data) - len(rest)), wrong: []string{wrong}})
	}
	d := json.NewDecoder(bytes.NewReader(data))
	_, _ = d.Token() // the bracket that the caller saw
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return broken(d, "from here on this is not JSON")
		}
		entries = append(entries, parseEntry(lineAt(int(d.InputOffset())-len(raw)), raw))
	}
	if _, err := d.Token(); err != nil {
		return broken(d, "the array is not closed")
	}
	if _, err := d.Token(); err != io.EOF {
		return broken(d, "there is more after the array")
	}
	return entries
}

func parseEntry(line int, text []byte) importEntry {
	e := importEntry{line: line}
	if err := admin.Decode(bytes.NewReader(text), &e.user); err != nil {
		e.wrong = []string{err.Error()}
	}
	return e
}

// checkImport applies the server's own rules to each entry, and looks for names that come twice.
func checkImport(entries []importEntry) {
	first := map[string]int{}
	for i := range entries {
		e := &entries[i]
		if len(e.wrong) > 0 {
			continue
		}
		for _, p := range admin.CheckNewUser(e.user) {
			e.wrong = append(e.wrong, p.String())
		}
		name, err := credential.CanonicalUsername(e.user.Username)
		if err != nil {
			continue // CheckNewUser has said so
		}
		if line, twice := first[name]; twice {
			e.wrong = append(e.wrong, fmt.Sprintf("username: %q is in line %d already", name, line))
		} else {
			first[name] = e.line
		}
	}
}

// reportImport lists everything that is wrong and returns how many lines are.
func (u *userCommands) reportImport(name string, entries []importEntry) (bad int) {
	for _, e := range entries {
		if len(e.wrong) > 0 {
			bad++
		}
		for _, wrong := range e.wrong {
			u.out.remark("%s:%d: %s", name, e.line, printable(wrong))
		}
	}
	return bad
}

// runImport sends the entries one by one. What was done is printed also when it breaks off.
func (u *userCommands) runImport(ctx context.Context, c *adminClient, name string, entries []importEntry, dryRun bool) error {
	results := make([]importResult, 0, len(entries))
	existing := 0
	var failure error
	for _, e := range entries {
		r, err := importOne(ctx, c, e.user, dryRun)
		if err != nil {
			failure = fmt.Errorf("%s:%d: %w; what stands before that line is done, and the import can be repeated", name, e.line, err)
			break
		}
		if r.Result == alreadyThereNow {
			existing++
			u.out.remark("%s:%d: user %s exists already and is left as it is", name, e.line, printable(r.Username))
		}
		results = append(results, r)
	}
	done := importedUser
	if dryRun {
		done = importableUser
	}
	u.out.remark("%s %s, %s already there.", count(len(results)-existing, "user"), done, count(existing, "user"))
	err := u.out.print(results, func(w *tabwriter.Writer) {
		row(w, "USERNAME", "ID", "RESULT")
		for _, r := range results {
			row(w, r.Username, orDash(r.ID), r.Result)
		}
	})
	if failure != nil {
		return failure
	}
	return err
}

func importOne(ctx context.Context, c *adminClient, n admin.NewUser, dryRun bool) (importResult, error) {
	var u admin.User
	if dryRun {
		err := c.do(ctx, http.MethodGet, pathOf("users", n.Username), nil, &u)
		if answered(err, admin.CodeNotFound) {
			return importResult{Username: n.Username, Result: importableUser}, nil
		}
		return importResult{Username: u.Username, ID: u.ID, Result: alreadyThereNow}, err
	}
	err := c.do(ctx, http.MethodPost, "/users", n, &u)
	if answered(err, admin.CodeExists) {
		return importResult{Username: n.Username, Result: alreadyThereNow}, nil
	}
	return importResult{Username: u.Username, ID: u.ID, Result: importedUser}, err
}
