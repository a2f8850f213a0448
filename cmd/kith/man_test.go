package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every command has a page that names all its flags, in roff that formatters take without a word, where there is one.
func TestManPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	if code, _, errs := kith(t, "man", "--dir", dir); code != exitOK {
		t.Fatal(errs)
	}
	pages := 0
	root := newRoot()
	root.InitDefaultCompletionCmd() // as running a command does
	each(root, func(cmd *cobra.Command) {
		path := filepath.Join(dir, pageName(cmd)+".1")
		page, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			return
		}
		pages++
		text := strings.NewReplacer(`\-`, "-", `\e`, `\`).Replace(string(page))
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" && !strings.Contains(text, "--"+f.Name) {
				t.Errorf("%s does not tell of --%s", path, f.Name)
			}
		})
		if !strings.Contains(text, cmd.Short) || strings.Count(text, "\n.nf\n") != strings.Count(text, "\n.fi\n") {
			t.Errorf("%s is not whole", path)
		}
		for _, formatter := range [][]string{{"mandoc", "-T", "lint", "-W", "error", path}, {"groff", "-man", "-ww", "-Tutf8", "-z", path}} {
			if _, err := exec.LookPath(formatter[0]); err != nil {
				continue
			}
			if out, err := exec.Command(formatter[0], formatter[1:]...).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
				t.Errorf("%v: %v\n%s", formatter, err, out)
			}
		}
	})
	found, err := os.ReadDir(dir)
	if err != nil || len(found) < pages || pages < 25 {
		t.Errorf("%d pages of %d commands, %v", len(found), pages, err)
	}
}

// A page of one command goes to standard output; one that does not exist is told.
func TestManOfOneCommand(t *testing.T) {
	if code, out, _ := kith(t, "man", "jobs", "cancel"); code != exitOK || !strings.HasPrefix(out, `.TH "KITH-JOBS-CANCEL" 1`) {
		t.Errorf("%d %q", code, out)
	}
	if code, out, errs := kith(t, "man", "imprt"); code == exitOK || out != "" || !strings.Contains(errs, `did you mean "import"?`) {
		t.Errorf("%d %q %q", code, out, errs)
	}
}
