package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// A command that asks of data says so when there is no data folder, and makes none; also one that somebody adds later. A folder that holds
// something else is left as it is.
func TestAMistypedDataFolderIsNotMade(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(t.TempDir(), "mistyped"), empty} {
		asking := 0
		each(newRoot(), func(cmd *cobra.Command) {
			if cmd.Flags().Lookup("data") == nil || cmd.Flags().Lookup("endpoint") == nil || cmd.Name() == "import" || cmd.Name() == "demo" {
				return
			}
			asking++
			args := append(strings.Fields(cmd.CommandPath())[1:], "--data", dir)
			if cmd.Name() == "search" {
				args = append(args, "--status")
			}
			for range minArgs(cmd) {
				args = append(args, filepath.Join(t.TempDir(), "x"))
			}
			code, out, errs := kith(t, args...)
			if code == exitOK || !strings.Contains(errs, "there is no data folder "+dir) || out != "" {
				t.Errorf("%v: %d %q %q", args, code, out, errs)
			}
		})
		if asking < 8 {
			t.Errorf("only %d commands were tried", asking)
		}
		if found, _ := os.ReadDir(dir); len(found) > 0 {
			t.Errorf("%s was made, or written to: %v", dir, found)
		}
		if _, err := os.Stat(dir); dir != empty && err == nil {
			t.Errorf("%s was made", dir)
		}
	}
}

// each calls do for every command that can be run.
func each(cmd *cobra.Command, do func(*cobra.Command)) {
	if cmd.Runnable() {
		do(cmd)
	}
	for _, c := range cmd.Commands() {
		each(c, do)
	}
}

// minArgs is how many arguments a command needs.
func minArgs(cmd *cobra.Command) (n int) {
	for cmd.ValidateArgs(make([]string, n)) != nil {
		n++
	}
	return n
}
