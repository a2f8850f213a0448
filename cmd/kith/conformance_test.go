package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A server that agrees to everything differs, and one that refuses everything can't be checked.
func TestConformanceExitCodes(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "TEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for status, want := range map[int]int{http.StatusOK: exitDiffers, http.StatusForbidden: exitError} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "{}")
		}))
		args := []string{"conformance", "--endpoint", web.URL, "--operation", "TagResource", "--patience", "0"}
		if got := run(context.Background(), args); got != want {
			t.Errorf("%v against a server that answers %d: exit code %d, want %d", args, status, got, want)
		}
		web.Close()
	}
}
