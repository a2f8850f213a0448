package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// answer is the answer to a simple request: its http.ResponseWriter, with deadlines and Flush for http.ResponseController. It can't be hijacked, and
// has neither trailers nor informational answers. An answer whose length is not declared waits for its end, up to maxWaiting bytes, so
// that its length can be told; a longer one comes in chunks.
type answer struct {
	c       *clientConn
	body    requestBody
	header  http.Header
	room    *answerRoom
	status  int
	length  int64 // as declared, or -1
	written int64 // of the body
	begun   bool  // the body has: the head has ended
	chunked bool
	closes  bool // the connection closes behind it
	typed   bool // the header says what the body is
	timed   bool // the handler has said how long writing may take
	err     error
}

// answerRoom is what an answer needs memory for until it is written.
type answerRoom struct {
	out  []byte // what is to be written
	body []byte // what waits for the length to be known
	keys []string
}

var answerRooms = sync.Pool{New: func() any { return &answerRoom{out: make([]byte, 0, 4<<10)} }}

const (
	// maxWaiting is how much of a body waits for its end, as with net/http.
	maxWaiting = measured
	// maxTogether is how much is written together; more is written as it comes.
	maxTogether = 16 << 10
)

// release gives the memory back; the answer can't be used any more.
func (a *answer) release() {
	room := a.room
	a.room, a.err, a.body.closed = nil, http.ErrHandlerTimeout, true
	if cap(room.out) <= maxKept {
		room.out, room.body = room.out[:0], room.body[:0]
		answerRooms.Put(room)
	}
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// bodiless says whether an answer of a status has no body.
func bodiless(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified
}

// WriteHeader implements http.ResponseWriter. What of the header is there by now is sent.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 || a.err != nil || status < 200 {
		return
	}
	a.status = status
	if a.c.web.ending.Load() {
		a.header.Set("Connection", "close")
	}
	b := append(a.room.out[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(append(append(b, ' '), http.StatusText(status)...), "\r\n"...)
	keys := a.room.keys[:0]
	for k := range a.header {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	dated := false
	for _, k := range keys {
		values := a.header[k]
		switch k {
		case "Transfer-Encoding", "Trailer":
			continue
		case "Connection":
			a.closes = a.closes || slices.Contains(values, "close")
		case "Content-Type":
			a.typed = true
		case "Date":
			dated = true
		case "Content-Length":
			if !a.declare(values) {
				continue
			}
		}
		if span(k, inToken) < len(k) || k == "" {
			continue
		}
		for _, v := range values {
			b = appendField(b, k, v)
		}
	}
	if !dated {
		b = appendField(b, "Date", today.at(time.Now())[0])
	}
	a.room.out, a.room.keys = b, keys
}

// declare takes the length that the handler declares. It is false when there is none.
func (a *answer) declare(values []string) bool {
	if len(values) != 1 || bodiless(a.status) {
		return false
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err == nil {
		a.length = int64(n)
	}
	return err == nil
}

// appendField appends a line of a header. A value can't end it early.
func appendField(b []byte, name, value string) []byte {
	if strings.ContainsAny(value, "\r\n") {
		value = strings.TrimSpace(strings.NewReplacer("\r", " ", "\n", " ").Replace(value))
	}
	return append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	switch {
	case a.err != nil:
		return 0, a.err
	case len(p) == 0:
		return 0, nil
	case bodiless(a.status):
		return 0, http.ErrBodyNotAllowed
	}
	if a.written += int64(len(p)); a.length >= 0 && a.written > a.length {
		return 0, http.ErrContentLength
	}
	if !a.begun && a.length < 0 && a.written <= maxWaiting {
		a.room.body = append(a.room.body, p...)
		return len(p), nil
	}
	a.begin(p, a.length < 0)
	a.append(p)
	if a.err != nil {
		return 0, a.err
	}
	return len(p), nil
}

// begin ends the head, if that has not been done. p is what the body begins with, if nothing of it waits. What is left of the request's body is read
// first, as net/http does: clients may send all of it before they read anything.
func (a *answer) begin(p []byte, chunked bool) {
	if a.begun {
		return
	}
	a.begun, a.chunked = true, chunked
	waited := a.room.body
	if len(waited) > 0 {
		p = waited
	}
	b := a.room.out
	if !a.typed && len(p) > 0 && a.header.Get("Content-Encoding") == "" {
		b = appendField(b, "Content-Type", http.DetectContentType(p))
	}
	if !a.closes && !a.body.discard() {
		a.closes = true
		b = appendField(b, "Connection", "close")
	}
	switch {
	case chunked:
		b = appendField(b, "Transfer-Encoding", "chunked")
	case a.length < 0 && !bodiless(a.status):
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(waited)), 10), "\r\n"...)
	}
	a.room.out = append(b, "\r\n"...)
	if len(waited) > 0 {
		a.append(waited)
	}
}

// append writes a part of the body, or puts it behind what is to be written.
func (a *answer) append(p []byte) {
	if a.chunked {
		a.room.out = append(strconv.AppendInt(a.room.out, int64(len(p)), 16), "\r\n"...)
	}
	if len(a.room.out)+len(p) > maxTogether {
		a.flush()
	}
	if len(p) > maxTogether {
		a.send(p)
	} else {
		a.room.out = append(a.room.out, p...)
	}
	if a.chunked {
		a.room.out = append(a.room.out, "\r\n"...)
	}
}

func (a *answer) flush() {
	if len(a.room.out) > 0 {
		a.send(a.room.out)
		a.room.out = a.room.out[:0]
	}
}

// send writes to the connection. A client that can't be written to has left.
func (a *answer) send(p []byte) {
	if a.err == nil && !a.timed {
		a.err = a.c.writeUntil(time.Now().Add(streamStep))
	}
	if a.err == nil {
		if _, a.err = a.c.Write(p); a.err != nil {
			a.c.leave()
		}
	}
}

// finish writes what has not been written. It is false if the connection can't be used any more.
func (a *answer) finish() bool {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	a.begin(nil, false)
	if a.chunked {
		a.room.out = append(a.room.out, "0\r\n\r\n"...)
	}
	a.flush()
	return a.err == nil && !a.closes && (a.length < 0 || a.written == a.length)
}

// FlushError is what http.ResponseController flushes by.
func (a *answer) FlushError() error {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	if a.err == nil {
		a.begin(nil, a.length < 0 && !bodiless(a.status))
		a.flush()
	}
	return a.err
}

// SetReadDeadline is what http.ResponseController bounds reads of the request's body by.
func (a *answer) SetReadDeadline(t time.Time) error { return a.body.readUntil(t) }

// SetWriteDeadline is what http.ResponseController bounds writes by.
func (a *answer) SetWriteDeadline(t time.Time) error {
	a.timed = true
	return a.c.writeUntil(t)
}
