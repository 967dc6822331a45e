package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/authserver/admin"
)

// pageSize is how many records a list asks for at a time.
const pageSize = 500

// userCommands are the commands below `ingam user`. Each is a few requests to the admin API and a way to print them.
type userCommands struct {
	app *app
	out printer
}

// newUserCommand builds `ingam user`.
func newUserCommand(a *app) *cobra.Command {
	u := &userCommands{app: a, out: printer{app: a}}
	cmd := group(&cobra.Command{
		Use:   "user",
		Short: "Manage the people who can sign in",
		Long: "Manage the people who can sign in.\n\nThe commands talk to the server that runs on the data folder, over its admin.sock, " +
			"or open the store themselves when no server runs.",
		Example: "  ingam user add alice --name 'Alice Kim' --email alice@example.com\n  ingam user list -o json",
	})
	u.out.addTo(cmd)
	cmd.SetFlagErrorFunc(secretFlagError)
	cmd.AddCommand(u.add(), u.list(), u.show(), u.passwd(), u.disable(), u.enable(), u.remove(), u.importFile())
	return cmd
}

func (u *userCommands) add() *cobra.Command {
	password := passwordInput{app: u.app}
	var claims claimFlags
	var disabled bool
	cmd := &cobra.Command{
		Use:   "add USERNAME",
		Short: "Add a user",
		Long: "Add a user. On a terminal the password is asked for; in a script it comes from standard input or a file, " +
			"and never from an argument.",
		Example: "  ingam user add alice\n" +
			"  ingam user add alice --password-file alice.pw --name 'Alice Kim' --email alice@example.com\n" +
			"  pwgen 20 1 | ingam user add ci --password-stdin --claim department=42 --claim 'groups=[\"build\"]'\n" +
			"  ingam user add guest --no-password --disabled",
		Args:              exactly("USERNAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			n := admin.NewUser{Username: args[0], Disabled: disabled}
			var err error
			if n.Claims, err = claims.values(); err != nil {
				return err
			}
			if n.Password, err = password.read(cmd); err != nil {
				return err
			}
			return u.app.withAdmin(cmd, func(ctx context.Context, c *adminClient) error {
				var made admin.User
				if err := c.do(ctx, http.MethodPost, "/users", n, &made); err != nil {
					return err
				}
				u.out.remark("Added user %s.", made.Username)
				return u.out.print(made, func(w *tabwriter.Writer) { userFacts(w, made) })
			})
		},
	}
	password.addTo(cmd, true)
	claims.addTo(cmd)
	cmd.Flags().BoolVar(&disabled, "disabled", false, "add the user without letting it sign in yet")
	return cmd
}

func (u *userCommands) list() *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "List all users",
		Example:           "  ingam user list\n  ingam user list -o json | jq -r '.[] | select(.disabled) | .username'",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return u.app.withAdmin(cmd, func(ctx context.Context, c *adminClient) error {
				all := []admin.User{}
				for after := ""; ; {
					var page admin.UserPage
					if err := c.do(ctx, http.MethodGet, "/users"+pageQuery(after), nil, &page); err != nil {
						return err
					}
					all = append(all, page.Users...)
					if after = page.Next; after == "" {
						break
					}
				}
				return u.out.print(all, func(w *tabwriter.Writer) {
					row(w, "USERNAME", "ID", "STATE", "PASSWORD", "CREATED", "SOURCE")
					for _, one := range all {
						row(w, one.Username, one.ID, userState(one), orDash(one.HashKind), when(one.CreatedAt), orDefault(one.Source, "store"))
					}
				})
			})
		},
	}
}

func (u *userCommands) show() *cobra.Command {
	return u.onOne("show USERNAME", "Show a user and its claims", "  ingam user show alice",
		func(ctx context.Context, c *adminClient, name string) error {
			var one admin.User
			if err := c.do(ctx, http.MethodGet, pathOf("users", name), nil, &one); err != nil {
				return err
			}
			return u.out.print(one, func(w *tabwriter.Writer) { userFacts(w, one) })
		})
}

func (u *userCommands) passwd() *cobra.Command {
	password := passwordInput{app: u.app}
	cmd := &cobra.Command{
		Use:               "passwd USERNAME",
		Short:             "Set a new password and end all sign-ins of the user",
		Example:           "  ingam user passwd alice\n  ingam user passwd alice --password-stdin < new.pw",
		Args:              exactly("USERNAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := password.read(cmd)
			if err != nil {
				return err
			}
			return u.app.withAdmin(cmd, func(ctx context.Context, c *adminClient) error {
				return u.change(ctx, c, http.MethodPut, args[0], "password", admin.Credentials{Password: text},
					"Changed the password of %s and ended all sign-ins.")
			})
		},
	}
	password.addTo(cmd, false)
	return cmd
}

func (u *userCommands) disable() *cobra.Command {
	return u.onOne("disable USERNAME", "End all sign-ins of a user and allow no new one", "  ingam user disable alice",
		func(ctx context.Context, c *adminClient, name string) error {
			return u.change(ctx, c, http.MethodPost, name, "disable", nil, "Disabled %s and ended all sign-ins.")
		})
}

func (u *userCommands) enable() *cobra.Command {
	return u.onOne("enable USERNAME", "Let a disabled user sign in again", "  ingam user enable alice",
		func(ctx context.Context, c *adminClient, name string) error {
			return u.change(ctx, c, http.MethodPost, name, "enable", nil, "Enabled %s.")
		})
}

func (u *userCommands) remove() *cobra.Command {
	return u.onOne("remove USERNAME", "Remove a user for ever and end all sign-ins", "  ingam user remove alice",
		func(ctx context.Context, c *adminClient, name string) error {
			if err := c.do(ctx, http.MethodDelete, pathOf("users", name), nil, nil); err != nil {
				return err
			}
			u.out.remark("Removed user %s.", printable(name))
			return nil
		})
}

// onOne is a command about one user that needs nothing but its name.
func (u *userCommands) onOne(use, short, example string, do func(context.Context, *adminClient, string) error) *cobra.Command {
	return commandOnOne(u.app, "USERNAME", use, short, example, do)
}

// change sends a change of one user and shows the result.
func (u *userCommands) change(ctx context.Context, c *adminClient, method, name, what string, in any, done string) error {
	var after admin.User
	if err := c.do(ctx, method, pathOf("users", name, what), in, &after); err != nil {
		return err
	}
	u.out.remark(done, after.Username)
	if u.out.format == outputTable {
		return nil
	}
	return u.out.print(after, nil)
}

// commandOnOne is a command that takes the name of one record.
func commandOnOne(a *app, arg, use, short, example string, do func(context.Context, *adminClient, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: exactly(arg), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withAdmin(cmd, func(ctx context.Context, c *adminClient) error { return do(ctx, c, args[0]) })
		},
	}
}

// pageQuery is the query of a list that goes on after a name.
func pageQuery(after string) string {
	q := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if after != "" {
		q.Set("after", after)
	}
	return "?" + q.Encode()
}

func userState(u admin.User) string {
	if u.Disabled {
		return "disabled"
	}
	return "active"
}

// userFacts prints one user.
func userFacts(w io.Writer, u admin.User) {
	fact(w, "username", u.Username)
	fact(w, "id", u.ID)
	fact(w, "state", userState(u))
	fact(w, "password", orDefault(u.HashKind, "none"))
	fact(w, "created", when(u.CreatedAt))
	fact(w, "source", orDefault(u.Source, "store"))
	for _, name := range slices.Sorted(maps.Keys(u.Claims)) {
		fact(w, "claim "+name, compact(u.Claims[name]))
	}
}

// claimFlags are the flags that state facts about a user.
type claimFlags struct {
	name, email string
	others      []string
}

func (c *claimFlags) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.name, "name", "", "full name (claim name)")
	f.StringVar(&c.email, "email", "", "e-mail address (claim email)")
	f.StringArrayVar(&c.others, "claim", nil, "a claim as name=value, any number of times; a value that is not JSON is text")
}

// values are the claims, nil for none.
func (c *claimFlags) values() (map[string]any, error) {
	claims := map[string]any{}
	for name, value := range map[string]string{"name": c.name, "email": c.email} {
		if value != "" {
			claims[name] = value
		}
	}
	for _, text := range c.others {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usagef("--claim %q is not name=value", text)
		}
		if _, twice := claims[name]; twice {
			return nil, usagef("the claim %q is given twice", name)
		}
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			v = value
		}
		claims[name] = v
	}
	if len(claims) == 0 {
		return nil, nil
	}
	return claims, nil
}

// count is a number with its noun: "1 user", "2 users".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
