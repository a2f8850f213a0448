package cluster

import (
	"context"
	"embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed elasticmq
var elasticFiles embed.FS

const elasticName = "elasticmq-1.6.12"

// InstallElasticMQ makes sure that ElasticMQ's jars are there and returns their folder.
func InstallElasticMQ(ctx context.Context) (string, error) {
	return installJars(ctx, "ElasticMQ", elasticName, elasticFiles, "elasticmq/pom.xml")
}

// HasElasticMQ says why ElasticMQ can't be started at once; nil when it can.
func HasElasticMQ() error {
	dir, err := cache(elasticName)
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "ready"))
	}
	if err == nil {
		_, err = exec.LookPath("java")
	}
	return err
}

// ElasticMQ prepares a server that speaks the protocol of SQS, at an address host:port; the caller starts it. It keeps its queues in memory
// only.
func ElasticMQ(ctx context.Context, dir, address string) (*Process, error) {
	lib, err := InstallElasticMQ(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return &Process{
		Name: "elasticmq", Dir: dir,
		Args: []string{
			"java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Drest-stats.enabled=false",
			"-Drest-sqs.bind-hostname=" + host, "-Drest-sqs.bind-port=" + port, "-Dnode-address.host=" + host, "-Dnode-address.port=" + port,
			"-cp", filepath.Join(lib, "*"), "org.elasticmq.server.Main",
		},
		Ready: func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err != nil {
				return fmt.Errorf("ElasticMQ does not listen: %w", err)
			}
			return conn.Close()
		},
	}, nil
}
