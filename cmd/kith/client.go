package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	close    func() error
}

// connect finds a server: --endpoint with the usual AWS credentials, else the one that runs on the data folder, else it
// serves the data folder itself until close.
func connect(cmd *cobra.Command) (*client, error) {
	ctx := cmd.Context()
	endpoint, _ := cmd.Flags().GetString("endpoint")
	data, _ := cmd.Flags().GetString("data")
	found := readLocal(data)
	if endpoint != "" {
		endpoint = strings.TrimSuffix(endpoint, "/")
		if found != nil && found.Endpoint == endpoint && healthy(ctx, endpoint) {
			return newClient(found.Endpoint, credentials.NewStaticCredentialsProvider(found.AccessKeyID, found.SecretAccessKey, "")), nil
		}
		conf, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(defaultRegion))
		if err != nil {
			return nil, fmt.Errorf("AWS credentials: %w", err)
		}
		if _, err := conf.Credentials.Retrieve(ctx); err != nil {
			return nil, errors.New("--endpoint needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
		}
		return newClient(endpoint, conf.Credentials), nil
	}
	if found != nil && healthy(ctx, found.Endpoint) {
		return newClient(found.Endpoint, credentials.NewStaticCredentialsProvider(found.AccessKeyID, found.SecretAccessKey, "")), nil
	}
	p, err := startProgram(&Config{Listen: "127.0.0.1:0", Data: data, URLLife: duration(24 * time.Hour)}, cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	c := newClient(p.url, credentials.NewStaticCredentialsProvider(p.local.AccessKeyID, p.local.SecretAccessKey, ""))
	c.close = p.close
	return c, nil
}

func addClientFlags(cmd *cobra.Command) {
	cmd.Flags().String("endpoint", "", "URL of a running server (default: the one on the data folder, else this command serves it itself)")
	addDataFlag(cmd.Flags())
}

func healthy(ctx context.Context, endpoint string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint+"/healthz", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func newClient(endpoint string, creds aws.CredentialsProvider) *client {
	return &client{
		Client: customerprofiles.New(customerprofiles.Options{
			BaseEndpoint: aws.String(endpoint), Region: defaultRegion, Credentials: creds,
		}),
		endpoint: endpoint, creds: creds, close: func() error { return nil },
	}
}

// call sends a request to one of our additions and reads the answer into out.
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
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
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
			return fmt.Errorf("the server answered %s", res.Status)
		}
		return errors.New(e.Message + e.Lower)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

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
