package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/spf13/cobra"

	"kith/access"
	"kith/api"
	"kith/internal/sample"
)

// BenchmarkSignedSearch is the server's share of a signed SearchProfiles by e-mail: a real access key, customers of an import, no connection. CPU
// is the processor time of the process. KITH_BENCH_ROWS says of how many customers, 20,000 if not set.
func BenchmarkSignedSearch(b *testing.B) {
	rows, err := strconv.Atoi(os.Getenv("KITH_BENCH_ROWS"))
	if err != nil {
		rows = 20_000
	}
	dir := b.TempDir()
	file := filepath.Join(dir, "customers.csv")
	var text bytes.Buffer
	if err := sample.Write(&text, rows, 1); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	p := benchProgram(b, data)
	if code := run(context.Background(), []string{"import", file, "--data", data}); code != exitOK {
		b.Fatalf("the import ended with code %d", code)
	}
	requests := signedSearches(b, p, emailsOf(b, &text, 4000))
	w := &answerLength{header: http.Header{}}
	searched := func(i int) int {
		one := &requests[i%len(requests)]
		r := *one.r
		r.Body = io.NopCloser(strings.NewReader(one.body))
		clear(w.header)
		w.status, w.n = 0, 0
		p.node.Handler.ServeHTTP(w, &r)
		if w.status != http.StatusOK {
			b.Fatalf("status %d", w.status)
		}
		return w.n
	}
	i := 0
	requests = slices.DeleteFunc(slices.Clone(requests), func(signedSearch) bool { i++; return searched(i-1) < 100 }) // finds nobody: an address that was replaced
	if len(requests) < 100 {
		b.Fatalf("only %d searches find somebody", len(requests))
	}
	b.ReportAllocs()
	began := processTime(b)
	for i := 0; b.Loop(); i++ {
		searched(i)
	}
	b.ReportMetric(float64(processTime(b)-began)/float64(b.N), "cpu-ns/op")
}

// benchProgram starts a server on a new data folder.
func benchProgram(b *testing.B, data string) *program {
	cmd := &cobra.Command{}
	addServeFlags(cmd.Flags())
	for name, value := range map[string]string{"data": data, "listen": ownServer} {
		if err := cmd.Flags().Set(name, value); err != nil {
			b.Fatal(err)
		}
	}
	c, err := loadConfig(cmd, func(string) {})
	if err != nil {
		b.Fatal(err)
	}
	c.quiet = true
	p, err := startProgram(context.Background(), c, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.close(); err != nil {
			b.Error(err)
		}
	})
	return p
}

// emailsOf returns the first addresses of a sample.
func emailsOf(b *testing.B, text io.Reader, n int) (emails []string) {
	column := slices.Index(sample.Header, "email")
	for r := csv.NewReader(text); len(emails) < n; {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		if e := strings.TrimSpace(row[column]); strings.Contains(e, "@") {
			emails = append(emails, e)
		}
	}
	return emails
}

// signedSearch is a request with its body.
type signedSearch struct {
	r    *http.Request
	body string
}

func signedSearches(b *testing.B, p *program, emails []string) (all []signedSearch) {
	root := access.With(context.Background(), access.Identity{Root: true})
	key, err := p.node.Access.CreateAccessKey(root, &api.CreateAccessKeyRequest{Policy: api.Ptr(access.Everything)})
	if err != nil {
		b.Fatal(err)
	}
	creds := aws.Credentials{AccessKeyID: *key.AccessKeyId, SecretAccessKey: *key.SecretAccessKey}
	for _, e := range emails {
		body := fmt.Sprintf(`{"KeyName":"_email","Values":[%q]}`, e)
		r, err := http.NewRequest(http.MethodPost, p.url+"/domains/customers/profiles/search", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(context.Background(), creds, r, hex.EncodeToString(sum[:]), "profile", "us-east-1", time.Now()); err != nil {
			b.Fatal(err)
		}
		all = append(all, signedSearch{r, body})
	}
	return all
}

// answerLength counts an answer's bytes.
type answerLength struct {
	header    http.Header
	status, n int
}

func (w *answerLength) Header() http.Header              { return w.header }
func (w *answerLength) WriteHeader(status int)           { w.status = status }
func (w *answerLength) SetReadDeadline(time.Time) error  { return nil }
func (w *answerLength) SetWriteDeadline(time.Time) error { return nil }

func (w *answerLength) Write(p []byte) (int, error) {
	w.n += len(p)
	return len(p), nil
}

// processTime is the processor time of this process, in nanoseconds.
func processTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
