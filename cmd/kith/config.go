package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kith/deadletter"
	"kith/server"
)

// Config is the server's configuration. Flags go before environment variables (KITH_LISTEN, …), these before the file, and
// the file before the defaults. The zero value of every field is usable; defaults stand in brackets.
type Config struct {
	Listen       string   `toml:"listen"`        // address to listen on [127.0.0.1:8320]
	Data         string   `toml:"data"`          // data folder [data]
	Store        string   `toml:"store"`         // cql://host1,host2/keyspace [the data folder]
	Blob         string   `toml:"blob"`          // s3://bucket?endpoint=… [the data folder]
	PublicURL    string   `toml:"public_url"`    // scheme and host of upload URLs [from each request]
	Dev          bool     `toml:"dev"`           // accept any key pair; loopback only
	StrictAWS    bool     `toml:"strict_aws"`    // read files and judge them as AWS does
	CORSOrigins  []string `toml:"cors_origins"`  // origins of web pages that may use the API; "*" is all [none]
	InsecureHTTP bool     `toml:"insecure_http"` // plain HTTP on an address that is not loopback
	TLSCert      string   `toml:"tls_cert"`      // PEM file; with TLSKey
	TLSKey       string   `toml:"tls_key"`       // PEM file

	URLLife          duration `toml:"url_life"`           // of upload URLs, up to 168h [15m]
	KeepUnstarted    duration `toml:"keep_unstarted"`     // uploaded files of jobs that are not started [URLLife and 24h]
	KeepFiles        duration `toml:"keep_files"`         // uploaded files after the job's end [168h]
	KeepRejects      duration `toml:"keep_rejects"`       // rejected rows after the job's end [720h]
	KeepDeadLetters  duration `toml:"keep_dead_letters"`  // objects that could not be attached, up to 8784h [336h]
	PurgeEvery       duration `toml:"purge_every"`        // how often the bytes of deleted data are removed from the store's files [168h]
	SQSEndpoint      string   `toml:"sqs_endpoint"`       // base URL of the service that all dead-letter queues are at [from each queue's URL]
	Exports          string   `toml:"exports"`            // folder, or s3://?endpoint=…, for results that domains want to have outside [S3 of AWS]
	RulesStartAfter  duration `toml:"rules_start_after"`  // how long changed matching rules wait before they are evaluated [0]
	RulesChangeAfter duration `toml:"rules_change_after"` // how long matching rules are in use before they may be changed [0]
	RulesStrict      bool     `toml:"rules_strict"`       // matching rules compare values as they are
	MaxFileBytes     int64    `toml:"max_file_bytes"`     // of an uploaded file; 0 is unlimited
	MetricsToken     string   `toml:"metrics_token"`      // bearer token for /metrics [loopback only]

	MaxConnections int   `toml:"max_connections"` // clients connected at a time [4096]
	BodyMemory     int64 `toml:"body_memory"`     // bytes of request bodies held at a time [256 MiB]
	// AcceptDamage starts on a data folder whose log is damaged. A flag only: it is for one start.
	AcceptDamage bool `toml:"-"`
	// quiet leaves warnings and errors of the log, for servers inside other commands.
	quiet bool
	// keyless leaves a data folder that has no access key without one.
	keyless bool

	Limits map[string]float64 `toml:"limits"` // requests per second and domain, by operation; "*" for all others
	Quotas quotas             `toml:"quotas"` // how much there may be of what
}

// quotas are limits on numbers of things; 0 is the default, which is AWS's.
type quotas struct {
	ObjectTypes    int `toml:"object_types"`    // of a domain [100]
	TypeFields     int `toml:"type_fields"`     // of an object type [250]
	TypeKeys       int `toml:"type_keys"`       // definitions of keys of an object type [10]
	ProfileObjects int `toml:"profile_objects"` // of a profile, of all types [1000]
	ObjectKB       int `toml:"object_kb"`       // of all objects of a profile together [51200]
}

// duration is a time.Duration as text, such as "15m".
type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is no duration such as 15m or 72h", b)
	}
	*d = duration(v)
	return nil
}

// flagNames maps the flags of serve to their environment variables.
var flagNames = []string{"listen", "data", "store", "blob", "public-url", "dev", "cors-origins", "strict-aws", "insecure-http", "tls-cert", "tls-key", "config", "url-life", "keep-unstarted", "keep-files", "keep-rejects", "keep-dead-letters", "purge-every", "sqs-endpoint", "exports", "rules-start-after", "rules-change-after", "rules-strict", "max-file-bytes", "metrics-token", "max-connections", "body-memory"}

// otherEnv are variables that are read elsewhere.
var otherEnv = []string{"KITH_MASTER_KEY", "KITH_CQL_USER", "KITH_CQL_PASSWORD", "KITH_S3_ACCESS_KEY", "KITH_S3_SECRET_KEY"}

func envName(flag string) string {
	return "KITH_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func addServeFlags(f *pflag.FlagSet) {
	f.String("listen", defaultListen, "address to listen on")
	addDataFlag(f)
	addStoreFlag(f)
	f.String("blob", "", "bucket of an S3-compatible store, with --store: s3://bucket/prefix?endpoint=https://host")
	f.String("public-url", "", "scheme and host clients reach the server by, for upload URLs (default: those of each request)")
	f.Bool("dev", false, "accept any access key, from this machine but not from web pages; keys made meanwhile end with it")
	f.StringSlice("cors-origins", nil, "origins of web pages that may use the API, such as https://app.example.com; * for all (default: none)")
	f.Bool("strict-aws", false, "read files as AWS does: UTF-8 without byte-order mark, commas, exact header names, under 1 GiB; a row that is no CSV fails the file")
	f.Bool("insecure-http", false, "allow plain HTTP on an address that is not loopback")
	f.String("tls-cert", "", "PEM file of the certificate")
	f.String("tls-key", "", "PEM file of the certificate's key")
	f.String("config", "", "TOML file with these settings and limits")
	f.Duration("url-life", 15*time.Minute, "life of upload URLs, at most 168h")
	f.Duration("keep-unstarted", 0, "how long uploaded files are kept whose job is not started (default: --url-life and a day)")
	f.Duration("keep-files", 7*24*time.Hour, "how long uploaded files are kept after their job's end")
	f.Duration("keep-rejects", 30*24*time.Hour, "how long rejected rows are kept after their job's end")
	f.Duration("keep-dead-letters", deadletter.DefaultKeep, "how long objects are kept that could not be attached to a profile, at most 8784h")
	f.Duration("purge-every", 7*24*time.Hour, "how often the bytes of deleted data are removed from the files of the data folder's store")
	f.String("sqs-endpoint", "", "base URL of the SQS-compatible service that the dead-letter queues of all domains are at (default: that of each queue's URL)")
	f.Duration("rules-start-after", 0, "how long changed matching rules wait before they are evaluated; AWS: an hour")
	f.Duration("rules-change-after", 0, "how long matching rules are in use before they may be changed; AWS: a day")
	f.Bool("rules-strict", false, "matching rules compare values as they are: case, outer blanks and the spelling of phone numbers count")
	f.String("exports", "", "where matches are written that domains want to have outside: a folder, or s3://?endpoint=https://host (default: S3 of AWS)")
	f.Int64("max-file-bytes", 0, "largest uploaded file in bytes; 0 is unlimited")
	f.Bool("accept-damage", false, "start once on a data folder whose log is damaged, and go without what can't be read of it")
	f.String("metrics-token", "", "bearer token for /metrics (default: open to loopback only)")
	f.Int("max-connections", server.DefaultMaxConnections, "clients connected at a time; beyond it idle connections are closed for new ones")
	f.Int64("body-memory", server.DefaultBodyMemory, "bytes of request bodies held at a time; beyond it requests are answered 503")
}

// flagOrEnv returns a flag of a command that is not serve, or else its environment variable, so that one environment fits all.
func flagOrEnv(cmd *cobra.Command, name string) string {
	v, _ := cmd.Flags().GetString(name)
	if env, ok := os.LookupEnv(envName(name)); ok && !cmd.Flags().Changed(name) {
		return env
	}
	return v
}

func addStoreFlag(f *pflag.FlagSet) {
	f.String("store", "", "Cassandra-compatible cluster in the place of the data folder: cql://host1,host2/keyspace")
}

func addDataFlag(f *pflag.FlagSet) {
	f.String("data", "data", "data folder")
}

// loadConfig gathers the configuration of serve. warn is told of environment variables that nobody knows.
func loadConfig(cmd *cobra.Command, warn func(string)) (*Config, error) {
	f := cmd.Flags()
	for _, name := range flagNames {
		if v, ok := os.LookupEnv(envName(name)); ok && !f.Changed(name) {
			if err := f.Set(name, v); err != nil {
				return nil, usageError("%s: %w", envName(name), err)
			}
		}
	}
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		known := slices.Contains(otherEnv, name) || slices.ContainsFunc(flagNames, func(n string) bool { return envName(n) == name })
		if strings.HasPrefix(name, "KITH_") && !known {
			warn("unknown environment variable " + name + " is ignored")
		}
	}
	c := &Config{}
	if path, _ := f.GetString("config"); path != "" {
		if err := readConfigFile(path, c); err != nil {
			return nil, err
		}
	}
	c.overlay(f)
	return c, c.check()
}

func readConfigFile(path string, c *Config) error {
	r, err := os.Open(path)
	if err != nil {
		return usageError("configuration file: %w", err)
	}
	defer r.Close()
	err = toml.NewDecoder(r).DisallowUnknownFields().Decode(c)
	if strict, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		return usageError("configuration file %s has keys nobody knows:\n%s", path, strict.String())
	}
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		return usageError("configuration file %s:\n%s", path, bad.String())
	}
	if err != nil {
		return usageError("configuration file %s: %w", path, err)
	}
	return nil
}

// overlay takes flags that were set, and the defaults of those that nothing set.
func (c *Config) overlay(f *pflag.FlagSet) {
	text := func(name string, dst *string) {
		if v, _ := f.GetString(name); f.Changed(name) || *dst == "" {
			*dst = v
		}
	}
	flag := func(name string, dst *bool) {
		if v, _ := f.GetBool(name); f.Changed(name) {
			*dst = v
		}
	}
	span := func(name string, dst *duration) {
		if v, _ := f.GetDuration(name); f.Changed(name) || *dst == 0 {
			*dst = duration(v)
		}
	}
	text("listen", &c.Listen)
	text("data", &c.Data)
	text("store", &c.Store)
	text("blob", &c.Blob)
	text("public-url", &c.PublicURL)
	flag("dev", &c.Dev)
	if v, _ := f.GetStringSlice("cors-origins"); f.Changed("cors-origins") {
		c.CORSOrigins = v
	}
	flag("insecure-http", &c.InsecureHTTP)
	flag("strict-aws", &c.StrictAWS)
	text("tls-cert", &c.TLSCert)
	text("tls-key", &c.TLSKey)
	span("url-life", &c.URLLife)
	span("keep-unstarted", &c.KeepUnstarted)
	span("keep-files", &c.KeepFiles)
	span("keep-rejects", &c.KeepRejects)
	span("keep-dead-letters", &c.KeepDeadLetters)
	span("purge-every", &c.PurgeEvery)
	text("sqs-endpoint", &c.SQSEndpoint)
	text("exports", &c.Exports)
	span("rules-start-after", &c.RulesStartAfter)
	span("rules-change-after", &c.RulesChangeAfter)
	flag("rules-strict", &c.RulesStrict)
	if v, _ := f.GetInt64("max-file-bytes"); f.Changed("max-file-bytes") {
		c.MaxFileBytes = v
	}
	text("metrics-token", &c.MetricsToken)
	if v, _ := f.GetInt("max-connections"); f.Changed("max-connections") || c.MaxConnections == 0 {
		c.MaxConnections = v
	}
	if v, _ := f.GetInt64("body-memory"); f.Changed("body-memory") || c.BodyMemory == 0 {
		c.BodyMemory = v
	}
	flag("accept-damage", &c.AcceptDamage)
}

// check refuses settings that contradict each other or are unsafe.
func (c *Config) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return usageError("--listen %q must be host:port", c.Listen)
	}
	local := isLoopback(host)
	tls := c.TLSCert != "" || c.TLSKey != ""
	switch {
	case tls && (c.TLSCert == "" || c.TLSKey == ""):
		return usageError("--tls-cert and --tls-key belong together")
	case (c.Store == "") != (c.Blob == ""):
		return usageError("--store and --blob belong together: what several nodes share, rows and files, must be where all of them reach it")
	case c.Dev && !local:
		return usageError("--dev accepts any key and is for loopback addresses only; --listen is %s", c.Listen)
	case !local && !tls && !c.InsecureHTTP:
		return usageError("--listen %s is reachable from other machines and customer data would travel in clear: give --tls-cert and --tls-key, or say --insecure-http if a proxy in front speaks TLS", c.Listen)
	case c.URLLife < 0 || time.Duration(c.URLLife) > 7*24*time.Hour || time.Duration(c.URLLife) < time.Second:
		return usageError("--url-life must be between 1s and 168h")
	case c.MaxConnections < 0 || c.BodyMemory < 0 || c.BodyMemory > 0 && c.BodyMemory < 2*server.LargestBody():
		return usageError("--max-connections must not be negative, and --body-memory must be %d bytes at least: two of the largest bodies", 2*server.LargestBody())
	case c.KeepUnstarted < 0 || c.KeepFiles < 0 || c.KeepRejects < 0 || c.MaxFileBytes < 0:
		return usageError("--keep-unstarted, --keep-files, --keep-rejects and --max-file-bytes must not be negative")
	case c.RulesStartAfter < 0 || c.RulesChangeAfter < 0:
		return usageError("--rules-start-after and --rules-change-after must not be negative")
	case c.PurgeEvery < 0:
		return usageError("--purge-every must not be negative")
	case c.KeepDeadLetters < 0 || time.Duration(c.KeepDeadLetters) > deadletter.MaxKeep:
		return usageError("--keep-dead-letters must be between 0s and %s", deadletter.MaxKeep)
	}
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return usageError("--public-url %q must be http(s)://host[:port] without a path", c.PublicURL)
		}
	}
	if c.SQSEndpoint != "" {
		u, err := url.Parse(c.SQSEndpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return usageError("--sqs-endpoint %q must be http(s)://host[:port]", c.SQSEndpoint)
		}
	}
	for _, origin := range c.CORSOrigins {
		if !server.CheckOrigin(origin) {
			return usageError("--cors-origins %q must be scheme://host[:port] as browsers send it, such as https://app.example.com, or *", origin)
		}
		if origin == "*" && c.Dev {
			return usageError("--cors-origins * with --dev would let every web page do everything; name the origins")
		}
	}
	if q := c.Quotas; min(q.ObjectTypes, q.TypeFields, q.TypeKeys, q.ProfileObjects, q.ObjectKB) < 0 {
		return usageError("quotas must not be negative")
	}
	for op, n := range c.Limits {
		if n < 0 {
			return usageError("limits: %s must not be negative", op)
		}
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// versionText is the release, or what the build knows of its source.
func versionText() string {
	if version != "dev" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return version + " " + s.Value[:12]
		}
	}
	return version
}
