package server

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"kith/api"
	"kith/internal/restjson"
)

const (
	// MaxBody bounds the body of a request for no operation; each operation has a bound of its own (api.Operation).
	MaxBody = 6 << 20
	// bodyTime is how long a request body may take.
	bodyTime = time.Minute
	// smallBody is how much of a body may use the last quarter of the budget, so that a few large bodies, or slow ones of a stranger who
	// knows the name of a key, leave room for everybody's small requests.
	smallBody = 16 << 10
	// DefaultBodyMemory is the budget for the bodies of all requests in flight, in bytes.
	DefaultBodyMemory = 256 << 20
)

// LargestBody is the largest body that any operation takes.
func LargestBody() int64 {
	largest := int64(MaxBody)
	for _, op := range api.Operations {
		largest = max(largest, op.MaxBody)
	}
	return largest
}

// bodyBudget bounds the bytes of request bodies that are kept at a time. Bodies of uploads are not among them: they stream.
type bodyBudget struct {
	limit int64
	used  atomic.Int64
}

// take reserves n bytes of a body that will then have size bytes; it says whether there was room.
func (b *bodyBudget) take(n, size int) bool {
	limit := b.limit
	if size > smallBody {
		limit -= limit / 4
	}
	if b.used.Add(int64(n)) > limit {
		b.used.Add(int64(-n))
		return false
	}
	return true
}

func (b *bodyBudget) give(n int) { b.used.Add(int64(-n)) }

// heldBody is a request body in memory, with its share of the budget.
type heldBody struct {
	budget *bodyBudget
	bytes  []byte
}

// release gives the share back. The bytes must not be used any more.
func (h *heldBody) release() {
	h.budget.give(cap(h.bytes))
	h.bytes = nil
}

// readBody reads a body of at most limit bytes within the budget. Memory grows with what has arrived, whatever length was announced. On any return the caller
// releases h.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, limit int64, h *heldBody) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	if r.ContentLength > limit {
		return bodyTooLarge(limit)
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime))
	for {
		if len(h.bytes) == cap(h.bytes) && !h.grow(r.ContentLength, int(limit)) {
			return busy()
		}
		n, err := r.Body.Read(h.bytes[len(h.bytes):cap(h.bytes)])
		h.bytes = h.bytes[:len(h.bytes)+n]
		if int64(len(h.bytes)) > limit {
			return bodyTooLarge(limit)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return &restjson.SyntaxError{Message: "the body could not be read to its end"}
		}
	}
	_ = control.SetReadDeadline(time.Time{})
	return nil
}

// firstRead is the room for a body whose length is not known.
const firstRead = 4 << 10

// grow makes room for more of a body of which length bytes are announced, -1 for unknown, and limit allowed.
func (h *heldBody) grow(length int64, limit int) bool {
	have := cap(h.bytes)
	want := max(2*have, firstRead)
	if length >= 0 { // and a byte, so that the end is seen without growing once more
		want = min(max(want, smallBody), int(length)+1)
	}
	want = min(max(want, have+1), limit+1)
	if !h.budget.take(want, want) {
		return false
	}
	grown := make([]byte, len(h.bytes), want)
	copy(grown, h.bytes)
	h.bytes = grown
	if have > 0 {
		h.budget.give(have)
	}
	return true
}

// drainBytes and drainTime bound what is read of a body that nobody will use: a client that sends all before it reads would see a reset instead
// of the reason.
const (
	drainBytes = 8 << 20
	drainTime  = 3 * time.Second
	// maxDrains is how many bodies are read so at a time; other connections are closed at once.
	maxDrains = 16
)

// drain reads the rest of a refused request's body, and keeps nothing of it, nor of the request's headers.
func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	expects := r.Header.Get("Expect") != ""
	clear(r.Header)
	if r.Body == nil || r.Body == http.NoBody || r.ProtoMajor != 1 || expects {
		return
	}
	control := http.NewResponseController(w)
	select {
	case s.drains <- struct{}{}:
		defer func() { <-s.drains }()
		_ = control.SetReadDeadline(time.Now().Add(drainTime))
		if _, err := io.CopyN(io.Discard, r.Body, drainBytes); err != io.EOF {
			w.Header().Set("Connection", "close")
		}
		_ = control.SetReadDeadline(time.Time{})
	default:
		w.Header().Set("Connection", "close")
	}
}
