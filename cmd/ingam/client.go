package main

import (
	"context"
	"io"
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
		Example: "  ingam client add my-cli --public --grant-type password,refresh_token --scope 'openid profile'\n  ingam client list",
	})
	c.out.addTo(cmd)
	cmd.SetFlagErrorFunc(secretFlagError)
	cmd.AddCommand(c.add(), c.list(), c.show(), c.remove(), c.rotateSecret())
	return cmd
}

func (c *clientCommands) add() *cobra.Command {
	var m admin.Metadata
	var public bool
	var scopes, defaults []string
	var grace string
	cmd := &cobra.Command{
		Use:   "add [CLIENT_ID]",
		Short: "Add a client; a confidential one gets a secret, shown once",
		Long: "Add a client. Without a CLIENT_ID it gets a random one. Without --public it is confidential and gets a secret, " +
			"which is printed once and cannot be shown again.",
		Example: "  ingam client add my-cli --public --grant-type password,refresh_token --scope 'openid profile'\n" +
			"  ingam client add report-job --grant-type client_credentials --scope reports.read --audience https://api.example.com\n" +
			"  ingam client add -o json --grant-type client_credentials | jq -r .client_secret > client.secret",
		Args:              atMostOneID,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			m.TokenEndpointAuthMethod = "client_secret_basic"
			if public {
				m.TokenEndpointAuthMethod = "none"
			}
			if len(args) == 1 {
				m.ClientID = args[0]
			}
			m.Scope, m.DefaultScope = strings.Join(scopes, " "), strings.Join(defaults, " ")
			if grace != "" {
				d, ok := parseDuration(grace)
				if !ok {
					return usagef("--refresh-grace %q is not a duration, like 10s", grace)
				}
				m.RefreshGrace = d.String()
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
	f := cmd.Flags()
	f.BoolVar(&public, "public", false, "a client without a secret: a program on people's own devices, or in a browser")
	f.StringVar(&m.ClientName, "name", "", "name for people (client_name)")
	f.StringSliceVar(&m.GrantTypes, "grant-type", nil, "password, refresh_token, client_credentials, authorization_code")
	f.StringSliceVar(&scopes, "scope", nil, "the scopes that it may ask for")
	f.StringSliceVar(&defaults, "default-scope", nil, "the scopes of a request without scope")
	f.StringArrayVar(&m.RedirectURIs, "redirect-uri", nil, "a redirect URI, any number of times; compared character by character")
	f.StringArrayVar(&m.Audience, "audience", nil, "a resource server that its tokens are for (aud), any number of times")
	f.StringArrayVar(&m.Resources, "resource", nil, "an audience that it is the resource server of (introspection), any number of times")
	f.StringVar(&grace, "refresh-grace", "", "how long a used refresh token gets the same successor again; default: the server's")
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

// clientFacts prints one client.
func clientFacts(w io.Writer, c admin.Client) {
	fact(w, "client_id", c.ClientID)
	fact(w, "client_secret", c.ClientSecret)
	fact(w, "name", c.ClientName)
	fact(w, "auth method", c.TokenEndpointAuthMethod)
	fact(w, "grant types", strings.Join(c.GrantTypes, " "))
	fact(w, "scope", c.Scope)
	fact(w, "default scope", c.DefaultScope)
	for _, uri := range c.RedirectURIs {
		fact(w, "redirect URI", uri)
	}
	for _, aud := range c.Audience {
		fact(w, "audience", aud)
	}
	for _, res := range c.Resources {
		fact(w, "resource", res)
	}
	fact(w, "refresh grace", c.RefreshGrace)
	for _, s := range c.Secrets {
		text := "made " + when(s.CreatedAt)
		if !s.ExpiresAt.IsZero() {
			text += ", good until " + when(s.ExpiresAt)
		}
		fact(w, "secret", text)
	}
	fact(w, "created", when(c.CreatedAt))
	fact(w, "source", orDefault(c.Source, "store"))
}
