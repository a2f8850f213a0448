package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"golang.org/x/sys/unix"
)

// addressSpace is what the server may have in the tests below, in bytes.
const addressSpace = 2_600_000_000

// customer is a client that has a key.
type customer struct {
	endpoint string
	creds    aws.Credentials
}

func newCustomer(t *testing.T, data string) customer {
	t.Helper()
	var local struct{ Endpoint, AccessKeyID, SecretAccessKey string }
	b, err := os.ReadFile(filepath.Join(data, "local.json"))
	if err == nil {
		err = json.Unmarshal(b, &local)
	}
	if err != nil {
		t.Fatal(err)
	}
	return customer{local.Endpoint, aws.Credentials{AccessKeyID: local.AccessKeyID, SecretAccessKey: local.SecretAccessKey}}
}

func (c customer) request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.endpoint+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(context.Background(), c.creds, r, hex.EncodeToString(sum[:]), "profile", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	return r
}

// mustWork sends a few small requests, each on a connection of its own, and expects each to be answered.
func (c customer) mustWork(t *testing.T) {
	t.Helper()
	for i := range 5 {
		r := c.request(t, "POST", fmt.Sprintf("/domains/none-%d/profiles/search", i), `{"KeyName":"_email","Values":["erika@example.com"]}`)
		res, err := (&http.Transport{}).RoundTrip(r)
		if err != nil {
			t.Fatalf("a customer's request: %v", err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusNotFound || !strings.Contains(string(b), "is not found in account") {
			t.Fatalf("a customer's request: %d %s, %v", res.StatusCode, b, err)
		}
	}
}

// Strangers send six megabytes each, unsigned or signed in ways that can't be right, and stay: the server lives within its address space and
// serves customers all the while. There are a thousand of them under `make torture`.
func TestStrangersTakeNoMemory(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	server := serve(t, data)
	limit := unix.Rlimit{Cur: addressSpace, Max: addressSpace}
	if err := unix.Prlimit(server.Process.Pid, unix.RLIMIT_AS, &limit, nil); err != nil {
		t.Skipf("the address space of another process can't be limited here: %v", err)
	}
	c := newCustomer(t, data)
	const size = 6_000_000
	sum := sha256.Sum256(make([]byte, size))
	headers := func(i int) http.Header {
		r := c.request(t, "POST", "/domains/d/profiles/objects", "")
		auth := r.Header.Get("Authorization")
		forged := auth[:len(auth)-64] + strings.Repeat("0", 64)
		switch i % 4 {
		case 0:
			return http.Header{}
		case 1: // an unknown key
			r.Header.Set("Authorization", strings.Replace(auth, c.creds.AccessKeyID, "KITHNOBODY", 1))
		case 2: // a known one: the body decides
			r.Header.Set("Authorization", forged)
		case 3: // a known one and a declared body
			r.Header.Set("Authorization", forged)
			r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
		}
		return r.Header
	}
	crowd := 250
	if os.Getenv("KITH_TORTURE") != "" {
		crowd = 1000
	}
	host := strings.TrimPrefix(c.endpoint, "http://")
	stay, sent := make(chan struct{}), sync.WaitGroup{}
	var strangers sync.WaitGroup
	leave := sync.OnceFunc(func() { close(stay); strangers.Wait() })
	defer leave()
	for i := range crowd {
		h := headers(i)
		sent.Add(1)
		strangers.Go(func() {
			conn, err := net.Dial("tcp", host)
			if err != nil {
				sent.Done()
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprintf(conn, "POST /domains/d/profiles/objects HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", host, size)
			_ = h.Write(conn)
			_, _ = io.WriteString(conn, "\r\n")
			chunk := make([]byte, 64<<10)
			for n := 0; n < size-len(chunk); n += len(chunk) {
				if _, err := conn.Write(chunk); err != nil {
					break
				}
			}
			sent.Done()
			<-stay
		})
	}
	done := make(chan struct{})
	go func() { sent.Wait(); close(done) }()
	for waiting := true; waiting; {
		c.mustWork(t)
		select {
		case <-done:
			waiting = false
		default:
		}
	}
	c.mustWork(t)
	leave()
	c.mustWork(t)
}

// Strangers that only stay connected take no customer's place.
func TestStrangersTakeNoConnections(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	serve(t, data, "--max-connections", "50")
	c := newCustomer(t, data)
	regular := http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	for i := range 200 {
		if i%20 == 0 {
			c.mustWork(t)
			r := c.request(t, "GET", "/domains", "")
			res, err := regular.Do(r) // a customer that stays connected
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatalf("%v, %v", res, err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.endpoint, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 {
			_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\n")
		}
	}
}
