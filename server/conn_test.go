package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
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
	c, err := Listen(l).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*clientConn), client
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

// reader is who reads from a connection now.
func (c *clientConn) reader() readState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Whenever a connection is watched, what its client sends arrives whole and in order.
func TestWatchingKeepsWhatIsSent(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		c, client := dialled(t)
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
				if n, err := c.Read(make([]byte, 1)); n != 0 || err != nil { // as net/http reads beside a handler
					t.Fatal(n, err)
				}
				watching.Go(c.watch)
				if r.IntN(2) == 0 {
					watching.Wait()
				}
			}
			b := make([]byte, 2+r.IntN(700))
			n, err := c.Read(b[:1+r.IntN(len(b))])
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
	past := time.Unix(1, 0)
	room := make([]byte, 1<<10)
	_ = c.SetReadDeadline(past)
	_, err := c.Read(room)
	ended("a read behind it", err)
	_ = c.SetReadDeadline(time.Time{})
	reads := make(chan error)
	go func() {
		_, err := c.Read(room)
		reads <- err
	}()
	until(t, "somebody reads", func() bool { return c.reader() == serverReads })
	_ = c.SetDeadline(past)
	ended("a read under way", <-reads)
	_, err = c.Write(room)
	ended("a write behind it", err)
	_ = c.SetDeadline(time.Time{})
	var watching sync.WaitGroup
	watching.Go(c.watch)
	until(t, "it is watched", func() bool { return c.reader() == watchReads })
	_ = c.SetReadDeadline(past)
	watching.Wait()
	_ = c.SetReadDeadline(time.Time{})
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
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
	until(t, "somebody writes", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.writing })
	_ = c.SetWriteDeadline(past)
	ended("a write under way", <-writes)
}

// served serves a handler as the program does, and returns its address and the connections it takes.
func served(t *testing.T, h http.HandlerFunc) (address string, taken <-chan *clientConn) {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	web.Config = NewHTTP(h, 100)
	conns := make(chan *clientConn, 10)
	web.Listener = tapped{Listen(web.Listener), conns}
	web.Start()
	t.Cleanup(web.Close)
	return web.Listener.Addr().String(), conns
}

// tapped tells of the connections of a listener.
type tapped struct {
	net.Listener
	to chan *clientConn
}

func (l tapped) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if of, ok := c.(*clientConn); ok {
		l.to <- of
	}
	return c, err
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
	var conn *clientConn
	arrived := make(chan bool)
	address, taken := served(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if string(body) == "long" {
			arrived <- true
			until(t, "the next request is seen", func() bool { conn.mu.Lock(); defer conn.mu.Unlock(); return conn.has })
		}
		fmt.Fprintf(w, "%s %v %v", body, err, r.Context().Err())
	})
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	answers := bufio.NewReader(client)
	conn = <-taken
	for _, bodies := range [][]string{{"long", "next"}, {"fast"}, {"long", "last"}} {
		for _, body := range bodies {
			if _, err := io.WriteString(client, posted+body); err != nil {
				t.Fatal(err)
			}
			if body == "long" {
				<-arrived
			}
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
		web := httptest.NewUnstartedServer(nil)
		web.Config = NewHTTP(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }), 100)
		whole := strings.HasSuffix(sent, "body")
		if web.Config.IdleTimeout = 20 * time.Millisecond; !whole { // a busy machine may take longer for a whole one
			web.Config.ReadHeaderTimeout = 20 * time.Millisecond
		}
		web.Listener = Listen(web.Listener)
		web.Start()
		client, err := net.Dial("tcp", web.Listener.Addr().String())
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
