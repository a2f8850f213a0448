package server

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kith/blob"
	"kith/sigv4"
	"kith/upload"
)

// idleUpload is how long a client may send nothing before its upload is cut off.
const idleUpload = 2 * time.Minute

// keyFormula is what every refusal of a key says.
const keyFormula = "Send x-amz-server-side-encryption-customer-key: <ClientToken>, exactly as GetUploadJobPath returned it, and " +
	"x-amz-server-side-encryption-customer-key-MD5: base64(md5(base64decode(ClientToken)))."

// serveUpload is the target of the Url of GetUploadJobPath. It behaves as S3 PutObject with SSE-C does.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request, requestID string) {
	w.Header().Set("X-Amz-Request-Id", requestID)
	receive := s.receive
	if tusRequest(r) {
		receive = s.serveTus
	}
	err := receive(w, r)
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if err != nil {
		s.drain(w, r)
		writeS3Error(w, r, s.Log, requestID, err)
	}
}

func (s *Server) receive(w http.ResponseWriter, r *http.Request) error {
	domain, job, ok := uploadTarget(r)
	if !ok {
		return s3Fault(http.StatusNotFound, "NoSuchKey", "There is nothing at this path. Use the Url of GetUploadJobPath.")
	}
	if r.Method != http.MethodPut {
		w.Header().Set("Allow", "PUT, OPTIONS")
		return s3Fault(http.StatusMethodNotAllowed, "MethodNotAllowed", "Only PUT is allowed here, and HEAD, PATCH and DELETE with the header Tus-Resumable: "+tusVersion+".")
	}
	if err := requireKey(r); err != nil {
		return err
	}
	if err := s.verifyUpload(r); err != nil {
		return err
	}
	defer working(r)()
	key, err := customerKey(r)
	if err != nil {
		return err
	}
	if r.ProtoMajor == 1 && r.Header.Get("Content-Length") == "" && len(r.TransferEncoding) == 0 {
		return s3Fault(http.StatusLengthRequired, "MissingContentLength", "Send a Content-Length, or use chunked transfer encoding.")
	}
	if limit := s.Uploads.FileLimit(); limit > 0 && r.ContentLength > limit && !chunkedUpload(r) {
		return tooLarge(limit)
	}
	body, err := newUploadBody(r, &idleReader{r: r.Body, control: http.NewResponseController(w), metrics: s.metrics})
	if err != nil {
		return err
	}
	etag, err := s.Uploads.ReceiveFile(r.Context(), domain, job, key, body, body.verify)
	if err != nil {
		return s.uploadFault(err)
	}
	w.Header().Set("ETag", `"`+etag+`"`)
	w.Header().Set(upload.HeaderAlgorithm, "AES256")
	w.Header().Set(upload.HeaderKeyMD5, r.Header.Get(upload.HeaderKeyMD5))
	w.WriteHeader(http.StatusOK)
	return nil
}

// uploadFault words the ways an upload can be refused as S3 does.
func (s *Server) uploadFault(err error) error {
	switch {
	case errors.Is(err, upload.ErrNotCreated):
		return s3Fault(http.StatusForbidden, "AccessDenied", "The upload job is no longer CREATED and takes no file. Create a new job.")
	case errors.Is(err, upload.ErrWrongKey):
		return s3Fault(http.StatusBadRequest, "InvalidArgument", "The key is not this job's client token. "+keyFormula)
	case errors.Is(err, upload.ErrTooLarge):
		return tooLarge(s.Uploads.FileLimit())
	}
	if errors.Is(err, upload.ErrNoRoom) {
		return s3Fault(http.StatusInsufficientStorage, "InsufficientStorage", "The server's disk is nearly full and takes no files until there is room. Nothing of what was stored before is lost; try again later, or tell the operator.")
	}
	if cut, ok := errors.AsType[*cutError](err); ok {
		return s3Fault(http.StatusBadRequest, "IncompleteBody", cut.Error())
	}
	return err
}

// requireKey checks that the headers with the client's key are there.
func requireKey(r *http.Request) error {
	var missing []string
	for _, h := range []string{upload.HeaderAlgorithm, upload.HeaderKey, upload.HeaderKeyMD5} {
		if r.Header.Get(h) == "" {
			missing = append(missing, h)
		}
	}
	if missing != nil {
		return s3Fault(http.StatusBadRequest, "InvalidRequest", "Missing header "+strings.Join(missing, ", ")+". Send "+upload.HeaderAlgorithm+": AES256. "+keyFormula)
	}
	if r.Header.Get(upload.HeaderAlgorithm) != "AES256" {
		return s3Fault(http.StatusBadRequest, "InvalidEncryptionAlgorithmError", "The encryption algorithm must be AES256.")
	}
	return nil
}

// verifyUpload checks the signature in the URL, which was made for PUT.
func (s *Server) verifyUpload(r *http.Request) error {
	if r.Method != http.MethodPut {
		r = r.Clone(r.Context())
		r.Method = http.MethodPut
	}
	if _, err := s.uploader.Verify(r, nil); err != nil {
		return err
	}
	if !strings.Contains(r.URL.RawQuery, "X-Amz-Signature=") {
		return &sigv4.Error{Code: sigv4.MissingToken, Message: "Missing Authentication Token"}
	}
	return nil
}

func tooLarge(limit int64) error {
	return s3Fault(http.StatusBadRequest, "EntityTooLarge", "The file is larger than this server takes: "+bytesText(limit)+". Split it, or ask the operator to raise max_file_bytes.")
}

// uploadTarget reads /upload/<domain>/<job>.
func uploadTarget(r *http.Request) (domain, job string, ok bool) {
	rest, _ := strings.CutPrefix(r.URL.EscapedPath(), "/upload/")
	domain, job, ok = strings.Cut(rest, "/")
	name, err := url.PathUnescape(domain)
	return name, job, ok && err == nil && name != "" && job != "" && !strings.Contains(job, "/")
}

// customerKey checks the key headers against each other.
func customerKey(r *http.Request) (key blob.Key, err error) {
	raw, err := base64.StdEncoding.DecodeString(r.Header.Get(upload.HeaderKey))
	if err != nil || len(raw) != len(key) {
		return key, s3Fault(http.StatusBadRequest, "InvalidArgument", "The key must be the base64 form of 32 bytes. "+keyFormula)
	}
	sum := md5.Sum(raw) // the protocol asks for it
	if r.Header.Get(upload.HeaderKeyMD5) != base64.StdEncoding.EncodeToString(sum[:]) {
		return key, s3Fault(http.StatusBadRequest, "InvalidArgument", "The MD5 of the key is wrong: it is taken over the 32 decoded bytes and sent in base64, not in hex. "+keyFormula)
	}
	return blob.Key(raw), nil
}

// cutError says that the client's body ended early or could not be read.
type cutError struct{ reason string }

func (e *cutError) Error() string { return e.reason }

// idleReader reads a body as long as something comes within idleUpload.
type idleReader struct {
	r       io.Reader
	control *http.ResponseController
	metrics *metrics
	// stop, when closed, ends the reading as if the client had gone.
	stop <-chan struct{}
}

func (i *idleReader) Read(p []byte) (int, error) {
	select {
	case <-i.stop:
		return 0, &cutError{"Another request has taken over."}
	default:
	}
	_ = i.control.SetReadDeadline(time.Now().Add(idleUpload))
	n, err := i.r.Read(p)
	i.metrics.uploaded.Add(float64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		return n, &cutError{"The body ended early; nothing was stored, and an earlier upload stays as it was."}
	}
	return n, err
}
