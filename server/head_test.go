package server

import (
	"bufio"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

// heads are heads of requests, and whether they are simple.
var heads = map[string]bool{
	"GET / HTTP/1.1\r\nHost: h\r\n\r\n": true,
	"POST /domains/a/profiles/search?max-results=1&x=%20 HTTP/1.1\r\nHost: 127.0.0.1:8320\r\nUser-Agent: a\r\nContent-Length: 2\r\ncontent-type: application/json\r\nX-Amz-Content-SHA256:\t00 \r\n\r\n": true,
	"PUT /a?b HTTP/1.1\r\nhost:[::1]:80\r\nConnection: Keep-Alive\r\nX-A: 1\r\nx-a: 2\r\nAccept-Encoding:\r\n\r\n":                                                                                       true,
	"DELETE //a//b/?? HTTP/1.1\r\nHost: h\r\n\r\n":                                                                true,
	"PATCH /a%2Fb%zz HTTP/1.1\r\nHost: h\r\n\r\n":                                                                 false,
	"GET /a%2fb/(c)*!?\"<> HTTP/1.1\r\nHost: h\r\n\r\n":                                                           true,
	"GET /? HTTP/1.1\r\nHost: h\r\n\r\n":                                                                          true,
	"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n":                                                                        false,
	"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n":                                                                        false,
	"GET  / HTTP/1.1\r\nHost: h\r\n\r\n":                                                                          false,
	"GET /\xc3\xbc HTTP/1.1\r\nHost: h\r\n\r\n":                                                                   false,
	"GET / HTTP/1.0\r\nHost: h\r\n\r\n":                                                                           false,
	"GET / HTTP/1.1\r\n\r\n":                                                                                      false,
	"GET / HTTP/1.1\r\nA: b\r\n\r\n":                                                                              false,
	"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n":                                                                false,
	"GET / HTTP/1.1\r\nHost: h/\r\n\r\n":                                                                          false,
	"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n":                                                                   false,
	"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n":                                                                          false,
	"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n":                                                                       false,
	"PRI * HTTP/2.0\r\n\r\n":                                                                                      false,
	"get / HTTP/1.1\r\nHost: h\r\n\r\n":                                                                           false,
	"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n":                                                                       false,
	"GET / HTTP/1.1\nHost: h\r\n\r\n":                                                                             false,
	"GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n":                                                                     false,
	"GET / HTTP/1.1\r\nHost: h\r\n A: b\r\n\r\n":                                                                  false,
	"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n":                                                                  false,
	"GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n":                                                                    false,
	"GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n":                                                                      false,
	"GET / HTTP/1.1\r\nHost: h\r\nA: b\x00\r\n\r\n":                                                               false,
	"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n":                                                                false,
	"GET / HTTP/1.1\r\nHost: h\r\nA: \xff\r\n\r\n":                                                                false,
	"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                                                      false,
	"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, close\r\n\r\n":                                          false,
	"GET / HTTP/1.1\r\nHost: h\r\nPragma: no-cache\r\n\r\n":                                                       false,
	"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n":                                                           false,
	"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n":                              false,
	"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n":                                             false,
	"PUT / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: x\r\nContent-Length: 1\r\n\r\n":                              false,
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n":                                 false,
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n":                                                   false,
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n":                                                     false,
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n":                                                     false,
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\n":                                                    false,
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1_0\r\n\r\n":                                                    false,
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n":                                                        false,
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 65536\r\n\r\n":                                                  true,
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n":                                                  false,
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\n":                                   false,
	"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", maxFields-1) + "\r\n":                            true,
	"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", maxFields) + "\r\n":                              false,
	"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("A: b\r\n", maxFields-1) + "\n\r\nContent-Length: 1\r\n\r\n": false,
}

func TestHeads(t *testing.T) {
	for text, want := range heads {
		var h head
		if ok := h.parse(text); ok != want {
			t.Errorf("%q: simple %t", text, ok)
		}
		if want {
			for i := range len(text) {
				if !mayBeSimple([]byte(text[:i])) {
					t.Errorf("%q may be simple", text[:i])
				}
			}
		}
		agrees(t, text)
	}
	for _, text := range []string{"X", "GEX", "\r\n", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nHost: h\r\n\n", "\n", "\x16\x03\x01"} {
		if mayBeSimple([]byte(text)) {
			t.Errorf("%q is not simple", text)
		}
	}
}

// agrees says what of a simple request net/http sees in the same bytes: the same request, and the same bytes behind it.
func agrees(t *testing.T, text string) {
	t.Helper()
	end := strings.Index(text, "\r\n\r\n") + 4
	var h head
	if end < 4 || !h.parse(text[:end]) {
		return
	}
	b := bufio.NewReader(strings.NewReader(text + strings.Repeat("body", maxSimpleBody)))
	r, err := http.ReadRequest(b)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if r.Method != h.method || r.RequestURI != h.target || r.Host != h.host || !reflect.DeepEqual(r.URL, h.url) || !reflect.DeepEqual(r.Header, h.header) || r.ContentLength != h.length ||
		(r.Body == http.NoBody) != (h.length == 0) || r.Close || r.TransferEncoding != nil || r.Trailer != nil || r.Proto != "HTTP/1.1" {
		t.Fatalf("%q: %+v, net/http sees %+v", text, h, r)
	}
	body, err := io.ReadAll(r.Body)
	if rest := text[end:] + strings.Repeat("body", maxSimpleBody); err != nil || string(body) != rest[:h.length] {
		t.Fatalf("%q: a body of %d bytes, net/http sees %d, %v", text, h.length, len(body), err)
	}
	if rest, err := io.ReadAll(b); err != nil || len(rest) != len(text)-end+4*maxSimpleBody-int(h.length) {
		t.Fatalf("%q: net/http leaves %d bytes, %v", text, len(rest), err)
	}
}

// FuzzHead holds what is taken for simple to net/http: whatever is accepted, both see the same request and the same next one.
func FuzzHead(f *testing.F) {
	for text := range heads {
		f.Add(text)
	}
	f.Fuzz(agrees)
}
