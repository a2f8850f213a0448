package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// load sends the same signed requests from many connections, each as soon as the one before it was answered. Requests are signed
// by the official signer and laid out before the clock starts, and answers are read by their length: the clients share
// the machine with the server and must not be what is measured.
type load struct {
	endpoint, method, path string
	pid                    int
	bodies                 []string
	key                    keyPair
}

func (l load) run() (sampleOf, error) {
	raw, err := l.sign()
	if err != nil {
		return sampleOf{}, err
	}
	host := strings.TrimPrefix(l.endpoint, "http://")
	if _, err := l.drive(host, raw, requestTime/6); err != nil { // warm up
		return sampleOf{}, err
	}
	before, err := processorTime(l.pid)
	if err != nil {
		return sampleOf{}, err
	}
	start := time.Now()
	latencies, err := l.drive(host, raw, requestTime)
	if err != nil {
		return sampleOf{}, err
	}
	took := time.Since(start)
	after, err := processorTime(l.pid)
	if err != nil {
		return sampleOf{}, err
	}
	n := float64(len(latencies))
	return sampleOf{n / took.Seconds(), percentile(latencies, 0.5), percentile(latencies, 0.99), float64((after - before).Microseconds()) / n}, nil
}

// sign returns the requests as they go over the wire.
func (l load) sign() (raw [][]byte, err error) {
	signer := v4.NewSigner()
	creds := aws.Credentials{AccessKeyID: l.key.id, SecretAccessKey: l.key.secret}
	for _, body := range l.bodies {
		r, err := http.NewRequest(l.method, l.endpoint+l.path, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json")
		sum := sha256.Sum256([]byte(body))
		if err := signer.SignHTTP(context.Background(), creds, r, hex.EncodeToString(sum[:]), "profile", "us-east-1", time.Now()); err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			return nil, err
		}
		raw = append(raw, b.Bytes())
	}
	return raw, nil
}

// drive sends requests for a while and returns the latencies in milliseconds.
func (l load) drive(host string, raw [][]byte, d time.Duration) (all []float64, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	until := time.Now().Add(d)
	for c := range requestClients {
		wg.Go(func() {
			took, failed := client(host, raw, c*len(raw)/requestClients, until)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if failed != nil {
				err = failed
			}
		})
	}
	wg.Wait()
	return all, err
}

func client(host string, raw [][]byte, first int, until time.Time) (took []float64, err error) {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	for i := first; time.Now().Before(until); i++ {
		start := time.Now()
		if _, err := conn.Write(raw[i%len(raw)]); err != nil {
			return took, err
		}
		if err := readAnswer(r); err != nil {
			return took, err
		}
		took = append(took, float64(time.Since(start).Microseconds())/1000)
	}
	return took, nil
}

// readAnswer reads an answer whose length is declared or that comes in chunks. Anything but 200 is an error.
func readAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	text, length, chunked := string(status), 0, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if v, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
				return err
			}
		}
		chunked = chunked || bytes.HasPrefix(line, []byte("Transfer-Encoding: chunked"))
	}
	for chunked {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return err
		}
		if _, err := r.Discard(int(n) + 2); err != nil {
			return err
		}
		chunked = n > 0
	}
	if !ok {
		body, _ := io.ReadAll(io.LimitReader(r, int64(length)))
		return fmt.Errorf("%s%s", text, body)
	}
	_, err = r.Discard(length)
	return err
}
