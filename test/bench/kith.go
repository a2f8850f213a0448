package main

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"

	"kith/internal/sample"
)

var (
	result = regexp.MustCompile(`^(\S+): (\d+) created, (\d+) updated, (\d+) failed in ([0-9.]+) s`)
	jobID  = regexp.MustCompile(`Upload job ([0-9a-f]{32})`)
)

// served is a running server with a data folder of its own.
type served struct {
	b    *bench
	cmd  *exec.Cmd
	data string
	*customerprofiles.Client
	endpoint string
}

func (b *bench) serve() (*served, error) {
	data, err := os.MkdirTemp(b.dir, "data-")
	if err != nil {
		return nil, err
	}
	s := &served{b: b, data: data}
	s.cmd = exec.Command(b.kith, "serve", "--data", data, "--listen", "127.0.0.1:0")
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var l struct{ Endpoint, AccessKeyID, SecretAccessKey string }
		text, err := os.ReadFile(filepath.Join(data, "local.json"))
		if err != nil || json.Unmarshal(text, &l) != nil {
			continue
		}
		s.endpoint = l.Endpoint
		s.Client = customerprofiles.New(customerprofiles.Options{BaseEndpoint: &l.Endpoint, Region: "us-east-1",
			Credentials: credentials.NewStaticCredentialsProvider(l.AccessKeyID, l.SecretAccessKey, "")})
		return s, nil
	}
	return nil, errors.Join(errors.New("the server did not start"), s.stop())
}

// stop ends the server and removes its data.
func (s *served) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(s.cmd.Wait(), os.RemoveAll(s.data))
}

// importFile imports a file and returns the seconds from StartUploadJob to SUCCEEDED.
func (s *served) importFile(path string) (float64, error) {
	out, err := exec.Command(s.b.kith, "import", path, "--data", s.data).Output()
	m := result.FindStringSubmatch(string(out))
	if err != nil || m == nil || m[1] != "SUCCEEDED" {
		return 0, fmt.Errorf("import of %s: %w: %s", path, err, out)
	}
	fmt.Fprint(os.Stderr, "  ", strings.SplitN(string(out), "\n", 2)[0], "\n")
	return strconv.ParseFloat(m[5], 64)
}

// large imports a tenth of the large file and the whole, into empty stores, and watches memory.
func (b *bench) large() error {
	if b.big == 0 {
		return nil
	}
	var perRow, idle [2]float64
	var most memory
	for i, rows := range []int{b.big / 10, b.big} {
		path, err := b.file(fmt.Sprintf("large-%d.csv", i), rows, sample.Options{})
		if err != nil {
			return err
		}
		var times, idles []float64
		for range []int{b.rounds, 1}[i] {
			s, err := b.serve()
			if err != nil {
				return err
			}
			watch := s.watchMemory()
			start := time.Now()
			seconds, err := s.importFile(path)
			if err != nil {
				return errors.Join(err, s.stop())
			}
			upload := time.Since(start).Seconds() - seconds // what is not the import
			end, err := s.waitForIdle()
			if err != nil {
				return errors.Join(err, s.stop())
			}
			times, idles = append(times, seconds), append(idles, max(seconds, end.Sub(start).Seconds()-upload))
			most = watch()
			if err := s.stop(); err != nil {
				return err
			}
		}
		perRow[i], idle[i] = median(times)/float64(rows), median(idles)/float64(rows)
	}
	n := fmt.Sprintf("%d → %d rows", b.big/10, b.big)
	b.add(n+", time per row to SUCCEEDED", fmt.Sprintf("%.2f µs", 1e6*perRow[1]), fmt.Sprintf("%.2f µs", 1e6*perRow[0]), fmt.Sprintf("%.2f ×", perRow[1]/perRow[0]), "1.15 ×")
	b.add(n+", time per row to compaction idle", fmt.Sprintf("%.2f µs", 1e6*idle[1]), fmt.Sprintf("%.2f µs", 1e6*idle[0]), fmt.Sprintf("%.2f ×", idle[1]/idle[0]), "1.15 ×")
	b.add(fmt.Sprintf("anonymous memory at %d rows", b.big), fmt.Sprintf("%d MB", most.anonymous>>20), "", "", "400 MB")
	b.add(fmt.Sprintf("all that was resident at %d rows", b.big), fmt.Sprintf("%d MB", most.all>>20), "", "", "600 MB")
	return nil
}

// memory is what of the server was resident at most, in bytes.
type memory struct{ anonymous, all int64 }

// watchMemory samples the server's resident memory until the function it returns is called.
func (s *served) watchMemory() func() memory {
	stop := make(chan struct{})
	var peak memory
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
			if err != nil {
				return
			}
			for line := range strings.Lines(string(text)) {
				var kb int64
				if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kb); err == nil {
					peak.anonymous = max(peak.anonymous, kb<<10)
				} else if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
					peak.all = max(peak.all, kb<<10)
				}
			}
		}
	})
	return func() memory { close(stop); wg.Wait(); return peak }
}

// waitForIdle waits until no compaction has been running for a second, and returns when that second began.
func (s *served) waitForIdle() (time.Time, error) {
	running := regexp.MustCompile(`(?m)^kith_store_compactions_running (\S+)`)
	since := time.Now()
	for time.Since(since) < time.Second {
		res, err := http.Get(s.endpoint + "/metrics")
		if err != nil {
			return since, err
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		m := running.FindSubmatch(text)
		if err != nil || m == nil {
			return since, fmt.Errorf("metrics: %w: no compactions in them", err)
		}
		if string(m[1]) != "0" {
			since = time.Now()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return since, nil
}

// searchesPerSecond is the load beside an import.
const searchesPerSecond = 50

// searches measures SearchProfiles in an open loop while the large file is imported: every search is sent at its time, and its
// latency counts from then, whatever became of those before it.
func (b *bench) searches() error {
	if b.big == 0 {
		return nil
	}
	large, err := b.file("large-1.csv", b.big, sample.Options{})
	if err != nil {
		return err
	}
	s, err := b.serve()
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	small, err := b.file("large-0.csv", b.big/10, sample.Options{})
	if err != nil {
		return err
	}
	if _, err := s.importFile(small); err != nil {
		return err
	}
	emails, err := someEmails(small, 1000)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.importFile(large)
		done <- err
	}()
	var mu sync.Mutex
	var latencies []float64
	var failed error
	var found int
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Second / searchesPerSecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		var at time.Time
		select {
		case err := <-done:
			wg.Wait()
			if 2*found < len(latencies) {
				failed = errors.Join(failed, fmt.Errorf("only %d of %d searches found somebody", found, len(latencies)))
			}
			if err := errors.Join(err, failed); err != nil {
				return err
			}
			p99, p50 := percentile(latencies, 0.99), percentile(latencies, 0.5)
			b.add(fmt.Sprintf("p99 of %d searches/s during the import of %d rows", searchesPerSecond, b.big), fmt.Sprintf("%.1f ms (p50 %.1f ms, %d searches)", p99, p50, len(latencies)), "", "", "15 ms")
			return nil
		case at = <-tick.C:
		}
		wg.Go(func() {
			out, err := s.SearchProfiles(context.Background(), &customerprofiles.SearchProfilesInput{DomainName: aws.String("customers"), KeyName: aws.String("_email"), Values: []string{emails[i%len(emails)]}})
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
			if err == nil && len(out.Items) > 0 {
				found++ // others have another address by now: the file repeats early customers
			}
			latencies = append(latencies, float64(time.Since(at).Microseconds())/1000)
		})
	}
}

func percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = append([]float64(nil), v...)
	slices.Sort(v)
	return v[min(len(v)-1, int(p*float64(len(v))))]
}

// uploads compares the PUT of a file, sealed and synced, with dd writing as much and syncing it.
func (b *bench) uploads() error {
	if b.put == 0 {
		return nil
	}
	path := filepath.Join(b.dir, "put.bin")
	if err := exec.Command("dd", "if=/dev/urandom", "of="+path, "bs=1M", fmt.Sprint("count=", b.put>>20), "status=none").Run(); err != nil {
		return err
	}
	s, err := b.serve()
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	var kith, dd float64
	for range 5 {
		seconds, err := s.putOnce(path)
		if err != nil {
			return err
		}
		kith = max(kith, float64(b.put)/seconds)
		copied := filepath.Join(b.dir, "dd.bin")
		start := time.Now()
		if err := exec.Command("dd", "if="+path, "of="+copied, "bs=1M", "conv=fsync", "status=none").Run(); err != nil {
			return err
		}
		dd = max(dd, float64(b.put)/time.Since(start).Seconds())
		if err := os.Remove(copied); err != nil {
			return err
		}
	}
	b.add(fmt.Sprintf("PUT of %d MB, sealed and synced, best of 5", b.put>>20), fmt.Sprintf("%.0f MB/s", kith/1e6), fmt.Sprintf("dd conv=fsync %.0f MB/s", dd/1e6), fmt.Sprintf("%.0f %%", 100*kith/dd), "40 %")
	return nil
}

// putOnce uploads a file to a new job and returns the seconds it took.
func (s *served) putOnce(path string) (float64, error) {
	ctx, domain := context.Background(), aws.String("put")
	_, _ = s.CreateDomain(ctx, &customerprofiles.CreateDomainInput{DomainName: domain, DefaultExpirationDays: aws.Int32(1)})
	job, err := s.CreateUploadJob(ctx, &customerprofiles.CreateUploadJobInput{DomainName: domain, DisplayName: aws.String("put"), UniqueKey: aws.String("id"),
		Fields: map[string]types.ObjectTypeField{"id": {Source: aws.String("_source.id"), Target: aws.String("_profile.AccountNumber")}}})
	if err != nil {
		return 0, err
	}
	to, err := s.GetUploadJobPath(ctx, &customerprofiles.GetUploadJobPathInput{DomainName: domain, JobId: job.JobId})
	if err != nil {
		return 0, err
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	key, err := base64.StdEncoding.DecodeString(*to.ClientToken)
	if err != nil {
		return 0, err
	}
	sum := md5.Sum(key) // the protocol asks for it
	r, err := http.NewRequest(http.MethodPut, *to.Url, f)
	if err != nil {
		return 0, err
	}
	r.ContentLength = s.b.put
	r.Header.Set("x-amz-server-side-encryption-customer-algorithm", "AES256")
	r.Header.Set("x-amz-server-side-encryption-customer-key", *to.ClientToken)
	r.Header.Set("x-amz-server-side-encryption-customer-key-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	start := time.Now()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	seconds := time.Since(start).Seconds()
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, errors.New(res.Status)
	}
	_, err = s.DeleteDomain(ctx, &customerprofiles.DeleteDomainInput{DomainName: domain}) // its file goes
	return seconds, err
}
