package job_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kith/job"
	"kith/store"
	"kith/store/mem"
)

// told is a log that a test reads while it is written.
type told struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *told) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *told) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), text)
}

// Work that loses its lease because its domain was deleted, here or at another node, is no reason to warn; any other loss is.
func TestWorkOfADeletedDomainIsNoWarning(t *testing.T) {
	const inc = 1
	for name, c := range map[string]struct {
		lose func(t *testing.T, r *job.Runner, st store.Store)
		gone bool
	}{
		"deleted here":          {func(_ *testing.T, r *job.Runner, _ store.Store) { r.Abort(inc) }, true},
		"deleted elsewhere":     {dropJobs, true},
		"lost to somebody else": {dropJobs, false},
	} {
		t.Run(name, func(t *testing.T) {
			st, log := mem.New(), &told{}
			begun := make(chan struct{})
			var deleted atomic.Bool
			r := runner(st, "node", funcs{run: func(ctx context.Context, _ *job.Task) error {
				close(begun)
				<-ctx.Done()
				return context.Cause(ctx)
			}})
			r.Log = slog.New(slog.NewTextHandler(log, nil))
			r.Domains = func(context.Context) ([]job.Domain, error) {
				if deleted.Load() {
					return nil, nil
				}
				return []job.Domain{{Incarnation: inc}}, nil
			}
			r.Gone = func(context.Context, store.Incarnation) (bool, error) { return deleted.Load(), nil }
			enqueue(t, st, inc, "w")
			start(t, r)
			<-begun
			deleted.Store(c.gone)
			c.lose(t, r, st)
			ended, warned := "background work ended with its domain", "background work lost its lease"
			if !c.gone {
				ended, warned = warned, ended
			}
			until(t, ended, func() bool { return log.has(ended) })
			if log.has(warned) || log.has("level=WARN") == c.gone {
				t.Errorf("the log says\n%s", log.buf.String())
			}
		})
	}
}

// dropJobs takes the lease away as another node does that removes the rows of a domain.
func dropJobs(t *testing.T, _ *job.Runner, st store.Store) {
	t.Helper()
	if err := st.DropRange(ctx, store.Jobs, 1); err != nil {
		t.Fatal(err)
	}
}
