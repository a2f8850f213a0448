package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	algorithm       = "AWS4-HMAC-SHA256"
	timeFormat      = "20060102T150405Z"
	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// scope is the middle of a credential: date/region/service/aws4_request.
type scope struct{ date, region, service string }

func (s scope) String() string { return string(s.append(nil)) }

func (s scope) append(dst []byte) []byte {
	dst = append(append(dst, s.date...), '/')
	dst = append(append(dst, s.region...), '/')
	return append(append(dst, s.service...), "/aws4_request"...)
}

// appendCanonical appends the text that is hashed and signed, from the request as it came over the wire.
//
// path is the escaped wire path. S3 signs it as it is; every other service escapes it once more, which shows with ARNs in
// a label (%3A becomes %253A).
func appendCanonical(dst []byte, r *http.Request, host, path string, s scope, query string, signed []string, payloadHash string) []byte {
	dst = append(append(dst, r.Method...), '\n')
	if s.service == "s3" {
		dst = append(dst, path...)
	} else {
		dst = appendEscaped(dst, path, true)
	}
	dst = append(append(append(dst, '\n'), query...), '\n')
	for _, name := range signed {
		dst = append(append(dst, name...), ':')
		dst = append(appendHeader(dst, r, host, name), '\n')
	}
	dst = append(dst, '\n')
	for i, name := range signed {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = append(dst, name...)
	}
	return append(append(dst, '\n'), payloadHash...)
}

// authority is what clients on HTTP/2 may sign in the place of Host: the pseudo-header that takes its part there.
const authority = ":authority"

// appendHeader appends the values of a signed header, blanks collapsed, joined by commas.
func appendHeader(dst []byte, r *http.Request, host, name string) []byte {
	switch name {
	case "host", authority:
		return append(dst, host...)
	case "content-length":
		if r.Header.Get("Content-Length") == "" {
			return strconv.AppendInt(dst, r.ContentLength, 10)
		}
	}
	for i, v := range r.Header.Values(name) {
		if i > 0 {
			dst = append(dst, ',')
		}
		if collapsed(v) {
			dst = append(dst, v...)
		} else {
			dst = append(dst, strings.Join(strings.Fields(v), " ")...)
		}
	}
	return dst
}

// collapsed says that a value surely has no blanks to collapse.
func collapsed(v string) bool {
	blank := true // a leading one
	for i := range len(v) {
		c := v[i]
		if c < ' ' || c > '~' || c == ' ' && blank {
			return false
		}
		blank = c == ' '
	}
	return v == "" || !blank
}

// canonicalQuery sorts and re-encodes a raw query, leaving out the parameter omit. ok is false when it can't be parsed.
func canonicalQuery(raw, omit string) (query string, ok bool) {
	if raw == "" {
		return "", true
	}
	type pair struct{ k, v string }
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		key, err1 := url.QueryUnescape(k)
		val, err2 := url.QueryUnescape(v)
		if err1 != nil || err2 != nil {
			return "", false
		}
		if omit != "" && key == omit {
			continue
		}
		pairs = append(pairs, pair{escape(key, false), escape(val, false)})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.k, b.k); c != 0 {
			return c
		}
		return strings.Compare(a.v, b.v)
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.k + "=" + p.v)
	}
	return b.String(), true
}

// escape percent-encodes all but unreserved characters (RFC 3986), and "/" when keepSlash is set.
func escape(s string, keepSlash bool) string { return string(appendEscaped(nil, s, keepSlash)) }

func appendEscaped(dst []byte, s string, keepSlash bool) []byte {
	const hexUpper = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '/' && keepSlash:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hexUpper[c>>4], hexUpper[c&15])
		}
	}
	return dst
}

// signature is the final signature of a canonical request, in hex.
func signature(key []byte, amzDate string, s scope, canonical []byte) [2 * sha256.Size]byte {
	sum := sha256.Sum256(canonical)
	text := make([]byte, 0, 256)
	text = append(append(append(text, algorithm...), '\n'), amzDate...)
	text = s.append(append(text, '\n'))
	text = hex.AppendEncode(append(text, '\n'), sum[:])
	var out [2 * sha256.Size]byte
	hex.Encode(out[:], mac(key, text))
	return out
}

// signingKey derives what signs all requests of a scope from an access key's secret.
func signingKey(secret string, s scope) []byte {
	key := mac([]byte("AWS4"+secret), []byte(s.date))
	key = mac(key, []byte(s.region))
	key = mac(key, []byte(s.service))
	return mac(key, []byte("aws4_request"))
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

// wirePath returns the path as the client sent it.
func wirePath(r *http.Request) string {
	path := r.RequestURI
	if path == "" {
		path = r.URL.EscapedPath()
	}
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	// An absolute-form request target, as proxies send it.
	if i := strings.Index(path, "://"); i > 0 && !strings.HasPrefix(path, "/") {
		path = path[i+3:]
		if j := strings.IndexByte(path, '/'); j >= 0 {
			path = path[j:]
		} else {
			path = ""
		}
	}
	if path == "" {
		return "/"
	}
	return path
}
