package stage

import (
	"context"
	"fmt"

	"kith/profile/fold"
)

// RowsOf appends the rows of a profile's entries in a run.
func (p *Plan) RowsOf(ctx context.Context, rows []int64, bucket int, run *RunResult, id fold.ID) ([]int64, error) {
	from, ok := enter(run.WhoMarks, &id)
	if !ok {
		return rows, nil
	}
	r, err := p.blobs.Open(ctx, run.Run, p.key)
	if err != nil {
		return nil, fmt.Errorf("open a run: %w", err)
	}
	defer r.Close()
	c := &rowCursor{who: p.newWho(runBlob{r, bucket}, section{from, run.Who.To}), lo: &id}
	for {
		found, err := c.Next()
		if err != nil || !found || c.id != id {
			return rows, err
		}
		rows = append(rows, c.row)
	}
}
