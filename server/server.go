// Package server is the edge: HTTP in, operations out. A request passes authentication, authorisation, limits, decoding and
// validation, the operation, and encoding, in this order. It owns status codes and error bodies, page tokens on the wire,
// request ids, the S3-style upload endpoint, and metrics.
package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/rs/cors"

	"kith/access"
	"kith/api"
	"kith/domain"
	"kith/fault"
	"kith/internal/restjson"
	"kith/profile"
	"kith/sigv4"
	"kith/upload"
)

// MaxBody bounds a request body; the largest legal one is ten objects of 256000 characters, escaped.
const MaxBody = 6 << 20

// bodyTime is how long a request body may take.
const bodyTime = time.Minute

// Config is what the edge needs.
type Config struct {
	Domains  *domain.Service
	Profiles *profile.Service
	Uploads  *upload.Service
	Access   *access.Service
	Admin    *Admin
	Sealer   *access.Sealer
	Now      func() time.Time
	Log      *slog.Logger

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
}

// Server is the handler. Make it with New.
type Server struct {
	Config
	mux      *http.ServeMux
	routes   map[string]*route // pattern → route
	verifier sigv4.Verifier
	uploader sigv4.Verifier
	limiter  *limiter
	cors     *cors.Cors // nil: for no page
	metrics  *metrics
	// parts are the requests that are sending a part of a file: job id → *partRequest.
	parts sync.Map
}

// route is an operation bound to its method, or to nothing yet.
type route struct {
	op  api.Operation
	run func(ctx context.Context, in restjson.Input) (any, error)
	// tags is the index of the input's field Tags, when what the operation makes can have tags from the start; else -1.
	tags int
}

// New builds the handler.
func New(c Config) *Server {
	s := &Server{Config: c, mux: http.NewServeMux(), routes: map[string]*route{}, limiter: newLimiter(c.Limits), cors: newCORS(c.Origins), metrics: newMetrics()}
	var hosts []string
	if u, err := url.Parse(c.PublicURL); err == nil && u.Host != "" {
		hosts = append(hosts, u.Host)
	}
	s.verifier = sigv4.Verifier{Services: []string{"profile"}, Now: c.Now, AnyKey: c.AnyKey, Hosts: hosts, Secret: s.secret}
	s.uploader = sigv4.Verifier{Services: []string{"s3"}, Now: c.Now, Hosts: hosts, Secret: func(_ context.Context, id string) (string, error) {
		if id != upload.URLKeyID {
			return "", sigv4.ErrUnknownKey
		}
		return c.Uploads.URLSecret(), nil
	}}
	bound := s.bind()
	for _, op := range api.Operations {
		pattern := op.Method + " " + op.Path
		s.routes[pattern] = &route{op: op, run: bound[op.Name], tags: tagsField(op)}
		s.mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
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

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ServeHTTP answers a request. A panic becomes a 500 whose text is in the log only.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	requestID := newRequestID()
	w.Header().Set("X-Amzn-Requestid", requestID)
	start := time.Now()
	sw := &statusWriter{ResponseWriter: w}
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
	default:
		if err := s.serveOperation(sw, r, &name); err != nil {
			writeError(sw, r, s.Log, requestID, err)
		}
	}
}

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
	_, _ = io.WriteString(w, "ok\n")
}

func (s *Server) serveOperation(w http.ResponseWriter, r *http.Request, name *string) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := readBody(r)
	if err != nil {
		return err
	}
	_ = control.SetReadDeadline(time.Time{})
	// Authentication comes before everything that could tell a stranger what exists.
	who, err := s.verifier.Verify(r, body)
	if err != nil {
		return err
	}
	rt, matched, err := s.find(r)
	if err != nil {
		return err
	}
	*name = rt.op.Name
	in := rt.op.NewInput()
	decodeErr := restjson.Decode(matched, body, in)
	caller, err := s.authorize(r.Context(), who, rt, matched, in)
	if err != nil {
		return err
	}
	if err := s.limiter.allow(matched.PathValue("DomainName"), rt.op.Name); err != nil {
		return err
	}
	if decodeErr != nil {
		return decodeErr
	}
	var v restjson.Violations
	in.Validate(&v)
	if text := v.Message(); text != "" {
		return fault.BadRequestf("%s", text)
	}
	if rt.run == nil {
		return notImplemented(rt.op.Name)
	}
	ctx := upload.WithBaseURL(access.With(r.Context(), caller), s.baseURL(r))
	binding, err := s.openPage(rt.op, matched, in)
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
	s.sealPage(binding, out)
	return write(w, rt.op, out)
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		return nil, &restjson.SyntaxError{Message: "the body could not be read to its end"}
	}
	if len(body) > MaxBody {
		return nil, bodyTooLarge(MaxBody)
	}
	return body, nil
}

// find matches a request on its escaped path, with or without the "/v1" that some documents show.
func (s *Server) find(r *http.Request) (*route, *http.Request, error) {
	r = r.Clone(r.Context())
	if rest, ok := strings.CutPrefix(r.URL.Path, "/v1/"); ok {
		r.URL.Path = "/" + rest
		r.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, "/v1")
	}
	if strings.Contains(r.URL.EscapedPath(), "//") || strings.Contains(r.URL.EscapedPath()+"/", "/./") || strings.Contains(r.URL.EscapedPath()+"/", "/../") {
		return nil, nil, fault.BadRequestf("1 validation error detected: Value '' at a label of the path failed to satisfy constraint: Member must have length greater than or equal to 1")
	}
	if rt := s.match(r); rt != nil {
		return rt, r, nil
	}
	var allow []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if s.match(probe) != nil {
			allow = append(allow, method)
		}
	}
	if allow != nil {
		return nil, nil, methodNotAllowed(strings.Join(allow, ", "))
	}
	return nil, nil, unknownOperation()
}

// match returns the route of a request and sets its path values.
func (s *Server) match(r *http.Request) *route {
	_, pattern := s.mux.Handler(r)
	rt := s.routes[pattern]
	if rt == nil {
		return nil
	}
	want := strings.Split(strings.TrimPrefix(rt.op.Path, "/"), "/")
	have := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	if len(want) != len(have) {
		return nil
	}
	for i, seg := range want {
		if strings.HasPrefix(seg, "{") {
			v, err := url.PathUnescape(have[i])
			if err != nil {
				return nil
			}
			r.SetPathValue(strings.Trim(seg, "{}"), v)
		}
	}
	return rt
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

// openPage replaces the NextToken of a request by the cursor sealed in it. A token is bound to operation, domain and
// filter: everything of the request but the token itself and the page size.
func (s *Server) openPage(op api.Operation, r *http.Request, in restjson.Input) (binding string, err error) {
	paged, ok := in.(restjson.PagedInput)
	if !ok {
		return "", nil
	}
	token, limit := paged.PageToken()
	sealed := *token
	*token = nil
	var kept *int32
	if limit != nil {
		kept, *limit = *limit, nil
	}
	filter, err := json.Marshal(in, json.Deterministic(true))
	if err != nil {
		return "", err
	}
	query := r.URL.Query()
	query.Del("next-token")
	query.Del("max-results")
	sum := sha256.Sum256([]byte(r.URL.EscapedPath() + "\x00" + query.Encode() + "\x00" + string(filter)))
	binding = op.Name + "\x00" + r.PathValue("DomainName") + "\x00" + string(sum[:])
	if limit != nil {
		*limit = kept
	}
	if sealed == nil {
		return binding, nil
	}
	invalid := fault.BadRequestf("NextToken is not valid: use the token of the previous page with the same request, within a day.")
	raw, err := base64.RawURLEncoding.DecodeString(*sealed)
	if err != nil {
		return "", invalid
	}
	plain, err := s.Sealer.Open("page token", binding, raw)
	if err != nil || len(plain) < 8 {
		return "", invalid
	}
	until := int64(0)
	for _, b := range plain[:8] {
		until = until<<8 | int64(b)
	}
	if s.Now().Unix() > until {
		return "", invalid
	}
	cursor := string(plain[8:])
	*token = &cursor
	return binding, nil
}

// pageLife is how long a page token is good for.
const pageLife = 24 * time.Hour

func (s *Server) sealPage(binding string, out any) {
	paged, ok := out.(restjson.PagedOutput)
	if !ok {
		return
	}
	next := paged.NextPage()
	if *next == nil {
		return
	}
	until := s.Now().Add(pageLife).Unix()
	var plain []byte
	for shift := 56; shift >= 0; shift -= 8 {
		plain = append(plain, byte(until>>shift))
	}
	sealed := base64.RawURLEncoding.EncodeToString(s.Sealer.Seal("page token", binding, append(plain, **next...)))
	*next = &sealed
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

func write(w http.ResponseWriter, op api.Operation, out any) error {
	b, err := restjson.Encode(out)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	status := op.Status
	if so, ok := out.(restjson.StatusOutput); ok && so.HTTPStatus() != 0 {
		status = so.HTTPStatus()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
	return nil
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
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
