package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kith/api"
	"kith/fault"
	"kith/internal/restjson"
	"kith/sigv4"
)

// counted is a body that counts what is read of it.
type counted struct {
	left int
	read atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	c.read.Add(int64(n))
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func edge() *Server { return New(Config{Log: slog.New(slog.DiscardHandler), Now: time.Now}) }

// Whatever length is announced and however a body comes, memory and budget follow what has arrived, and all of it is given back.
func TestBodiesAreReadWithinTheBudget(t *testing.T) {
	for name, c := range map[string]struct {
		body      int
		announced int64
		used      int64 // by others
		status    int
	}{
		"empty":                        {0, 0, 0, 0},
		"small":                        {100, 100, 0, 0},
		"unknown length":               {100_000, -1, 0, 0},
		"largest":                      {MaxBody, MaxBody, 0, 0},
		"largest, unknown length":      {MaxBody, -1, 0, 0},
		"too large":                    {MaxBody + 1, MaxBody + 1, 0, 413},
		"too large, unknown length":    {MaxBody + 1, -1, 0, 413},
		"announced only":               {100, MaxBody, 64<<20*3/4 - 20<<10, 0},
		"no room for large ones":       {100_000, 100_000, 64 << 20 * 3 / 4, 503},
		"room for small ones":          {smallBody - 1, smallBody - 1, 64 << 20 * 3 / 4, 0},
		"no room":                      {10, 10, 64 << 20, 503},
		"no room for the last of many": {MaxBody, MaxBody, 64<<20*3/4 - MaxBody, 503}, // while it is copied into more room
	} {
		t.Run(name, func(t *testing.T) {
			s := edge()
			s.bodies.limit = 64 << 20
			s.bodies.used.Store(c.used)
			want := make([]byte, c.body)
			_, _ = rand.Read(want)
			r := httptest.NewRequest("POST", "/", bytes.NewReader(want))
			r.ContentLength = c.announced
			h := heldBody{budget: &s.bodies}
			err := s.readBody(httptest.NewRecorder(), r, MaxBody, &h)
			if held := s.bodies.used.Load() - c.used; held < int64(len(h.bytes)) || held > 2*int64(len(h.bytes))+smallBody {
				t.Errorf("%d bytes of the budget for %d", held, len(h.bytes))
			}
			e, _ := errors.AsType[*edgeError](err)
			switch {
			case c.status == 0 && (err != nil || !bytes.Equal(h.bytes, want)):
				t.Errorf("%v, %d bytes", err, len(h.bytes))
			case c.status != 0 && (e == nil || e.status != c.status || c.status == 503 && e.header.Get("Retry-After") == ""):
				t.Errorf("%v, want %d", err, c.status)
			}
			h.release()
			if n := s.bodies.used.Load(); n != c.used {
				t.Errorf("%d bytes of the budget are kept", n-c.used)
			}
		})
	}
}

// On HTTP/2, too, a refused request's body is not taken in: no more of it arrives than the stream's window.
func TestStrangersBodiesStayOutOnHTTP2(t *testing.T) {
	web := httptest.NewUnstartedServer(nil)
	web.Config = NewHTTP(edge(), 100).Server
	web.EnableHTTP2 = true
	web.StartTLS()
	defer web.Close()
	client := web.Client()
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	body := &counted{left: 1 << 30}
	r, err := http.NewRequest("POST", web.URL+"/domains/d/profiles/objects", body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.ProtoMajor != 2 || res.StatusCode != http.StatusForbidden {
		t.Fatalf("%s %s", res.Proto, res.Status)
	}
	if n := body.read.Load(); n > 4<<20 {
		t.Fatalf("%d bytes of the body were sent", n)
	}
}

// A head that comes in two pieces is taken as one that comes at once, wherever it was cut: also where all but one byte of a buffer is full.
func TestHeadsInPieces(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan int, 1)
	web := NewHTTP(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- len(r.URL.RawQuery) + len(r.Header.Get("X-Long"))
	}), 10)
	go func() { _ = web.Serve(l) }()
	defer web.Close()
	const long = 9000
	for _, head := range []string{
		"GET /?" + strings.Repeat("q", long) + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nX-Long: " + strings.Repeat("v", long) + "\r\n\r\n",
	} {
		line := strings.Index(head, "X-Long") // the line of which a piece comes
		for _, buffers := range []int{1, 2} {
			for d := -3; d <= 3; d++ {
				at := max(0, line) + buffers*4096 + d
				client, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(client, head[:max(0, line)]) // the buffer begins with the line
				time.Sleep(time.Millisecond)
				_, _ = io.WriteString(client, head[max(0, line):at])
				time.Sleep(time.Millisecond)
				_, _ = io.WriteString(client, head[at:])
				res, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					t.Fatalf("cut at %d: %v", at, err)
				}
				if res.StatusCode != http.StatusOK {
					t.Errorf("cut at %d: %s", at, res.Status)
				} else if n := <-arrived; n != long {
					t.Errorf("cut at %d: %d bytes arrived, want %d", at, n, long)
				}
				_ = client.Close()
			}
		}
	}
}

// conn is a connection that knows only whether it was closed.
type conn struct {
	net.Conn
	closed bool
}

func (c *conn) Close() error { c.closed = true; return nil }

func TestConnectionsThatMatterLeastGo(t *testing.T) {
	c := &Connections{Max: 4}
	web := &http.Server{}
	c.Limit(web)
	var all []*conn
	contexts := map[*conn]context.Context{}
	open := func() *conn { // as net/http does
		one := &conn{}
		all = append(all, one)
		contexts[one] = web.ConnContext(t.Context(), one)
		web.ConnState(one, http.StateNew)
		return one
	}
	request := func(one *conn) (done func()) {
		return working(httptest.NewRequest("GET", "/", nil).WithContext(contexts[one]))
	}
	var expect []*conn
	check := func(what string) {
		t.Helper()
		for i, one := range all {
			want := false
			for _, gone := range expect {
				want = want || gone == one
			}
			if one.closed != want {
				t.Fatalf("%s: connection %d closed %t", what, i, one.closed)
			}
		}
	}
	idle, stranger, working := open(), open(), open()
	request(idle)()
	done := request(working)
	second := open()
	check("there is room")
	open()
	expect = append(expect, stranger)
	check("the oldest stranger goes first")
	for range 2 {
		open()
	}
	expect = append(expect, second, all[4])
	check("strangers go before who is known")
	finish := []func(){done, request(all[5]), request(all[6])}
	late := open()
	expect = append(expect, idle)
	check("who is idle goes when there are no strangers")
	finish = append(finish, request(late))
	expect = append(expect, open())
	check("who works stays, and the new one goes")
	for _, f := range finish {
		f()
	}
	web.ConnState(late, http.StateClosed)
	open()
	check("a place that was left is taken")
}

// A real server knows the connection of every request: it is what keeps clients that have signed from being closed for strangers.
func TestRequestsKnowTheirConnection(t *testing.T) {
	met := make(chan *connection, 3)
	address, web := served(t, func(_ http.ResponseWriter, r *http.Request) {
		defer working(r)()
		met <- connectionOf(r)
	})
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answers := bufio.NewReader(client)
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		if _, err := io.WriteString(client, request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	first, second, third := <-met, <-met, <-met
	if first == nil || first != second || first != third || !first.known.Load() || first.since.Load() == 0 {
		t.Fatalf("%+v, %+v, %+v", first, second, third)
	}
	known := func() int {
		web.all.mu.Lock()
		defer web.all.mu.Unlock()
		return len(web.all.all)
	}
	if n := known(); n != 1 {
		t.Fatalf("%d connections are known", n)
	}
	client.Close()
	until(t, "it is forgotten", func() bool { return known() == 0 })
}

// deadlines counts deadlines of writes.
type deadlines struct {
	*httptest.ResponseRecorder
	n int
}

func (d *deadlines) SetWriteDeadline(time.Time) error { d.n++; return nil }

// net/http takes the deadline away after each answer, so each answer on a connection gets its own.
func TestEveryAnswerHasItsTime(t *testing.T) {
	ctx := context.WithValue(t.Context(), connectionKey{}, &connection{})
	for range 2 {
		d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		edge().ServeHTTP(d, httptest.NewRequest("GET", "/domains", nil).WithContext(ctx))
		if d.n == 0 {
			t.Fatal("an answer has no deadline")
		}
	}
}

// An answer is JSON whatever a text holds.
func TestAnyTextIsAnAnswer(t *testing.T) {
	for _, text := range []string{"\xff", "a\xc3", "\x00\x1f\"\\", "\u2028", strings.Repeat("\xed\xa0\x80", 3)} {
		for _, err := range []error{fault.BadRequestf("%s", text), &sigv4.Error{Code: sigv4.InvalidSignature, Message: text}, &restjson.SyntaxError{Message: text}} {
			w := httptest.NewRecorder()
			writeError(w, httptest.NewRequest("GET", "/", nil), slog.New(slog.DiscardHandler), "id", err)
			if b := w.Body.String(); len(b) < 30 || !strings.Contains(b, `essage":"`) || !strings.Contains(b, "__type") {
				t.Errorf("%q is answered by %s", text, b)
			}
		}
	}
}

// A limit that is of no domain does not speak of one.
func TestThrottlingSaysWhatIsLimited(t *testing.T) {
	l := newLimiter(Limits{PerOperation: map[string]float64{"*": 1}})
	for domain, want := range map[string]string{"": "ListDomains is limited to 1 requests per second.", "d": "ListDomains is limited to 1 requests per second in this domain."} {
		_ = l.allow(domain, "ListDomains")
		if err := l.allow(domain, "ListDomains"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// The date of answers is that of their second.
func TestAnswersAreDated(t *testing.T) {
	var d date
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "Fri, 02 Jan 2026 03:04:05 GMT"},
		{time.Date(2026, 1, 2, 4, 4, 5, 999_999_999, time.FixedZone("", 3600)), "Fri, 02 Jan 2026 03:04:05 GMT"},
		{time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC), "Fri, 02 Jan 2026 03:04:06 GMT"},
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "Fri, 02 Jan 2026 03:04:05 GMT"}, // clocks are set back
	} {
		if got := d.at(c.at); len(got) != 1 || got[0] != c.want {
			t.Errorf("%v: %q, want %q", c.at, got, c.want)
		}
	}
}

// An answer of any size says how long it is, and when it was given.
func TestAnswersSayTheirLength(t *testing.T) {
	for _, size := range []int{0, measured, 3 * measured, 100_000} {
		name := strings.Repeat("x", size)
		address, _ := served(t, func(w http.ResponseWriter, _ *http.Request) {
			if err := write(w, api.Operation{Status: 200}, &api.GetDomainResponse{DomainName: &name}); err != nil {
				t.Error(err)
			}
		})
		res, err := http.Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.ContentLength != int64(len(body)) || len(body) < size {
			t.Errorf("%d bytes, declared as %d, %v", len(body), res.ContentLength, err)
		}
		if at, err := http.ParseTime(res.Header.Get("Date")); err != nil || time.Since(at) > time.Hour {
			t.Errorf("%v, %v", at, err)
		}
	}
}
