package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"

	"kith/internal/sample"
	"kith/sigv4"
)

const (
	requestRows    = 200_000
	requestClients = 64
	requestTime    = 6 * time.Second
	batchSize      = 10 // profiles of a BatchGetProfile
)

// requests compares signed requests of many clients with the same requests sent to a handler that only verifies their signature.
// Each server is a process of its own; what a request costs is the processor time of that process alone.
func (b *bench) requests() error {
	path, err := b.file("requests.csv", requestRows, sample.Options{})
	if err != nil {
		return err
	}
	s, err := b.serve()
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	if _, err := s.importFile(path); err != nil {
		return err
	}
	if _, err := s.waitForIdle(); err != nil {
		return err
	}
	key, err := s.newKey()
	if err != nil {
		return err
	}
	plain, err := startBare(key)
	if err != nil {
		return err
	}
	defer plain.stop()
	searches, batches, err := s.requestBodies(path)
	if err != nil {
		return err
	}
	puts, putBatches, err := s.objectBodies(path)
	if err != nil {
		return err
	}
	for _, op := range []struct {
		name, method, path, must string
		bodies                   []string
	}{
		{"SearchProfiles by e-mail", http.MethodPost, "/domains/customers/profiles/search", "60 %; p99 2 ×", searches},
		{fmt.Sprintf("BatchGetProfile of %d", batchSize), http.MethodPost, "/domains/customers/batch-get-profiles", "", batches},
		{"PutProfileObject of 1 KB", http.MethodPut, "/domains/customers/profiles/objects", "40 %; p99 3 ×", puts},
		{fmt.Sprintf("BatchPutProfileObject of %d", putBatch), http.MethodPut, "/domains/customers/profiles/objects/batch-put-profile-object", "", putBatches},
	} {
		var kith, bare []sampleOf
		for range b.rounds {
			for _, side := range []struct {
				endpoint string
				pid      int
				out      *[]sampleOf
			}{{s.endpoint, s.cmd.Process.Pid, &kith}, {plain.endpoint, plain.cmd.Process.Pid, &bare}} {
				one, err := load{endpoint: side.endpoint, pid: side.pid, method: op.method, path: op.path, bodies: op.bodies, key: key}.run()
				if err != nil {
					return fmt.Errorf("%s: %w", op.name, err)
				}
				fmt.Fprintf(os.Stderr, "  %s %s: %s\n", op.name, side.endpoint, one)
				*side.out = append(*side.out, one)
			}
		}
		k, p := medianOf(kith), medianOf(bare)
		b.add(fmt.Sprintf("signed %s, %d clients", op.name, requestClients), k.String(), "bare handler "+p.String(),
			fmt.Sprintf("CPU %.0f %%, p99 %.1f ×", 100*p.cpu/k.cpu, k.p99/p.p99), op.must)
	}
	return nil
}

// sampleOf is what a round measured: requests a second, latencies in milliseconds, microseconds of processor time a request.
type sampleOf struct{ rate, p50, p99, cpu float64 }

func (s sampleOf) String() string {
	return fmt.Sprintf("%.0f/s, p50 %.1f ms, p99 %.1f ms, %.0f µs CPU", s.rate, s.p50, s.p99, s.cpu)
}

func medianOf(all []sampleOf) sampleOf {
	of := func(get func(sampleOf) float64) float64 {
		var v []float64
		for _, s := range all {
			v = append(v, get(s))
		}
		return median(v)
	}
	return sampleOf{of(func(s sampleOf) float64 { return s.rate }), of(func(s sampleOf) float64 { return s.p50 }),
		of(func(s sampleOf) float64 { return s.p99 }), of(func(s sampleOf) float64 { return s.cpu })}
}

// keyPair is an access key.
type keyPair struct{ id, secret string }

var keyLine = regexp.MustCompile(`(?s)AWS_ACCESS_KEY_ID=(\S+)\nAWS_SECRET_ACCESS_KEY=(\S+)`)

// newKey creates an access key as an operator does; the one of local.json never touches the store.
func (s *served) newKey() (keyPair, error) {
	out, err := exec.Command(s.b.kith, "keys", "create", "--data", s.data).Output()
	m := keyLine.FindSubmatch(out)
	if err != nil || m == nil {
		return keyPair{}, fmt.Errorf("create an access key: %w: %s", err, out)
	}
	return keyPair{string(m[1]), string(m[2])}, nil
}

// requestBodies returns bodies of searches that find somebody, and of batches of whom they find.
func (s *served) requestBodies(path string) (searches, batches []string, err error) {
	emails, err := someEmails(path, 4000)
	if err != nil {
		return nil, nil, err
	}
	var ids []string
	for _, e := range emails {
		out, err := s.SearchProfiles(context.Background(), &customerprofiles.SearchProfilesInput{
			DomainName: aws.String("customers"), KeyName: aws.String("_email"), Values: []string{e}})
		if err != nil {
			return nil, nil, err
		}
		if len(out.Items) != 1 {
			continue // the customer has another address by now, or shares it
		}
		searches = append(searches, fmt.Sprintf(`{"KeyName":"_email","Values":[%q]}`, e))
		if ids = append(ids, `"`+*out.Items[0].ProfileId+`"`); len(ids) == batchSize {
			batches = append(batches, `{"ProfileIds":[`+strings.Join(ids, ",")+`]}`)
			ids = nil
		}
	}
	if len(searches) < 1000 || len(batches) < 100 {
		return nil, nil, fmt.Errorf("only %d searches and %d batches", len(searches), len(batches))
	}
	return searches, batches, nil
}

const (
	putObjects = 40_000 // objects that are put again and again, of as many customers as have an address of their own
	putBatch   = 10     // of a BatchPutProfileObject
	objectSize = 1000   // bytes
)

// objectBodies makes a type of objects and returns bodies that put objects of it, one and several at a time: orders, which go to the customer who has
// their e-mail address.
func (s *served) objectBodies(path string) (puts, batches []string, err error) {
	_, err = s.PutProfileObjectType(context.Background(), &customerprofiles.PutProfileObjectTypeInput{
		DomainName: aws.String("customers"), ObjectTypeName: aws.String("order"), Description: aws.String("orders of a shop"), AllowProfileCreation: true,
		Fields: map[string]types.ObjectTypeField{
			"number": {Source: aws.String("_source.number"), ContentType: types.FieldContentTypeString},
			"mail":   {Source: aws.String("_source.mail"), Target: aws.String("_profile.EmailAddress"), ContentType: types.FieldContentTypeEmailAddress},
			"last":   {Source: aws.String("_source.number"), Target: aws.String("_profile.Attributes.lastOrder"), ContentType: types.FieldContentTypeString},
		},
		Keys: map[string][]types.ObjectTypeKey{
			"orderNumber": {{StandardIdentifiers: []types.StandardIdentifier{types.StandardIdentifierUnique}, FieldNames: []string{"number"}}},
			"_email":      {{StandardIdentifiers: []types.StandardIdentifier{types.StandardIdentifierProfile}, FieldNames: []string{"mail"}}},
		},
	})
	if err != nil {
		return nil, nil, err
	}
	emails, err := someEmails(path, putObjects)
	if err != nil {
		return nil, nil, err
	}
	var items []string
	for i, e := range emails {
		object := fmt.Sprintf(`{"number":"order-%d","mail":%q,"text":"`, i, e)
		object = strconv.Quote(object + strings.Repeat("x", max(0, objectSize-len(object)-2)) + `"}`)
		puts = append(puts, `{"ObjectTypeName":"order","Object":`+object+`}`)
		if items = append(items, fmt.Sprintf(`{"Id":"%d","Object":%s}`, i, object)); len(items) == putBatch {
			batches = append(batches, `{"ObjectTypeName":"order","Items":[`+strings.Join(items, ",")+`]}`)
			items = nil
		}
	}
	return puts, batches, nil
}

// bare is a running handler that only verifies signatures.
type bare struct {
	cmd      *exec.Cmd
	endpoint string
}

// startBare starts this program again as that handler.
func startBare(key keyPair) (*bare, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &bare{cmd: exec.Command(self, "-bare")}
	p.cmd.Env = append(os.Environ(), "BENCH_KEY="+key.id, "BENCH_SECRET="+key.secret)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := fmt.Fscanln(out, &p.endpoint); err != nil {
		p.stop()
		return nil, fmt.Errorf("the bare handler did not start: %w", err)
	}
	return p, nil
}

func (p *bare) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// serveBare is the bare handler: it reads the body, verifies the signature over it, and answers {}.
func serveBare() error {
	id, secret := os.Getenv("BENCH_KEY"), os.Getenv("BENCH_SECRET")
	v := &sigv4.Verifier{Services: []string{"profile"}, Now: time.Now, Secret: func(_ context.Context, keyID string) (string, error) {
		if keyID != id {
			return "", sigv4.ErrUnknownKey
		}
		return secret, nil
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = v.Verify(r, body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}))
}

// processorTime is what a process has used so far, in user and kernel mode, in units of 10 ms.
func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	// The fields behind the program's name, which may hold anything but ends at the last parenthesis.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat is too short")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}
