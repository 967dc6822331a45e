package main

import (
	"context"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/authserver/admin"
)

// clientCommands are the commands below `ingam client`.
type clientCommands struct {
	app *app
	out printer
}

// newClientCommand builds `ingam client`.
func newClientCommand(a *app) *cobra.Command {
	c := &clientCommands{app: a, out: printer{app: a}}
	cmd := group(&cobra.Command{
		Use:   "client",
		Short: "Manage the programs that may ask for tokens",
		Long: "Manage the programs that may ask for tokens (RFC 6749 section 2).\n\nThe commands talk to the server that runs on the data " +
			"folder, over its admin.sock, or open the store themselves when no server runs.",
		Example: "  ingam client add my-spa --kind spa --redirect-uri https://app.example.com/callback\n  ingam client list",
	})
	c.out.addTo(cmd)
	cmd.SetFlagErrorFunc(secretFlagError)
	cmd.AddCommand(c.add(), c.list(), c.show(), c.update(), c.remove(), c.rotateSecret())
	return cmd
}

func (c *clientCommands) add() *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "add [CLIENT_ID]",
		Short: "Add a client; one with a secret gets it, shown once",
		Long: "Add a client. Without a CLIENT_ID it gets a random one. --kind fills in what is safe for a kind of program, and other flags " +
			"come after it. Without --kind, --public or --auth-method it gets a secret, which is printed once and cannot be shown again.",
		Example: "  ingam client add my-spa --kind spa --redirect-uri https://app.example.com/callback\n" +
			"  ingam client add my-web --kind web --redirect-uri https://web.example.com/callback --name 'My shop'\n" +
			"  ingam client add report-job --kind service --scope reports.read --audience https://api.example.com\n" +
			"  ingam client add signer --kind service --auth-method private_key_jwt --jwks-file keys.json\n" +
			"  ingam client add -o json --grant-type client_credentials | jq -r .client_secret > client.secret",
		Args:              atMostOneID,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := flags.start(cmd.Flags())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				m.ClientID = args[0]
			}
			if err := flags.apply(cmd, c.app.stdin, &m); err != nil {
				return err
			}
			return c.app.withAdmin(cmd, func(ctx context.Context, api *adminClient) error {
				var made admin.Client
				if err := api.do(ctx, http.MethodPost, "/clients", m, &made); err != nil {
					return err
				}
				c.out.remark("Added client %s.", made.ClientID)
				return c.printOnce(made)
			})
		},
	}
	flags.addKindTo(cmd.Flags())
	flags.addTo(cmd.Flags())
	return cmd
}

func (c *clientCommands) update() *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{
		Use:   "update CLIENT_ID",
		Short: "Change a client: flags that are given replace what it has",
		Long: "Change a client. A flag that is given replaces that field whole, lists too; with an empty value it takes the field away. " +
			"Everything else stays, the secret as well.",
		Example: "  ingam client update my-web --redirect-uri https://web.example.com/callback --redirect-uri https://web.example.com/new\n" +
			"  ingam client update my-web --backchannel-logout-uri https://web.example.com/logout --session-bound\n" +
			"  ingam client update my-web --logo-uri ''",
		Args:              exactly("CLIENT_ID"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.app.withAdmin(cmd, func(ctx context.Context, api *adminClient) error {
				var before, after admin.Client
				if err := api.do(ctx, http.MethodGet, pathOf("clients", args[0]), nil, &before); err != nil {
					return err
				}
				in := admin.Replacement{Metadata: before.Metadata, Version: before.Version}
				if err := flags.apply(cmd, c.app.stdin, &in.Metadata); err != nil {
					return err
				}
				if err := api.do(ctx, http.MethodPut, pathOf("clients", args[0]), in, &after); err != nil {
					return err
				}
				c.out.remark("Changed client %s.", after.ClientID)
				return c.printOnce(after)
			})
		},
	}
	flags.addTo(cmd.Flags())
	return cmd
}

// atMostOneID refuses a second argument without repeating it.
func atMostOneID(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("one CLIENT_ID is expected, and %s", "a secret is never an argument: the server makes it")
	}
	return nil
}

func (c *clientCommands) list() *cobra.Command {
	return &cobra.Command{
		Use:               "list",
		Short:             "List all clients",
		Example:           "  ingam client list\n  ingam client list -o json | jq -r '.[].client_id'",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.app.withAdmin(cmd, func(ctx context.Context, api *adminClient) error {
				all := []admin.Client{}
				for after := ""; ; {
					var page admin.ClientPage
					if err := api.do(ctx, http.MethodGet, "/clients"+pageQuery(after), nil, &page); err != nil {
						return err
					}
					all = append(all, page.Clients...)
					if after = page.Next; after == "" {
						break
					}
				}
				return c.out.print(all, func(w *tabwriter.Writer) {
					row(w, "CLIENT_ID", "NAME", "AUTH", "GRANT_TYPES", "SCOPE", "CREATED", "SOURCE")
					for _, one := range all {
						row(w, one.ClientID, orDash(one.ClientName), one.TokenEndpointAuthMethod, orDash(strings.Join(one.GrantTypes, " ")),
							orDash(one.Scope), when(one.CreatedAt), orDefault(one.Source, "store"))
					}
				})
			})
		},
	}
}

func (c *clientCommands) show() *cobra.Command {
	return commandOnOne(c.app, "CLIENT_ID", "show CLIENT_ID", "Show a client, without its secret", "  ingam client show my-cli",
		func(ctx context.Context, api *adminClient, id string) error {
			var one admin.Client
			if err := api.do(ctx, http.MethodGet, pathOf("clients", id), nil, &one); err != nil {
				return err
			}
			return c.out.print(one, func(w *tabwriter.Writer) { clientFacts(w, one) })
		})
}

func (c *clientCommands) remove() *cobra.Command {
	return commandOnOne(c.app, "CLIENT_ID", "remove CLIENT_ID", "Remove a client; its refresh tokens are worth nothing from then on",
		"  ingam client remove my-cli",
		func(ctx context.Context, api *adminClient, id string) error {
			if err := api.do(ctx, http.MethodDelete, pathOf("clients", id), nil, nil); err != nil {
				return err
			}
			c.out.remark("Removed client %s.", printable(id))
			return nil
		})
}

func (c *clientCommands) rotateSecret() *cobra.Command {
	var overlap string
	cmd := &cobra.Command{
		Use:   "rotate-secret CLIENT_ID",
		Short: "Give a client a new secret, shown once; the one so far stays good for a while",
		Long: "Give a client a new secret, which is printed once. The one so far stays good for --overlap, so that the client can be " +
			"changed without an outage. '--overlap 0s' ends it at once: for a secret that has leaked.",
		Example: "  ingam client rotate-secret report-job\n  ingam client rotate-secret report-job --overlap 0s",
		Args:    exactly("CLIENT_ID"), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			d, ok := parseDuration(overlap)
			if !ok {
				return usagef("--overlap %q is not a duration, like 24h or 7d", overlap)
			}
			return c.app.withAdmin(cmd, func(ctx context.Context, api *adminClient) error {
				var after admin.Client
				err := api.do(ctx, http.MethodPost, pathOf("clients", args[0], "secret"), admin.Rotation{Overlap: d.String()}, &after)
				if err != nil {
					return err
				}
				if len(after.Secrets) > 1 {
					c.out.remark("The secret so far is good until %s.", when(after.Secrets[1].ExpiresAt))
				} else {
					c.out.remark("The secret so far is no longer good.")
				}
				return c.printOnce(after)
			})
		},
	}
	cmd.Flags().StringVar(&overlap, "overlap", "24h", "how long the secret so far stays good")
	return cmd
}

// printOnce prints a client with the secret that was just made, if it has one.
func (c *clientCommands) printOnce(made admin.Client) error {
	if made.ClientSecret != "" {
		c.out.shownOnce()
	}
	return c.out.print(made, func(w *tabwriter.Writer) { clientFacts(w, made) })
}
