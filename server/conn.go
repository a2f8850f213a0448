package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
)

// clientConn is a connection of a client that sends simple requests (head), which cost net/http more than what is done for most of them:
//
//   - One goroutine reads a request, runs the handler and writes the answer, mostly by one call of the system each. It reads nothing that it was not
//     asked for: no more is read of a body than its length, and no goroutine reads beside a handler.
//   - The first request that is not simple, and all behind it, are net/http's: it gets the connection with the bytes that have been read and not used.
//     So nothing is refused here.
//   - A call's context ends with the call, or when the client leaves: once a call has taken watchAfter, watch waits for the connection to become
//     readable, and looks without taking anything away. It goes on waiting when the call is over: the next read waits behind it until there is
//     something, and the deadline of that read binds both.
//   - Deadlines are set again only if the one that stands will not do.
//
// What a handler holds of a request is of that request alone: request, header, body and answer are new each time, and of no use when it has returned.
type clientConn struct {
	*net.TCPConn
	web   *HTTP
	known *connection
	like  *http.Request // what all requests have in common; its context ends when the client leaves
	leave context.CancelFunc
	timer *time.Timer // of watch; each request sets it, and it is never stopped

	in       []byte // what has been read
	from, to int    // and not been used
	posted   bool   // the last request was a POST

	mu    sync.Mutex // of all below; it is not held while something waits for the client
	state connState
	read  deadline
	write deadline
}

// connState is what a connection is doing.
type connState uint8

const (
	waits    connState = iota // for a request
	receives                  // one
	works                     // on one that is here
	closed                    // as the server ends
)

const (
	// watchAfter is how long a call may take before it is noticed that its client has left.
	watchAfter = 100 * time.Millisecond
	// deadlineSlack is how much earlier than wanted a deadline may be. Without it each request would set some anew.
	deadlineSlack = time.Second
	// firstBuffer is what a connection has for requests while it waits.
	firstBuffer = 4 << 10
)

// deadline is of reads or of writes.
type deadline struct{ want, set time.Time }

// due says whether the deadline that is set will not do, and takes the wanted one as set.
func (d *deadline) due() bool {
	early := d.want.Sub(d.set)
	if d.want.IsZero() == d.set.IsZero() && early >= 0 && early <= deadlineSlack {
		return false
	}
	d.set = d.want
	return true
}

var (
	errNotSimple = errors.New("the request is not simple")
	errEnding    = errors.New("the server ends")
)

// serve answers requests until the client leaves, the server ends, or net/http is to go on: then it returns true.
func (c *clientConn) serve() (handOver bool) {
	defer c.leave()
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			c.web.ErrorLog.Printf("panic in a handler: %v\n%s", p, debug.Stack())
		}
	}()
	for wait := c.web.ReadHeaderTimeout; ; wait = c.web.IdleTimeout {
		h, err := c.next(wait)
		if err != nil {
			return errors.Is(err, errNotSimple)
		}
		if !c.answer(h) {
			return false
		}
	}
}

// next waits for a request for so long and reads its head.
func (c *clientConn) next(wait time.Duration) (*head, error) {
	if err := c.readUntil(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	if c.from == c.to {
		c.shrink()
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	if !c.begin() {
		return nil, errEnding
	}
	skip := 0
	if c.posted {
		skip = 4 // some clients end a body with more than its length says; net/http bears it, too
	}
	for seen, read := 0, 0; ; read++ {
		for ; skip > 0 && c.from < c.to && strings.IndexByte("\r\n", c.in[c.from]) >= 0; skip-- {
			c.from++
		}
		if c.from < c.to {
			skip = 0
		}
		text := c.in[c.from:c.to]
		if at := bytes.Index(text[seen:], []byte("\r\n\r\n")); at >= 0 {
			var h head
			if !h.parse(string(text[:seen+at+4])) {
				return nil, errNotSimple
			}
			c.from += seen + at + 4
			return &h, nil
		}
		if !mayBeSimple(text) || len(text) >= maxSimpleHead {
			return nil, errNotSimple
		}
		seen = max(0, len(text)-3)
		if read == 0 {
			if err := c.readUntil(time.Now().Add(c.web.ReadHeaderTimeout)); err != nil {
				return nil, err
			}
		}
		if err := c.fill(); err == io.EOF {
			return nil, errNotSimple
		} else if err != nil {
			return nil, err
		}
	}
}

// begin notes that a request has begun to arrive. It is false when the server has closed the connection.
func (c *clientConn) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == closed {
		return false
	}
	c.state = receives
	return true
}

// end notes that a request is done. It is false when the server ends.
func (c *clientConn) end() bool {
	c.mu.Lock()
	c.state = waits
	c.mu.Unlock()
	return !c.web.ending.Load()
}

// closeIdle closes the connection if no request is being answered.
func (c *clientConn) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == waits {
		c.state = closed
		_ = c.Close()
	}
}

// shrink gives back the room of a large request.
func (c *clientConn) shrink() {
	c.from, c.to = 0, 0
	if len(c.in) > firstBuffer || c.in == nil {
		c.in = make([]byte, firstBuffer)
	}
}

// fill reads more behind what is there, and makes room for it.
func (c *clientConn) fill() error {
	if c.to == len(c.in) {
		if c.from == 0 {
			c.in = append(c.in, make([]byte, len(c.in))...)
		}
		c.from, c.to = 0, copy(c.in, c.in[c.from:c.to])
	}
	n, err := c.Read(c.in[c.to:])
	if c.to += n; n > 0 {
		return nil
	}
	return err
}

// readUntil gives the reads that follow their deadline.
func (c *clientConn) readUntil(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read.want = t; c.read.due() {
		return c.SetReadDeadline(t)
	}
	return nil
}

// writeUntil gives the writes that follow, and one under way, their deadline.
func (c *clientConn) writeUntil(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.write.want = t; c.write.due() {
		return c.SetWriteDeadline(t)
	}
	return nil
}

// answer runs the handler. It is false when the connection can't be used any more.
func (c *clientConn) answer(h *head) bool {
	ctx, cancel := context.WithCancel(c.like.Context())
	defer cancel()
	r := c.like.WithContext(ctx)
	c.posted = h.method == http.MethodPost
	r.Method, r.RequestURI, r.Host, r.URL, r.Header, r.ContentLength, r.Body = h.method, h.target, h.host, h.url, h.header, h.length, http.NoBody
	a := &answer{c: c, header: make(http.Header, 4), length: -1, room: answerRooms.Get().(*answerRoom)}
	a.body = requestBody{c: c, left: h.length, here: int64(c.to-c.from) >= h.length}
	defer a.release()
	if h.length > 0 {
		r.Body = &a.body
	} else {
		c.watchSoon()
	}
	c.web.Handler.ServeHTTP(a, r)
	return a.finish() && c.end()
}

// watchSoon notes that a request is here to its end, and has the client watched when the call takes long.
func (c *clientConn) watchSoon() {
	c.mu.Lock()
	c.state = works
	c.mu.Unlock()
	if c.timer == nil {
		c.timer = time.AfterFunc(watchAfter, c.watch)
	} else {
		c.timer.Reset(watchAfter)
	}
}

// watch waits for the client to leave or to send the next request, beside a handler that takes long. A call may take longer than the deadline of reads
// that stands, so watch takes that away, but never while something is to arrive; the next read has its own again.
func (c *clientConn) watch() {
	c.mu.Lock()
	if c.state != works {
		c.mu.Unlock()
		return
	}
	c.read = deadline{}
	err := c.SetReadDeadline(time.Time{})
	c.mu.Unlock()
	raw, rawErr := c.SyscallConn()
	if err != nil || rawErr != nil { // it is closed
		c.leave()
		return
	}
	left := false
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
			if !errors.Is(err, syscall.EINTR) {
				left = n == 0 || err != nil && !errors.Is(err, syscall.EAGAIN)
				return !errors.Is(err, syscall.EAGAIN)
			}
		}
	})
	if left || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.leave()
	}
}

// requestBody is the body of a request.
type requestBody struct {
	c      *clientConn
	left   int64
	here   bool // it had arrived when the handler began
	failed bool // a read has
	closed bool
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (n int, err error) {
	switch {
	case b.closed:
		return 0, http.ErrBodyReadAfterClose
	case b.left == 0:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	p, c := p[:min(int64(len(p)), b.left)], b.c
	if c.from < c.to {
		n = copy(p, c.in[c.from:c.to])
		c.from += n
	} else {
		n, err = c.Read(p)
	}
	b.left -= int64(n)
	switch {
	case b.left == 0:
		c.watchSoon()
		return n, io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	b.failed = b.failed || err != nil
	return n, err
}

// Close implements io.Closer.
func (b *requestBody) Close() error {
	b.closed = true
	return nil
}

// discard reads what the handler has left. It is false when that does not come.
func (b *requestBody) discard() bool {
	b.closed = true
	if n := min(b.left, int64(b.c.to-b.c.from)); n > 0 {
		b.c.from += int(n)
		b.left -= n
	}
	if b.left == 0 {
		return true
	}
	if b.failed || b.readUntil(time.Now().Add(drainTime)) != nil {
		return false
	}
	_, err := io.CopyN(io.Discard, b.c.TCPConn, b.left)
	b.left = 0
	return err == nil
}

// readUntil gives reads of the body, and one under way, their deadline.
func (b *requestBody) readUntil(t time.Time) error {
	if b.here {
		return nil // they don't wait
	}
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	b.c.read = deadline{t, t}
	return b.c.SetReadDeadline(t)
}
