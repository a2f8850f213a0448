package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

const versitygw = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"

// The S3 server's only user.
const (
	S3User   = "kith-test"
	S3Secret = "kith-test-secret"
	S3Port   = "7070"
)

// InstallS3 makes sure that the S3 server is built and returns its binary.
func InstallS3(ctx context.Context) (string, error) {
	dir, err := cache("versitygw-1.8.0")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	cmd := exec.CommandContext(ctx, "go", "install", versitygw)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the S3 server: %w\n%s", err, out)
	}
	return bin, nil
}

// S3 prepares an S3 server in a folder below dir; the caller starts it.
func S3(ctx context.Context, dir string) (*Process, error) {
	return S3At(ctx, dir, "127.0.0.1:"+S3Port)
}

// S3At is S3 at an address.
func S3At(ctx context.Context, dir, address string) (*Process, error) {
	bin, err := InstallS3(ctx)
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(filepath.Join(dir, "s3"))
	if err != nil {
		return nil, err
	}
	data, meta := filepath.Join(dir, "data"), filepath.Join(dir, "meta")
	for _, d := range []string{data, meta} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	return &Process{
		Name: "s3", Dir: dir,
		Args:  []string{bin, "--port", address, "--region", "us-east-1", "posix", "--sidecar", meta, data},
		Env:   []string{"ROOT_ACCESS_KEY_ID=" + S3User, "ROOT_SECRET_ACCESS_KEY=" + S3Secret},
		Ready: func(ctx context.Context) error { return listens(ctx, address) },
	}, nil
}

// FreeAddress returns an address of this machine that nobody listens on.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("no free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// startLocked starts cmd from a thread that lives on: the kernel's parent-death signal follows the thread, not the process.
func startLocked(cmd *exec.Cmd) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- cmd.Start()
		select {} // the thread has to outlive the child
	}()
	return <-result
}
