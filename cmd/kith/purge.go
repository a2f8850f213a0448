package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"kith/api"
)

func purgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "purge", Short: "Remove the bytes of deleted data from the files of the store, now", Args: cobra.NoArgs,
		Long: `Remove the bytes of deleted data from the files of the data folder's store: what is deleted is gone for every call at once, but stays
in tables and logs until these are written anew. The server does that by itself once in --purge-every; this command does it now, while the server goes
on. It takes as long as reading and writing the whole store once. Backups that were made before keep what they have.`,
		RunE: withClient(func(cmd *cobra.Command, c *client, _ []string) error {
			var out api.PurgeStoreResponse
			if err := c.call(cmd.Context(), http.MethodPost, "/kith/purges", nil, struct{}{}, &out); err != nil {
				return err
			}
			if n := api.Val(out.DeletionsLeft); n > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d deletions came meanwhile, or are of what is being read; the next purge carries them out.\n", n)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Purged: the store had %.1f MB and has %.1f MB.\n", float64(*out.BytesBefore)/1e6, float64(*out.BytesAfter)/1e6)
			return err
		}),
	}
	addClientFlags(cmd)
	return cmd
}

// purge removes the bytes of deleted data from the store's files.
func (f *folder) purge(ctx context.Context) (before, after, left int64, err error) {
	p, err := f.store.Purge(ctx)
	return p.Before, p.After, p.Deletions, err
}

// everyPurge has the store purged once in a while, beside whatever else is tidied.
func (e *engines) everyPurge(every time.Duration, log *slog.Logger) {
	if e.purge == nil || every == 0 {
		return
	}
	tidy := e.tidy
	e.tidy = func(ctx context.Context) error {
		if tidy != nil {
			if err := tidy(ctx); err != nil {
				return err
			}
		}
		due, err := e.purgeDue(ctx, every, time.Now())
		if err != nil || !due {
			return err
		}
		start := time.Now()
		before, after, left, err := e.purge(ctx)
		if err != nil {
			return fmt.Errorf("purge the store: %w", err)
		}
		log.Info("the store was purged of deleted data", "seconds", int(time.Since(start).Seconds()), "bytes_before", before, "bytes_after", after, "deletions_left", left)
		return nil
	}
}
