package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "health", Short: "Ask the server of this data folder whether it is well", Args: cobra.NoArgs,
		Long: `Ask the server that runs on the data folder whether it is well: whether it answers, and its store answers it. The exit code is 0
or 1. For health checks of containers, which have no other program.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data := flagOrEnv(cmd, "data")
			l := readLocal(data)
			if l == nil {
				return fmt.Errorf("no server runs on the data folder %s", data)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.Endpoint+"/healthz", nil)
			if err != nil {
				return err
			}
			res, err := l.httpClient().Do(r)
			if err != nil {
				return fmt.Errorf("the server at %s does not answer: %w", l.Endpoint, err)
			}
			defer res.Body.Close()
			text, err := io.ReadAll(io.LimitReader(res.Body, 1000))
			if err != nil || res.StatusCode != http.StatusOK {
				return fmt.Errorf("the server at %s is not well: %s %s", l.Endpoint, res.Status, text)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "well")
			return err
		},
	}
	addDataFlag(cmd.Flags())
	return cmd
}
