package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"kith/access"
	"kith/api"
	"kith/deadletter"
	"kith/job"
	"kith/match/rule"
	"kith/node"
	"kith/objecttype"
	"kith/profile/write"
	"kith/server"
	"kith/upload"
)

const (
	defaultListen = "127.0.0.1:8320"
	// ownServer is the address of a server that lives as long as one command.
	ownServer = "127.0.0.1:0"
)

// drainFor is how long requests in flight may take when the server ends.
const drainFor = 30 * time.Second

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the server", Args: cobra.NoArgs,
		Long: `Run the server on a data folder, or with --store and --blob on a Cassandra-compatible cluster and a bucket, which any number of
equal nodes share. The first start creates a root access key and prints it once.

Every flag can also be given as an environment variable (KITH_LISTEN, KITH_DATA, …) or in the TOML file of --config.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			stderr := cmd.ErrOrStderr()
			c, err := loadConfig(cmd, func(text string) { fmt.Fprintln(stderr, "kith: warning: "+text) })
			if err != nil {
				return err
			}
			p, err := startProgram(cmd.Context(), c, stderr)
			if err != nil {
				return err
			}
			fmt.Fprintf(stderr, "Kith %s is ready at %s (%s)\n", versionText(), p.url, p.engines.where)
			if c.Dev {
				fmt.Fprintln(stderr, "Development mode: every access key is accepted, from this machine only, and no web page. Access keys made now end with it.")
			}
			select {
			case <-cmd.Context().Done():
				fmt.Fprintln(stderr, "Ending: requests in flight may finish, imports continue at the next start.")
				return p.close()
			case err := <-p.failed:
				return errors.Join(err, p.close())
			}
		},
	}
	addServeFlags(cmd.Flags())
	return cmd
}

// program is a server that listens.
type program struct {
	engines *engines
	data    string // folder of local.json
	node    *node.Node
	http    *server.HTTP
	url     string
	local   local
	failed  chan error
}

// startProgram opens the engines, starts a node on them and listens. Secrets of a first start are printed to out.
func startProgram(ctx context.Context, c *Config, out io.Writer) (*program, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	leaveRoom()
	useHugePages()
	level := slog.LevelInfo
	if c.quiet {
		level = slog.LevelWarn
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	e, err := openEngines(ctx, c, log)
	if err != nil {
		return nil, err
	}
	e.everyPurge(time.Duration(c.PurgeEvery), log)
	p := &program{engines: e, data: c.Data, failed: make(chan error, 1)}
	if err := p.start(c, log, out); err != nil {
		if p.node != nil {
			p.node.Stop()
		}
		return nil, errors.Join(err, e.close())
	}
	return p, nil
}

func (p *program) start(c *Config, log *slog.Logger, out io.Writer) error {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err
		}
		return fmt.Errorf("can't listen on %s: %w; choose another address with --listen", c.Listen, err)
	}
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	p.url = scheme + "://" + reachable(listener.Addr())
	id, secret := access.NewKeyPair()
	p.local = local{Endpoint: p.url, AccessKeyID: id, SecretAccessKey: secret, Shared: p.engines.shared}
	var cert tls.Certificate
	if c.TLSCert != "" {
		if cert, err = tls.LoadX509KeyPair(c.TLSCert, c.TLSKey); err != nil {
			return errors.Join(usageError("the certificate can't be used: %w", err), listener.Close())
		}
		p.local.Certificate = cert.Certificate[0]
	}
	exports, err := exportsTo(c.Exports)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	p.node, err = node.Start(node.Config{
		Exports: exports,
		Job:     &job.Runner{Busy: spareProcessors()},
		Store:   p.engines.store, Blobs: p.engines.blobs, Master: p.engines.master, Owner: p.engines.owner, Died: p.engines.died, Log: log,
		Shared: p.engines.shared, Backup: p.engines.backup, Purge: p.engines.purge, Room: p.engines.room, Tidy: p.engines.tidy,
		Upload: upload.Config{
			URLLife: time.Duration(c.URLLife), MaxFileBytes: c.MaxFileBytes,
			KeepUnstarted: time.Duration(c.KeepUnstarted), KeepFiles: time.Duration(c.KeepFiles), KeepRejects: time.Duration(c.KeepRejects), StrictAWS: c.StrictAWS,
			ScratchDir: c.Data,
		},
		Objects: write.Quotas{Objects: c.Quotas.ProfileObjects, Bytes: int64(c.Quotas.ObjectKB) << 10},
		Types: objecttype.Quotas{
			Types: c.Quotas.ObjectTypes, Fields: c.Quotas.TypeFields, Keys: c.Quotas.TypeKeys, Objects: c.Quotas.ProfileObjects,
		},
		Rules:   rule.Config{StartAfter: time.Duration(c.RulesStartAfter), ChangeAfter: time.Duration(c.RulesChangeAfter), Strict: c.RulesStrict},
		Letters: deadletter.Config{Keep: time.Duration(c.KeepDeadLetters), Endpoint: c.SQSEndpoint},
		Server: server.Config{
			Damaged: p.engines.damaged,
			AnyKey:  c.Dev, Origins: c.CORSOrigins, PublicURL: c.PublicURL, Limits: server.Limits{PerOperation: c.Limits}, MetricsToken: c.MetricsToken,
			Local: &access.Key{ID: id, Secret: secret}, BodyMemory: c.BodyMemory,
		},
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	p.node.Server.Registry().MustRegister(p.engines.metrics...)
	if err := p.firstKey(c, out); err != nil {
		return errors.Join(err, listener.Close())
	}
	p.http = server.NewHTTP(p.node.Handler, connections(c.MaxConnections, log))
	p.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	p.http.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	go func() {
		var err error
		if c.TLSCert != "" {
			err = p.http.ServeTLS(listener, "", "")
		} else {
			err = p.http.Serve(listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			p.failed <- err
		}
	}()
	if err := writeLocal(c.Data, p.local); err != nil {
		log.Warn("commands on this machine need --endpoint and a key: local.json could not be written", "error", err)
	}
	return nil
}

// spareProcessors returns what is told how much work runs that keeps every core busy, such as an import. Meanwhile there are processors to spare, so
// that the scheduler hears of a request at once, and the system lets it run; otherwise requests wait for the work's goroutines, ten
// milliseconds at a time. Without such work they would only cost requests a tenth more.
func spareProcessors() func(works int) {
	own := runtime.GOMAXPROCS(0)
	now := own
	return func(works int) {
		want := own
		if works > 0 {
			want = 2*own + 2
		}
		if want != now { // setting it stops all goroutines for a moment
			now = want
			runtime.GOMAXPROCS(want)
		}
	}
}

// ownFiles is how many files the server may have open itself.
const ownFiles = 1500

// connections is how many clients may be connected: as configured, or as the limit of open files allows.
func connections(configured int, log *slog.Logger) int {
	if configured == 0 {
		configured = server.DefaultMaxConnections
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil || files.Cur >= uint64(configured+ownFiles) {
		return configured
	}
	allowed := max(int(files.Cur)-ownFiles, int(files.Cur)/2)
	log.Warn("fewer clients may be connected than configured: the limit of open files is low", "connections", allowed, "open_files", files.Cur)
	return allowed
}

// reachable is the address a command on this machine dials: a wildcard listens on loopback too.
func reachable(addr net.Addr) string {
	a, ok := addr.(*net.TCPAddr)
	if !ok || !a.IP.IsUnspecified() {
		return addr.String()
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(a.Port))
}

// firstKey makes the root key of a new data folder and prints it, once, ready to paste.
func (p *program) firstKey(c *Config, out io.Writer) error {
	ctx := access.With(context.Background(), access.Identity{Root: true})
	empty, err := p.node.Access.Empty(ctx)
	if err != nil || !empty || c.Dev || c.keyless {
		return err
	}
	key, err := p.node.Access.CreateAccessKey(ctx, &api.CreateAccessKeyRequest{Description: api.Ptr("root"), Policy: api.Ptr(access.Everything)})
	if err != nil {
		return fmt.Errorf("create the root access key: %w", err)
	}
	endpoint := p.url
	if c.Listen == ownServer {
		endpoint = "http://" + defaultListen // where "kith serve" will be; this server ends with the command
	}
	_, err = fmt.Fprintf(out, `
The root access key, shown only now:

  aws configure set aws_access_key_id     %[1]s --profile kith
  aws configure set aws_secret_access_key %[2]s --profile kith
  aws configure set region us-east-1 --profile kith
  aws --profile kith --endpoint-url %[3]s \
      customer-profiles list-domains

  import boto3
  client = boto3.client("customer-profiles",
      endpoint_url="%[3]s", region_name="us-east-1",
      aws_access_key_id="%[1]s",
      aws_secret_access_key="%[2]s")

`, *key.AccessKeyId, *key.SecretAccessKey, endpoint)
	return err
}

// close drains requests, gives leases back and closes the engines; the store flushes what it holds.
func (p *program) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	err := p.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = p.http.Close()
	}
	p.node.Stop()
	if !p.engines.shared {
		_ = os.Remove(localPath(p.data))
	}
	return errors.Join(err, p.engines.close())
}
