// Package sigv4 verifies AWS Signature Version 4 and mints pre-signed URLs.
//
// The canonical request is built by hand from the wire: the escaped path, the raw query and the headers that the client says
// it signed. Headers outside that list are not covered by the signature; callers must not trust them. The body hash is
// always computed by us; only the service s3 may leave the body unsigned.
//
// Source: "Signature Version 4 signing process" in the AWS General Reference. The official Go signer is the oracle of the
// tests, in both directions.
package sigv4

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxSkew is how far a client's clock may be off.
const MaxSkew = 15 * time.Minute

// MaxExpires bounds the life of a pre-signed request.
const MaxExpires = 7 * 24 * time.Hour

// Code is the error type a client sees.
type Code string

// The ways a signature can be refused, by the names AWS gives them.
const (
	MissingToken        Code = "MissingAuthenticationTokenException"
	Incomplete          Code = "IncompleteSignatureException"
	InvalidSignature    Code = "InvalidSignatureException"
	UnrecognizedClient  Code = "UnrecognizedClientException"
	ExpiredRequest      Code = "ExpiredRequest" // a pre-signed request past its time
	mismatchText             = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	unrecognizedKeyText      = "The security token included in the request is invalid."
)

// Error is a refused signature; Message is meant for the client.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// ErrUnknownKey is what Secret returns for an access key that does not exist.
var ErrUnknownKey = errors.New("unknown access key")

// Verifier checks requests. It is safe for concurrent use.
type Verifier struct {
	// Secret returns the secret of an access key, or ErrUnknownKey.
	Secret func(ctx context.Context, accessKeyID string) (string, error)
	// Services are the accepted service names of the credential scope.
	Services []string
	// Now is the server's clock.
	Now func() time.Time
	// AnyKey accepts every well-formed signature without checking it. For --dev only.
	AnyKey bool
	// Hosts are names the server is known by besides the Host header received, for proxies that change it.
	Hosts []string
}

// Verified says who signed a request.
type Verified struct {
	AccessKeyID string
	Region      string
	Service     string
	// Expires is the time a pre-signed request dies; zero for header-signed ones.
	Expires time.Time
}

// request is what a client claims, from the Authorization header or the query.
type request struct {
	keyID, amzDate string
	scope          scope
	signed         []string
	signature      string
	query          string
	at             time.Time
	expires        time.Duration // 0 for header form
}

// Verify checks the signature of r over body. It returns *Error for what the client got wrong and any other error for what
// Secret failed with. For service s3 in query form the payload is unsigned and body is not looked at.
func (v *Verifier) Verify(r *http.Request, body []byte) (Verified, error) {
	req, err := parse(r)
	if err != nil {
		return Verified{}, err
	}
	who := Verified{AccessKeyID: req.keyID, Region: req.scope.region, Service: req.scope.service}
	if !slices.Contains(v.Services, req.scope.service) {
		return who, &Error{InvalidSignature, fmt.Sprintf("Credential should be scoped to correct service: '%s'.", strings.Join(v.Services, "' or '"))}
	}
	if err := req.checkTime(v.Now()); err != nil {
		return who, err
	}
	if req.expires > 0 {
		who.Expires = req.at.Add(req.expires)
	}
	payload, err := payloadHash(r, req, body)
	if err != nil {
		return who, err
	}
	if v.AnyKey {
		return who, nil
	}
	secret, err := v.Secret(r.Context(), req.keyID)
	if errors.Is(err, ErrUnknownKey) {
		return who, &Error{UnrecognizedClient, unrecognizedKeyText}
	}
	if err != nil {
		return who, fmt.Errorf("access key: %w", err)
	}
	path := wirePath(r)
	for _, host := range append([]string{r.Host}, v.Hosts...) {
		want := signature(secret, req.amzDate, req.scope, canonicalRequest(r, host, path, req.scope, req.query, req.signed, payload))
		if subtle.ConstantTimeCompare([]byte(want), []byte(req.signature)) == 1 {
			return who, nil
		}
	}
	return who, &Error{InvalidSignature, mismatchText}
}

func payloadHash(r *http.Request, req *request, body []byte) (string, error) {
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	if req.scope.service == "s3" && req.expires > 0 {
		return unsignedPayload, nil
	}
	sum := sha256.Sum256(body)
	actual := hex.EncodeToString(sum[:])
	if claimed != "" && claimed != actual {
		return "", &Error{InvalidSignature, "The value of x-amz-content-sha256 is not the SHA-256 of the body that arrived."}
	}
	return actual, nil
}

func parse(r *http.Request) (*request, error) {
	if auth := r.Header.Get("Authorization"); auth != "" {
		return parseHeader(r, auth)
	}
	if strings.Contains(r.URL.RawQuery, "X-Amz-Signature=") || strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=") {
		return parseQuery(r)
	}
	return nil, &Error{MissingToken, "Missing Authentication Token"}
}

func parseHeader(r *http.Request, auth string) (*request, error) {
	rest, ok := strings.CutPrefix(auth, algorithm)
	if !ok {
		return nil, &Error{Incomplete, "Unsupported authorization type: the Authorization header must begin with " + algorithm + "."}
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		k, val, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[k] = val
	}
	var missing []string
	for _, k := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[k] == "" {
			missing = append(missing, fmt.Sprintf("Authorization header requires '%s' parameter.", k))
		}
	}
	date := r.Header.Get("X-Amz-Date")
	dateHeader := "x-amz-date"
	if date == "" {
		date, dateHeader = isoDate(r.Header.Get("Date")), "date"
	}
	if date == "" {
		missing = append(missing, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if len(missing) > 0 {
		return nil, &Error{Incomplete, strings.Join(missing, " ")}
	}
	query, ok := canonicalQuery(r.URL.RawQuery, "")
	if !ok {
		return nil, &Error{Incomplete, "The query string can't be parsed."}
	}
	req := &request{amzDate: date, signed: strings.Split(strings.ToLower(fields["SignedHeaders"]), ";"), signature: fields["Signature"], query: query}
	if !slices.Contains(req.signed, dateHeader) && !slices.Contains(req.signed, "x-amz-date") {
		return nil, &Error{InvalidSignature, fmt.Sprintf("'%s' must be a signed header.", dateHeader)}
	}
	return req, req.finish(fields["Credential"])
}

func parseQuery(r *http.Request) (*request, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &Error{Incomplete, "The query string can't be parsed."}
	}
	for _, k := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if len(q[k]) != 1 || q[k][0] == "" {
			return nil, &Error{Incomplete, fmt.Sprintf("A pre-signed request needs the query parameter %s exactly once.", k)}
		}
	}
	if q.Get("X-Amz-Algorithm") != algorithm {
		return nil, &Error{Incomplete, "X-Amz-Algorithm must be " + algorithm + "."}
	}
	secs, err := strconv.ParseInt(q.Get("X-Amz-Expires"), 10, 64)
	if err != nil || secs < 1 || secs > int64(MaxExpires/time.Second) {
		return nil, &Error{Incomplete, "X-Amz-Expires must be between 1 and 604800 seconds."}
	}
	query, ok := canonicalQuery(r.URL.RawQuery, "X-Amz-Signature")
	if !ok {
		return nil, &Error{Incomplete, "The query string can't be parsed."}
	}
	req := &request{
		amzDate:   q.Get("X-Amz-Date"),
		signed:    strings.Split(strings.ToLower(q.Get("X-Amz-SignedHeaders")), ";"),
		signature: q.Get("X-Amz-Signature"),
		query:     query,
		expires:   time.Duration(secs) * time.Second,
	}
	return req, req.finish(q.Get("X-Amz-Credential"))
}

// finish parses what both forms share.
func (req *request) finish(credential string) error {
	// An access key may hold "/", the scope may not.
	parts := strings.Split(credential, "/")
	n := len(parts)
	if n < 5 || parts[n-1] != "aws4_request" {
		return &Error{Incomplete, "Credential must have the form <access key>/<date>/<region>/<service>/aws4_request."}
	}
	req.keyID = strings.Join(parts[:n-4], "/")
	req.scope = scope{parts[n-4], parts[n-3], parts[n-2]}
	at, err := time.Parse(timeFormat, req.amzDate)
	if err != nil {
		return &Error{Incomplete, "The date must be in ISO 8601 basic form, such as 20260131T235959Z."}
	}
	req.at = at
	if req.scope.date != req.amzDate[:8] {
		return &Error{InvalidSignature, fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'.", req.scope.date, req.amzDate[:8])}
	}
	if !slices.Contains(req.signed, "host") {
		return &Error{InvalidSignature, "'Host' must be a 'SignedHeader' in the AWS Authorization."}
	}
	if !slices.IsSorted(req.signed) {
		slices.Sort(req.signed)
	}
	return nil
}

func (req *request) checkTime(now time.Time) error {
	now = now.UTC()
	stamp := func(t time.Time) string { return t.UTC().Format(timeFormat) }
	if req.at.After(now.Add(MaxSkew)) {
		return &Error{InvalidSignature, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 15 min.)", req.amzDate, stamp(now.Add(MaxSkew)), stamp(now))}
	}
	if req.expires > 0 {
		if now.After(req.at.Add(req.expires)) {
			return &Error{ExpiredRequest, "Request has expired"}
		}
		return nil
	}
	if req.at.Before(now.Add(-MaxSkew)) {
		return &Error{InvalidSignature, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 15 min.)", req.amzDate, stamp(now.Add(-MaxSkew)), stamp(now))}
	}
	return nil
}

// isoDate turns a Date header into the basic ISO form, or returns "".
func isoDate(date string) string {
	if t, err := http.ParseTime(date); err == nil {
		return t.UTC().Format(timeFormat)
	}
	if _, err := time.Parse(timeFormat, date); err == nil {
		return date
	}
	return ""
}
