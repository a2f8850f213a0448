// Package sigv4 verifies AWS Signature Version 4 and mints pre-signed URLs.
//
// The canonical request is built by hand from the wire: the escaped path, the raw query and the headers that the client says
// it signed. Headers outside that list are not covered by the signature; callers must not trust them. The body hash is
// always computed by us; only the service s3 may leave the body unsigned.
//
// Verification has two halves, so that nobody has to keep the body of a request whose headers are wrong already: Begin judges
// what comes before the body, Finish the body's hash. A client that declares the hash (X-Amz-Content-Sha256) is
// authenticated by the first half.
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
	"slices"
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
	TwoSignatures       Code = "TwoSignatures"  // an Authorization header beside a pre-signed URL
	mismatchText             = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	unrecognizedKeyText      = "The security token included in the request is invalid."
	wrongHashText            = "The value of x-amz-content-sha256 is not the SHA-256 of the body that arrived."
)

// Error is a refused signature; Message is meant for the client.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// ErrUnknownKey is what Secret returns for an access key that does not exist.
var ErrUnknownKey = errors.New("unknown access key")

// Verifier checks requests. It is safe for concurrent use, and must not be copied once used.
type Verifier struct {
	// Secret returns the secret of an access key, or ErrUnknownKey. It is asked for every request, so that a deleted key is of no
	// use at once; who implements it decides what is remembered.
	Secret func(ctx context.Context, accessKeyID string) (string, error)
	// Services are the accepted service names of the credential scope.
	Services []string
	// Now is the server's clock.
	Now func() time.Time
	// AnyKey accepts every well-formed signature without checking it. For --dev only.
	AnyKey bool
	// Hosts are names the server is known by besides the Host header received, for proxies that change it.
	Hosts []string

	keys signingKeys
}

// Verified says who signed a request.
type Verified struct {
	AccessKeyID string
	Region      string
	Service     string
	// Expires is the time a pre-signed request dies; zero for header-signed ones.
	Expires time.Time
}

// Pending is a request of which only the body has still to be judged.
type Pending struct {
	// Verified says who claims to have signed the request.
	Verified
	// Authenticated says that the signature has been verified: whatever the body is, its sender holds the key.
	Authenticated bool

	v       *Verifier
	r       *http.Request
	req     *request
	secret  string
	key     []byte // derived from the secret
	payload string // the declared hash; "" when the body decides
}

// Begin judges a request before its body is read: the form of the signature, its service and time, and whether the key exists. If
// the client declares the hash of the body, or the body need not be signed, it verifies the signature. It returns *Error for
// what the client got wrong and any other error for what Secret failed with.
func (v *Verifier) Begin(r *http.Request) (Pending, error) {
	req, err := parse(r)
	if err != nil {
		return Pending{}, err
	}
	p := Pending{Verified: Verified{AccessKeyID: req.keyID, Region: req.scope.region, Service: req.scope.service}, v: v, r: r, req: req}
	if !slices.Contains(v.Services, req.scope.service) {
		return p, &Error{InvalidSignature, fmt.Sprintf("Credential should be scoped to correct service: '%s'.", strings.Join(v.Services, "' or '"))}
	}
	if err := req.checkTime(v.Now()); err != nil {
		return p, err
	}
	if req.expires > 0 {
		p.Expires = req.at.Add(req.expires)
	}
	switch declared := r.Header.Get("X-Amz-Content-Sha256"); {
	case req.scope.service == "s3" && req.expires > 0:
		p.payload = unsignedPayload
	case declared != "" && !isHash(declared):
		return p, &Error{InvalidSignature, wrongHashText}
	default:
		p.payload = declared
	}
	if v.AnyKey {
		return p, nil
	}
	secret, err := v.Secret(r.Context(), req.keyID)
	if errors.Is(err, ErrUnknownKey) {
		return p, &Error{UnrecognizedClient, unrecognizedKeyText}
	}
	if err != nil {
		return p, fmt.Errorf("access key: %w", err)
	}
	p.secret, p.key = secret, v.keys.get(req.keyID, secret, req.scope)
	if p.payload == "" {
		return p, nil
	}
	return p, p.authenticate(p.payload)
}

// Finish judges the body by its SHA-256. Where the body need not be signed it is not looked at.
func (p *Pending) Finish(sum [sha256.Size]byte) error {
	if p.payload == unsignedPayload {
		return nil
	}
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum[:])
	actual := string(text[:])
	if p.payload != "" && p.payload != actual {
		return &Error{InvalidSignature, wrongHashText}
	}
	if p.Authenticated || p.v.AnyKey {
		return nil
	}
	return p.authenticate(actual)
}

// Verify is Begin and Finish for a body that is there.
func (v *Verifier) Verify(r *http.Request, body []byte) (Verified, error) {
	p, err := v.Begin(r)
	if err == nil {
		err = p.Finish(sha256.Sum256(body))
	}
	return p.Verified, err
}

// authenticate compares the signature with ours over the request and a hash of the body.
func (p *Pending) authenticate(payload string) error {
	path := wirePath(p.r)
	buf := make([]byte, 0, 1024)
	try := func(host string) bool {
		buf = appendCanonical(buf[:0], p.r, host, path, p.req.scope, p.req.query, p.req.signed, payload)
		want := signature(p.key, p.req.amzDate, p.req.scope, buf)
		return subtle.ConstantTimeCompare(want[:], []byte(p.req.signature)) == 1
	}
	if !try(p.r.Host) && !slices.ContainsFunc(p.v.Hosts, try) {
		return &Error{InvalidSignature, mismatchText}
	}
	p.v.keys.put(p.req.keyID, p.secret, p.req.scope, p.key)
	p.Authenticated = true
	return nil
}

// isHash says whether a text is a SHA-256 as clients write it.
func isHash(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}
