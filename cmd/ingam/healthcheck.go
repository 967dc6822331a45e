package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// newHealthcheckCommand is for the HEALTHCHECK of a container image that has no shell and no curl.
func newHealthcheckCommand(*app) *cobra.Command {
	var url string
	cmd := &cobra.Command{
		Use:     "healthcheck",
		Short:   "Ask a running server whether it is ready",
		Long:    "Ask a running server whether it is ready. The exit status is 0 if it is and 1 if it is not.",
		Example: "  ingam healthcheck\n  ingam healthcheck --url http://127.0.0.1:9081/readyz || systemctl restart ingam",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return healthcheck(cmd.Context(), url)
		},
	}
	cmd.Flags().StringVar(&url, "url", "http://127.0.0.1:9080/readyz", "address to ask")
	return cmd
}

func healthcheck(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usageError{err}
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	_ = answer.Body.Close() // the status is all that counts
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s answers %s", url, answer.Status)
	}
	return nil
}
