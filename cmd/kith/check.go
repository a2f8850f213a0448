package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kith/api"
	"kith/domain"
	"kith/store"
	"kith/store/pebble"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check [DIR]", Short: "Verify the checksums of a data folder or a backup", Args: cobra.MaximumNArgs(1),
		Long: `Read the database of a data folder, or of the backup DIR, and verify every checksum of its tables, its log and its list of tables.
Nothing is changed. When a server runs on the data folder, it goes on: it writes a backup beside the folder, of hard links where the
disk allows, which is checked and removed. What is damaged is named by file, table and domain. The exit code is 0 or 1.

Files of imports (blob/) are not read: they are sealed, and verified when they are used.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return checkFolder(cmd.Context(), args[0], cmd.OutOrStdout())
			}
			data := flagOrEnv(cmd, "data")
			if err := mayUse(data); err != nil {
				return err
			}
			l := readLocal(data)
			if l == nil || l.Shared || !l.healthy(cmd.Context()) {
				return checkFolder(cmd.Context(), data, cmd.OutOrStdout())
			}
			return checkRunning(cmd.Context(), l, data, cmd.OutOrStdout())
		},
	}
	addDataFlag(cmd.Flags())
	return cmd
}

// checkRunning has the server make a backup, and checks that.
func checkRunning(ctx context.Context, l *local, data string, out io.Writer) (err error) {
	dir, err := filepath.Abs(filepath.Clean(data) + ".check")
	if err != nil {
		return err
	}
	if dir, err = os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+"-"); err != nil {
		return fmt.Errorf("a running server is checked by a backup beside its folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := l.client()
	if err := c.call(ctx, http.MethodPost, "/kith/backups", nil, api.CreateBackupRequest{Directory: &dir}, new(api.CreateBackupResponse)); err != nil {
		return err
	}
	return checkFolder(ctx, dir, out)
}

// checkFolder verifies the database of a folder, tells what it finds, and returns an error if anything is wrong.
func checkFolder(ctx context.Context, dir string, out io.Writer) error {
	path := filepath.Join(dir, "store")
	if _, err := os.Stat(path); err != nil {
		return usageError("%s is neither a data folder nor a backup: it has no folder named store", dir)
	}
	start := time.Now()
	r, err := pebble.Verify(ctx, path)
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("the data folder %s is in use by a process that does not answer; stop it, or check a backup", dir)
	}
	if err != nil {
		return fmt.Errorf("check %s: %w", dir, err)
	}
	fmt.Fprintf(out, "%d tables and %d logs, %.1f MB, read in %s\n", r.Tables, r.Logs, float64(r.Bytes)/1e6, time.Since(start).Round(10*time.Millisecond))
	if r.Sound() {
		_, err := fmt.Fprintln(out, "No damage.")
		return err
	}
	names := domainNames(ctx, path)
	for _, d := range r.Log {
		fmt.Fprintln(out, "DAMAGED", d.Error())
		for _, l := range d.Lost {
			fmt.Fprintf(out, "  behind it: %d rows of table %s%s\n", l.Rows, l.Table, names.of(l.Incarnation))
		}
	}
	for _, d := range r.Damage {
		fmt.Fprintf(out, "DAMAGED table file %s: %s; its rows: %s\n", d.File, d.What, names.between(d.From, d.To))
	}
	if r.Unopened != nil {
		fmt.Fprintln(out, "DAMAGED the database can't be opened:", r.Unopened)
	}
	return fmt.Errorf("%s is damaged: restore a backup that is sound, or see Damage in docs/operations.md", dir)
}

// incarnations names domains by their incarnations.
type incarnations map[store.Incarnation]string

// domainNames reads the living domains, as far as they can be read.
func domainNames(ctx context.Context, path string) incarnations {
	names := incarnations{}
	s, err := pebble.Open(path, pebble.Options{ReadOnly: true, AcceptDamage: true})
	if err != nil {
		return names
	}
	defer s.Close()
	recs, _ := (&domain.Service{Store: s}).Live(ctx)
	for _, rec := range recs {
		names[rec.Incarnation] = rec.Name
	}
	return names
}

func (n incarnations) of(inc store.Incarnation) string {
	switch name := n[inc]; {
	case inc == 0:
		return ""
	case name != "":
		return " of domain " + name
	}
	return fmt.Sprintf(" of incarnation %x, no living domain's", uint64(inc))
}

func (n incarnations) between(from, to pebble.Place) string {
	var b strings.Builder
	switch {
	case from.Table == 0:
		return "unknown"
	case from == to:
		fmt.Fprintf(&b, "table %s%s", from.Table, n.of(from.Incarnation))
	default:
		fmt.Fprintf(&b, "from table %s%s to table %s%s", from.Table, n.of(from.Incarnation), to.Table, n.of(to.Incarnation))
	}
	return b.String()
}
