// Package cluster runs what a scaled-out Kith needs, on loopback addresses in one folder, for tests and for trying it out:
// Cassandra nodes at 127.0.0.1, .2, .3, and an S3 server.
//
// Cassandra comes as the jars of its Maven artifact (Java 17 and Maven are needed), the S3 server is versitygw, built by go.
// Both are kept in the user's cache folder.
package cluster

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

//go:embed cassandra
var cassandraFiles embed.FS

// CQLPort is the port of every Cassandra node.
const CQLPort = "9042"

// cache returns the folder that keeps what was installed.
func cache(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "kith-test", name)
	return dir, os.MkdirAll(dir, 0o755)
}

// InstallCassandra makes sure that Cassandra's jars are there and returns their folder.
func InstallCassandra(ctx context.Context) (string, error) {
	return installJars(ctx, "Cassandra", "cassandra-5.0.8", cassandraFiles, "cassandra/pom.xml")
}

// installJars makes sure that what a POM depends on lies in the cache, and returns its folder.
func installJars(ctx context.Context, what, name string, files embed.FS, path string) (string, error) {
	dir, err := cache(name)
	if err != nil {
		return "", err
	}
	lib, ready := filepath.Join(dir, "lib"), filepath.Join(dir, "ready")
	if _, err := os.Stat(ready); err == nil {
		return lib, nil
	}
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%s for tests needs Java 17 and Maven: %w", what, err)
		}
	}
	pom, err := files.ReadFile(path)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+lib, "-DincludeScope=runtime")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch the jars of %s: %w\n%s", what, err, out)
	}
	return lib, os.WriteFile(ready, nil, 0o644)
}

// Process is a server of the cluster, which can be killed, paused and started again on its data.
type Process struct {
	Name string
	// Args is the command line; Dir its working folder, where log is written too.
	Args []string
	Env  []string
	Dir  string
	// Ready says whether the server answers.
	Ready func(ctx context.Context) error

	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts the process and waits until it answers.
func (p *Process) Start(ctx context.Context) error {
	if err := p.Launch(); err != nil {
		return err
	}
	return p.Wait(ctx)
}

// Launch starts the process without waiting.
func (p *Process) Launch() error {
	log, err := os.OpenFile(p.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.Dir, log, log
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := startLocked(cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(p.done)
	return nil
}

// Wait waits until the process answers.
func (p *Process) Wait(ctx context.Context) error {
	for {
		err := p.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer (%w); its log ends:\n%s", p.Name, err, p.tail())
		case <-p.done:
			return fmt.Errorf("%s ended; its log ends:\n%s", p.Name, p.tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// LogFile is where the process's output goes.
func (p *Process) LogFile() string { return filepath.Join(p.Dir, p.Name+".log") }

func (p *Process) tail() string {
	b, _ := os.ReadFile(p.LogFile())
	return string(b[max(0, len(b)-3000):])
}

// PID returns the process id, or 0 when it does not run.
func (p *Process) PID() int {
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Signal sends a signal.
func (p *Process) Signal(sig syscall.Signal) error { return syscall.Kill(p.PID(), sig) }

// Kill ends the process at once, as kill -9 does, and waits for its end. A process that does not run is left alone.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
	p.cmd = nil
}

// jvmOptions are the exports Cassandra 5 needs on Java 17, and what makes it start fast and stay small.
func jvmOptions(heapMB int) []string {
	args := []string{
		fmt.Sprintf("-Xms%dM", heapMB), fmt.Sprintf("-Xmx%dM", heapMB), "-XX:MaxDirectMemorySize=512M", "-Xss256k",
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError",
		"-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true",
		"-Dcassandra.ring_delay_ms=1000", "-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.superuser_setup_delay_ms=0",
		"-Dcassandra-foreground=yes", "-Dcassandra.disable_auth_caches_remote_configuration=true",
	}
	for _, m := range strings.Fields(`java.base/jdk.internal.misc java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry
		java.rmi/sun.rmi.server java.sql/java.sql java.base/java.lang.ref java.base/java.lang.reflect jdk.unsupported/sun.misc
		jdk.compiler/com.sun.tools.javac.file jdk.attach/sun.tools.attach java.base/jdk.internal.ref java.base/sun.nio.ch`) {
		args = append(args, "--add-exports", m+"=ALL-UNNAMED")
	}
	for _, m := range strings.Fields(`java.base/java.lang.module java.base/jdk.internal.loader java.base/jdk.internal.ref java.base/jdk.internal.reflect
		java.base/jdk.internal.math java.base/jdk.internal.module java.base/jdk.internal.util.jar java.base/sun.nio.ch java.base/java.io java.base/java.lang
		java.base/java.lang.reflect java.base/java.util java.base/java.nio java.base/java.util.concurrent java.base/java.util.concurrent.atomic
		jdk.management/com.sun.management.internal jdk.management.agent/jdk.internal.agent jdk.compiler/com.sun.tools.javac`) {
		args = append(args, "--add-opens", m+"=ALL-UNNAMED")
	}
	return args
}

// CassandraOptions are the settings of a test cluster. The zero value is one node without passwords.
type CassandraOptions struct {
	Passwords bool // user cassandra, password cassandra
	HeapMB    int  // of each node; 0 is 512
}

// Cassandra prepares node n (from 1) in a folder below dir; the caller starts it. Node 1 has to be started first.
func Cassandra(ctx context.Context, dir string, n int, o CassandraOptions) (*Process, error) {
	lib, err := InstallCassandra(ctx)
	if err != nil {
		return nil, err
	}
	if o.HeapMB == 0 {
		o.HeapMB = 512
	}
	address := fmt.Sprintf("127.0.0.%d", n)
	name := fmt.Sprintf("cassandra%d", n)
	dir, err = filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "conf")
	if err := os.MkdirAll(filepath.Join(conf, "triggers"), 0o755); err != nil {
		return nil, err
	}
	keystore, err := makeKeystore(ctx, filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	authenticator, authorizer := "AllowAllAuthenticator", "AllowAllAuthorizer"
	if o.Passwords {
		authenticator, authorizer = "PasswordAuthenticator", "CassandraAuthorizer"
	}
	fill := strings.NewReplacer("@ADDRESS@", address, "@KEYSTORE_PASSWORD@", keystorePassword, "@KEYSTORE@", keystore, "@AUTHENTICATOR@", authenticator, "@AUTHORIZER@", authorizer)
	for _, file := range []string{"cassandra.yaml", "logback.xml"} {
		b, err := cassandraFiles.ReadFile("cassandra/" + file)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(conf, file), []byte(fill.Replace(string(b))), 0o644); err != nil {
			return nil, err
		}
	}
	args := append([]string{"java", "-javaagent:" + filepath.Join(lib, "jamm-0.4.0.jar")}, jvmOptions(o.HeapMB)...)
	args = append(args,
		"-Dcassandra.config=file:"+filepath.Join(conf, "cassandra.yaml"),
		"-Dcassandra.storagedir="+filepath.Join(dir, "data"), "-Dcassandra.logdir="+dir,
		"-Dcassandra.triggers_dir="+filepath.Join(conf, "triggers"),
		"-Dlogback.configurationFile="+filepath.Join(conf, "logback.xml"),
		fmt.Sprintf("-Dcassandra.jmx.local.port=%d", 7198+n),
		"-cp", conf+":"+lib+"/*", "org.apache.cassandra.service.CassandraDaemon")
	return &Process{Name: name, Args: args, Dir: dir, Ready: func(ctx context.Context) error { return listens(ctx, address+":"+CQLPort) }}, nil
}

const keystorePassword = "kith-test"

// AuthorityFile is the certificate, in PEM, that a client of the cluster in dir has to trust when it uses TLS.
func AuthorityFile(dir string) string { return filepath.Join(dir, "cassandra-ca.pem") }

// makeKeystore makes the key and the certificate of all nodes in dir, if there are none.
func makeKeystore(ctx context.Context, dir string) (string, error) {
	keystore := filepath.Join(dir, "cassandra.p12")
	if _, err := os.Stat(keystore); err == nil {
		return keystore, nil
	}
	store := []string{"-alias", "cassandra", "-keystore", keystore, "-storetype", "PKCS12", "-storepass", keystorePassword}
	for _, args := range [][]string{
		append([]string{"-genkeypair", "-keyalg", "EC", "-dname", "CN=kith-test", "-validity", "3650", "-ext", "san=ip:127.0.0.1,ip:127.0.0.2,ip:127.0.0.3"}, store...),
		append([]string{"-exportcert", "-rfc", "-file", AuthorityFile(dir)}, store...),
	} {
		if out, err := exec.CommandContext(ctx, "keytool", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("make a certificate for Cassandra: %w\n%s", err, out)
		}
	}
	return keystore, nil
}

func listens(ctx context.Context, address string) error {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// Cluster is what Start started.
type Cluster struct {
	Dir       string
	Name      string // of the keyspace and the bucket that the Kith nodes share
	Cassandra []*Process
	S3        *Process
}

// Hosts returns the addresses of the Cassandra nodes, as a cql:// address lists them.
func (c *Cluster) Hosts() string {
	var hosts []string
	for i := range c.Cassandra {
		hosts = append(hosts, fmt.Sprintf("127.0.0.%d", i+1))
	}
	return strings.Join(hosts, ",")
}

// Start starts nodes Cassandra nodes and an S3 server in dir.
func Start(ctx context.Context, dir string, nodes int, o CassandraOptions, progress io.Writer) (*Cluster, error) {
	c := &Cluster{Dir: dir, Name: "kith"}
	if err := c.start(ctx, nodes, o, progress); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context, nodes int, o CassandraOptions, progress io.Writer) error {
	s3, err := S3(ctx, c.Dir)
	if err != nil {
		return err
	}
	c.S3 = s3
	fmt.Fprintf(progress, "starting %s\n", s3.Name)
	if err := s3.Start(ctx); err != nil {
		return err
	}
	for n := range nodes {
		p, err := Cassandra(ctx, c.Dir, n+1, o)
		if err != nil {
			return err
		}
		c.Cassandra = append(c.Cassandra, p)
		fmt.Fprintf(progress, "starting %s\n", p.Name)
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	if nodes < 3 || o.Passwords {
		return nil
	}
	for n := range nodes {
		if err := sees(ctx, fmt.Sprintf("127.0.0.%d", n+1)); err != nil {
			return err
		}
	}
	return nil
}

// sees waits until a node takes all others for alive, which comes a while after they answer clients: it reads what three nodes have.
func sees(ctx context.Context, host string) error {
	for {
		c := gocql.NewCluster(host)
		c.Consistency, c.DisableInitialHostLookup, c.Logger = gocql.All, true, gocql.NewLogger(gocql.LogLevelNone)
		session, err := c.CreateSession()
		if err == nil {
			var name string
			err = session.Query("SELECT view_name FROM system_distributed.view_build_status WHERE keyspace_name = 'none' AND view_name = 'none'").ScanContext(ctx, &name)
			session.Close()
		}
		if err == nil || errors.Is(err, gocql.ErrNotFound) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the node %s does not see the others: %w", host, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Stop kills everything. The data stays.
func (c *Cluster) Stop() {
	for _, p := range append(c.Cassandra, c.S3) {
		if p != nil {
			p.Kill()
		}
	}
}
