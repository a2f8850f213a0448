package e2e

import (
	"archive/zip"
	"bufio"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles"
	"github.com/aws/aws-sdk-go-v2/service/customerprofiles/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// bomb is a file that was made to cost a server more than it can carry.
type bomb struct {
	name  string
	write func(w io.Writer) error
	// want is how the job must end, and says what its reason must say.
	want, says string
	large      bool // it takes more than a few seconds, or much disk
}

// memoryLimit is what a server may take, whatever is uploaded.
const memoryLimit = 512 << 20

// times writes a text n times, with its number for each %d.
func times(n int, text string) func(io.Writer) {
	return func(w io.Writer) {
		for i := range n {
			if strings.Contains(text, "%d") {
				_, _ = io.WriteString(w, strings.ReplaceAll(text, "%d", fmt.Sprint(i)))
			} else {
				_, _ = io.WriteString(w, text)
			}
		}
	}
}

func all(parts ...func(io.Writer)) func(io.Writer) {
	return func(w io.Writer) {
		for _, p := range parts {
			p(w)
		}
	}
}

func asBook(rows, texts func(io.Writer)) func(io.Writer) error {
	return func(w io.Writer) error { return writeBook(w, rows, texts) }
}

func raw(text func(io.Writer)) func(io.Writer) error {
	return func(w io.Writer) error { text(w); return nil }
}

func zipped(text func(io.Writer)) func(io.Writer) error {
	return func(w io.Writer) error {
		z := gzip.NewWriter(w)
		text(z)
		return z.Close()
	}
}

func zstandard(text func(io.Writer)) func(io.Writer) error {
	return func(w io.Writer) error {
		z, err := zstd.NewWriter(w)
		if err != nil {
			return err
		}
		text(z)
		return z.Close()
	}
}

var (
	headRow  = plain(`<row r="1"><c t="inlineStr"><is><t>id</t></is></c></row>`)
	noTexts  = plain("")
	block    = strings.Repeat("x", 1<<20)
	newlines = strings.Repeat("\n", 1<<20)
	shortRow = strings.Repeat("1\n", 1<<19)
)

// randomTexts are rows of texts that are all over the table of shared strings.
func randomTexts(rows, of int) func(io.Writer) {
	rng := rand.New(rand.NewPCG(1, 1))
	return func(w io.Writer) {
		for range rows {
			fmt.Fprintf(w, `<row><c t="s"><v>%d</v></c></row>`, rng.IntN(of))
		}
	}
}

// bombs makes them when they are wanted: their texts are large.
func bombs() []bomb {
	return []bomb{
		{"a header of a million columns", raw(all(times(1_000_000, "c%d,"), plain("\n1\n"))), "FAILED", "longer than 65536 bytes", false},
		{"a line of 64 MB", raw(all(plain("id\n"), times(64, block), plain("\n1\n"))), "PARTIALLY_SUCCEEDED", "", false},
		{"rows of a million cells", raw(all(plain("id\n"), times(8, strings.Repeat(",", 1<<20-10)+"1\n"))), "FAILED", "Every row was rejected", false},
		{"an open quote before 64 MB", raw(all(plain("id\n\"1,"), times(64, block), plain("\n1\n"))), "PARTIALLY_SUCCEEDED", "", false},
		{"a workbook of a million shared strings", asBook(all(headRow, times(1000, `<row><c t="s"><v>%d999</v></c></row>`)), times(1_000_000, `<si><t>text number %d, and what else is in it</t></si>`)), "SUCCEEDED", "", false},
		{"a workbook of 16,384 columns", asBook(all(headRow, times(1000, `<row><c r="XFD%d"><v>1</v></c></row>`)), noTexts), "FAILED", "Every row was rejected", false},
		{"a workbook of very deep XML", asBook(all(headRow, plain("<row>"), times(1_000_000, "<a>")), noTexts), "FAILED", "deeper than 256", false},
		{"a workbook of cells of 10 MB", asBook(all(headRow, times(3, `<row><c t="inlineStr"><is><t>`+strings.Repeat("x", 10<<20)+`</t></is></c></row>`)), times(3, "<si><t>"+strings.Repeat("y", 10<<20)+"</t></si>")), "FAILED", "Every row was rejected", false},
		{"a workbook of a tag of 50 MB", asBook(all(headRow, plain(`<row r="`), times(50, block), plain(`"/>`)), noTexts), "FAILED", "64 kB", false},
		{"a workbook of endless rows", asBook(all(headRow, times(1_100_000, "<row/>")), noTexts), "FAILED", "more than 1048576 rows", false},
		{"a workbook that declares entities", func(w io.Writer) error {
			z := zip.NewWriter(w)
			p, err := z.Create("xl/workbook.xml")
			if err == nil {
				_, err = io.WriteString(p, `<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><workbook>&b;</workbook>`)
			}
			if err != nil {
				return err
			}
			return z.Close()
		}, "FAILED", "entities", false},
		{"an archive with a table of 100 MB", func(w io.Writer) error {
			z := zip.NewWriter(w)
			p, err := z.Create("customers.csv")
			if err != nil {
				return err
			}
			times(100, newlines)(p)
			return z.Close()
		}, "FAILED", "ZIP archive", false},
		{"an archive of 60,000 parts", func(w io.Writer) error {
			z := zip.NewWriter(w)
			for i := range 60_000 {
				if _, err := z.Create(fmt.Sprintf("xl/%0150d.xml", i)); err != nil {
					return err
				}
			}
			return z.Close()
		}, "FAILED", "very many parts", false},

		{"a gzip of 3 GB of nothing", zipped(all(plain("id\n"), times(3<<10, newlines))), "FAILED", "unpacks to more than 200 times", true},
		{"a zstd of 20 GB of nothing", zstandard(all(plain("id\n"), times(20<<10, newlines))), "FAILED", "unpacks to more than 200 times", true},
		{"a zstd of 20 GB of short rows", zstandard(all(plain("id\n"), times(20<<10, shortRow))), "FAILED", "unpacks to more than 200 times", true},
		{"a zstd of 120 million short rows", zstandard(all(plain("id\n"), times(120, shortRow+shortRow))), "SUCCEEDED", "", true},
		{"a line of 1 GB", raw(all(plain("id\n"), times(1<<10, block), plain("\n1\n"))), "PARTIALLY_SUCCEEDED", "", true},
		{"a quoted cell of 1 GB", raw(all(plain("id\n\""), times(1<<10, block), plain("\"\n1\n"))), "PARTIALLY_SUCCEEDED", "", true},
		{"a gzip of 52 million rows of one key", zipped(all(plain("id\n"), times(100, shortRow))), "SUCCEEDED", "", true},
		{"a gzip of 10 million bad rows", zipped(all(plain("id,name\n"), times(20, strings.Repeat("a,,x\n", 1<<19)))), "FAILED", "Every row was rejected", true},
		{"an open quote before 1 GB", raw(all(plain("id\n\"1,"), times(1<<10, block), plain("\n1\n"))), "PARTIALLY_SUCCEEDED", "", true},
		{"a workbook of a million rows of 16,384 columns", asBook(all(headRow, times(1_000_000, `<row><c r="XFD1"><v>1</v></c></row>`)), noTexts), "FAILED", "of text, with most of its cells empty", true},
		{"a workbook of a row of 5 million cells", asBook(all(headRow, times(1, "<row>"+strings.Repeat(`<c s="1"/>`, 5<<20)+"</row>")), noTexts), "FAILED", "beyond column 16384", true},
		{"a workbook of a text of 2 GB", asBook(all(headRow, plain(`<row><c t="inlineStr"><is><t>`), times(2<<10, block), plain("</t></is></c></row>")), noTexts), "FAILED", "unpacks to more than", true},
		{"a workbook of 2 GB of comments", asBook(all(headRow, times(2<<10, "<!--"+block+"-->")), noTexts), "FAILED", "unpacks to more than", true},
		{"a workbook of 40 million shared strings", asBook(headRow, times(40_000_000, `<si><t>%d</t></si>`)), "FAILED", "33554432 different texts", true},
		{"a workbook of 800 MB of shared strings, read at random", asBook(all(headRow, randomTexts(1_000_000, 8_000_000)), times(8_000_000, `<si><t>%d `+strings.Repeat("ab", 40)+`</t></si>`)), "SUCCEEDED", "", true},
	}
}

// Files that were made to cost much end with their reason, or are imported, and the server goes on, within half a gigabyte of memory. KITH_BOMBS=1 lets the
// large ones off too (make bombs).
func TestBombs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it reads /proc")
	}
	large := os.Getenv("KITH_BOMBS") != ""
	data := t.TempDir()
	server := serve(t, data)
	pid := server.Process.Pid
	if limitMemory(t, pid, memoryLimit) {
		t.Logf("the kernel holds the server to %d MB, its page cache included", memoryLimit>>20)
	} else {
		t.Log("the server's peak is read afterwards: no control group can be made here")
	}
	c := clientOf(t, data)
	name := "bombs"
	days := int32(30)
	if _, err := c.CreateDomain(t.Context(), &customerprofiles.CreateDomainInput{DomainName: &name, DefaultExpirationDays: &days}); err != nil {
		t.Fatal(err)
	}
	for _, b := range bombs() {
		if b.large && !large {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			e := dropBomb(t, c, name, data, pid, b)
			reason := jobReason(t, data, name, *e.job.JobId)
			if string(e.job.Status) != b.want || !strings.Contains(reason, b.says) {
				t.Errorf("%s: %q, want %s: %q", e.job.Status, reason, b.want, b.says)
			}
			peak := peakMemory(t, pid)
			t.Logf("%d kB, %.1f s, %s, %d MB of memory, %d MB more on disk, slowest answer meanwhile %d ms: %s", e.size>>10, e.took.Seconds(), e.job.Status, peak>>20, e.disk>>20, e.slowest.Milliseconds(), reason)
			if peak > memoryLimit {
				t.Errorf("the server has taken %d MB", peak>>20)
			}
			_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // the peak begins anew, where that is allowed
		})
	}
	e := dropBomb(t, c, name, data, pid, bomb{write: raw(plain("id\n1\n"))})
	if t.Logf("afterwards a small file takes %.1f s", e.took.Seconds()); e.job.Status != types.UploadJobStatusSucceeded {
		t.Errorf("afterwards a small file is %s", e.job.Status)
	}
}

// local is what a server writes down about itself.
type local struct{ Endpoint, AccessKeyID, SecretAccessKey string }

func localOf(t *testing.T, data string) (l local) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "local.json"))
	if err == nil {
		err = json.Unmarshal(text, &l)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// clientOf returns a client of the server on a data folder.
func clientOf(t *testing.T, data string) *customerprofiles.Client {
	t.Helper()
	l := localOf(t, data)
	return customerprofiles.New(customerprofiles.Options{BaseEndpoint: &l.Endpoint, Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(l.AccessKeyID, l.SecretAccessKey, "")})
}

// uploadTo creates an upload job and gives it a file.
func uploadTo(t *testing.T, c *customerprofiles.Client, in *customerprofiles.CreateUploadJobInput, f *os.File) (job string, size int64) {
	t.Helper()
	made, err := c.CreateUploadJob(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	to, err := c.GetUploadJobPath(t.Context(), &customerprofiles.GetUploadJobPathInput{DomainName: in.DomainName, JobId: made.JobId})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, *to.Url, f)
	if err != nil {
		t.Fatal(err)
	}
	if size, err = f.Seek(0, io.SeekEnd); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		t.Fatal(err)
	}
	token, _ := base64.StdEncoding.DecodeString(*to.ClientToken)
	sum := md5.Sum(token)
	r.ContentLength = size
	r.Header.Set("x-amz-server-side-encryption-customer-algorithm", "AES256")
	r.Header.Set("x-amz-server-side-encryption-customer-key", *to.ClientToken)
	r.Header.Set("x-amz-server-side-encryption-customer-key-MD5", base64.StdEncoding.EncodeToString(sum[:]))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	return *made.JobId, size
}

// explosion is what became of a bomb.
type explosion struct {
	job  *customerprofiles.GetUploadJobOutput
	size int64 // of the file
	took time.Duration
	// disk is the most that the server had on its disk beside what was there before, and slowest the time of its slowest answer.
	disk    int64
	slowest time.Duration
}

// dropBomb imports a file and waits for the job's end; meanwhile the server answers other calls.
func dropBomb(t *testing.T, c *customerprofiles.Client, domain, data string, pid int, b bomb) (e explosion) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := bufio.NewWriterSize(f, 1<<20)
	if err := b.write(buf); err != nil {
		t.Fatal(err)
	}
	if err := buf.Flush(); err != nil {
		t.Fatal(err)
	}
	key, source, target := "id", "_source.id", "_profile.AccountNumber"
	var job string
	job, e.size = uploadTo(t, c, &customerprofiles.CreateUploadJobInput{DomainName: &domain, DisplayName: &key, UniqueKey: &key,
		Fields: map[string]types.ObjectTypeField{key: {Source: &source, Target: &target, ContentType: types.FieldContentTypeString}}}, f)
	start, before := time.Now(), diskUse(pid, data)-e.size
	if _, err := c.StartUploadJob(t.Context(), &customerprofiles.StartUploadJobInput{DomainName: &domain, JobId: &job}); err != nil {
		t.Fatal(err)
	}
	for {
		asked := time.Now()
		e.job, err = c.GetUploadJob(t.Context(), &customerprofiles.GetUploadJobInput{DomainName: &domain, JobId: &job})
		if err == nil {
			_, err = c.SearchProfiles(t.Context(), &customerprofiles.SearchProfilesInput{DomainName: &domain, KeyName: aws.String("_account"), Values: []string{"1"}})
		}
		if err != nil {
			t.Fatal(err)
		}
		e.slowest = max(e.slowest, time.Since(asked))
		e.disk = max(e.disk, diskUse(pid, data)-before)
		if e.job.Status != types.UploadJobStatusCreated && e.job.Status != types.UploadJobStatusInProgress {
			e.took = time.Since(start)
			return e
		}
		time.Sleep(20 * time.Millisecond)
	}
}

var failedFor = regexp.MustCompile(`(?m)^.*(The |Every ).*$`)

// jobReason returns what the program says of how a job ended.
func jobReason(t *testing.T, data, domain, id string) string {
	t.Helper()
	stdout, stderr, _ := kith(t, "jobs", id, "--domain", domain, "--data", data)
	reason := strings.TrimSpace(failedFor.FindString(stdout + stderr))
	if strings.HasPrefix(reason, "The imported data expires") {
		return "" // it did not fail
	}
	return reason
}
