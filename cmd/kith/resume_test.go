package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// cutting fails all requests after some, as a server does that goes away for good.
type cutting struct {
	left int
	end  context.CancelFunc
}

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.left--; c.left < 0 {
		c.end()
		return nil, errors.New("away")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// An export that was cut, again and again, is in the end the one that never was.
func TestExportGoesOn(t *testing.T) {
	t.Chdir(t.TempDir())
	var csv strings.Builder
	csv.WriteString("id,First Name\n")
	for i := range 2100 { // five pages
		fmt.Fprintf(&csv, "%d,Ann\n", i)
	}
	if err := os.WriteFile("c.csv", []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := kith(t, "import", "c.csv"); code != exitOK {
		t.Fatal(errs)
	}
	cmd := &cobra.Command{}
	addClientFlags(cmd)
	cmd.SetContext(t.Context())
	c, err := serveSelf(cmd, "data", false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	for _, format := range []string{"ndjson", "csv"} {
		whole := "whole." + format
		if code, _, errs := kith(t, "export", "--format", format, "--out", whole, "--attributes", "x"); code != exitOK {
			t.Fatal(errs)
		}
		out := "parts." + format
		rounds := 0
		for resume := false; ; resume = true {
			if rounds++; rounds > 10 {
				t.Fatal("it never ends")
			}
			ctx, cancel := context.WithCancel(t.Context())
			x := exporter{client: &client{Client: c.Client, endpoint: c.endpoint, creds: c.creds, http: &http.Client{Transport: &cutting{2, cancel}}},
				domain: "customers", format: format, out: out, attributes: []string{"x"}, resume: resume, info: io.Discard}
			if err := x.checkOutput(); err != nil {
				t.Fatal(err)
			}
			err := x.run(ctx, io.Discard)
			cancel()
			if err == nil {
				break
			}
			if !strings.Contains(err.Error(), "--resume goes on") {
				t.Fatal(err)
			}
			again := x
			if again.resume = false; again.checkOutput() == nil {
				t.Error("an export that was begun is begun anew without a word")
			}
			// What was written behind the last page counts for nothing.
			f, err := os.OpenFile(x.partPath(), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(f, "torn")
			_ = f.Close()
		}
		want, err1 := os.ReadFile(whole)
		got, err2 := os.ReadFile(out)
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(got, want) || rounds < 3 {
			t.Errorf("%s: %d bytes in %d rounds, want %d, %v", format, len(got), rounds, len(want), err)
		}
		if left, _ := filepath.Glob("*.part*"); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
		if left, _ := filepath.Glob("*.resume*"); len(left) > 0 {
			t.Errorf("%v is left", left)
		}
	}
}
