package server

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"kith/upload"
)

// The resumable form of the upload URL, for clients that ask for it: tus 1.0.0 (https://tus.io/protocols/resumable-upload) with
// the extensions checksum and termination. There is no creation: the URL of GetUploadJobPath is the upload. The first PATCH
// carries Upload-Length. The offset belongs to the job, so that a fresh URL goes on where an expired one ended.
const (
	tusVersion    = "1.0.0"
	tusExtensions = "checksum,termination"
	tusExposed    = "Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Offset, Upload-Length, Upload-Defer-Length"
	tusBody       = "application/offset+octet-stream"
	// statusChecksumMismatch is the protocol's own.
	statusChecksumMismatch = 460
)

// tusRequest says whether a client speaks tus. Only OPTIONS may come without the header.
func tusRequest(r *http.Request) bool {
	return r.Header.Get("Tus-Resumable") != "" || r.Method == http.MethodOptions && strings.Contains(r.URL.RawQuery, "X-Amz-Signature=")
}

// partRequest is a request that is sending a part of a file.
type partRequest struct {
	cancel func()
	done   chan struct{}
}

func (s *Server) serveTus(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Tus-Resumable", tusVersion)
	domain, job, ok := uploadTarget(r)
	if !ok {
		return s3Fault(http.StatusNotFound, "NoSuchKey", "There is nothing at this path. Use the Url of GetUploadJobPath.")
	}
	if err := s.verifyUpload(r); err != nil {
		return err
	}
	defer working(r)()
	if v := r.Header.Get("Tus-Resumable"); v != tusVersion && r.Method != http.MethodOptions {
		w.Header().Set("Tus-Version", tusVersion)
		return s3Fault(http.StatusPreconditionFailed, "PreconditionFailed", "This server speaks tus "+tusVersion+" only.")
	}
	switch r.Method {
	case http.MethodOptions:
		w.Header().Set("Tus-Version", tusVersion)
		w.Header().Set("Tus-Extension", tusExtensions)
		w.Header().Set("Tus-Checksum-Algorithm", "sha1,sha256")
		if limit := s.Uploads.FileLimit(); limit > 0 {
			w.Header().Set("Tus-Max-Size", strconv.FormatInt(limit, 10))
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodHead:
		s.interrupt(job)
		return s.tusOffset(w, r, domain, job)
	case http.MethodPatch:
		return s.tusPatch(w, r, domain, job)
	case http.MethodDelete:
		s.interrupt(job)
		if err := s.Uploads.DropPart(r.Context(), domain, job); err != nil {
			return s.uploadFault(err)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodPut:
		return s.receive(w, r)
	}
	w.Header().Set("Allow", "PUT, HEAD, PATCH, DELETE, OPTIONS")
	return s3Fault(http.StatusMethodNotAllowed, "MethodNotAllowed", "Only PUT, HEAD, PATCH, DELETE and OPTIONS are allowed here.")
}

// interrupt ends the request that is sending a part of the job's file, if there is one, and waits until what it brought is kept:
// a client that asks again has given that connection up.
func (s *Server) interrupt(job string) {
	v, ok := s.parts.Load(job)
	if !ok {
		return
	}
	p := v.(*partRequest)
	p.cancel()
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
	}
}

func (s *Server) tusOffset(w http.ResponseWriter, r *http.Request, domain, job string) error {
	p, err := s.Uploads.PartialFile(r.Context(), domain, job)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if p == nil {
		w.Header().Set("Upload-Offset", "0")
		w.Header().Set("Upload-Defer-Length", "1")
	} else {
		w.Header().Set("Upload-Offset", strconv.FormatInt(p.Offset, 10))
		w.Header().Set("Upload-Length", strconv.FormatInt(p.Length, 10))
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) tusPatch(w http.ResponseWriter, r *http.Request, domain, job string) error {
	if err := requireKey(r); err != nil {
		return err
	}
	key, err := customerKey(r)
	if err != nil {
		return err
	}
	if r.Header.Get("Content-Type") != tusBody {
		return s3Fault(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "A PATCH must have Content-Type: "+tusBody+".")
	}
	offset, ok := tusNumber(r.Header.Get("Upload-Offset"))
	if !ok {
		return s3Fault(http.StatusBadRequest, "InvalidArgument", "Upload-Offset must say, in bytes, where the body belongs; HEAD tells where the upload stands.")
	}
	length := int64(-1)
	if text := r.Header.Get("Upload-Length"); text != "" {
		if length, ok = tusNumber(text); !ok {
			return s3Fault(http.StatusBadRequest, "InvalidArgument", "Upload-Length must be the size of the whole file in bytes.")
		}
	}
	s.interrupt(job)
	control := http.NewResponseController(w)
	stop := make(chan struct{})
	part := &partRequest{done: make(chan struct{}), cancel: sync.OnceFunc(func() {
		close(stop)
		_ = control.SetReadDeadline(time.Now()) // wakes a read that waits
	})}
	if _, busy := s.parts.LoadOrStore(job, part); busy {
		return s3Fault(http.StatusLocked, "Locked", "Another request is sending this file. Ask with HEAD where the upload stands, then go on.")
	}
	defer func() {
		s.parts.Delete(job)
		close(part.done)
	}()
	body := io.Reader(&idleReader{r: r.Body, control: control, metrics: s.metrics, stop: stop})
	verify, body, err := tusChecksum(r.Header.Get("Upload-Checksum"), body)
	if err != nil {
		return err
	}
	at, err := s.Uploads.ReceivePart(r.Context(), domain, job, key, offset, length, body, verify)
	w.Header().Set("Upload-Offset", strconv.FormatInt(at, 10))
	switch {
	case errors.Is(err, upload.ErrOffset):
		return s3Fault(http.StatusConflict, "InvalidOffset", "The upload stands at another offset. Ask with HEAD where, and go on from there; DELETE starts over.")
	case errors.Is(err, upload.ErrLength):
		return s3Fault(http.StatusBadRequest, "InvalidArgument", "Upload-Length is missing in the first PATCH, differs from what the first one said, or the body goes beyond it. DELETE starts over.")
	case errors.Is(err, upload.ErrTooLarge):
		fault := tooLarge(s.Uploads.FileLimit()).(*s3Error)
		fault.Status = http.StatusRequestEntityTooLarge
		return fault
	case err != nil:
		return s.uploadFault(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func tusNumber(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 63) // no sign
	return int64(n), err == nil
}

// tusChecksum checks a body against Upload-Checksum, "algorithm base64". Without one verify is nil.
func tusChecksum(header string, body io.Reader) (verify func() error, _ io.Reader, err error) {
	if header == "" {
		return nil, body, nil
	}
	algorithm, text, _ := strings.Cut(header, " ")
	var h hash.Hash
	switch algorithm {
	case "sha1":
		h = sha1.New()
	case "sha256":
		h = sha256.New()
	default:
		return nil, nil, s3Fault(http.StatusBadRequest, "InvalidDigest", "Upload-Checksum must be sha1 or sha256 and the base64 form of the digest.")
	}
	want, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(want) != h.Size() {
		return nil, nil, s3Fault(http.StatusBadRequest, "InvalidDigest", "Upload-Checksum must be sha1 or sha256 and the base64 form of the digest.")
	}
	verify = func() error {
		if subtle.ConstantTimeCompare(want, h.Sum(nil)) != 1 {
			return s3Fault(statusChecksumMismatch, "BadDigest", "The body that arrived does not match Upload-Checksum; none of it was kept. Send it again.")
		}
		return nil
	}
	return verify, io.TeeReader(body, h), nil
}
