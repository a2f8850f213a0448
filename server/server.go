// Package server is the edge: HTTP in, operations out. A request passes authentication, authorisation, limits, decoding and
// validation, the operation, and encoding, in this order. It owns status codes and error bodies, page tokens on the wire,
// request ids, the S3-style upload endpoint, and metrics.
package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/cors"

	"kith/access"
	"kith/api"
	"kith/catalog"
	"kith/deadletter"
	"kith/domain"
	"kith/fault"
	"kith/integration"
	"kith/internal/restjson"
	identity "kith/match"
	"kith/match/rule"
	"kith/objecttype"
	"kith/privacy"
	"kith/profile"
	"kith/query"
	"kith/sigv4"
	"kith/upload"
)

// Config is what the edge needs.
type Config struct {
	Domains      *domain.Service
	Types        *objecttype.Service
	Profiles     *profile.Service
	Uploads      *upload.Service
	Query        *query.Service
	Rules        *rule.Service
	Integrations *integration.Service
	Catalog      *catalog.Service
	Matches      *identity.Service
	Access       *access.Service
	Admin        *Admin
	Sealer       *access.Sealer
	Now          func() time.Time
	Log          *slog.Logger
	Letters      *deadletter.Service
	Privacy      *privacy.Service

	// Damaged says that stored data was found damaged, so that some calls fail; nil never does.
	Damaged func() bool
	// AnyKey accepts every signature and allows everything, to who is no page of another origin: --dev.
	AnyKey bool
	// Origins are those of web pages that may read answers, as browsers send them, or "*" for all.
	Origins []string
	// PublicURL is the scheme and host clients reach the server by; "" takes them from the request.
	PublicURL string
	// Limits are requests per second.
	Limits Limits
	// MetricsToken lets scrapers in by "Authorization: Bearer"; "" allows loopback only.
	MetricsToken string
	// Local is an access key that exists for the life of this process only, for commands on the same machine.
	Local *access.Key
	// BodyMemory bounds the bytes of request bodies held at a time; 0 is DefaultBodyMemory.
	BodyMemory int64
}

// Server is the handler. Make it with New.
type Server struct {
	Config
	router   router
	routes   []*route
	verifier sigv4.Verifier
	uploader sigv4.Verifier
	callers  sigv4.Verifier // of requests in the query protocol
	limiter  *limiter
	cors     *cors.Cors // nil: for no page
	metrics  *metrics
	bodies   bodyBudget
	drains   chan struct{} // one for each body that is being drained
	// parts are the requests that are sending a part of a file: job id → *partRequest.
	parts sync.Map
}

// route is an operation bound to its method, or to nothing yet.
type route struct {
	op     api.Operation
	labels []string // of the path, in its order
	run    func(ctx context.Context, in restjson.Input) (any, error)
	// tags is the index of the input's field Tags, when what the operation makes can have tags from the start; else -1.
	tags int
	// addressed says that its answer may have an address of this server.
	addressed bool
}

// New builds the handler.
func New(c Config) *Server {
	s := &Server{Config: c, limiter: newLimiter(c.Limits), cors: newCORS(c.Origins), metrics: newMetrics(), drains: make(chan struct{}, maxDrains)}
	s.bodies.limit = cmp.Or(c.BodyMemory, DefaultBodyMemory)
	var hosts []string
	if u, err := url.Parse(c.PublicURL); err == nil && u.Host != "" {
		hosts = append(hosts, u.Host)
	}
	s.verifier = sigv4.Verifier{Services: []string{"profile"}, Now: c.Now, AnyKey: c.AnyKey, Hosts: hosts, Secret: s.secret}
	s.callers = sigv4.Verifier{Services: []string{stsService}, Now: c.Now, AnyKey: c.AnyKey, Hosts: hosts, Secret: s.secret}
	s.uploader = sigv4.Verifier{Services: []string{"s3"}, Now: c.Now, Hosts: hosts, Secret: func(_ context.Context, id string) (string, error) {
		if id != upload.URLKeyID {
			return "", sigv4.ErrUnknownKey
		}
		return c.Uploads.URLSecret(), nil
	}}
	bound := s.bind()
	for _, op := range api.Operations {
		rt := &route{op: op, run: bound[op.Name], tags: tagsField(op), addressed: strings.Contains(op.Name, "UploadJob")}
		s.router.add(rt)
		s.routes = append(s.routes, rt)
	}
	return s
}

// Implemented says whether an operation is bound to a method.
func (s *Server) Implemented(name string) bool {
	for _, r := range s.routes {
		if r.op.Name == name {
			return r.run != nil
		}
	}
	return false
}

// secret returns the secret of an access key for the verifier.
func (s *Server) secret(ctx context.Context, id string) (string, error) {
	if s.Local != nil && id == s.Local.ID {
		return s.Local.Secret, nil
	}
	key, err := s.Access.Lookup(ctx, id)
	return key.Secret, err
}

// newRequestID returns a random UUID. It names a request in the log and is no secret.
func newRequestID() string {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:], rand.Uint64())
	binary.NativeEndian.PutUint64(b[8:], rand.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var room [36]byte
	text, from := room[:0], 0
	for _, to := range [...]int{4, 6, 8, 10, 16} {
		if from > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, b[from:to])
		from = to
	}
	return string(text)
}

// ServeHTTP answers a request. A panic becomes a 500 whose text is in the log only.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{id: [1]string{newRequestID()}, body: heldBody{budget: &s.bodies}}
	c.ResponseWriter = w
	w.Header()["X-Amzn-Requestid"] = c.id[:]
	requestID, sw, start := c.id[0], &c.statusWriter, time.Now()
	name := "unknown"
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { // the documented sentinel of net/http
				panic(p)
			}
			s.Log.Error("panic in a request", "request", requestID, "operation", name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			if sw.status == 0 {
				writeError(sw, r, s.Log, requestID, errors.New("panic"))
			}
		}
		s.metrics.observe(name, sw.status, time.Since(start))
	}()
	if answered := s.browser(sw, r, requestID); answered != "" {
		name = answered
		return
	}
	switch {
	case r.URL.Path == "/healthz":
		name = "healthz"
		s.health(sw, r)
	case r.URL.Path == "/metrics":
		name = "metrics"
		s.serveMetrics(sw, r, requestID)
	case strings.HasPrefix(r.URL.Path, "/upload/"):
		name = "upload"
		s.serveUpload(sw, r, requestID)
	case isQuery(r):
		if err := s.serveQuery(sw, r, requestID, &name); err != nil {
			writeQueryError(sw, r, s.Log, requestID, err)
		}
	default:
		if err := s.serveOperation(c, r, &name); err != nil {
			writeError(sw, r, s.Log, requestID, err)
		}
	}
}

// Degraded is what the health check says of a server that can't read a part of its data.
const Degraded = "degraded: stored data is damaged; kith check tells what is affected"

// health answers when the store does.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second) // a balancer wants to know soon
	defer cancel()
	if _, err := s.Access.Empty(ctx); err != nil {
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "the store does not answer\n")
		return
	}
	if s.Damaged != nil && s.Damaged() {
		_, _ = io.WriteString(w, Degraded+"\n") // with 200: other calls go well, and a restart mends nothing
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// call is what a request needs memory for while it is answered, in one piece.
type call struct {
	statusWriter
	id         [1]string // of the request, as a header has it
	labels     labels
	body       heldBody
	reader     restjson.Reader
	violations restjson.Violations
}

func (s *Server) serveOperation(c *call, r *http.Request, name *string) error {
	w, body := &c.statusWriter, &c.body
	defer body.release()
	// Authentication comes before everything that could tell a stranger what exists; the route only bounds the body until then.
	rt, found, findErr := s.find(r)
	c.labels = found
	limit := int64(MaxBody)
	if findErr == nil {
		limit = rt.op.MaxBody
	}
	who, err := s.authenticate(w, r, &s.verifier, limit, body)
	if err != nil {
		body.release()
		s.drain(w, r)
		return err
	}
	defer working(r)()
	if findErr != nil {
		return findErr
	}
	*name = rt.op.Name
	in := rt.op.NewInput()
	decodeErr := c.reader.Decode(r, &c.labels, body.bytes, in)
	caller, err := s.authorize(r.Context(), who, rt, &c.labels, in)
	if err != nil {
		return err
	}
	if err := s.limiter.allow(c.labels.PathValue("DomainName"), rt.op.Name); err != nil {
		return err
	}
	if decodeErr != nil {
		return decodeErr
	}
	in.Validate(&c.violations)
	if text := c.violations.Message(); text != "" {
		return fault.BadRequestf("%s", text)
	}
	if rt.run == nil {
		return notImplemented(rt.op.Name)
	}
	ctx := access.With(r.Context(), caller)
	if rt.addressed {
		ctx = upload.WithBaseURL(ctx, s.baseURL(r))
	}
	page, err := s.openPage(rt.op, r, &c.labels, in)
	if err != nil {
		return err
	}
	out, err := rt.run(ctx, in)
	if err != nil {
		return err
	}
	if so, ok := out.(restjson.StreamOutput); ok {
		return s.stream(w, so.Payload())
	}
	if err := page.seal(out); err != nil {
		return err
	}
	return write(w, rt.op, out)
}

// authenticate judges a request's headers, reads its body of at most limit bytes, and judges that.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, v *sigv4.Verifier, limit int64, body *heldBody) (sigv4.Verified, error) {
	pending, err := v.Begin(r)
	if err != nil {
		return pending.Verified, err
	}
	if err := s.readBody(w, r, limit, body); err != nil {
		return pending.Verified, err
	}
	return pending.Verified, pending.Finish(sha256.Sum256(body.bytes))
}

// baseURL is the scheme and host that clients reach the server by.
func (s *Server) baseURL(r *http.Request) string {
	if s.PublicURL != "" {
		return strings.TrimSuffix(s.PublicURL, "/")
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// streamStep is how long a client may take to read a part of a streamed body.
const streamStep = 2 * time.Minute

// stream answers with a body that is made on the way. An error in the middle cuts the connection, so that nobody takes the
// part for the whole.
func (s *Server) stream(w http.ResponseWriter, body *restjson.Stream) error {
	w.Header().Set("Content-Type", body.ContentType)
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": body.FileName}))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := &pacedWriter{w: w, control: http.NewResponseController(w)}
	err := body.Write(out)
	if err == nil {
		return nil
	}
	if !out.begun {
		w.Header().Del("Content-Disposition")
		return err
	}
	s.Log.Error("a streamed answer was cut", "error", err)
	panic(http.ErrAbortHandler)
}

// pacedWriter gives every write its time.
type pacedWriter struct {
	w       io.Writer
	control *http.ResponseController
	begun   bool
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	p.begun = true
	_ = p.control.SetWriteDeadline(time.Now().Add(streamStep))
	return p.w.Write(b)
}

// answers are buffers for answers, used again: a *[]byte each.
var answers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// maxKept is the largest buffer that is kept.
const maxKept = 64 << 10

// jsonType is shared by the headers of all answers; nobody changes a value in place.
var jsonType = []string{"application/json"}

func write(w http.ResponseWriter, op api.Operation, out any) error {
	buf := answers.Get().(*[]byte)
	defer answers.Put(buf)
	b, err := restjson.Append((*buf)[:0], out)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	if cap(b) <= maxKept {
		*buf = b
	}
	status := op.Status
	if so, ok := out.(restjson.StatusOutput); ok && so.HTTPStatus() != 0 {
		status = so.HTTPStatus()
	}
	h := w.Header()
	h["Content-Type"], h["Date"] = jsonType, today.at(time.Now())
	if len(b) > measured {
		h["Content-Length"] = []string{strconv.Itoa(len(b))}
	}
	w.WriteHeader(status)
	_, _ = w.Write(b)
	return nil
}

// measured is the length of a body up to which net/http declares it by itself; it would send larger ones in chunks.
const measured = 2 << 10

// date is the header Date, made once a second: net/http would make it for each answer.
type date struct{ now atomic.Pointer[dateText] }

// dateText is the header of a second.
type dateText struct {
	second int64
	text   [1]string
}

var today date

// at returns the header's values. They are shared.
func (d *date) at(now time.Time) []string {
	of := d.now.Load()
	if second := now.Unix(); of == nil || of.second != second {
		of = &dateText{second, [1]string{now.UTC().Format(http.TimeFormat)}}
		d.now.Store(of)
	}
	return of.text[:]
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader gives the answer its time, too: who does not read it must not keep it here. net/http takes the deadline of a connection away after
// each answer.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(streamStep))
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// loopback says whether the peer is on this machine and no proxy stands between.
func loopback(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	proxied := slices.ContainsFunc([]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}, func(h string) bool { return r.Header.Get(h) != "" })
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback() && !proxied
}

func bytesText(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
