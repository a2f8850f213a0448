package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
	"github.com/spf13/cobra"
)

// The help of every command fits a terminal.
func TestHelpFitsTheScreen(t *testing.T) {
	each(newRoot(), func(cmd *cobra.Command) {
		var out bytes.Buffer
		cmd.Root().SetOut(&out)
		cmd.InitDefaultHelpFlag()
		if err := cmd.Help(); err != nil || !strings.Contains(out.String(), "Usage:\n") {
			t.Fatalf("%s: %v %q", cmd.CommandPath(), err, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if uniseg.StringWidth(strings.TrimRight(line, "\n")) > screen {
				t.Errorf("%s --help has the line %q", cmd.CommandPath(), line)
			}
		}
	})
}

func TestPrintWrapped(t *testing.T) {
	var out bytes.Buffer
	printWrapped(&out, "- ", strings.Repeat("word ", 20)+strings.Repeat("x", 100)+" end")
	want := "- " + strings.TrimSpace(strings.Repeat("word ", 15)) + "\n  " + strings.TrimSpace(strings.Repeat("word ", 5)) + "\n  " + strings.Repeat("x", 100) + "\n  end\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
