package main

import (
	"context"
	"net/http"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ingam/ingam/authserver/admin"
)

// logoutsAtOnce is the most that the admin API lists.
const logoutsAtOnce = "1000"

// newLogoutsCommand builds `ingam logouts`.
func newLogoutsCommand(a *app) *cobra.Command {
	p := &printer{app: a}
	cmd := group(&cobra.Command{
		Use:   "logouts",
		Short: "See which clients were not told of a logout yet",
		Long: "See which clients were not told of a logout yet (OpenID Connect Back-Channel Logout).\n\nThe server tells each client that has " +
			"a backchannel_logout_uri when a session ends. A client that does not answer is tried again for a day, less and less often.",
		Example: "  ingam logouts list",
	})
	p.addTo(cmd)
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the logout tokens that wait for their next try, and those that were given up",
		Long: "List the logout tokens that wait for their next try, the next one first, and those that were given up, which stay in the list " +
			"for a week. A list without entries means that every client has heard of every logout.",
		Example:           "  ingam logouts list\n  ingam logouts list -o json | jq -r '.[] | select(.state == \"failed\") | .client_id'",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAdmin(cmd, func(ctx context.Context, api *adminClient) error {
				var list admin.LogoutList
				if err := api.do(ctx, http.MethodGet, "/logouts?limit="+logoutsAtOnce, nil, &list); err != nil {
					return err
				}
				if list.More {
					p.remark("There are more than these %d.", len(list.Logouts))
				}
				if list.Logouts == nil {
					list.Logouts = []admin.Logout{}
				}
				return p.print(list.Logouts, func(w *tabwriter.Writer) { logoutRows(w, list.Logouts) })
			})
		},
	})
	return cmd
}

func logoutRows(w *tabwriter.Writer, logouts []admin.Logout) {
	row(w, "CLIENT_ID", "STATE", "ATTEMPTS", "SINCE", "NEXT_TRY", "LAST_ERROR", "URI")
	for _, one := range logouts {
		row(w, one.ClientID, one.State, strconv.Itoa(one.Attempts), when(one.CreatedAt), when(one.NextAt), orDash(one.LastError), one.URI)
	}
}
