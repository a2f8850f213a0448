package rule

import (
	"bufio"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"kith/store"
)

const (
	// exportEvery is how often matches that change are exported at most.
	exportEvery = time.Hour
	// exportRows is about how many rows a file has.
	exportRows = 1_000_000
)

// export writes the matches to where the domain wants them, if they have changed since that was done, an hour ago or longer. due is when that is to be
// done next; 0: when something changes. What fails is logged and tried an hour later: matching goes on.
func (x *pass) export(ctx context.Context) (due time.Duration, err error) {
	to := x.rec.RuleBasedMatching.ExportingConfig
	if x.Export == nil || to == nil || to.S3Exporting == nil || x.st.ExportedAt > x.st.ChangedAt {
		return 0, nil
	}
	now := x.Now()
	if wait := time.UnixMicro(x.st.ExportedAt).Add(exportEvery).Sub(now); wait > 0 {
		return wait, nil
	}
	files, err := x.exportFiles(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return 0, err
		}
		x.Log.Warn("matches by rules could not be exported; it is tried again in an hour", "domain", x.rec.Name, "error", err)
		x.st.ExportedAt = now.UnixMicro()
		x.st.ChangedAt = x.st.ExportedAt
		return exportEvery, nil
	}
	x.st.ExportedAt, x.st.ExportFiles = max(now.UnixMicro(), x.st.ChangedAt+1), max(files, x.st.ExportFiles)
	return 0, nil
}

// exportFiles writes all files, and empties those that there were more of. It returns how many have matches.
func (x *pass) exportFiles(ctx context.Context) (files int, err error) {
	e := &exporter{pass: x}
	for e.next < 256 || e.files == 0 {
		if err := e.file(ctx); err != nil {
			return 0, err
		}
	}
	files = e.files
	for e.files < x.st.ExportFiles {
		if err := e.file(ctx); err != nil {
			return 0, err
		}
	}
	return files, nil
}

// exporter is an export on its way.
type exporter struct {
	*pass
	files int // written
	next  int // the partition of matches that comes next; 256: all were
}

// file writes the next file: whole partitions of matches, until there are enough rows.
func (e *exporter) file(ctx context.Context) error {
	name := fmt.Sprintf("matches-%05d.csv", e.files)
	r, w := io.Pipe()
	next := e.next
	go func() {
		var err error
		next, err = e.write(ctx, w, next)
		w.CloseWithError(err)
	}()
	err := e.Export(ctx, e.rec, name, r)
	_ = r.Close()
	if err != nil {
		return fmt.Errorf("export matches: %w", err)
	}
	e.files, e.next = e.files+1, next
	return nil
}

// write writes matches from a partition on, a row for each member, and returns the partition behind.
func (e *exporter) write(ctx context.Context, w io.Writer, first int) (next int, err error) {
	buffered := bufio.NewWriter(w)
	out := csv.NewWriter(buffered)
	if err := out.Write([]string{"MatchId", "ProfileId", "RuleLevel"}); err != nil {
		return first, err
	}
	rows := 0
	for ; first < 256 && rows < exportRows; first++ {
		at := store.Partition{Table: store.Match, Incarnation: e.inc, Key: groupPartition(e.st.Series, byte(first))}
		for row, err := range e.Store.Scan(ctx, at, store.Range{}) {
			if err != nil {
				return first, fmt.Errorf("read matches: %w", err)
			}
			g, err := decodeGroup(row)
			if err != nil {
				return first, err
			}
			for _, id := range g.members {
				if err := out.Write([]string{g.id.String(), id.String(), strconv.Itoa(int(g.level))}); err != nil {
					return first, err
				}
				rows++
			}
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return first, err
	}
	return first, buffered.Flush()
}
