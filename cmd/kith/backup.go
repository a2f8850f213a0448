package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kith/api"
	"kith/store/pebble"
)

func backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "Write a consistent copy of the data folder, while serving", Args: cobra.ExactArgs(1),
		Long: `Write a consistent copy of the data folder into DIR, which must not exist or be empty. A server that runs on the data
folder writes it and goes on serving. The copy holds the master key, if that lies in the data folder: keep it as safe as the
data itself.`,
		RunE: withClient(func(cmd *cobra.Command, c *client, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			var out api.CreateBackupResponse
			if err := c.call(cmd.Context(), http.MethodPost, "/kith/backups", nil, api.CreateBackupRequest{Directory: &dir}, &out); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Backup of %.1f MB in %s\n", float64(*out.Bytes)/1e6, dir)
			return err
		}),
	}
	addClientFlags(cmd)
	return cmd
}

func restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore DIR", Short: "Make a data folder from a backup", Args: cobra.ExactArgs(1),
		Long: "Copy a backup into the data folder, which must not exist or be empty. The backup stays as it is.",
		RunE: func(cmd *cobra.Command, args []string) error {
			data, _ := cmd.Flags().GetString("data")
			if err := restore(cmd.Context(), args[0], data); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Restored into %s; start with: kith serve --data %s\n", data, data)
			return err
		},
	}
	addDataFlag(cmd.Flags())
	return cmd
}

// restore makes a data folder of a backup and opens it once.
func restore(ctx context.Context, from, data string) error {
	if err := isBackup(from); err != nil {
		return err
	}
	if inside, err := lies(data, from); err != nil {
		return fmt.Errorf("restore: %w", err)
	} else if inside {
		return usageError("the data folder %s can't be in the backup %s", data, from)
	}
	if err := os.MkdirAll(filepath.Dir(data), 0o700); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	err := fillFolder(data, func() error {
		if err := copyTree(ctx, from, data, false); err != nil {
			return err
		}
		st, err := pebble.Open(filepath.Join(data, "store"), pebble.Options{})
		if err != nil {
			return fmt.Errorf("the restored data can't be opened: %w", err)
		}
		return st.Close()
	})
	if errors.Is(err, errNotEmpty) {
		return usageError("the data folder %s is not empty; name a new one with --data", data)
	}
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// isBackup refuses what no backup has made to the end.
func isBackup(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "store")); err != nil {
		return usageError("%s is no backup: it has no folder named store", dir)
	}
	return finished(dir)
}
