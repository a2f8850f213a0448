package server

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kith/fault"
	"kith/internal/restjson"
	"kith/sigv4"
)

var update = flag.Bool("update", false, "write the generated parts of README.md and COMPATIBILITY.md")

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err      error
		status   int
		code     string
		message  string
		internal bool
	}{
		"bad request":   {fault.BadRequestf("x %d", 1), 400, "BadRequestException", "x 1", false},
		"access denied": {fault.AccessDeniedf("x"), 403, "AccessDeniedException", "x", false},
		"not found":     {fmt.Errorf("wrapped: %w", fault.NotFoundf("x")), 404, "ResourceNotFoundException", "x", false},
		"throttled":     {fault.Throttledf("x"), 429, "ThrottlingException", "x", false},
		"internal":      {fault.Internalf("x"), 500, "InternalServerException", "x", true},
		"plain":         {errors.New("disk /dev/sda1 of erika@example.com"), 500, "InternalServerException", internalText, true},
		"context":       {context.DeadlineExceeded, 500, "InternalServerException", internalText, true},
		"closed":        {context.Canceled, 499, "InternalServerException", "The client closed the request.", false},
		"syntax":        {&restjson.SyntaxError{Message: "x"}, 400, "SerializationException", "x", false},
		"signature":     {&sigv4.Error{Code: sigv4.InvalidSignature, Message: "x"}, 403, "InvalidSignatureException", "x", false},
		"not built":     {notImplemented("X"), 501, "NotImplementedException", "Operation X is not implemented by this version of Kith.", false},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			w := httptest.NewRecorder()
			writeError(w, httptest.NewRequest("GET", "/", nil), slog.New(slog.NewTextHandler(&log, nil)), "id-1", c.err)
			if w.Code != c.status || w.Header().Get("x-amzn-ErrorType") != c.code || !strings.Contains(w.Body.String(), `essage":"`+c.message+`"`) {
				t.Errorf("%d %s %s", w.Code, w.Header().Get("x-amzn-ErrorType"), w.Body)
			}
			if logged := strings.Contains(log.String(), "id-1"); logged != c.internal {
				t.Errorf("logged %t: %s", logged, log.String())
			}
		})
	}
}

// The upload body's framing and digests, on bodies as SDKs send them.
func TestUploadBody(t *testing.T) {
	// "hello" with crc32 NhCmhg==, sha256 LPJNul…, md5 XUFAKrxLKna5cZ2REBfFkg==, crc64nvme M3eFcAZSQlc=, crc32c mnG7TA==
	chunked := "3;chunk-signature=00\r\nhel\r\n2;chunk-signature=00\r\nlo\r\n0;chunk-signature=00\r\n"
	for name, c := range map[string]struct {
		headers map[string]string
		body    string
		want    string
		code    string
	}{
		"plain":             {nil, "hello", "hello", ""},
		"md5":               {map[string]string{"Content-MD5": "XUFAKrxLKna5cZ2REBfFkg=="}, "hello", "hello", ""},
		"wrong md5":         {map[string]string{"Content-MD5": "XUFAKrxLKna5cZ2REBfFkg=="}, "hallo", "", "BadDigest"},
		"no md5":            {map[string]string{"Content-MD5": "hello"}, "hello", "", "InvalidDigest"},
		"crc32":             {map[string]string{"x-amz-checksum-crc32": "NhCmhg=="}, "hello", "hello", ""},
		"crc32c":            {map[string]string{"x-amz-checksum-crc32c": "mnG7TA=="}, "hello", "hello", ""},
		"crc64nvme":         {map[string]string{"x-amz-checksum-crc64nvme": "M3eFcAZSQlc="}, "hello", "hello", ""},
		"sha1":              {map[string]string{"x-amz-checksum-sha1": "qvTGHdzF6KLavt4PO0gs2a6pQ00="}, "hello", "hello", ""},
		"sha256":            {map[string]string{"x-amz-checksum-sha256": "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="}, "hello", "hello", ""},
		"wrong crc32":       {map[string]string{"x-amz-checksum-crc32": "AAAAAA=="}, "hello", "", "BadDigest"},
		"content sha256":    {map[string]string{"x-amz-content-sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}, "hello", "hello", ""},
		"lie":               {map[string]string{"x-amz-content-sha256": strings.Repeat("0", 64)}, "hello", "", "XAmzContentSHA256Mismatch"},
		"unsigned":          {map[string]string{"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, "hello", "hello", ""},
		"aws-chunked":       {map[string]string{"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "x-amz-decoded-content-length": "5"}, chunked + "\r\n", "hello", ""},
		"without last line": {map[string]string{"Content-Encoding": "aws-chunked"}, chunked, "hello", ""},
		"trailer":           {map[string]string{"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer": "x-amz-checksum-crc32"}, chunked + "x-amz-checksum-crc32:NhCmhg==\r\n\r\n", "hello", ""},
		"wrong trailer":     {map[string]string{"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer": "x-amz-checksum-crc32"}, chunked + "x-amz-checksum-crc32:AAAAAA==\r\n\r\n", "", "BadDigest"},
		"missing trailer":   {map[string]string{"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer": "x-amz-checksum-crc32"}, chunked + "\r\n", "", "BadDigest"},
		"wrong length":      {map[string]string{"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": "6"}, chunked, "", "InvalidRequest"},
		"no framing":        {map[string]string{"Content-Encoding": "aws-chunked"}, "hello", "", "InvalidRequest"},
		"cut":               {map[string]string{"Content-Encoding": "aws-chunked"}, "5\r\nhel", "", "InvalidRequest"},
		"too long a chunk":  {map[string]string{"Content-Encoding": "aws-chunked"}, "3\r\nhello\r\n0\r\n", "", "InvalidRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("PUT", "/", nil)
			for k, v := range c.headers {
				r.Header.Set(k, v)
			}
			b, err := newUploadBody(r, strings.NewReader(c.body))
			var got []byte
			if err == nil {
				got, err = io.ReadAll(b)
			}
			if err == nil {
				err = b.verify()
			}
			if c.code != "" {
				e, ok := errors.AsType[*s3Error](err)
				if !ok || e.Code != c.code {
					t.Fatalf("%v, want %s", err, c.code)
				}
				return
			}
			if err != nil || string(got) != c.want {
				t.Fatalf("%q, %v", got, err)
			}
		})
	}
}

func FuzzChunkedBody(f *testing.F) {
	f.Add([]byte("3;x\r\nabc\r\n0\r\na:b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := httptest.NewRequest("PUT", "/", nil)
		r.Header.Set("Content-Encoding", "aws-chunked")
		b, err := newUploadBody(r, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b)
		if err == nil && len(got) > len(data) {
			t.Fatalf("%d bytes out of %d", len(got), len(data))
		}
		_ = b.verify()
	})
}

func TestLimiter(t *testing.T) {
	l := newLimiter(Limits{PerOperation: map[string]float64{"A": 2, "*": 1}})
	count := func(domain, op string) (n int) {
		for range 5 {
			if err := l.allow(domain, op); err == nil {
				n++
			} else if !errors.Is(err, fault.Throttled) {
				t.Fatal(err)
			}
		}
		return n
	}
	if a, b, c := count("d", "A"), count("d", "B"), count("e", "A"); a != 2 || b != 1 || c != 2 {
		t.Fatalf("%d, %d, %d allowed", a, b, c)
	}
	if err := newLimiter(Limits{}).allow("d", "A"); err != nil {
		t.Fatal(err)
	}
}

func TestPanicIsA500WithoutItsText(t *testing.T) {
	var log bytes.Buffer
	s := &Server{Config: Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, metrics: newMetrics()}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil)) // no access service: a nil pointer
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "nil pointer") || !strings.Contains(log.String(), "nil pointer") ||
		!strings.Contains(log.String(), w.Header().Get("x-amzn-RequestId")) {
		t.Fatalf("%d %s\n%s", w.Code, w.Body, log.String())
	}
}

// Whatever the headers of a part say, the answer is one of the protocol's.
func FuzzTusHeaders(f *testing.F) {
	f.Add("0", "10", "sha1 AAAA")
	f.Add("-1", "x", "sha256 ")
	f.Add("9223372036854775807", "00", "md5 x")
	f.Add("+5", " 5", "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=")
	f.Fuzz(func(t *testing.T, offset, length, checksum string) {
		for _, text := range []string{offset, length} {
			if n, ok := tusNumber(text); ok && (n < 0 || strings.TrimLeft(text, "0123456789") != "") {
				t.Fatalf("%q is the number %d", text, n)
			}
		}
		verify, body, err := tusChecksum(checksum, strings.NewReader("body"))
		if err != nil {
			if e, ok := errors.AsType[*s3Error](err); !ok || e.Status != http.StatusBadRequest {
				t.Fatal(err)
			}
			return
		}
		if b, err := io.ReadAll(body); err != nil || string(b) != "body" {
			t.Fatalf("%q, %v", b, err)
		}
		if verify != nil {
			if err := verify(); err != nil {
				if e, ok := errors.AsType[*s3Error](err); !ok || e.Status != statusChecksumMismatch {
					t.Fatal(err)
				}
			}
		}
	})
}

// An engine that does not answer at the moment is a 500 with a hint to come again, and a reason for the log alone.
func TestUnavailableEnginesAskToComeAgain(t *testing.T) {
	for _, sentinel := range []error{fault.ErrUnavailable, fmt.Errorf("the store is %w", fault.ErrUnavailable), fault.ErrUnknown} {
		e, internal := classify(fmt.Errorf("read a domain: %w: host 10.0.0.1 is down", sentinel))
		if e.status != 500 || e.header.Get("Retry-After") == "" || !internal || strings.Contains(e.message, "10.0.0.1") || !strings.Contains(e.message, "again") {
			t.Errorf("%v: %+v, internal %t", sentinel, e, internal)
		}
		if errors.Is(sentinel, fault.ErrUnknown) != strings.Contains(e.message, "whether the request was carried out") {
			t.Errorf("%v: %s", sentinel, e.message)
		}
	}
}

// Rate limits are of all nodes together.
func TestLimitsAreShared(t *testing.T) {
	l := newLimiter(Limits{PerOperation: map[string]float64{"*": 8}})
	count := func() (n int) {
		for l.allow("d", "GetDomain") == nil {
			n++
		}
		return n
	}
	if n := count(); n < 8 || n > 9 {
		t.Fatalf("%d requests at once for one node, want 8", n)
	}
	l.share(4)
	if n := count(); n < 2 || n > 3 {
		t.Fatalf("%d requests at once for one of four nodes, want 2", n)
	}
	l.share(0) // a node always counts itself
	if n := count(); n < 8 || n > 9 {
		t.Fatalf("%d requests at once, want 8", n)
	}
}
