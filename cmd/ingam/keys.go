package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/keys"
)

// newKeysCommand holds what has to do with keys and needs no server.
func newKeysCommand(a *app) *cobra.Command {
	p := &printer{app: a}
	cmd := group(&cobra.Command{Use: "keys", Short: "Make the master key"})
	p.addFormatTo(cmd)
	cmd.AddCommand(newMasterKeyCommand(p))
	return cmd
}

// masterKeyMade is the JSON of `ingam keys new-master-key`.
type masterKeyMade struct {
	Key  string `json:"master_key,omitempty"` // only where it goes to no file
	File string `json:"file,omitempty"`
	Made bool   `json:"made"`
}

func newMasterKeyCommand(p *printer) *cobra.Command {
	var out string
	var ifMissing bool
	cmd := &cobra.Command{
		Use:   "new-master-key",
		Short: "Make the key that seals all others at rest",
		Long: "Make the key that seals the signing keys at rest, and print it or write it to a file of mode 0600.\n\n" +
			"Keep it apart from the data folder and from its backups: whoever has both can sign as the server. Without it\n" +
			"the keys in the store are lost.",
		Example: "  ingam keys new-master-key --out master.key\n  ingam serve --keys-master-key-file master.key",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if out == "" {
				if ifMissing {
					return usagef("--if-missing goes with --out FILE")
				}
				key := keys.NewMasterKey().Text()
				return p.print(masterKeyMade{Key: key, Made: true}, func(w *tabwriter.Writer) { row(w, key) })
			}
			made, err := writeMasterKey(out, ifMissing)
			if err != nil {
				return err
			}
			return p.print(masterKeyMade{File: out, Made: made}, func(*tabwriter.Writer) {
				if made {
					p.remark("wrote a new master key to %s", out)
				} else {
					p.remark("%s is there already; it stays as it is", out)
				}
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write to; one that exists is never overwritten")
	cmd.Flags().BoolVar(&ifMissing, "if-missing", false, "do nothing if the file exists")
	return cmd
}

// writeMasterKey writes a new master key to a file that does not exist yet. Of two that start at once, one makes it and
// the other sees its key.
func writeMasterKey(path string, ifMissing bool) (made bool, err error) {
	if _, err := os.Stat(path); err == nil && ifMissing { // before anything else: the folder may be read-only
		return false, nil
	}
	err = writeNew(path, func(w io.Writer) error {
		_, err := io.WriteString(w, keys.NewMasterKey().Text()+"\n")
		return err
	})
	switch {
	case err == nil:
		return true, nil
	case !errors.Is(err, os.ErrExist):
		return false, fmt.Errorf("write the master key: %w", err)
	case ifMissing:
		return false, nil
	}
	return false, fmt.Errorf("%s exists already and is not overwritten: the keys of a store may be sealed under it", path)
}
