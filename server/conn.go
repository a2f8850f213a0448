package server

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Listen returns a listener whose connections cost a request less than those of the system, when they are served by NewHTTP.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		return newClientConn(tcp), nil
	}
	return c, err
}

const (
	// watchAfter is how long a call may take before it is noticed that its client has left.
	watchAfter = 100 * time.Millisecond
	// deadlineSlack is how much earlier than wanted a deadline may be. Without it each request would set some anew.
	deadlineSlack = time.Second
)

// clientConn is a connection that puts off what net/http asks for with every request, and hardly any request needs:
//
//   - Deadlines are set when something is about to wait for the client, and if the one that stands will not do. net/http and the handler say a
//     dozen times per request how long the next read or write may take; mostly there is none, for header and body came at once.
//   - While a handler runs, net/http reads one byte in a goroutine to notice that the client leaves, and takes that read back afterwards, for which both
//     goroutines wait. Here the read returns without that byte, and once a call has taken watchAfter, watch reads it. Nobody takes that back: the byte is
//     that of the next request, whose read waits for it.
//
// Reads are one at a time, and writes are, as net/http has it.
type clientConn struct {
	*net.TCPConn
	leave context.CancelFunc // ends the context of all requests: the client has left
	timer *time.Timer        // of watch; it is set by each request, and never stopped
	// beside says that the last read was one beside a handler.
	beside bool

	mu      sync.Mutex // of all below; it is not held while something waits for the client
	ended   sync.Cond  // watch has
	state   readState
	first   [1]byte // what watch has read
	has     bool    // it has read first
	err     error   // or what its read ended with, unless that was time
	writing bool
	read    deadline
	write   deadline
}

// readState is who reads.
type readState uint8

const (
	nobodyReads readState = iota
	serverReads
	watchReads
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

func newClientConn(tcp *net.TCPConn) *clientConn {
	c := &clientConn{TCPConn: tcp, leave: func() {}}
	c.ended.L = &c.mu
	return c
}

// context returns the context of a connection's requests.
func (c *clientConn) context(ctx context.Context) context.Context {
	ctx, c.leave = context.WithCancel(ctx)
	return ctx
}

// Read implements net.Conn.
func (c *clientConn) Read(p []byte) (int, error) {
	// The read beside a handler: net/http reads all else into buffers. It is one for each request; the end of a buffer that is all but full of a
	// long line looks like it, and is asked for again.
	beside := len(p) == 1 && cap(p) == 1 && !c.beside
	if c.beside = beside; beside {
		if c.timer == nil {
			c.timer = time.AfterFunc(watchAfter, c.watch)
		} else {
			c.timer.Reset(watchAfter)
		}
		return 0, nil
	}
	c.mu.Lock()
	for c.state == watchReads {
		c.ended.Wait()
	}
	if c.has && len(p) > 0 {
		c.has = false
		p[0] = c.first[0]
		c.mu.Unlock()
		return 1, nil
	}
	if err := c.err; err != nil {
		c.mu.Unlock()
		return 0, err
	}
	err := c.begin(serverReads)
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := c.TCPConn.Read(p)
	c.mu.Lock()
	c.state = nobodyReads
	c.mu.Unlock()
	return n, err
}

// begin notes who reads from now on, with the deadline that is wanted. The lock is held.
func (c *clientConn) begin(who readState) error {
	if c.read.due() {
		if err := c.TCPConn.SetReadDeadline(c.read.want); err != nil {
			return err
		}
	}
	c.state = who
	return nil
}

// watch waits for the client to leave or to send the next request, beside a handler that takes long. Between requests the server itself does.
func (c *clientConn) watch() {
	c.mu.Lock()
	if c.state != nobodyReads || c.has || c.err != nil || c.begin(watchReads) != nil {
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	n, err := c.TCPConn.Read(c.first[:])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // of a read that is over, or the next one finds the same
	}
	c.mu.Lock()
	c.state, c.has, c.err = nobodyReads, n == 1, err
	c.mu.Unlock()
	c.ended.Broadcast()
	if err != nil {
		c.leave()
	}
}

// SetReadDeadline implements net.Conn.
func (c *clientConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read.want = t
	if c.state != nobodyReads && c.read.due() { // who reads already is bound by it, too
		return c.TCPConn.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *clientConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write.want = t
	if c.writing && c.write.due() {
		return c.TCPConn.SetWriteDeadline(t)
	}
	return nil
}

// SetDeadline implements net.Conn.
func (c *clientConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Write implements net.Conn.
func (c *clientConn) Write(p []byte) (n int, err error) {
	err = c.writes(func() (err error) {
		n, err = c.TCPConn.Write(p)
		return err
	})
	return n, err
}

// ReadFrom implements io.ReaderFrom, which the system may do without copying.
func (c *clientConn) ReadFrom(r io.Reader) (n int64, err error) {
	err = c.writes(func() (err error) {
		n, err = c.TCPConn.ReadFrom(r)
		return err
	})
	return n, err
}

// writes runs a write with the deadline that is wanted.
func (c *clientConn) writes(do func() error) error {
	c.mu.Lock()
	var err error
	if c.write.due() {
		err = c.TCPConn.SetWriteDeadline(c.write.want)
	}
	c.writing = err == nil
	c.mu.Unlock()
	if err != nil {
		return err
	}
	err = do()
	c.mu.Lock()
	c.writing = false
	c.mu.Unlock()
	return err
}

// Close implements net.Conn.
func (c *clientConn) Close() error {
	c.leave()
	return c.TCPConn.Close()
}
