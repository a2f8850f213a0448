package sdk

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kith/server"
	"kith/store/mem"
)

// need skips a test whose client is not installed, and says what to do.
func need(t *testing.T, what, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not installed: `make sdks` installs it where node, java and mvn are", what)
	}
}

// flows runs a program of a vendor's SDK against the servers, and wants each of its steps.
func flows(t *testing.T, steps, name string, args ...string) {
	t.Helper()
	bin, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s on this machine", name)
	}
	n, endpoint := start(t, mem.New(), server.Config{})
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), bin, args...)
	cmd.Env = append(os.Environ(), environment(t, n, endpoint)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for step := range strings.FieldsSeq(steps) {
		if !strings.Contains(string(out), "ok "+step+"\n") {
			t.Errorf("the step %s was not made:\n%s", step, out)
		}
	}
}

// The main flows through the AWS SDK for JavaScript v3, with every typed exception.
func TestJavaScript(t *testing.T) {
	need(t, "the AWS SDK for JavaScript", "js/node_modules/ready")
	flows(t, "domain tags objectType values profiles objects merge upload exceptions removal", "node", "js/flows.mjs")
}

// The same through the AWS SDK for Java 2.
func TestJava(t *testing.T) {
	need(t, "the AWS SDK for Java", "java/lib/ready")
	flows(t, "domain tags objectType values profiles objects merge upload exceptions removal", "java", "-Dfile.encoding=UTF-8", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join("java", "lib", "*"), "java/Flows.java")
}
