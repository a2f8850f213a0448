package e2e

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"kith/api"
	"kith/internal/sample"
	"kith/upload"
)

// tus is a client of the resumable form of the upload URL.
type tus struct {
	t          *testing.T
	r          *rig
	base       string
	domain, id string
	url, key   string
}

// newTus asks for a fresh URL of a job.
func newTus(t *testing.T, r *rig, base, domain, id string) *tus {
	t.Helper()
	path, err := r.Uploads.GetUploadJobPath(upload.WithBaseURL(ctx, base), &api.GetUploadJobPathRequest{DomainName: &domain, JobId: &id})
	if err != nil {
		t.Fatal(err)
	}
	return &tus{t, r, base, domain, id, *path.Url, *path.ClientToken}
}

func (c *tus) do(method string, body io.Reader, headers ...string) (*http.Response, error) {
	c.t.Helper()
	req, err := http.NewRequest(method, c.url, body)
	if err != nil {
		c.t.Fatal(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(c.key)
	sum := md5.Sum(raw)
	req.Header.Set("Tus-Resumable", "1.0.0")
	req.Header.Set(upload.HeaderAlgorithm, "AES256")
	req.Header.Set(upload.HeaderKey, c.key)
	req.Header.Set(upload.HeaderKeyMD5, base64.StdEncoding.EncodeToString(sum[:]))
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/offset+octet-stream")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Content-Length" {
			req.ContentLength, _ = strconv.ParseInt(headers[i+1], 10, 64)
		} else {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	return res, err
}

func (c *tus) want(status int, method string, body io.Reader, headers ...string) *http.Response {
	c.t.Helper()
	res, err := c.do(method, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != status {
		c.t.Fatalf("%s %v: %s, want %d", method, headers, res.Status, status)
	}
	if res.Header.Get("Tus-Resumable") != "1.0.0" {
		c.t.Fatalf("%s: no Tus-Resumable", method)
	}
	return res
}

func (c *tus) offset() int64 {
	c.t.Helper()
	res := c.want(http.StatusOK, http.MethodHead, nil)
	n, err := strconv.ParseInt(res.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || res.Header.Get("Cache-Control") != "no-store" {
		c.t.Fatalf("%v %v", err, res.Header)
	}
	return n
}

// finish sends the rest from where the upload stands, asking again when a request that was cut still added to it meanwhile.
func (c *tus) finish(data []byte) *http.Response {
	c.t.Helper()
	for range 10 {
		at := c.offset()
		res, err := c.do(http.MethodPatch, bytes.NewReader(data[at:]), "Upload-Offset", strconv.FormatInt(at, 10), "Upload-Length", strconv.Itoa(len(data)))
		if err != nil {
			c.t.Fatal(err)
		}
		if res.StatusCode != http.StatusConflict {
			if res.StatusCode != http.StatusNoContent {
				c.t.Fatalf("%s", res.Status)
			}
			return res
		}
	}
	c.t.Fatal("the upload never ends")
	return nil
}

// brokenAfter reads n bytes and then fails, as a lost connection does.
func brokenAfter(b []byte, n int) io.Reader {
	return io.MultiReader(bytes.NewReader(b[:n]), failing{})
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("cut") }

func tusRig(t *testing.T) (*rig, string) {
	r := newRig(t, newPebble(t), upload.Config{})
	r.domain("d")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.Handler.ServeHTTP(w, req) }))
	t.Cleanup(web.Close)
	return r, web.URL
}

// An upload that is cut three times, over two URLs and a restart of the server, arrives whole.
func TestResumableUploadIsCutAndArrives(t *testing.T) {
	t.Parallel()
	r, base := tusRig(t)
	var file bytes.Buffer
	if err := sample.Write(&file, 50_000, 3); err != nil {
		t.Fatal(err)
	}
	data := file.Bytes()
	s := spec{key: "id", fields: []string{"id:customer_id:AccountNumber", "f:first_name:FirstName", "m:email:EmailAddress:EMAIL_ADDRESS"}}
	want := r.run("d", s, file.String())

	r.domain("e")
	created, err := r.Uploads.CreateUploadJob(ctx, s.request("e"))
	if err != nil {
		t.Fatal(err)
	}
	id := *created.JobId
	c := newTus(t, r, base, "e", id)
	if got := c.offset(); got != 0 {
		t.Fatalf("a fresh upload stands at %d", got)
	}
	length := strconv.Itoa(len(data))
	n := len(data) / 5
	c.want(http.StatusNoContent, http.MethodPatch, bytes.NewReader(data[:n]), "Upload-Offset", "0", "Upload-Length", length)
	last := int64(n)
	for cut := range 3 {
		headers := []string{"Upload-Offset", strconv.FormatInt(last, 10), "Content-Length", strconv.FormatInt(int64(len(data))-last, 10)}
		res, err := c.do(http.MethodPatch, brokenAfter(data[last:], n), headers...)
		// A request that was cut before may still have added to the upload.
		if err == nil && res.StatusCode != http.StatusConflict {
			t.Fatalf("the cut was not seen: %s", res.Status)
		}
		c = newTus(t, r, base, "e", id)
		at := c.offset()
		// What was on its way when the client came back may be lost, but never more.
		if at < last || at >= int64(len(data)) {
			t.Fatalf("after cut %d the upload stands at %d, before it at %d", cut, at, last)
		}
		last = at
		if r.get("e", id); r.details("e", id).FileBytes != nil {
			t.Fatal("half a file counts as one")
		}
		if cut == 1 {
			r.restart()
		}
	}
	if err := r.startJob("e", id); err == nil {
		t.Fatal("a job with half a file was started")
	}
	res := c.finish(data)
	if res.Header.Get("Upload-Offset") != length || c.offset() != int64(len(data)) {
		t.Fatalf("the end is %s", res.Header.Get("Upload-Offset"))
	}
	dry := r.dryRun("e", id)
	if *dry.WouldCreate != *want.ResultsSummary.CreatedRecords {
		t.Fatalf("%+v", dry)
	}
	if err := r.startJob("e", id); err != nil {
		t.Fatal(err)
	}
	r.expect(r.wait("e", id), outcome(want))
	if hash(r.dump("d")) != hash(r.dump("e")) {
		t.Fatal("the profiles differ")
	}
}

func TestResumableUploadRefusals(t *testing.T) {
	t.Parallel()
	r, base := tusRig(t)
	s := spec{key: "id", fields: []string{"id:id:AccountNumber"}}
	created, err := r.Uploads.CreateUploadJob(ctx, s.request("d"))
	if err != nil {
		t.Fatal(err)
	}
	c := newTus(t, r, base, "d", *created.JobId)
	body := func(s string) io.Reader { return strings.NewReader(s) }
	patch := http.MethodPatch

	res := c.want(http.StatusNoContent, http.MethodOptions, nil)
	if res.Header.Get("Tus-Version") != "1.0.0" || res.Header.Get("Tus-Extension") != "checksum,termination" {
		t.Fatalf("%v", res.Header)
	}
	c.want(http.StatusPreconditionFailed, http.MethodHead, nil, "Tus-Resumable", "0.2.0")
	c.want(http.StatusUnsupportedMediaType, patch, body("id"), "Content-Type", "text/csv")
	c.want(http.StatusBadRequest, patch, body("id"))                                                   // no offset
	c.want(http.StatusBadRequest, patch, body("id"), "Upload-Offset", "-1")                            //
	c.want(http.StatusBadRequest, patch, body("id"), "Upload-Offset", "0")                             // no length
	c.want(http.StatusConflict, patch, body("id"), "Upload-Offset", "5", "Upload-Length", "9")         // nothing there yet
	c.want(http.StatusBadRequest, patch, body("id\n1\n2"), "Upload-Offset", "0", "Upload-Length", "5") // too long
	c.want(http.StatusBadRequest, patch, body("id"), "Upload-Offset", "0", "Upload-Length", "x")
	c.want(http.StatusBadRequest, patch, body("id"), "Upload-Offset", "0", "Upload-Length", "5", "Upload-Checksum", "crc32 AAAA")
	c.want(460, patch, body("id"), "Upload-Offset", "0", "Upload-Length", "5", "Upload-Checksum", "sha1 "+base64.StdEncoding.EncodeToString(make([]byte, 20)))
	if got := c.offset(); got != 0 {
		t.Fatalf("refused parts were kept: %d", got)
	}
	wrong := *c
	wrong.key = base64.StdEncoding.EncodeToString(make([]byte, 32))
	wrong.want(http.StatusBadRequest, patch, body("id"), "Upload-Offset", "0", "Upload-Length", "5")
	forged := *c
	forged.url = strings.Replace(c.url, "X-Amz-Signature=", "X-Amz-Signature=0", 1)
	for _, m := range []string{http.MethodHead, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		forged.want(http.StatusForbidden, m, nil)
	}
	sum := sha1.Sum([]byte("id"))
	c.want(http.StatusNoContent, patch, body("id"), "Upload-Offset", "0", "Upload-Length", "5", "Upload-Checksum", "sha1 "+base64.StdEncoding.EncodeToString(sum[:]))
	c.want(http.StatusConflict, patch, body("id"), "Upload-Offset", "0", "Upload-Length", "5")
	c.want(http.StatusBadRequest, patch, body("\n1"), "Upload-Offset", "2", "Upload-Length", "6")
	c.want(http.StatusNoContent, patch, nil, "Upload-Offset", "2") // nothing is allowed and changes nothing
	if got := c.offset(); got != 2 {
		t.Fatal(got)
	}
	c.want(http.StatusNoContent, http.MethodDelete, nil)
	if got := c.offset(); got != 0 {
		t.Fatal(got)
	}
	c.want(http.StatusNoContent, patch, body("id\n"), "Upload-Offset", "0", "Upload-Length", "7")
	// A job of which a file is half there is neither started nor tried.
	if err := r.startJob("d", c.id); err == nil || !strings.Contains(err.Error(), "half uploaded: 3 of 7 bytes") {
		t.Fatal(err)
	}
	c.want(http.StatusNoContent, patch, body("1\n2\n"), "Upload-Offset", "3")
	// What is repeated when the file is whole is told so; what says another length begins a newer file, and DELETE takes the file away.
	for _, at := range []string{"3", "0"} {
		if res := c.want(http.StatusConflict, patch, body("1\n2\n"), "Upload-Offset", at); res.Header.Get("Upload-Offset") != "7" {
			t.Fatalf("repeated at %s it is said to stand at %s", at, res.Header.Get("Upload-Offset"))
		}
	}
	c.want(http.StatusConflict, patch, body("id\n"), "Upload-Offset", "0", "Upload-Length", "7")
	c.want(http.StatusNoContent, patch, nil, "Upload-Offset", "7")
	c.want(http.StatusNoContent, patch, body("id\n"), "Upload-Offset", "0", "Upload-Length", "9")
	if err := r.startJob("d", c.id); err == nil || !strings.Contains(err.Error(), "half uploaded: 3 of 9 bytes") {
		t.Fatal(err)
	}
	c.want(http.StatusNoContent, http.MethodDelete, nil)
	if got := c.offset(); got != 7 {
		t.Fatalf("the file that was whole stands at %d", got)
	}
	c.want(http.StatusNoContent, http.MethodDelete, nil)
	if err := r.startJob("d", c.id); err == nil || !strings.Contains(err.Error(), "has no file yet") || c.offset() != 0 {
		t.Fatal(err, c.offset())
	}
	// A plain PUT replaces what came in parts, and the other way round.
	c.want(http.StatusOK, http.MethodPut, body("id\n1\n"))
	if d := r.details("d", c.id); *d.FileBytes != 5 {
		t.Fatal(*d.FileBytes)
	}
	c.want(http.StatusNoContent, patch, body("id\n8\n9\n"), "Upload-Offset", "0", "Upload-Length", "7")
	if err := r.startJob("d", c.id); err != nil {
		t.Fatal(err)
	}
	r.expect(r.wait("d", c.id), "SUCCEEDED 2/0/0")
	c.want(http.StatusForbidden, patch, body("id"), "Upload-Offset", "0", "Upload-Length", "2")
	files := 0
	for info := range r.blobs.List(ctx, "") {
		if strings.Contains(info.Name, "/file-") {
			files++
		}
	}
	if files != 1 {
		t.Fatalf("%d files are left of those replaced", files)
	}
}

// A client that comes back does not have to wait until the server has noticed that its old connection is dead.
func TestResumableUploadTakesOverADeadConnection(t *testing.T) {
	t.Parallel()
	r, base := tusRig(t)
	created, err := r.Uploads.CreateUploadJob(ctx, spec{key: "id", fields: []string{"id:id:AccountNumber"}}.request("d"))
	if err != nil {
		t.Fatal(err)
	}
	c := newTus(t, r, base, "d", *created.JobId)
	stuck, feed := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = c.do(http.MethodPatch, stuck, "Upload-Offset", "0", "Upload-Length", "8", "Content-Length", "8")
	}()
	if _, err := fmt.Fprint(feed, "id\n1\n"); err != nil {
		t.Fatal(err)
	}
	// Neither does one that goes on without asking: it is told at most that it is at the wrong place.
	if res, err := c.do(http.MethodPatch, strings.NewReader(""), "Upload-Offset", "3"); err != nil || res.StatusCode == http.StatusLocked {
		t.Fatalf("%v %v", res, err)
	}
	start := time.Now()
	at := c.offset() // what is still on its way is given up
	if time.Since(start) > 5*time.Second {
		t.Fatal("the dead connection was not taken over")
	}
	if at > 5 {
		t.Fatal(at)
	}
	c.finish([]byte("id\n1\n22\n"))
	_ = feed.CloseWithError(io.ErrUnexpectedEOF)
	<-ended
	if err := r.startJob("d", c.id); err != nil {
		t.Fatal(err)
	}
	r.expect(r.wait("d", c.id), "SUCCEEDED 2/0/0")
}
