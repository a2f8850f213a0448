// Package s3 keeps blobs in a bucket of any S3-compatible store. Kith seals every blob itself (package blob) and sends
// ciphertext: stores differ in what they make of encryption headers, and are trusted with nothing.
//
// A blob is an object, written by a multipart upload unless it fits in one part, and visible when that is completed. What a
// writer that died left behind is an unfinished upload, which Sweep aborts.
package s3

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"kith/blob"
)

// Scheme is the scheme of a bucket's address.
const Scheme = "s3"

// Options say which bucket to use, and how.
type Options struct {
	Endpoint string // host[:port]
	Secure   bool   // TLS
	Bucket   string
	Prefix   string // of all objects; ends with "/" or is empty
	Region   string
	// AccessKey and SecretKey; when empty the usual AWS variables, the shared credentials file and the machine's role are asked.
	AccessKey, SecretKey string
}

// ParseAddress reads an address such as
//
//	s3://bucket/prefix?endpoint=http://minio:9000&region=us-east-1
//
// Without an endpoint it is AWS. Its errors say what to write.
func ParseAddress(address string) (Options, error) {
	o := Options{Endpoint: "s3.amazonaws.com", Secure: true}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != Scheme {
		return o, fmt.Errorf("%q must be %s://bucket/prefix?endpoint=https://host", address, Scheme)
	}
	if u.User != nil {
		return o, errors.New("keys don't belong into the bucket's address: give them as KITH_S3_ACCESS_KEY and KITH_S3_SECRET_KEY")
	}
	o.Bucket = u.Host
	if o.Bucket == "" {
		return o, fmt.Errorf("the address needs a bucket: %s://bucket", Scheme)
	}
	if o.Prefix = strings.Trim(u.Path, "/"); o.Prefix != "" {
		if err := blob.CheckName(o.Prefix); err != nil {
			return o, fmt.Errorf("the prefix %q of the address: segments of letters, digits, -, _ and . are allowed", o.Prefix)
		}
		o.Prefix += "/"
	}
	settings, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return o, fmt.Errorf("what stands after ? in the address: %w", err)
	}
	for name := range settings {
		v := settings.Get(name)
		switch name {
		case "endpoint":
			e, err := url.Parse(v)
			if err != nil || e.Scheme != "http" && e.Scheme != "https" || e.Host == "" || strings.Trim(e.Path, "/") != "" {
				return o, fmt.Errorf("endpoint=%s must be http(s)://host[:port]", v)
			}
			o.Endpoint, o.Secure = e.Host, e.Scheme == "https"
		case "region":
			o.Region = v
		default:
			return o, fmt.Errorf("the address has a setting nobody knows: %s (there are endpoint and region)", name)
		}
	}
	return o, nil
}

// Store is the engine. Make it with Open.
type Store struct {
	o    Options
	core *minio.Core
}

// Open checks that the bucket can be used. Its errors are sentences that say what to do.
func Open(ctx context.Context, o Options) (*Store, error) {
	creds := credentials.NewStaticV4(o.AccessKey, o.SecretKey, "")
	if o.AccessKey == "" {
		creds = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}})
	}
	core, err := minio.NewCore(o.Endpoint, &minio.Options{Creds: creds, Secure: o.Secure, Region: o.Region, MaxRetries: 3})
	if err != nil {
		return nil, fmt.Errorf("the bucket's address: %w", err)
	}
	s := &Store{o: o, core: core}
	// A list says what is wrong; the answer to a HEAD has no body to say it in.
	if _, err := core.ListObjectsV2(o.Bucket, o.Prefix, "", "", "", 1); err != nil {
		return nil, s.explain(err)
	}
	// What an import can't do without: one object is written, read and removed.
	name := o.Prefix + "kith-check-" + fmt.Sprint(time.Now().UnixNano())
	if _, err := core.Client.PutObject(ctx, o.Bucket, name, strings.NewReader("kith"), 4, minio.PutObjectOptions{}); err != nil {
		return nil, s.explain(err)
	}
	body, _, _, err := core.GetObject(ctx, o.Bucket, name, minio.GetObjectOptions{})
	if err == nil {
		_, err = io.Copy(io.Discard, body)
		err = errors.Join(err, body.Close())
	}
	if err := errors.Join(err, core.RemoveObject(ctx, o.Bucket, name, minio.RemoveObjectOptions{})); err != nil {
		return nil, s.explain(err)
	}
	return s, nil
}

// explain turns the error of opening a bucket into a sentence that says what to do.
func (s *Store) explain(err error) error {
	if e, ok := errors.AsType[minio.ErrorResponse](err); ok {
		switch e.Code {
		case "InvalidAccessKeyId", "SignatureDoesNotMatch":
			return fmt.Errorf("the store at %s refuses the access key or its secret (%s): give the bucket's own as KITH_S3_ACCESS_KEY and KITH_S3_SECRET_KEY", s.o.Endpoint, e.Code)
		case "AccessDenied":
			return fmt.Errorf("the access key may not use the bucket %q at %s: allow ListBucket, GetObject, PutObject, DeleteObject, ListBucketMultipartUploads and AbortMultipartUpload", s.o.Bucket, s.o.Endpoint)
		case "NoSuchBucket":
			return fmt.Errorf("there is no bucket %q at %s: make it, or correct the address", s.o.Bucket, s.o.Endpoint)
		case "RequestTimeTooSkewed":
			return fmt.Errorf("this machine's clock and that of the store at %s are too far apart: set both by NTP", s.o.Endpoint)
		case "AuthorizationHeaderMalformed", "PermanentRedirect":
			return fmt.Errorf("the bucket %q is in another region (%s): add ?region=… to the address", s.o.Bucket, e.Message)
		}
		return fmt.Errorf("the store at %s refuses the bucket %q: %s %s", s.o.Endpoint, s.o.Bucket, e.Code, e.Message)
	}
	return fmt.Errorf("the store at %s does not answer: check the endpoint and the network (%w)", s.o.Endpoint, err)
}

// convert turns a client's error into one of the contract's.
func convert(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[minio.ErrorResponse](err); ok {
		switch {
		case e.Code == "NoSuchKey" || e.StatusCode == http.StatusNotFound:
			return blob.ErrNotFound
		case e.StatusCode >= 500 || e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusConflict: // with another call: it may be made again
			return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
		}
		return fmt.Errorf("bucket: %w", err)
	}
	_, network := errors.AsType[net.Error](err)
	_, dial := errors.AsType[*url.Error](err)
	if network || dial || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
	}
	return err
}

// Parts of a multipart upload, in bytes. They grow, because there are at most 10,000: from 8 MiB for the first 1,000 to 128 MiB,
// which makes 867 GiB in all. A writer holds two of them.
const (
	firstPart = 8 << 20
	maxPart   = 128 << 20
)

func partSize(number int) int {
	return min(maxPart, firstPart<<(number/1000))
}

// Create implements blob.Store.
func (s *Store) Create(ctx context.Context, name string, key blob.Key) (blob.Writer, error) {
	if err := errors.Join(ctx.Err(), blob.CheckName(name)); err != nil {
		return nil, err
	}
	w := &writer{s: s, ctx: ctx, name: name}
	var err error
	w.sealed, err = blob.Seal(parts{w}, key)
	return w, err
}

// CreateScratch implements blob.Store. An import writes to as many scratch blobs at a time as it has buckets: their sealed bytes
// wait in temporary files, not in memory, and are sent by Commit.
func (s *Store) CreateScratch(ctx context.Context, name string, key blob.Key) (blob.Writer, error) {
	if err := errors.Join(ctx.Err(), blob.CheckName(name)); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "kith-scratch-*")
	if err != nil {
		return nil, fmt.Errorf("create a scratch blob: %w", err)
	}
	// Without a name it goes with its last descriptor, whatever becomes of this process.
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	buffered := bufio.NewWriterSize(f, scratchBuffer)
	w := &scratch{s: s, ctx: ctx, name: name, file: f, buffered: buffered}
	if w.sealed, err = blob.Seal(buffered, key); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return w, nil
}

// scratchBuffer is small, because there may be thousands.
const scratchBuffer = 16 << 10

// scratch writes a blob to a temporary file first.
type scratch struct {
	s        *Store
	ctx      context.Context
	name     string
	file     *os.File
	buffered *bufio.Writer
	sealed   io.WriteCloser
	size     int64 // plaintext
	done     bool
}

func (w *scratch) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.sealed.Write(p)
	w.size += int64(n)
	return n, err
}

func (w *scratch) Abort() {
	if !w.done {
		w.done = true
		_ = w.file.Close()
	}
}

func (w *scratch) Commit() (blob.Info, error) {
	if w.done {
		return blob.Info{}, fmt.Errorf("commit a blob: %w", errEnded)
	}
	defer w.Abort()
	if err := errors.Join(w.sealed.Close(), w.buffered.Flush()); err != nil {
		return blob.Info{}, fmt.Errorf("commit a blob: %w", err)
	}
	size, err := w.file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = w.file.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = w.s.PutSealed(w.ctx, w.name, w.file, size)
	}
	if err != nil {
		return blob.Info{}, fmt.Errorf("commit a blob: %w", err)
	}
	return blob.Info{Name: w.name, Size: w.size, ModTime: time.Now()}, nil
}

// writer collects a blob into parts and sends each from a goroutine of its own, one at a time: while one is sent the next fills.
type writer struct {
	s      *Store
	ctx    context.Context
	name   string
	sealed io.WriteCloser
	size   int64 // plaintext
	buf    []byte
	upload string // the id of the multipart upload, once there is one
	sent   []minio.CompletePart
	flying chan error // the outcome of the part that is being sent
	err    error
	done   bool
}

// parts receives the sealed bytes of a writer.
type parts struct{ w *writer }

func (p parts) Write(b []byte) (int, error) {
	w, n := p.w, len(b)
	for len(b) > 0 {
		limit := partSize(len(w.sent))
		k := min(limit-len(w.buf), len(b))
		w.buf = append(w.buf, b[:k]...)
		if b = b[k:]; len(w.buf) == limit {
			if err := w.send(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, errEnded
	}
	if err := errors.Join(w.err, w.ctx.Err()); err != nil {
		return 0, err
	}
	n, err := w.sealed.Write(p)
	w.size += int64(n)
	if err != nil {
		w.err = err
	}
	return n, err
}

var errEnded = errors.New("the writer has ended")

// wait waits for the part that is being sent.
func (w *writer) wait() error {
	if w.flying == nil {
		return nil
	}
	err := <-w.flying
	w.flying = nil
	return err
}

// send sends what is in the buffer as the next part.
func (w *writer) send() error {
	if w.upload == "" {
		id, err := w.s.core.NewMultipartUpload(w.ctx, w.s.o.Bucket, w.s.o.Prefix+w.name, minio.PutObjectOptions{})
		if err != nil {
			return convert(w.ctx, err)
		}
		w.upload = id
	}
	if err := w.wait(); err != nil {
		return err
	}
	part, number, flying := w.buf, len(w.sent)+1, make(chan error, 1)
	w.sent = append(w.sent, minio.CompletePart{PartNumber: number})
	w.buf, w.flying = nil, flying
	at := &w.sent[number-1]
	go func() {
		up, err := w.s.core.PutObjectPart(w.ctx, w.s.o.Bucket, w.s.o.Prefix+w.name, w.upload, number, bytes.NewReader(part), int64(len(part)), minio.PutObjectPartOptions{})
		at.ETag = up.ETag
		flying <- convert(w.ctx, err)
	}()
	return nil
}

func (w *writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	_ = w.wait()
	if w.upload != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 10*time.Second)
		defer cancel()
		_ = w.s.core.AbortMultipartUpload(ctx, w.s.o.Bucket, w.s.o.Prefix+w.name, w.upload)
	}
}

func (w *writer) Commit() (blob.Info, error) {
	if w.done {
		return blob.Info{}, fmt.Errorf("commit a blob: %w", errEnded)
	}
	if err := w.commit(); err != nil {
		w.Abort()
		return blob.Info{}, fmt.Errorf("commit a blob: %w", err)
	}
	w.done = true
	return blob.Info{Name: w.name, Size: w.size, ModTime: time.Now()}, nil
}

func (w *writer) commit() error {
	if err := errors.Join(w.err, w.ctx.Err()); err != nil {
		return err
	}
	if err := w.sealed.Close(); err != nil {
		return err
	}
	bucket, name := w.s.o.Bucket, w.s.o.Prefix+w.name
	if w.upload == "" {
		_, err := w.s.core.PutObject(w.ctx, bucket, name, bytes.NewReader(w.buf), int64(len(w.buf)), "", "", minio.PutObjectOptions{})
		return convert(w.ctx, err)
	}
	if len(w.buf) > 0 {
		if err := w.send(); err != nil {
			return err
		}
	}
	if err := w.wait(); err != nil {
		return err
	}
	_, err := w.s.core.CompleteMultipartUpload(w.ctx, bucket, name, w.upload, w.sent, minio.PutObjectOptions{})
	return convert(w.ctx, err)
}

// PutSealed stores a blob that is sealed already, of size bytes.
func (s *Store) PutSealed(ctx context.Context, name string, r io.Reader, size int64) error {
	if err := errors.Join(ctx.Err(), blob.CheckName(name)); err != nil {
		return err
	}
	_, err := s.core.Client.PutObject(ctx, s.o.Bucket, s.o.Prefix+name, r, size, minio.PutObjectOptions{})
	return convert(ctx, err)
}

// Open implements blob.Store. A reader holds on to the object it opened by its entity tag; when the name has been replaced
// since, reading fails.
func (s *Store) Open(ctx context.Context, name string, key blob.Key) (blob.Reader, error) {
	if err := errors.Join(ctx.Err(), blob.CheckName(name)); err != nil {
		return nil, err
	}
	info, err := s.core.StatObject(ctx, s.o.Bucket, s.o.Prefix+name, minio.StatObjectOptions{})
	if err != nil {
		return nil, convert(ctx, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	o := &object{s: s, ctx: ctx, name: s.o.Prefix + name, etag: info.ETag, size: info.Size}
	plain, err := blob.UnsealRanges(o, info.Size, key, o.stream)
	if err != nil {
		err = convert(ctx, err)
		cancel()
		return nil, err
	}
	return &reader{Plain: plain, cancel: cancel}, nil
}

type reader struct {
	*blob.Plain
	cancel context.CancelFunc
}

func (r *reader) Close() error {
	r.cancel()
	return nil
}

// object reads ranges of the sealed bytes.
type object struct {
	s          *Store
	ctx        context.Context
	name, etag string
	size       int64
}

// ReadAt implements io.ReaderAt.
func (o *object) ReadAt(b []byte, off int64) (int, error) {
	n, err := io.ReadFull(o.stream(off, int64(len(b))), b)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// stream returns up to n bytes from off, as one request.
func (o *object) stream(off, n int64) io.Reader {
	return &section{o: o, off: off, end: min(off+n, o.size)}
}

// again is how often a range is asked for anew, from where it was cut.
const again = 4

// section is a range being read. Its request ends with it, or with the context of its object.
type section struct {
	o        *object
	off, end int64
	body     io.ReadCloser
	failed   int
}

func (s *section) Read(b []byte) (int, error) {
	for {
		if s.off >= s.end {
			s.close()
			return 0, io.EOF
		}
		var n int
		var err error
		if s.body == nil {
			s.body, err = s.o.open(s.off, s.end-1)
		}
		if err == nil {
			n, err = s.body.Read(b)
			s.off += int64(n)
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // of a body that is shorter than the range; one that isn't is not asked again
			}
			if n > 0 || s.off >= s.end {
				s.failed = 0
				if s.off >= s.end {
					s.close()
				}
				return n, nil
			}
		}
		if err == nil {
			continue
		}
		s.close()
		if err = convert(s.o.ctx, err); !errors.Is(err, blob.ErrUnavailable) || s.failed == again {
			return 0, err
		}
		s.failed++
		select {
		case <-s.o.ctx.Done():
			return 0, s.o.ctx.Err()
		case <-time.After(100 * time.Millisecond << s.failed):
		}
	}
}

func (s *section) close() {
	if s.body != nil {
		_ = s.body.Close()
		s.body = nil
	}
}

// open asks for the bytes from first to last.
func (o *object) open(first, last int64) (io.ReadCloser, error) {
	var opts minio.GetObjectOptions
	if err := opts.SetRange(first, last); err != nil {
		return nil, err
	}
	if err := opts.SetMatchETag(o.etag); err != nil {
		return nil, err
	}
	r, _, _, err := o.s.core.GetObject(o.ctx, o.s.o.Bucket, o.name, opts)
	return r, convert(o.ctx, err)
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := errors.Join(ctx.Err(), blob.CheckName(name)); err != nil {
		return err
	}
	err := convert(ctx, s.core.RemoveObject(ctx, s.o.Bucket, s.o.Prefix+name, minio.RemoveObjectOptions{}))
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	return err
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range s.core.Client.ListObjects(ctx, s.o.Bucket, minio.ListObjectsOptions{Prefix: s.o.Prefix + prefix, Recursive: true}) {
			if o.Err != nil {
				yield(blob.Info{}, convert(ctx, o.Err))
				return
			}
			size, err := blob.PlainSize(o.Size)
			if err != nil {
				continue // not a blob of ours
			}
			if !yield(blob.Info{Name: strings.TrimPrefix(o.Key, s.o.Prefix), Size: size, ModTime: o.LastModified}, nil) {
				return
			}
		}
	}
}

// Sweep aborts the uploads of writers that have been silent for longer than age: those of processes that died.
func (s *Store) Sweep(ctx context.Context, age time.Duration) error {
	for u := range s.core.ListIncompleteUploads(ctx, s.o.Bucket, s.o.Prefix, true) {
		if u.Err != nil {
			return convert(ctx, u.Err)
		}
		if time.Since(u.Initiated) < age {
			continue
		}
		if err := s.core.AbortMultipartUpload(ctx, s.o.Bucket, u.Key, u.UploadID); err != nil {
			if err := convert(ctx, err); !errors.Is(err, blob.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

// Close implements blob.Store.
func (s *Store) Close() error { return nil }
