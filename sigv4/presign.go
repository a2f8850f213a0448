package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Presign is a request to mint a pre-signed URL of service s3.
type Presign struct {
	Method      string
	Scheme      string // http or https
	Host        string // with the port, as clients will send it
	Path        string // escaped
	AccessKeyID string
	Secret      string
	Region      string
	At          time.Time
	Expires     time.Duration // whole seconds, at most MaxExpires
	// Headers are sent and signed besides Host: lower-case names with their values.
	Headers map[string]string
}

// URL returns the pre-signed URL.
func (p Presign) URL() string {
	s := scope{p.At.UTC().Format("20060102"), p.Region, "s3"}
	amzDate := p.At.UTC().Format(timeFormat)
	r := &http.Request{Method: p.Method, Header: http.Header{}, Host: p.Host}
	signed := []string{"host"}
	for name, value := range p.Headers {
		r.Header.Set(name, value)
		signed = append(signed, name)
	}
	slices.Sort(signed)
	q := url.Values{
		"X-Amz-Algorithm":     {algorithm},
		"X-Amz-Credential":    {p.AccessKeyID + "/" + s.String()},
		"X-Amz-Date":          {amzDate},
		"X-Amz-Expires":       {strconv.FormatInt(int64(p.Expires/time.Second), 10)},
		"X-Amz-SignedHeaders": {strings.Join(signed, ";")},
	}
	query, _ := canonicalQuery(q.Encode(), "")
	canonical := appendCanonical(nil, r, p.Host, p.Path, s, query, signed, unsignedPayload)
	signature := signature(signingKey(p.Secret, s), amzDate, s, canonical)
	return p.Scheme + "://" + p.Host + p.Path + "?" + query + "&X-Amz-Signature=" + string(signature[:])
}
