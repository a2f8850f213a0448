package cql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// Scheme is the scheme of a cluster's address.
const Scheme = "cql"

// Options say which cluster to use, and how.
type Options struct {
	Hosts    []string
	Port     int // 0 is 9042
	Keyspace string
	User     string
	Password string
	// Datacenter keeps requests in one data center, with quorums of it; empty uses all of them.
	Datacenter string
	TLS        *tls.Config
	// InFlight bounds the requests in flight of this node; 0 is 512.
	InFlight int
	// WideAt, for tests, is from how many rows on a partition of the key index is split into shards; 0 is 100,000.
	WideAt int
	// Now, for tests, is this machine's clock; nil is the real one.
	Now func() time.Time
	// Dialer, for tests, makes the connections; nil is the usual one.
	Dialer gocql.Dialer
	// Fault, for tests, is asked when a conditional batch was answered; its error takes the place of the answer.
	Fault func() error
}

// ParseAddress reads an address such as
//
//	cql://host1,host2:9042/keyspace?dc=eu&tls=on&ca=/etc/kith/ca.pem&cert=…&key=…
//
// A user and a password may stand before the hosts, but are better given apart, where process lists don't show them.
// Its errors say what to write.
func ParseAddress(address string) (Options, error) {
	var o Options
	rest, ok := strings.CutPrefix(address, Scheme+"://")
	if !ok {
		return o, fmt.Errorf("%q must begin with %s://", address, Scheme)
	}
	if login, hosts, ok := strings.Cut(rest, "@"); ok {
		user, password, _ := strings.Cut(login, ":")
		var err1, err2 error
		o.User, err1 = url.PathUnescape(user)
		o.Password, err2 = url.PathUnescape(password)
		if errors.Join(err1, err2) != nil {
			return o, errors.New("the user or the password of the address is not percent-encoded as in a URL")
		}
		rest = hosts
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, keyspace, _ := strings.Cut(rest, "/")
	for host := range strings.SplitSeq(hosts, ",") {
		name, port, hasPort := strings.Cut(host, ":")
		if name == "" {
			return o, fmt.Errorf("the address needs hosts: %s://host1,host2/keyspace", Scheme)
		}
		if hasPort {
			n, err := strconv.Atoi(port)
			if err != nil || n < 1 || n > 65535 {
				return o, fmt.Errorf("%q is no port", port)
			}
			if o.Port != 0 && o.Port != n {
				return o, errors.New("all hosts of a cluster have the same port")
			}
			o.Port = n
		}
		o.Hosts = append(o.Hosts, name)
	}
	if keyspace == "" || len(keyspace) > 48 || strings.Trim(keyspace, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return o, fmt.Errorf("the address needs a keyspace of at most 48 lower-case letters, digits and _: %s://host1,host2/keyspace", Scheme)
	}
	o.Keyspace = keyspace
	settings, err := url.ParseQuery(query)
	if err != nil {
		return o, fmt.Errorf("what stands after ? in the address: %w", err)
	}
	return o, o.apply(settings)
}

func (o *Options) apply(settings url.Values) error {
	var ca, cert, key string
	secure := false
	for name := range settings {
		v := settings.Get(name)
		switch name {
		case "dc":
			o.Datacenter = v
		case "tls":
			if v != "on" && v != "off" {
				return fmt.Errorf("tls=%s must be on or off", v)
			}
			secure = v == "on"
		case "ca":
			ca = v
		case "cert":
			cert = v
		case "key":
			key = v
		case "in_flight":
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 {
				return fmt.Errorf("in_flight=%s must be a positive number", v)
			}
			o.InFlight = n
		default:
			return fmt.Errorf("the address has a setting nobody knows: %s (there are dc, tls, ca, cert, key, in_flight)", name)
		}
	}
	if !secure && (ca != "" || cert != "" || key != "") {
		return errors.New("ca, cert and key belong to tls=on")
	}
	if !secure {
		return nil
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("the certificate authority of the cluster: %w", err)
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate in PEM", ca)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("the client certificate for the cluster: %w", err)
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// cluster returns the driver's settings. Retries are ours: the driver can't know what is repeatable.
func (o Options) cluster() *gocql.ClusterConfig {
	c := gocql.NewCluster(o.Hosts...)
	c.Timeout, c.ConnectTimeout = requestTimeout, connectTimeout
	c.ReconnectInterval = reconnectEvery
	c.Consistency, c.SerialConsistency = gocql.Quorum, o.serial()
	fallback := gocql.RoundRobinHostPolicy()
	if o.Datacenter != "" {
		c.Consistency = gocql.LocalQuorum
		fallback = gocql.DCAwareRoundRobinPolicy(o.Datacenter)
	}
	// Replicas in changing order: what is tried again goes elsewhere.
	c.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(fallback, gocql.ShuffleReplicas())
	if o.Port != 0 {
		c.Port = o.Port
	}
	if o.User != "" {
		c.Authenticator = gocql.PasswordAuthenticator{Username: o.User, Password: o.Password}
	}
	if o.TLS != nil {
		c.SslOpts = &gocql.SslOptions{Config: o.TLS, EnableHostVerification: true}
	}
	c.Dialer = o.Dialer
	c.DefaultTimestamp = false // every statement that has a time says it itself
	c.Logger = quiet{}
	return c
}

// serial is the consistency of conditional statements, and of the reads that decide about them.
func (o Options) serial() gocql.Consistency {
	if o.Datacenter != "" {
		return gocql.LocalSerial
	}
	return gocql.Serial
}

// quiet drops what the driver says: what matters comes back as an error.
type quiet struct{}

func (quiet) Error(string, ...gocql.LogField)   {}
func (quiet) Warning(string, ...gocql.LogField) {}
func (quiet) Info(string, ...gocql.LogField)    {}
func (quiet) Debug(string, ...gocql.LogField)   {}
