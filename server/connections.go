package server

import (
	"bytes"
	"context"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultMaxConnections is how many clients may be connected at a time.
const DefaultMaxConnections = 4096

// Connections bounds the connections of an http.Server: beyond Max the one that matters least is closed for each that comes. Those that never
// sent an authenticated request go first, the oldest of them first, then those that have been idle longest. A connection with an authenticated
// request in progress is never closed; when all are such, the new one is.
type Connections struct {
	Max int

	mu  sync.Mutex
	all map[net.Conn]*connection
}

// connection is what is known of a connection.
type connection struct {
	busy  atomic.Int32 // authenticated requests in progress; several on HTTP/2
	known atomic.Bool  // had one
	since atomic.Int64 // when it was accepted, or the last one ended; nanoseconds
}

func newConnection() *connection {
	c := &connection{}
	c.since.Store(time.Now().UnixNano())
	return c
}

type connectionKey struct{}

const (
	// maxHeader bounds the header of a request; a query with fifty tag keys takes 20 kB.
	maxHeader = 32 << 10
	// headerTime is how long a header, or the greeting of TLS, may take.
	headerTime = 10 * time.Second
	// idleTime is how long a connection may be open without a request.
	idleTime = 2 * time.Minute
	// maxStreams is how many requests of one HTTP/2 connection are served at a time.
	maxStreams = 32
)

// HTTP is an http.Server that serves the simple requests of plain connections itself (clientConn).
type HTTP struct {
	*http.Server
	all Connections

	ending  atomic.Bool
	mu      sync.Mutex // of all below; ending is set under it
	open    map[*clientConn]struct{}
	serving sync.WaitGroup // those
}

// NewHTTP returns a server for the handler whose memory for clients is bounded: connections, headers, buffers, and the time
// that each may take. Bodies and answers are the handler's business.
func NewHTTP(handler http.Handler, maxConnections int) *HTTP {
	h := &HTTP{open: map[*clientConn]struct{}{}, all: Connections{Max: maxConnections}, Server: &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader, ErrorLog: log.Default(),
		// What a stream sends before it is read waits in memory. A client that reads nothing is cut off.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: 256 << 10, MaxReceiveBufferPerConnection: 1 << 20,
			WriteByteTimeout: headerTime},
	}}
	h.all.Limit(h.Server)
	return h
}

// Serve serves the connections of a listener, plain ones, until the server ends.
func (h *HTTP) Serve(l net.Listener) error {
	to := &handedOver{Listener: l, conns: make(chan net.Conn), errs: make(chan error), done: make(chan struct{})}
	go to.accept(h)
	return h.Server.Serve(to)
}

// handedOver are connections that net/http is to serve. It sees to errors of the listener, too.
type handedOver struct {
	net.Listener
	conns chan net.Conn
	errs  chan error
	done  chan struct{}
	once  sync.Once
}

// accept serves connections until the listener is closed.
func (l *handedOver) accept(h *HTTP) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			select {
			case l.errs <- err:
				continue
			case <-l.done:
				return
			}
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			h.serve(tcp, l)
		} else {
			l.take(c)
		}
	}
}

// take hands a connection over.
func (l *handedOver) take(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (l *handedOver) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *handedOver) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// begunConn is a connection of which something has been read already.
type begunConn struct {
	*net.TCPConn
	known *connection
	rest  []byte
}

// Read implements net.Conn.
func (c *begunConn) Read(p []byte) (int, error) {
	if len(c.rest) > 0 {
		n := copy(p, c.rest)
		c.rest = c.rest[n:]
		return n, nil
	}
	return c.TCPConn.Read(p)
}

// serve serves a connection in a goroutine, and hands it over when net/http is to go on.
func (h *HTTP) serve(tcp *net.TCPConn, to *handedOver) {
	known := newConnection()
	ctx, leave := context.WithCancel(context.WithValue(context.Background(), connectionKey{}, known))
	c := &clientConn{TCPConn: tcp, web: h, leave: leave}
	c.like = (&http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: tcp.RemoteAddr().String()}).WithContext(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ending.Load() {
		leave()
		_ = tcp.Close()
		return
	}
	h.open[c] = struct{}{}
	h.serving.Go(func() {
		if out := h.all.add(tcp, known); out != nil {
			closeNow(out)
		}
		handOver := c.serve()
		h.all.remove(tcp)
		if handOver {
			_ = tcp.SetDeadline(time.Time{})
			to.take(&begunConn{tcp, known, bytes.Clone(c.in[c.from:c.to])})
		} else {
			_ = tcp.Close()
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.open, c)
	})
}

// end has every connection closed behind the request that it serves, if any, and takes no more.
func (h *HTTP) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ending.Store(true)
	for c := range h.open {
		c.closeIdle()
	}
}

// Shutdown lets requests in flight finish. It shadows that of http.Server, and ends so.
func (h *HTTP) Shutdown(ctx context.Context) error {
	h.end()
	if err := h.Server.Shutdown(ctx); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		h.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close cuts all connections.
func (h *HTTP) Close() error {
	h.end()
	h.mu.Lock()
	for c := range h.open {
		c.leave()
		_ = c.TCPConn.Close()
	}
	h.mu.Unlock()
	return h.Server.Close()
}

// Limit sets the server's hooks. A connection is taken in where its context is made: its first change of state comes after that.
func (c *Connections) Limit(h *http.Server) {
	h.ConnContext = func(ctx context.Context, client net.Conn) context.Context {
		known := newConnection()
		if begun, ok := client.(*begunConn); ok {
			known = begun.known
		}
		if out := c.add(client, known); out != nil {
			closeNow(out)
		}
		return context.WithValue(ctx, connectionKey{}, known)
	}
	h.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateClosed, http.StateHijacked:
			c.remove(conn)
		}
	}
}

// remove forgets a connection.
func (c *Connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, conn)
}

// add takes in a connection and returns the one to be closed for it, or nil.
func (c *Connections) add(conn net.Conn, known *connection) (out net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[net.Conn]*connection{}
	}
	if len(c.all) >= c.Max {
		out = c.least()
	}
	delete(c.all, out)
	if out == nil && len(c.all) >= c.Max {
		return conn
	}
	c.all[conn] = known
	return out
}

// least returns the connection that matters least, or nil when all are busy.
func (c *Connections) least() (out net.Conn) {
	var known bool
	var since int64
	for conn, e := range c.all {
		if e.busy.Load() > 0 {
			continue
		}
		k, s := e.known.Load(), e.since.Load()
		if out == nil || known && !k || known == k && s < since {
			out, known, since = conn, k, s
		}
	}
	return out
}

// closeNow closes a connection without the farewell of TLS, which would wait for the peer.
func closeNow(conn net.Conn) {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	_ = conn.Close()
}

// connectionOf returns what is known of a request's connection, or nil.
func connectionOf(r *http.Request) *connection {
	e, _ := r.Context().Value(connectionKey{}).(*connection)
	return e
}

// working notes on the request's connection that an authenticated request is in progress, until done is called.
func working(r *http.Request) (done func()) {
	e := connectionOf(r)
	if e == nil {
		return func() {}
	}
	e.known.Store(true)
	e.busy.Add(1)
	return func() {
		e.since.Store(time.Now().UnixNano())
		e.busy.Add(-1)
	}
}
