package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/smithy-go"
	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"
)

const defaultRegion = "us-east-1"

// client drives the public API: the vendor's SDK for its operations, signed JSON for the additions.
type client struct {
	*customerprofiles.Client
	endpoint string
	creds    aws.CredentialsProvider
	http     *http.Client
	close    func() error
}

// connect finds a server: --endpoint with the usual AWS credentials, else the one that runs on the data folder, else it
// serves the data folder itself until close. A folder that is none is refused: most likely its name is mistyped.
func connect(cmd *cobra.Command) (*client, error) { return connectTo(cmd, isDataFolder) }

// connectOrCreate is connect for commands that bring data: they make the data folder if it is missing.
func connectOrCreate(cmd *cobra.Command) (*client, error) {
	return connectTo(cmd, func(string) error { return nil })
}

// isDataFolder refuses a folder that holds no data yet.
func isDataFolder(dir string) error {
	_, err := os.Stat(filepath.Join(dir, "store"))
	if errors.Is(err, fs.ErrNotExist) {
		return usageError("there is no data folder %s: name the right one with --data, or a server with --endpoint; kith serve and kith import make a new one", dir)
	}
	return err
}

// connectTo is connect, after check has judged a data folder that this command has to serve itself.
func connectTo(cmd *cobra.Command, check func(dir string) error) (*client, error) {
	ctx := cmd.Context()
	endpoint, _ := cmd.Flags().GetString("endpoint")
	data, _ := cmd.Flags().GetString("data")
	found := readLocal(data)
	if endpoint != "" {
		endpoint = strings.TrimSuffix(endpoint, "/")
		if found != nil && found.Endpoint == endpoint && found.healthy(ctx) {
			return found.client(), nil
		}
		conf, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(defaultRegion))
		if err != nil {
			return nil, fmt.Errorf("AWS credentials: %w", err)
		}
		if _, err := conf.Credentials.Retrieve(ctx); err != nil {
			return nil, errors.New("--endpoint needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
		}
		return newClient(endpoint, conf.Credentials, http.DefaultClient), nil
	}
	if found != nil && found.healthy(ctx) {
		return found.client(), nil
	}
	if found != nil && found.Shared {
		return nil, fmt.Errorf("the node of the data folder %s, at %s, does not answer; start it, or name another node with --endpoint", data, found.Endpoint)
	}
	if err := check(data); err != nil {
		return nil, err
	}
	p, err := startProgram(cmd.Context(), &Config{Listen: ownServer, Data: data, URLLife: duration(24 * time.Hour), quiet: true}, cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	c := p.local.client()
	c.close = p.close
	return c, nil
}

func addClientFlags(cmd *cobra.Command) {
	cmd.Flags().String("endpoint", "", "URL of a running server (default: the one on the data folder, else this command serves it itself)")
	addDataFlag(cmd.Flags())
}

// healthy says whether the server that wrote the file still answers, and is well.
func (l *local) healthy(ctx context.Context) bool {
	_, err := l.health(ctx)
	return err == nil
}

// health asks the server that wrote the file how it is, and returns what it says.
func (l *local) health(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.Endpoint+"/healthz", nil)
	if err != nil {
		return "", err
	}
	res, err := l.httpClient().Do(r)
	if err != nil {
		return "", fmt.Errorf("the server at %s does not answer: %w", l.Endpoint, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1000))
	if err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the server at %s is not well: %s, %s", l.Endpoint, res.Status, bytes.TrimSpace(text))
	}
	return string(bytes.TrimSpace(text)), nil
}

func (l *local) client() *client {
	return newClient(l.Endpoint, credentials.NewStaticCredentialsProvider(l.AccessKeyID, l.SecretAccessKey, ""), l.httpClient())
}

// httpClient trusts exactly the certificate that the server wrote down.
func (l *local) httpClient() *http.Client {
	if l.Certificate == nil {
		return http.DefaultClient
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection compares the certificate itself
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, l.Certificate) {
				return errors.New("the server's certificate is not the one in local.json")
			}
			return nil
		},
	}}}
}

func newClient(endpoint string, creds aws.CredentialsProvider, web *http.Client) *client {
	return &client{
		Client: customerprofiles.New(customerprofiles.Options{
			BaseEndpoint: aws.String(endpoint), Region: defaultRegion, Credentials: creds, HTTPClient: web,
		}),
		endpoint: endpoint, creds: creds, http: web, close: func() error { return nil },
	}
}

// call sends a request to one of our additions and reads the answer into out: JSON, or the bytes as they are for an io.Writer.
func (c *client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	target := c.endpoint + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	creds, err := c.creds.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, creds, r, hex.EncodeToString(sum[:]), "profile", defaultRegion, time.Now()); err != nil {
		return err
	}
	res, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if w, ok := out.(io.Writer); ok && res.StatusCode == http.StatusOK {
		_, err := io.Copy(w, res.Body)
		return err
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		var e struct {
			Message string
			Lower   string `json:"message"`
		}
		if json.Unmarshal(answer, &e) != nil || e.Message+e.Lower == "" {
			return &refusal{res.StatusCode, "the server answered " + res.Status}
		}
		return &refusal{res.StatusCode, e.Message + e.Lower}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// refusal is an answer that is an error.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// plain turns an SDK error into the server's sentence.
func plain(err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return errors.New(api.ErrorMessage())
	}
	return err
}

func isCode(err error, code string) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && api.ErrorCode() == code
}
