package sigv4

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

func parse(r *http.Request) (*request, error) {
	auth := r.Header.Get("Authorization")
	inQuery := strings.Contains(r.URL.RawQuery, "X-Amz-Signature=") || strings.Contains(r.URL.RawQuery, "X-Amz-Algorithm=")
	switch {
	case auth != "" && inQuery:
		return nil, &Error{TwoSignatures, "The request has a signature in its URL and an Authorization header too; only one of them is allowed. Send a pre-signed URL without an Authorization header."}
	case auth != "":
		return parseHeader(r, auth)
	case inQuery:
		return parseQuery(r)
	}
	return nil, &Error{MissingToken, "Missing Authentication Token"}
}

func parseHeader(r *http.Request, auth string) (*request, error) {
	rest, ok := strings.CutPrefix(auth, algorithm)
	if !ok {
		return nil, &Error{Incomplete, "Unsupported authorization type: the Authorization header must begin with " + algorithm + "."}
	}
	var credential, signature, signed string
	for part := range strings.SplitSeq(rest, ",") {
		switch k, val, _ := strings.Cut(strings.TrimSpace(part), "="); k {
		case "Credential":
			credential = val
		case "Signature":
			signature = val
		case "SignedHeaders":
			signed = val
		}
	}
	var missing []string
	for _, f := range [...][2]string{{"Credential", credential}, {"Signature", signature}, {"SignedHeaders", signed}} {
		if f[1] == "" {
			missing = append(missing, fmt.Sprintf("Authorization header requires '%s' parameter.", f[0]))
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
	req := &request{amzDate: date, signed: strings.Split(strings.ToLower(signed), ";"), signature: signature, query: query}
	if !slices.Contains(req.signed, dateHeader) && !slices.Contains(req.signed, "x-amz-date") {
		return nil, &Error{InvalidSignature, fmt.Sprintf("'%s' must be a signed header.", dateHeader)}
	}
	return req, req.finish(credential)
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
	rest, ok := strings.CutSuffix(credential, "/aws4_request")
	var parts [3]string
	for i := range parts {
		at := strings.LastIndexByte(rest, '/')
		if ok = ok && at >= 0; !ok {
			return &Error{Incomplete, "Credential must have the form <access key>/<date>/<region>/<service>/aws4_request."}
		}
		rest, parts[2-i] = rest[:at], rest[at+1:]
	}
	req.keyID, req.scope = rest, scope{parts[0], parts[1], parts[2]}
	at, err := time.Parse(timeFormat, req.amzDate)
	if err != nil {
		return &Error{Incomplete, "The date must be in ISO 8601 basic form, such as 20260131T235959Z."}
	}
	req.at = at
	if req.scope.date != req.amzDate[:8] {
		return &Error{InvalidSignature, fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s'.", req.scope.date, req.amzDate[:8])}
	}
	if !slices.Contains(req.signed, "host") && !slices.Contains(req.signed, authority) {
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
