package server

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// head is what a simple request says before its body. A request is simple if every server and every proxy reads it the same way; what is not is
// left to net/http, which alone judges and refuses. So parse may say no to anything, and must never see another request than http.ReadRequest
// does (FuzzHead). It takes no more than:
//
//	GET, POST, PUT, PATCH or DELETE, one blank, a target that begins with "/", one blank, HTTP/1.1
//	fields: a name of token characters, ":", printable ASCII, blanks and tabs; every line ends with CRLF, none begins with a blank
//	one Host, one Content-Length at most, of digits; "keep-alive" as the only Connection; none of the names in judged
type head struct {
	method, target, host string
	url                  *url.URL
	header               http.Header
	length               int64 // of the body
}

const (
	// maxSimpleHead bounds a simple head; net/http takes maxHeader.
	maxSimpleHead = 16 << 10
	maxFields     = 64
	// maxSimpleBody bounds a simple request's body: what a handler leaves of it is read and thrown away.
	maxSimpleBody = 64 << 10
)

var methods = [...]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// judged are fields that say how a message is framed, or what is to happen with the connection, and one that net/http rewrites.
var judged = map[string]bool{"Transfer-Encoding": true, "Te": true, "Trailer": true, "Expect": true, "Upgrade": true, "Http2-Settings": true, "Keep-Alive": true,
	"Proxy-Connection": true, "Pragma": true}

// names are frequent names of fields, as clients write them → as handlers know them.
var names = func() map[string]string {
	all := map[string]string{"X-Amz-Content-SHA256": "X-Amz-Content-Sha256"}
	for _, n := range []string{"Accept", "Accept-Encoding", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Authorization", "Connection", "Content-Length", "Content-Type", "Host", "User-Agent",
		"X-Amz-Content-Sha256", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-User-Agent", "X-Forwarded-For", "X-Forwarded-Proto"} {
		all[n], all[strings.ToLower(n)] = n, n
	}
	return all
}()

// Classes of bytes.
const (
	inToken  = 1 << iota // of methods and names of fields
	inValue              // of values of fields
	inTarget             // of targets that url.ParseRequestURI takes as they are
	inHost
)

var classes = func() (of [256]uint8) {
	for c := ' '; c <= '~'; c++ {
		of[c] = inValue
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			of[c] |= inToken | inTarget | inHost
		}
	}
	of['\t'] = inValue
	for class, text := range map[uint8]string{inToken: "!#$%&'*+-.^_`|~", inTarget: "-._~/:@&=+$,;?", inHost: "-.:[]"} {
		for _, c := range text {
			of[c] |= class
		}
	}
	return of
}()

// span returns how many bytes at the beginning of a text are of a class.
func span(text string, class uint8) int {
	for i := range len(text) {
		if classes[text[i]]&class == 0 {
			return i
		}
	}
	return len(text)
}

// mayBeSimple says whether the beginning of a head may be that of a simple one. Else there is no need to wait for its end.
func mayBeSimple(b []byte) bool {
	for at := 0; ; {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			break
		}
		if at += n; at == 0 || b[at-1] != '\r' {
			return false
		}
		at++
	}
	for _, m := range methods {
		if n := min(len(m), len(b)); string(b[:n]) == m[:n] {
			return true
		}
	}
	return false
}

// parse reads a head that ends with its only empty line. ok is false if it is not simple.
func (h *head) parse(text string) (ok bool) {
	line, rest, _ := strings.Cut(text, "\r\n")
	h.method, line, _ = strings.Cut(line, " ")
	known := false
	for _, m := range methods {
		known = known || m == h.method
	}
	if h.target, ok = strings.CutSuffix(line, " HTTP/1.1"); !ok || !known || !h.parseTarget() {
		return false
	}
	n := strings.Count(rest, "\r\n") - 1
	if n < 1 || n > maxFields {
		return false
	}
	h.header = make(http.Header, n)
	values := make([]string, 0, n) // of all fields, in one piece
	for rest != "\r\n" {
		end := span(rest, inToken)
		if end == 0 || end == len(rest) || rest[end] != ':' {
			return false
		}
		name, known := names[rest[:end]]
		if !known {
			name = textproto.CanonicalMIMEHeaderKey(rest[:end])
		}
		rest = rest[end+1:]
		end = span(rest, inValue)
		value := strings.Trim(rest[:end], " \t")
		if rest, ok = strings.CutPrefix(rest[end:], "\r\n"); !ok || !h.judge(name, value) {
			return false
		}
		if name == "Host" {
			continue // as net/http has it
		}
		if had := h.header[name]; had != nil {
			h.header[name] = append(had, value)
			continue
		}
		values = append(values, value)
		h.header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	return h.host != ""
}

// judge says whether a field may be in a simple head, and takes what it says of the message.
func (h *head) judge(name, value string) bool {
	switch name {
	case "Host":
		once := h.host == ""
		h.host = value
		return once && value != "" && span(value, inHost) == len(value)
	case "Connection":
		return strings.EqualFold(value, "keep-alive")
	case "Content-Length":
		n, err := strconv.ParseUint(value, 10, 31) // digits, and no sign
		h.length = int64(n)
		return err == nil && h.header[name] == nil && h.length <= maxSimpleBody
	}
	return !judged[name]
}

// parseTarget makes the URL.
func (h *head) parseTarget() bool {
	if !strings.HasPrefix(h.target, "/") {
		return false
	}
	if span(h.target, inTarget) == len(h.target) {
		path, query, asked := strings.Cut(h.target, "?")
		h.url = &url.URL{Path: path, RawQuery: query, ForceQuery: asked && query == ""}
		return true
	}
	if n := span(h.target, inValue); n < len(h.target) || strings.ContainsAny(h.target, " \t#") {
		return false
	}
	var err error
	h.url, err = url.ParseRequestURI(h.target)
	return err == nil
}
