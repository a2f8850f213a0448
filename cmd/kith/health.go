package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"kith/server"
)

func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "health", Short: "Ask the server of this data folder whether it is well", Args: cobra.NoArgs,
		Long: `Ask the server that runs on the data folder whether it is well: whether it answers, and its store answers it. The exit code is 0
or 1; a server that can't read a part of its data says "degraded", with 0, because a restart mends nothing. For health checks of containers, which have no other program.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			data := flagOrEnv(cmd, "data")
			if err := mayUse(data); err != nil {
				return err
			}
			l := readLocal(data)
			if l == nil {
				return fmt.Errorf("no server runs on the data folder %s", data)
			}
			text, err := l.health(cmd.Context())
			if err != nil {
				return err
			}
			if text != server.Degraded {
				text = "well"
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}
	addDataFlag(cmd.Flags())
	return cmd
}
