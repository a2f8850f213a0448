package server

import (
	"context"
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

// NewHTTP returns an http.Server for the handler whose memory for clients is bounded: connections, headers, buffers, and the time
// that each may take. Bodies and answers are the handler's business.
func NewHTTP(handler http.Handler, maxConnections int) *http.Server {
	h := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		// What a stream sends before it is read waits in memory. A client that reads nothing is cut off.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerStream: 256 << 10, MaxReceiveBufferPerConnection: 1 << 20,
			WriteByteTimeout: headerTime},
	}
	(&Connections{Max: maxConnections}).Limit(h)
	return h
}

// Limit sets the server's hooks. A connection is taken in where its context is made: its first change of state comes after that.
func (c *Connections) Limit(h *http.Server) {
	h.ConnContext = func(ctx context.Context, client net.Conn) context.Context {
		e, out := c.add(client)
		if out != nil {
			closeNow(out)
		}
		if of, ok := client.(*clientConn); ok {
			ctx = of.context(ctx)
		}
		return context.WithValue(ctx, connectionKey{}, e)
	}
	h.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateClosed, http.StateHijacked:
			c.mu.Lock()
			defer c.mu.Unlock()
			delete(c.all, conn)
		}
	}
}

// add takes in a connection and returns the one to be closed for it, or nil.
func (c *Connections) add(conn net.Conn) (added *connection, out net.Conn) {
	added = &connection{}
	added.since.Store(time.Now().UnixNano())
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
		return added, conn
	}
	c.all[conn] = added
	return added, out
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
