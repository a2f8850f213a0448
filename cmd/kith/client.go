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
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/go-json-experiment/json"
)

const defaultRegion = "us-east-1"

// client drives the public API: the vendor's SDK for its operations, signed JSON for the additions.
type client struct {
	*customerprofiles.Client
	endpoint string
	creds    aws.CredentialsProvider
	http     *http.Client
	// where names the server or the data folder, and own says that this process serves it, for as long as the command takes.
	where string
	own   bool
	// flags are those that another command needs to reach the same.
	flags string
	close func() error
	// noDomain says that a call was about a domain that is not there.
	noDomain bool
}

// note looks whether a call failed because its domain is not there.
func (c *client) note(err error) {
	if err != nil && strings.Contains(err.Error(), "DomainName ") && strings.Contains(err.Error(), " is not found in account ") {
		c.noDomain = true
	}
}

// domains says which domains there are, if a call was about another one; nothing if they can't be listed.
func (c *client) domains(ctx context.Context) error {
	if !c.noDomain {
		return nil
	}
	all, err := c.ListDomains(ctx, &customerprofiles.ListDomainsInput{MaxResults: aws.Int32(20)})
	switch {
	case err != nil:
		return nil
	case len(all.Items) == 0:
		return errors.New("there is no domain yet; kith import makes one")
	}
	var names []string
	for _, d := range all.Items {
		names = append(names, oneLine(aws.ToString(d.DomainName)))
	}
	if all.NextToken != nil {
		names = append(names, "others")
	}
	return fmt.Errorf("--domain names the right one: %s", strings.Join(names, ", "))
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

// newClient returns a client of a server; web is how it is reached, nil: as usual.
func newClient(endpoint string, creds aws.CredentialsProvider, web *http.Client) *client {
	if web == nil {
		web = http.DefaultClient
	}
	c := &client{endpoint: endpoint, creds: creds, http: web, where: "the server at " + endpoint, close: func() error { return nil }}
	c.Client = customerprofiles.New(customerprofiles.Options{
		BaseEndpoint: aws.String(endpoint), Region: defaultRegion, Credentials: creds, HTTPClient: web,
		APIOptions: []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("note",
				func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					out, about, err := next.HandleInitialize(ctx, in)
					c.note(err)
					return out, about, err
				}), middleware.Before)
		}},
	})
	return c
}

// domainPath is the path of the additions that are about a domain.
func domainPath(domain string) string { return "/kith/domains/" + url.PathEscape(domain) }

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
	if res.StatusCode == http.StatusOK && res.Header.Get("X-Amzn-Requestid") == "" { // what every answer of this API has
		return errors.New(strange(res.Status))
	}
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
			return &refusal{res.StatusCode, strange(res.Status)}
		}
		err := &refusal{res.StatusCode, e.Message + e.Lower}
		c.note(err)
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return errors.New(strange(res.Status))
	}
	return nil
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
