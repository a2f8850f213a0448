package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/spf13/cobra"

	"kith/internal/sample"
)

const (
	demoDomain = "demo"
	demoRows   = 10_000
)

func demoCommand() *cobra.Command {
	var once bool
	var listen string
	cmd := &cobra.Command{
		Use: "demo", Short: "A server with sample customers loaded through a real upload job", Args: cobra.NoArgs,
		Long: `Start a server on a temporary data folder, load sample customers through a real upload job, show a search, and say what to
type next. The folder goes when the demo ends.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), listen, once, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "exit instead of serving on")
	cmd.Flags().StringVar(&listen, "listen", defaultListen, "loopback address to listen on")
	return cmd
}

func demo(ctx context.Context, listen string, once bool, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "kith-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	step := func(format string, args ...any) { fmt.Fprintf(out, "\n▸ "+format+"\n", args...) }

	step("A server in development mode: any access key is accepted, from this machine only")
	p, err := startProgram(ctx, &Config{Listen: listen, Data: filepath.Join(dir, "data"), Dev: true, URLLife: duration(15 * time.Minute), quiet: true}, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	fmt.Fprintf(out, "  %s\n", p.url)

	step("A file of %d customers", demoRows)
	path := filepath.Join(dir, "customers.csv")
	if err := writeSample(path); err != nil {
		return err
	}
	c := newClient(p.url, credentials.NewStaticCredentialsProvider("demo", "demo", ""), http.DefaultClient)

	step("CreateDomain, CreateUploadJob, GetUploadJobPath, PUT, StartUploadJob, GetUploadJob")
	if err := importFile(ctx, c, path, importOptions{domain: demoDomain, expire: importExpiry}, nil, out, out); err != nil {
		return err
	}

	step("SearchProfiles: who has the e-mail address of the first customer, in capitals?")
	who, err := demoSearch(ctx, c, path, out)
	if err != nil {
		return err
	}
	if once {
		fmt.Fprintf(out, "\nDone. Without --once the server goes on, for you to try it.\n")
		return nil
	}
	step("Your turn, in another terminal")
	fmt.Fprintf(out, `
  export AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo AWS_DEFAULT_REGION=us-east-1
  aws --endpoint-url %[1]s customer-profiles get-domain --domain-name %[2]s
  aws --endpoint-url %[1]s customer-profiles search-profiles --domain-name %[2]s \
      --key-name _email --values '%[3]s'
  %[4]s import your-customers.csv --endpoint %[1]s --domain %[2]s

Ctrl-C ends the demo and removes its data.
`, p.url, demoDomain, who, programName())
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.failed:
		return err
	}
}

func writeSample(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(sample.Write(f, demoRows, 1), f.Close())
}

// demoSearch finds a customer of the file by e-mail and prints what came back.
func demoSearch(ctx context.Context, c *client, path string, out io.Writer) (email string, err error) {
	email, err = firstEmail(path)
	if err != nil {
		return "", err
	}
	start := time.Now()
	found, err := c.SearchProfiles(ctx, &customerprofiles.SearchProfilesInput{
		DomainName: aws.String(demoDomain), KeyName: aws.String("_email"), Values: []string{email},
	})
	if err != nil {
		return "", fmt.Errorf("search: %w", plain(err))
	}
	if len(found.Items) == 0 {
		return "", fmt.Errorf("search: nobody has the e-mail address %s", email)
	}
	took := time.Since(start)
	for _, p := range found.Items {
		fmt.Fprintf(out, "  %s → %s %s, account %s, phone %s (profile %s, in %.1f ms)\n", email,
			aws.ToString(p.FirstName), aws.ToString(p.LastName), aws.ToString(p.AccountNumber), aws.ToString(p.PhoneNumber), *p.ProfileId, float64(took.Microseconds())/1000)
	}
	return email, nil
}

// firstEmail returns the first e-mail address of a sample file, in capitals.
func firstEmail(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	r := csv.NewReader(f)
	header, err := r.Read()
	if err != nil {
		return "", err
	}
	column := slices.Index(header, "email")
	for {
		row, err := r.Read()
		if err != nil {
			return "", fmt.Errorf("the sample has no e-mail address: %w", err)
		}
		if email := strings.TrimSpace(row[column]); email != "" {
			return strings.ToUpper(email), nil
		}
	}
}

// programName is how this program is called: by its name, or as the README's first command does.
func programName() string {
	path, err := os.Executable()
	if err == nil && strings.Contains(path, "go-build") {
		return "go run ./cmd/kith"
	}
	return "kith"
}
