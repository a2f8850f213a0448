package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kith/store/cql"
)

func migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring a cluster's keyspace to the schema this version needs", Args: cobra.NoArgs,
		Long: `Bring the keyspace of --store to the schema this version needs: once before the first start, and once before the first node of
a newer version starts. Running it again changes nothing, and only one migration runs at a time. Nodes refuse a keyspace whose
schema they don't know.

With --replication N a keyspace that does not exist is made, with N copies of every row in the data center.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			address := flagOrEnv(cmd, "store")
			replication, _ := cmd.Flags().GetInt("replication")
			if address == "" {
				return usageError("--store says which keyspace: cql://host1,host2/keyspace (a data folder needs no migration)")
			}
			if replication < 0 {
				return usageError("--replication must not be negative")
			}
			o, err := storeOptions(address)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 10*time.Minute)
			defer cancel()
			from, to, err := cql.Migrate(ctx, o, replication)
			if err != nil {
				return fmt.Errorf("migrate: %w", err)
			}
			text := fmt.Sprintf("The keyspace %s went from schema %d to %d.", o.Keyspace, from, to)
			if from == to {
				text = fmt.Sprintf("The keyspace %s has schema %d already.", o.Keyspace, to)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}
	addStoreFlag(cmd.Flags())
	cmd.Flags().Int("replication", 0, "make the keyspace if there is none, with this many copies of every row")
	return cmd
}
