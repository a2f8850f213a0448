package stage

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"sync/atomic"

	"kith/profile"
	"kith/profile/fold"
	"kith/profile/index"
	"kith/store"
)

const (
	// dropRanges are looked at, each from its start on, to guess whose rows the index has, so many of each.
	dropRanges = 16
	dropLook   = 512
	// dropShare is the share of the index, as one part of so many, from which on passing over all of it costs less than deriving rows: to derive and sort a
	// row takes two and a half times as long as to pass over one.
	dropShare = 2
)

// fillsIndex says whether a large part of the domain's index rows belongs to profiles that the job has created, as far as a sample can tell.
func (p *Plan) fillsIndex(ctx context.Context) (bool, error) {
	ranges, err := p.store.Split(ctx, store.SweepRange{Table: store.Index, Incarnation: p.inc}, dropRanges)
	if err != nil {
		return false, err
	}
	rows, minted := 0, 0
	for _, r := range ranges {
		n := 0
		for row, err := range p.store.Sweep(ctx, r) {
			if err != nil {
				return false, err
			}
			if id, class, ok := index.ParseRowKey(row.Row.Key); ok && class == index.ByImport && p.Minted(id) {
				minted++
			}
			rows++
			if n++; n == dropLook*dropRanges/len(ranges) {
				break
			}
		}
	}
	return minted*dropShare >= rows, nil
}

// sweepCreated takes back the profiles that the job has created, but for some, by a pass over the index of the domain: whose row it is, its id tells. The store must
// be Whole. Contributions go first.
func (p *Plan) sweepCreated(ctx context.Context, runs map[int]RunResult, all runBlobs, at int64, but map[fold.ID]bool, gone func(int64)) error {
	profiles := 0
	for _, run := range runs {
		profiles += int(run.Created)
	}
	contributions := func() (parts []store.Run, err error) {
		for _, r := range all { // ids of one bucket are before those of the next
			parts = append(parts, store.Run{Table: store.Profile, Rows: p.createdGone(r, runs[r.bucket], but, gone)})
		}
		return parts, nil
	}
	rows := func() (parts []store.Run, err error) {
		ranges, err := p.store.Split(ctx, store.SweepRange{Table: store.Index, Incarnation: p.inc}, 4*runtime.NumCPU())
		for _, r := range ranges {
			parts = append(parts, store.Run{Table: store.Index, Rows: p.mintedGone(ctx, r, at, but)})
		}
		return parts, err
	}
	engine := store.StagerOf(p.store)
	if engine == nil || profiles < manyDeletions {
		a, err := contributions()
		b, err2 := rows()
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		return p.store.WriteRun(ctx, append(a, b...)...)
	}
	from, to := p.mintedSpan()
	position := func(partition []byte) string {
		return engine.Position(store.Partition{Table: store.Profile, Incarnation: p.inc, Key: string(partition)})
	}
	created := store.SweepRange{Table: store.Profile, Incarnation: p.inc, From: position(from), To: position(to)}
	if err := p.cutOr(ctx, engine, profiles, created, p.time, p.isCreated(but, gone), contributions); err != nil {
		return err
	}
	return p.cutOr(ctx, engine, profiles, store.SweepRange{Table: store.Index, Incarnation: p.inc}, at, p.isMinted(but), rows)
}

// isCreated says of rows of profiles whether they are contributions of profiles that the job has created, but for some. It tells gone of them, some at a time.
func (p *Plan) isCreated(but map[fold.ID]bool, gone func(int64)) func(*store.SweepRow) bool {
	var n atomic.Int64
	return func(row *store.SweepRow) bool {
		at, _, ok := profile.ParseContributionKey(row.Row.Key)
		if !ok || at != p.time || len(row.Partition.Key) != len(fold.ID{}) {
			return false
		}
		id := fold.ID([]byte(row.Partition.Key))
		if !p.Minted(id) || len(but) > 0 && but[id] {
			return false
		}
		if n.Add(1)%touchedChunk == 0 {
			gone(touchedChunk)
		}
		return true
	}
}

// isMinted says of index rows whether they belong to profiles that the job has created, but for some, and are there for contributions.
func (p *Plan) isMinted(but map[fold.ID]bool) func(*store.SweepRow) bool {
	return func(row *store.SweepRow) bool {
		id, class, ok := index.ParseRowKey(row.Row.Key)
		return ok && class == index.ByImport && p.Minted(id) && !(len(but) > 0 && but[id])
	}
}

// createdGone are deletions of the contributions of the profiles that a run has created.
func (p *Plan) createdGone(r runBlob, run RunResult, but map[fold.ID]bool, gone func(int64)) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		row := store.RunRow{Incarnation: p.inc, Mutation: store.Mutation{Time: p.time, Delete: true}}
		var key []byte
		n := int64(0)
		for c, err := range p.written(runBlobs{r}, map[int]RunResult{r.bucket: run}, false) {
			if err != nil {
				yield(row, err)
				return
			}
			if !c.isCreated() || len(but) > 0 && but[c.id] {
				continue
			}
			if n++; n == touchedChunk {
				gone(n)
				n = 0
			}
			key = profile.AppendContributionKey(key[:0], p.time, c.row)
			row.Partition, row.Mutation.Key = c.id[:], key
			if !yield(row, nil) {
				return
			}
		}
		gone(n)
	}
}

// mintedGone are deletions of the index rows of a range that belong to profiles that the job has created, and that are there for contributions.
func (p *Plan) mintedGone(ctx context.Context, in store.SweepRange, at int64, but map[fold.ID]bool) iter.Seq2[store.RunRow, error] {
	return func(yield func(store.RunRow, error) bool) {
		gone := store.RunRow{Incarnation: p.inc, Mutation: store.Mutation{Time: at, Delete: true}}
		goes := p.isMinted(but)
		for row, err := range p.store.Sweep(ctx, in) {
			if err != nil {
				yield(gone, err)
				return
			}
			if !goes(&row) {
				continue
			}
			gone.Partition, gone.Mutation.Key = append(gone.Partition[:0], row.Partition.Key...), row.Row.Key
			if !yield(gone, nil) {
				return
			}
		}
	}
}
