package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary be kith when a script calls it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kith": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			os.Exit(run(ctx, os.Args[1:]))
		},
		"kith-dies-importing": func() {
			if err := dieImporting(os.Args[1]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good.csv", "id\n1\n")
	write("partly.csv", "id,x\n1,\n2,,3\n")
	write("bad.csv", "id,x\n1,,2\n")
	for _, c := range []struct {
		want int
		args []string
	}{
		{exitOK, []string{"version"}}, {exitOK, []string{"import", "good.csv"}},
		{exitPartial, []string{"import", "partly.csv"}}, {exitFailed, []string{"import", "bad.csv"}},
		{exitUsage, []string{"nonsense"}}, {exitUsage, []string{"import"}}, {exitUsage, []string{"import", "none.csv"}},
		{exitUsage, []string{"serve", "--nope"}}, {exitUsage, []string{"serve", "--listen", "nowhere"}},
		{exitUsage, []string{"serve", "--cors-origins", "app.example.com"}}, {exitUsage, []string{"serve", "--cors-origins", "https://app.example.com/"}},
		{exitUsage, []string{"serve", "--cors-origins", "https://*.example.com"}}, {exitUsage, []string{"serve", "--dev", "--cors-origins", "*"}},
		{exitError, []string{"jobs", "--domain", "none"}},
		{exitOK, []string{"conformance", "--operation", "ListDomains"}}, {exitUsage, []string{"conformance", "--operation", "Nobody"}},
	} {
		if got := run(context.Background(), c.args); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.args, got, c.want)
		}
	}
}
