package e2e

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"kith/job"
	"kith/store"
	"kith/store/cql"
	"kith/test/cluster"
)

// cable is a network that can be cut: what is under way waits, in both directions or only on its way back, until it is mended.
type cable struct {
	mu      sync.Mutex
	mended  chan struct{} // closed while the cable is whole
	answers bool          // only answers are held up
}

func newCable() *cable {
	c := &cable{mended: make(chan struct{})}
	close(c.mended)
	return c
}

func (c *cable) cut(answers bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mended, c.answers = make(chan struct{}), answers
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.mended)
}

func (c *cable) wait(answer bool, closed <-chan struct{}) {
	c.mu.Lock()
	mended, pass := c.mended, c.answers && !answer
	c.mu.Unlock()
	if pass {
		return
	}
	select {
	case <-mended:
	case <-closed:
	}
}

// DialContext implements the driver's dialer.
func (c *cable) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c.wait(true, ctx.Done())
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: conn, cable: c, closed: make(chan struct{})}, nil
}

type wire struct {
	net.Conn
	cable  *cable
	once   sync.Once
	closed chan struct{}
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.cable.wait(true, w.closed)
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	w.cable.wait(false, w.closed)
	return w.Conn.Write(b)
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return w.Conn.Close()
}

// A node whose network is cut while it renews its lease loses its work to another one. When the network is mended its publication
// is refused: there is one outcome, and it is the other node's.
func TestSharedNodesFenceTheOneThatWasCutOff(t *testing.T) {
	for name, answers := range map[string]bool{"both ways": false, "answers only": true} {
		t.Run(name, func(t *testing.T) {
			o := cluster.Options(t)
			cable := newCable()
			far := o
			far.Dialer = cable
			stores := map[string]store.Store{}
			for node, o := range map[string]cql.Options{"a": far, "b": o} {
				st, err := cql.Open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = st.Close() })
				stores[node] = st
			}
			w := job.Work{Kind: "test", ID: "work", Incarnation: 7, Arrived: 1}
			if err := job.Enqueue(t.Context(), stores["b"], w); err != nil {
				t.Fatal(err)
			}
			begun, mended, published := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			start := func(node string, run func(ctx context.Context, task *job.Task) error) {
				r := &job.Runner{
					Store: stores[node], Owner: node, Now: time.Now, Log: slog.New(slog.DiscardHandler), LeaseFor: 3 * time.Second, Poll: 100 * time.Millisecond,
					Domains:  func(context.Context) ([]job.Domain, error) { return []job.Domain{{Incarnation: 7}}, nil },
					Handlers: map[string]job.Handler{"test": handler(run)},
				}
				ctx, cancel := context.WithCancel(context.Background())
				var wg sync.WaitGroup
				wg.Go(func() { r.Run(ctx) })
				t.Cleanup(func() { cancel(); wg.Wait() })
			}
			outcome := store.Swap{Key: []byte("outcome")}
			start("a", func(_ context.Context, task *job.Task) error {
				close(begun)
				<-mended
				op := outcome
				op.Value = []byte("a")
				_, err := task.Swap(context.Background(), op) // whatever its context says: the fence has to hold by itself
				published <- err
				return err
			})
			<-begun
			time.Sleep(900 * time.Millisecond) // a renewal is due every second
			cable.cut(answers)
			done := make(chan struct{})
			start("b", func(ctx context.Context, task *job.Task) error {
				op := outcome
				op.Value = []byte("b")
				if _, err := task.Swap(ctx, op); err != nil {
					return err
				}
				close(done)
				return nil
			})
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Fatal("the other node did not take over")
			}
			cable.mend()
			close(mended)
			if err := <-published; !errors.Is(err, job.ErrLost) {
				t.Fatalf("the publication of the node that was cut off: %v, want ErrLost", err)
			}
			row, err := stores["b"].Get(t.Context(), job.Partition(7, "work"), []byte("outcome"))
			if err != nil || string(row.Value) != "b" {
				t.Fatalf("the outcome is %q, %v", row.Value, err)
			}
		})
	}
}

type handler func(ctx context.Context, t *job.Task) error

func (h handler) Run(ctx context.Context, t *job.Task) error { return h(ctx, t) }

func (h handler) GiveUp(context.Context, *job.Task, error) (bool, error) { return false, nil }
