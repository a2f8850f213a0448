// Command up runs a whole scaled-out Kith in one folder: Cassandra nodes and an S3 server on loopback addresses, and Kith nodes
// on them. It prints what to type, and stops everything when it is interrupted; the data stays for the next start.
//
// With a command behind the flags it runs that instead, with KITH_TEST_CQL and KITH_TEST_S3 set for the tests, and ends with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"kith/test/cluster"
)

func main() {
	nodes := flag.Int("nodes", 3, "number of Cassandra nodes")
	kiths := flag.Int("kith", 2, "number of Kith nodes")
	install := flag.Bool("install", false, "only fetch and build what a cluster needs")
	queue := flag.Bool("install-queue", false, "only fetch what the tests of queues need")
	dir := flag.String("dir", "cluster", "folder of their data and logs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *queue {
		if _, err := cluster.InstallElasticMQ(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "cluster:", err)
			os.Exit(1)
		}
		return
	}
	if *install {
		_, err1 := cluster.InstallCassandra(ctx)
		_, err2 := cluster.InstallS3(ctx)
		if err := errors.Join(err1, err2); err != nil {
			fmt.Fprintln(os.Stderr, "cluster:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx, *dir, *nodes, *kiths, flag.Args()); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, nodes, kiths int, command []string) error {
	starting, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	c, err := cluster.Start(starting, dir, nodes, cluster.CassandraOptions{}, os.Stderr)
	if err != nil {
		return err
	}
	defer c.Stop()
	if len(command) > 0 {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = append(os.Environ(), "KITH_TEST_CQL="+c.Hosts(), "KITH_TEST_S3=127.0.0.1:"+cluster.S3Port)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		return cmd.Run()
	}
	bin, err := cluster.Build(starting, dir)
	if err != nil {
		return err
	}
	if err := c.Migrate(starting, bin); err != nil {
		return err
	}
	var urls []string
	for i := range kiths {
		listen := fmt.Sprintf("127.0.0.1:%d", 8320+i)
		p, err := c.Kith(bin, fmt.Sprintf("kith%d", i+1), listen, c.StoreAddress())
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "starting", p.Name)
		if err := p.Start(starting); err != nil {
			return err
		}
		defer p.Kill()
		urls = append(urls, "http://"+listen)
	}
	tell(os.Stdout, c, bin, urls)
	<-ctx.Done()
	fmt.Fprintln(os.Stderr, "\nstopping; the data stays in", dir)
	return nil
}

func tell(out io.Writer, c *cluster.Cluster, bin string, urls []string) {
	fmt.Fprintf(out, `
%d Cassandra nodes (%s), an S3 server and %d equal Kith nodes are up: %s
Logs and data are in %s. Ctrl-C stops everything.

Any node takes any request; the root access key is in the log of the node that came first. On this machine the commands
know it by themselves:

  %[6]s sample --rows 10000 > customers.csv
  %[6]s import customers.csv --domain demo --data %[5]s/kith1/data
  %[6]s jobs --domain demo --data %[5]s/kith2/data

Kill a process and see what happens:

`, len(c.Cassandra), c.Hosts(), len(urls), strings.Join(urls, ", "), c.Dir, bin)
	for _, p := range append(c.Cassandra, c.S3) {
		fmt.Fprintf(out, "  kill -9 %-8d # %s\n", p.PID(), p.Name)
	}
}
