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
	"path"
	"path/filepath"
	"regexp"
	"runtime/debug"
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
	file, err := b.file("requests.csv", requestRows, sample.Options{})
	if err != nil {
		return err
	}
	s, err := b.serve()
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	if _, err := s.importFile(file); err != nil {
		return err
	}
	if _, err := s.waitForIdle(); err != nil {
		return err
	}
	key, err := s.newKey()
	if err != nil {
		return err
	}
	plain, err := startBare(key, "")
	if err != nil {
		return err
	}
	defer plain.stop()
	folder, err := os.MkdirTemp(b.dir, "durable-")
	if err != nil {
		return err
	}
	writing, err := startBare(key, folder)
	if err != nil {
		return err
	}
	defer writing.stop()
	searches, batches, err := s.requestBodies(file)
	if err != nil {
		return err
	}
	puts, putBatches, err := s.objectBodies(file)
	if err != nil {
		return err
	}
	for _, op := range []requestOp{
		{"SearchProfiles by e-mail", http.MethodPost, "search", "60 %; p99 2 ×", searches, false},
		{fmt.Sprintf("BatchGetProfile of %d", batchSize), http.MethodPost, "../batch-get-profiles", "", batches, false},
		{"PutProfileObject of 1 KB", http.MethodPut, "objects", "40 %; p99 3 ×", puts, true},
		{fmt.Sprintf("BatchPutProfileObject of %d", putBatch), http.MethodPut, "objects/" + batchPath, "", putBatches, true},
	} {
		sides := []*side{{endpoint: s.endpoint, pid: s.cmd.Process.Pid}, {endpoint: plain.endpoint, pid: plain.cmd.Process.Pid}}
		if op.writes {
			sides = append(sides, &side{endpoint: writing.endpoint, pid: writing.cmd.Process.Pid})
		}
		if err := b.compare(op, key, sides); err != nil {
			return err
		}
	}
	return nil
}

// requestOp is an operation of which requests are compared.
type requestOp struct {
	name, method, path, must string
	bodies                   []string
	writes                   bool
}

// side is a process that is compared: Kith, the bare handler, and for operations that write one that writes as well.
type side struct {
	endpoint string
	pid      int
	rounds   []sampleOf
}

// compare sends the same requests to all sides in turn.
func (b *bench) compare(op requestOp, key keyPair, sides []*side) error {
	for range b.rounds {
		for _, to := range sides {
			one, err := load{endpoint: to.endpoint, pid: to.pid, method: op.method, path: path.Join("/domains/customers/profiles", op.path), bodies: op.bodies, key: key}.run()
			if err != nil {
				return fmt.Errorf("%s: %w", op.name, err)
			}
			fmt.Fprintf(os.Stderr, "  %s %s: %s\n", op.name, to.endpoint, one)
			to.rounds = append(to.rounds, one)
		}
	}
	kith := medianOf(sides[0].rounds)
	what, must := fmt.Sprintf("signed %s, %d clients", op.name, requestClients), op.must
	for i, peer := range []string{"bare handler", "bare handler that reads and durably writes as much"} {
		if i+1 < len(sides) {
			p := medianOf(sides[i+1].rounds)
			b.add(what, kith.String(), peer+" "+p.String(), fmt.Sprintf("CPU %.0f %%, p99 %.1f ×", 100*p.cpu/kith.cpu, kith.p99/p.p99), must)
			what, must = "the same", ""
		}
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
func (s *served) requestBodies(file string) (searches, batches []string, err error) {
	emails, err := someEmails(file, 4000)
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
	batchPath  = "batch-put-profile-object"
	objectSize = 1000 // bytes
)

// objectBodies makes a type of objects and returns bodies that put objects of it, one and several at a time: orders, which go to the customer who has
// their e-mail address.
func (s *served) objectBodies(file string) (puts, batches []string, err error) {
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
	emails, err := someEmails(file, putObjects)
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

// startBare starts this program again as that handler; with a folder as one that is durable there, too.
func startBare(key keyPair, folder string) (*bare, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &bare{cmd: exec.Command(self, "-bare", "-dir", folder)}
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

// serveBare is the bare handler: it reads the body, verifies the signature over it, and answers {}. With a folder it stores something as well.
func serveBare(folder string) error {
	id, secret := os.Getenv("BENCH_KEY"), os.Getenv("BENCH_SECRET")
	v := &sigv4.Verifier{Services: []string{"profile"}, Now: time.Now, Secret: func(_ context.Context, keyID string) (string, error) {
		if keyID != id {
			return "", sigv4.ErrUnknownKey
		}
		return secret, nil
	}}
	var writes *durable
	if folder != "" {
		var err error
		if writes, err = openDurable(folder); err != nil {
			return err
		}
		debug.SetGCPercent(400) // about the room for garbage that Kith has
	}
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
		if writes != nil {
			n := 1
			if strings.HasSuffix(r.URL.Path, batchPath) {
				n = putBatch
			}
			if err := writes.put(r.Context(), body, n); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
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
