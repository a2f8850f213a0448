package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// dialled returns both ends of a connection, the server's and the client's.
func dialled(t *testing.T) (*clientConn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &clientConn{TCPConn: c.(*net.TCPConn), web: NewHTTP(nil, 1), leave: func() {}}, client
}

// until waits for a condition.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

// Whenever a connection is watched, what its client sends arrives whole and in order.
func TestWatchingKeepsWhatIsSent(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		c, client := dialled(t)
		c.state = works
		sent := make([]byte, 20_000)
		for i := range sent {
			sent[i] = byte(r.Uint32())
		}
		pieces := rand.New(rand.NewPCG(seed, 2))
		go func() {
			for rest := sent; len(rest) > 0; {
				n := min(1+pieces.IntN(900), len(rest))
				_, _ = client.Write(rest[:n])
				rest = rest[n:]
			}
			client.Close()
		}()
		var got []byte
		var watching sync.WaitGroup
		for {
			if r.IntN(2) == 0 {
				watching.Go(c.watch)
				if r.IntN(2) == 0 {
					watching.Wait()
				}
			}
			b := make([]byte, 1+r.IntN(700))
			n, err := c.Read(b)
			if got = append(got, b[:n]...); err != nil {
				if err != io.EOF {
					t.Fatal(err)
				}
				break
			}
		}
		watching.Wait()
		if !bytes.Equal(got, sent) {
			t.Fatalf("seed %d: %d bytes arrive, not the %d that were sent", seed, len(got), len(sent))
		}
	}
}

// The watch of an earlier call does not take the deadline of a request that is still arriving.
func TestWatchLeavesDeadlinesOfRequests(t *testing.T) {
	for _, state := range []connState{waits, receives, closed} {
		c, _ := dialled(t)
		c.state = state
		if err := c.readUntil(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		c.watch()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("in state %d: %v", state, err)
		}
	}
}

func TestWhichDeadlinesAreSet(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name      string
		want, set time.Time
		due       bool
	}{
		{"none and none", time.Time{}, time.Time{}, false},
		{"the first", now, time.Time{}, true},
		{"none any more", time.Time{}, now, true},
		{"the same", now, now, false},
		{"a little later", now.Add(deadlineSlack), now, false},
		{"later", now.Add(deadlineSlack + 1), now, true},
		{"earlier", now.Add(-1), now, true},
		{"at once, as net/http says it", time.Unix(1, 0), now, true},
		{"after that", now, time.Unix(1, 0), true},
	} {
		d := deadline{c.want, c.set}
		if due := d.due(); due != c.due || due && d.set != c.want || !due && d.set != c.set {
			t.Errorf("%s: %t, %v", c.name, due, d.set)
		}
	}
}

// A deadline binds the reads and writes behind it, and those under way.
func TestDeadlinesBind(t *testing.T) {
	c, client := dialled(t)
	ended := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	past, none := time.Unix(1, 0), time.Time{}
	room := make([]byte, 1<<10)
	_ = c.readUntil(past)
	_, err := c.Read(room)
	ended("a read behind it", err)
	_ = c.readUntil(none)
	reads := make(chan error)
	go func() {
		_, err := c.Read(room)
		reads <- err
	}()
	a := &answer{c: c}
	a.body.c = c
	_ = a.SetReadDeadline(past)
	ended("a read under way", <-reads)
	_ = a.SetWriteDeadline(past)
	_, err = c.Write(room)
	ended("a write behind it", err)
	_ = a.SetWriteDeadline(none)
	c.state = works
	var watching sync.WaitGroup
	watching.Go(c.watch)
	_ = a.SetReadDeadline(past) // before or behind the beginning of the watch, which takes it away
	_ = c.readUntil(none)
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	watching.Wait()
	_ = c.readUntil(none)
	if n, err := c.Read(room); n != 1 || err != nil {
		t.Fatalf("a read after all this: %d, %v", n, err)
	}
	writes := make(chan error)
	go func() {
		for {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil { // until nobody takes it
				writes <- err
				return
			}
		}
	}()
	_ = a.SetWriteDeadline(past)
	ended("a write under way", <-writes)
}

// served serves a handler as the program does, and returns its address.
func served(t *testing.T, h http.HandlerFunc) (address string, web *HTTP) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web = NewHTTP(h, 100)
	web.ErrorLog = log.New(io.Discard, "", 0)
	go func() { _ = web.Serve(l) }()
	t.Cleanup(func() { web.Close() })
	return l.Addr().String(), web
}

// only returns the only connection.
func only(t *testing.T, web *HTTP) (c *clientConn) {
	t.Helper()
	web.mu.Lock()
	defer web.mu.Unlock()
	if len(web.open) != 1 {
		t.Errorf("%d connections", len(web.open))
	}
	for c = range web.open {
	}
	return c
}

const posted = "POST / HTTP/1.1\r\nHost: kith\r\nContent-Length: 4\r\n\r\n"

// The context of a call ends when its client leaves, whether or not it has a body.
func TestCallsEndWithTheirClient(t *testing.T) {
	for _, request := range []string{posted + "body", "GET / HTTP/1.1\r\nHost: kith\r\n\r\n"} {
		began, ended := make(chan bool), make(chan bool)
		address, _ := served(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			began <- true
			<-r.Context().Done()
			ended <- true
		})
		client, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(client, request); err != nil {
			t.Fatal(err)
		}
		<-began
		client.Close()
		<-ended
	}
}

// A client that sends its next request while one is answered, for long, has not left, and the next one is answered as well.
func TestNextRequestsWaitWhole(t *testing.T) {
	var web *HTTP
	arrived, sent := make(chan bool), make(chan bool)
	address, web := served(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if string(body) == "long" {
			arrived <- true
			<-sent
			only(t, web).watch() // until the next request is seen
		}
		fmt.Fprintf(w, "%s %v %v", body, err, r.Context().Err())
	})
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answers := bufio.NewReader(client)
	for _, bodies := range [][]string{{"long", "next"}, {"fast"}, {"long", "last"}} {
		for _, body := range bodies {
			if _, err := io.WriteString(client, posted+body); err != nil {
				t.Fatal(err)
			}
			if body == "long" {
				<-arrived
			}
		}
		if bodies[0] == "long" {
			sent <- true
		}
		for _, body := range bodies {
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			if want := body + " <nil> <nil>"; string(text) != want || err != nil {
				t.Fatalf("%q, %v, want %q", text, err, want)
			}
		}
	}
}

// Who is silent too long loses the connection: with half a header, and between requests.
func TestSilentClientsAreClosed(t *testing.T) {
	for _, sent := range []string{"", "GET / HT", posted[:len(posted)-2], posted + "body"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		web := NewHTTP(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }), 100)
		whole := strings.HasSuffix(sent, "body")
		if web.IdleTimeout = 20 * time.Millisecond; !whole { // a busy machine may take longer for a whole one
			web.ReadHeaderTimeout = 20 * time.Millisecond
		}
		go func() { _ = web.Serve(l) }()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(client, sent); err != nil {
			t.Fatal(err)
		}
		if answer, err := io.ReadAll(client); err != nil || strings.Contains(string(answer), " 200 ") != whole {
			t.Errorf("%q: %q, %v", sent, answer, err)
		}
		client.Close()
		web.Close()
	}
}

// A connection is closed while it waits, or begins a request; never does it begin one that nobody will get the answer to.
func TestClosedConnectionsBeginNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, begun := range []bool{false, true} {
		peer, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		c := &clientConn{TCPConn: peer.(*net.TCPConn)}
		if begun && !c.begin() {
			t.Fatal("a connection that is open began no request")
		}
		c.closeIdle()
		if c.begin() != begun {
			t.Errorf("begun before the server ends: %t, and the other way round behind it", begun)
		}
		if err := c.SetDeadline(time.Now().Add(time.Hour)); (err == nil) != begun {
			t.Errorf("begun: %t, and the connection: %v", begun, err)
		}
	}
}
