package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/smithy-go/logging"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func addClientFlags(cmd *cobra.Command) {
	cmd.Flags().String("endpoint", "", "URL of a running server (default: the one on the data folder, else this command serves it itself)")
	addDataFlag(cmd.Flags())
}

// defaultDomain is that of commands which name none.
const defaultDomain = "customers"

func addDomainFlag(cmd *cobra.Command, domain *string, usage string) {
	cmd.Flags().StringVar(domain, "domain", defaultDomain, usage)
}

// connect finds a server: --endpoint with the usual AWS credentials, else the one that runs on the data folder, else it
// serves the data folder itself until close. A folder that is none is refused: most likely its name is mistyped. It makes no folder, key or domain. Where a
// call asked for a domain that is not there, close says which there are.
func connect(cmd *cobra.Command) (*client, error) {
	c, err := running(cmd)
	if err != nil {
		return nil, err
	}
	if c == nil {
		data := flagOrEnv(cmd, "data")
		if err := isDataFolder(data); err != nil {
			return nil, err
		}
		if c, err = serveSelf(cmd, data, false); err != nil {
			return nil, err
		}
	}
	stop := c.close
	c.close = func() error { return errors.Join(c.domains(cmd.Context()), stop()) }
	return c, nil
}

// connectToImport is connect for imports, which bring data: they make the data folder if it is missing. The first line that it prints
// names what will be written to. A dry run writes nothing: without a data folder, or without the domain in it, it is made in a temporary folder.
func connectToImport(cmd *cobra.Command, domain string, dry bool) (*client, error) {
	c, err := running(cmd)
	if err != nil {
		return nil, err
	}
	info, data := cmd.ErrOrStderr(), flagOrEnv(cmd, "data")
	say := func(where string) {
		what := "Importing"
		if dry {
			what = "Trying an import"
		}
		tell(info, "", fmt.Sprintf("%s into domain %s of %s", what, domain, where))
	}
	if c != nil {
		say(c.where)
	} else {
		missing := isDataFolder(data)
		if _, ok := errors.AsType[*exitErr](missing); missing != nil && !ok {
			return nil, missing
		}
		if missing == nil {
			say(folderText(data))
		} else {
			say(folderText(data) + ", which is new")
		}
		if missing != nil && dry {
			return serveTemporary(cmd, domain)
		}
		if c, err = serveSelf(cmd, data, !dry); err != nil {
			return nil, err
		}
	}
	if !dry {
		return c, nil
	}
	_, err = c.GetDomain(cmd.Context(), &customerprofiles.GetDomainInput{DomainName: &domain})
	if err == nil {
		return c, nil
	}
	err = errors.Join(err, c.close())
	if !isCode(err, "ResourceNotFoundException") {
		return nil, fmt.Errorf("look at domain %s: %w", domain, err)
	}
	return serveTemporary(cmd, domain)
}

// folderText is how messages call a data folder.
func folderText(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return "the data folder " + dir
}

// serveTemporary serves a temporary data folder with an empty domain.
func serveTemporary(cmd *cobra.Command, domain string) (*client, error) {
	tell(cmd.ErrOrStderr(), "", fmt.Sprintf("Domain %s does not exist yet; it is tried with an empty one in a temporary folder", domain))
	dir, err := os.MkdirTemp("", "kith-try-")
	if err != nil {
		return nil, err
	}
	c, err := serveSelf(cmd, filepath.Join(dir, "data"), false)
	if err == nil {
		stop := c.close
		c.close = func() error { return errors.Join(stop(), os.RemoveAll(dir)) }
		if _, err = c.CreateDomain(cmd.Context(), &customerprofiles.CreateDomainInput{DomainName: &domain, DefaultExpirationDays: aws.Int32(366)}); err == nil {
			return c, nil
		}
		return nil, errors.Join(err, c.close())
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// isDataFolder refuses a folder that holds no data yet.
func isDataFolder(dir string) error {
	_, err := os.Stat(filepath.Join(dir, "store"))
	if errors.Is(err, fs.ErrNotExist) {
		return usageError("there is no data folder %s: name the right one with --data, or a server with --endpoint; kith serve and kith import make a new one", dir)
	}
	return err
}

// mayUse refuses a data folder that this user may not use.
func mayUse(dir string) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return usageError("%s is a file, and no data folder: name the right one with --data", dir)
	}
	err := unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK)
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("the data folder %s can't be used by this user%s; run this as a user who may, or name its server with --endpoint and a key of yours", dir, belongsTo(dir))
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("the data folder %s is on a disk that can only be read", dir)
	case errors.Is(err, unix.ENOTDIR):
		return usageError("the data folder %s can't be: a part of the path is a file, not a folder", dir)
	}
	return nil
}

// running finds a server that runs: that of --endpoint, or the one on the data folder; nil if there is none.
func running(cmd *cobra.Command) (*client, error) {
	ctx, data := cmd.Context(), flagOrEnv(cmd, "data")
	endpoint, _ := cmd.Flags().GetString("endpoint")
	if endpoint == "" {
		if err := mayUse(data); err != nil {
			return nil, err
		}
	}
	found := readLocal(data)
	if endpoint != "" {
		endpoint = strings.TrimSuffix(endpoint, "/")
		if u, err := url.Parse(endpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, usageError("--endpoint %q must be the address of a server, such as http://127.0.0.1:8320", endpoint)
		}
		if found != nil && found.Endpoint == endpoint && found.healthy(ctx) {
			return found.client(), nil
		}
		return clientAt(ctx, endpoint)
	}
	if found != nil && found.healthy(ctx) {
		c := found.client()
		c.where += " on " + folderText(data)
		if cmd.Flags().Changed("data") {
			c.flags = " --data " + data
		}
		return c, nil
	}
	if found != nil && found.Shared {
		return nil, fmt.Errorf("the node of the data folder %s, at %s, does not answer; start it, or name another node with --endpoint", data, found.Endpoint)
	}
	return nil, nil
}

// clientAt reaches a server with the credentials that AWS's tools use.
func clientAt(ctx context.Context, endpoint string) (*client, error) {
	const which = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of the server, or AWS_PROFILE"
	conf, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(defaultRegion), awsconfig.WithLogger(logging.Nop{}))
	if missing, ok := errors.AsType[awsconfig.SharedConfigProfileNotExistError](err); ok {
		return nil, usageError("AWS_PROFILE names the profile %s, which there is not: %s", missing.Profile, which)
	}
	if err != nil {
		return nil, usageError("the AWS configuration (~/.aws, or what AWS_CONFIG_FILE names) can't be read: mend it, or %s", which)
	}
	asked, cancel := context.WithTimeout(ctx, 5*time.Second) // a machine's role may be asked for over the network
	defer cancel()
	if _, err := conf.Credentials.Retrieve(asked); err != nil {
		return nil, usageError("--endpoint needs credentials: %s", which)
	}
	c := newClient(endpoint, conf.Credentials, nil)
	c.flags = " --endpoint " + endpoint
	return c, nil
}

// serveSelf serves a data folder until close. With firstKey, a folder that has no access key gets one, which is shown.
func serveSelf(cmd *cobra.Command, data string, firstKey bool) (*client, error) {
	p, err := startProgram(cmd.Context(), &Config{Listen: ownServer, Data: data, URLLife: duration(24 * time.Hour), quiet: true, keyless: !firstKey, Exports: os.Getenv(envName("exports"))}, cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	c := p.local.client()
	c.close, c.own, c.where = p.close, true, folderText(data)
	if cmd.Flags().Changed("data") {
		c.flags = " --data " + data
	}
	return c, nil
}

// orInterrupted returns err, or what interrupted says if the user has ended the command.
func (c *client) orInterrupted(ctx context.Context, what, end, domain, id string, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return c.interrupted(what, end, domain, id)
}

// more are the flags that another command needs to reach the same domain.
func (c *client) more(domain string) string {
	if domain != defaultDomain {
		return " --domain " + domain + c.flags
	}
	return c.flags
}

// interrupted is what is said when the user ends a command that waits for work, such as "the import"; end is the command that ends that work.
func (c *client) interrupted(what, end, domain, id string) error {
	goesOn := "goes on at " + c.where
	if c.own {
		goesOn = "stands still, and goes on with the next kith serve or other command on " + c.where
	}
	where := id + c.more(domain)
	return &exitErr{code: exitError, err: fmt.Errorf("interrupted; %s %s", what, goesOn), then: []string{
		"watch it with  kith jobs " + where,
		fmt.Sprintf("end it with    kith %s %s", end, where),
	}}
}
