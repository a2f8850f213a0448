package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// answering is a handler that does what handlers may do, by the path.
func answering(w http.ResponseWriter, r *http.Request) {
	write := func(n int) {
		if _, err := io.WriteString(w, strings.Repeat("x", n)); err != nil {
			w.Header().Set("Failed", err.Error())
		}
	}
	switch r.URL.Path {
	case "/echo":
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %v %d %q %v", r.Method, r.RequestURI, r.Host, r.Header, r.ContentLength, body, err)
	case "/unread", "/nothing":
	case "/partly":
		_, _ = io.ReadFull(r.Body, make([]byte, 2))
		write(3)
	case "/closes":
		w.Header().Set("Connection", "close")
		write(3)
	case "/sizes":
		for _, n := range []int{1, maxWaiting - 1, 1, maxTogether, 100_000, 0, 5} {
			write(n)
		}
	case "/waiting":
		write(maxWaiting)
	case "/declared":
		w.Header().Set("Content-Length", "200000")
		write(100_000)
		write(100_000)
	case "/short":
		w.Header().Set("Content-Length", "10")
		write(5)
	case "/beyond":
		w.Header().Set("Content-Length", "5")
		write(5)
		write(1)
	case "/flushed":
		_ = http.NewResponseController(w).Flush()
		write(5)
		_ = http.NewResponseController(w).Flush()
		write(5)
	case "/204", "/304", "/404":
		w.Header().Set("Content-Length", "0")
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.WriteHeader(status)
		w.WriteHeader(500)
	case "/header":
		w.Header()["Many"] = []string{"1", "2"}
		w.Header().Set("Split", "a\r\nSet-Cookie: b")
		w.Header().Set("Content-Type", "text/x")
		w.Header()["Bad Name"] = []string{"x"}
		w.WriteHeader(404)
		w.Header().Set("Late", "1")
		write(1)
	case "/html":
		_, _ = io.WriteString(w, "<html>")
	case "/aborts":
		write(5)
		panic(http.ErrAbortHandler)
	case "/aborts-late":
		write(5)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "/panics":
		panic("no")
	}
}

// exchange sends bytes in pieces of a size, 0 for whole, and returns what is answered: all answers until the connection ends.
func exchange(t *testing.T, address, sent string, piece int) (all []string) {
	t.Helper()
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	go func() {
		for rest := sent; rest != ""; {
			n := len(rest)
			if piece > 0 {
				n = min(n, piece)
			}
			if _, err := io.WriteString(client, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		_ = client.(*net.TCPConn).CloseWrite()
	}()
	b := bufio.NewReader(client)
	for {
		method := http.MethodGet
		if strings.HasPrefix(sent, http.MethodHead) {
			method = http.MethodHead
		}
		res, err := http.ReadResponse(b, &http.Request{Method: method})
		if err != nil {
			return all
		}
		body, err := io.ReadAll(res.Body)
		if res.Header.Get("Date") == "" && res.StatusCode/100 == 2 {
			t.Errorf("%q: no date", sent)
		}
		res.Header.Del("Date")
		text := fmt.Sprintf("%s %s %v %v %d %t %d %.300q %v", res.Proto, res.Status, res.Header, res.TransferEncoding, res.ContentLength, res.Close, len(body), body, err)
		all = append(all, text)
	}
}

// Whatever is sent, in whatever pieces, is answered as net/http answers it.
func TestAnswersAreThoseOfNetHTTP(t *testing.T) {
	address, _ := served(t, answering)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := NewHTTP(http.HandlerFunc(answering), 100).Server
	plain.ErrorLog = log.New(io.Discard, "", 0)
	go func() { _ = plain.Serve(l) }()
	defer plain.Close()
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n" }
	post := func(path, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
	}
	chunked := "PUT /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	echo := get("/echo?last")
	sent := []string{"", "\r\n", get("/echo?a=b") + post("/echo", "body") + echo, post("/unread", "body") + echo, post("/partly", "body") + echo, post("/unread", strings.Repeat("x", maxSimpleBody)) + echo,
		post("/echo", strings.Repeat("y", maxSimpleBody)) + echo, post("/unread", strings.Repeat("x", 2*maxSimpleBody)) + echo,
		post("/echo", "body") + "\r\n" + echo, get("/echo") + "\r\n" + echo, chunked + echo, echo + chunked + echo, "HEAD /declared HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /echo HTTP/1.0\r\n\r\n" + echo, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + echo, "GET /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + echo,
		"PUT /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + echo, post("/echo", "body")[:50], post("/unread", "body")[:len(post("/unread", "body"))-1],
		"GET /echo HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", maxSimpleHead) + "\r\n\r\n" + echo, "GET /echo HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 2*firstBuffer) + "\r\n\r\n" + echo,
		echo + "GET /echo HTTP/1.1\r\nHost: h\r\nA: " + strings.Repeat("a", 2*maxHeader) + "\r\n\r\n",
	}
	for _, path := range []string{"/nothing", "/closes", "/sizes", "/waiting", "/declared", "/short", "/beyond", "/flushed", "/204", "/304", "/404", "/header", "/html", "/aborts", "/aborts-late", "/panics"} {
		sent = append(sent, get(path)+echo)
	}
	for text := range heads {
		sent = append(sent, text+echo, echo+text)
	}
	for _, text := range sent {
		want := exchange(t, l.Addr().String(), text, 0)
		for _, piece := range []int{0, 1, 7, 1000} {
			if piece > 0 && (want == nil || len(text) > 1000*piece || !strings.Contains(want[len(want)-1], "?last")) {
				continue // what the connection ends before would have it reset
			}
			if got := exchange(t, address, text, piece); !reflect.DeepEqual(got, want) {
				t.Errorf("%.300q in pieces of %d:\n%q, by net/http\n%q", text, piece, got, want)
			}
		}
	}
}

// What a handler has kept of a request is of no use when it is over: it must not reach into the next one.
func TestNothingIsKeptOfARequest(t *testing.T) {
	var body io.Reader
	var old http.ResponseWriter
	address, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			body, old = r.Body, w
			return
		}
		old.Header().Set("Late", "1")
		n, err := body.Read(make([]byte, 10))
		_, late := io.WriteString(old, "late")
		fmt.Fprintf(w, "%d %v %t", n, err, late != nil)
		rest, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, " %s %v", rest, err)
	})
	got := exchange(t, address, "POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"+posted+"rest", 0)
	if len(got) != 2 || !strings.Contains(got[1], `"0 http: invalid Read on closed Body true rest <nil>"`) || strings.Contains(got[1], "Late") {
		t.Fatalf("%q", got)
	}
}

// When the server ends, who waits is cut off, a request in flight is answered, and nothing comes behind it.
func TestRequestsInFlightFinish(t *testing.T) {
	began, goOn := make(chan bool), make(chan bool)
	address, web := served(t, func(w http.ResponseWriter, _ *http.Request) {
		began <- true
		<-goOn
		_, _ = io.WriteString(w, "done")
	})
	idle, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	until(t, "it is served", func() bool { web.mu.Lock(); defer web.mu.Unlock(); return len(web.open) == 1 })
	answers := make(chan []string)
	go func() { answers <- exchange(t, address, posted+"body"+posted+"body", 0) }()
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := web.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("it ends beside a request: %v", err)
	}
	if n, err := idle.Read(make([]byte, 1)); err == nil {
		t.Fatalf("who waits gets %d bytes", n)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Fatal("it goes on listening")
	}
	close(goOn)
	if got := <-answers; len(got) != 1 || !strings.Contains(got[0], `"done"`) || !strings.Contains(got[0], "true 4") {
		t.Fatalf("%q", got)
	}
	if err := web.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A server that is closed cuts requests in flight off, and their contexts end.
func TestCloseCutsRequests(t *testing.T) {
	began, ended := make(chan bool), make(chan bool)
	address, web := served(t, func(_ http.ResponseWriter, r *http.Request) {
		began <- true
		<-r.Context().Done()
		ended <- true
	})
	answers := make(chan []string)
	go func() { answers <- exchange(t, address, posted+"body", 0) }()
	<-began
	_ = web.Close()
	<-ended
	if got := <-answers; got != nil {
		t.Fatalf("%q", got)
	}
}

// A body that is not sent to its end does not hold a connection, nor does it a handler that has said how long it may take.
func TestBodiesHaveTheirTime(t *testing.T) {
	failed := make(chan error, 1)
	address, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := io.ReadAll(r.Body)
		failed <- err
	})
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := io.WriteString(client, posted+"bo"); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Fatal("half a body is whole")
	}
	if _, err := io.ReadAll(client); err != nil { // the rest is waited for, then the connection ends
		t.Fatal(err)
	}
}
