package main

import (
	"fmt"

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
			if err := l.health(cmd.Context()); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "well")
			return err
		},
	}
	addDataFlag(cmd.Flags())
	return cmd
}
