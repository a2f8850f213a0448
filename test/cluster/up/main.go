// Command up starts what a scaled-out Kith runs on, in one folder: Cassandra nodes and an S3 server on loopback addresses. It
// stops them when it is interrupted; the data stays for the next start.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"kith/test/cluster"
)

func main() {
	nodes := flag.Int("nodes", 3, "number of Cassandra nodes")
	dir := flag.String("dir", "cluster", "folder of their data and logs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *nodes); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, nodes int) error {
	starting, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	c, err := cluster.Start(starting, dir, nodes, cluster.CassandraOptions{}, os.Stderr)
	if err != nil {
		return err
	}
	defer c.Stop()
	fmt.Println("ready:", c.Hosts())
	<-ctx.Done()
	return nil
}
