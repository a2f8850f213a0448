package profile

import (
	"bytes"
	"context"
	"fmt"

	"kith/profile/fold"
)

// joiner visits the persons of a shard, whose profiles have been spilled.
type joiner struct {
	e       *each
	ctx     context.Context
	worker  int
	person  *fold.Person
	pending []ID // persons that must be read from the store
	met     int  // since the last rest
	visited int
}

// visitShard visits the persons of a shard.
func (e *each) visitShard(ctx context.Context, worker, shard int) error {
	j := &joiner{e: e, ctx: ctx, worker: worker, person: fold.NewPerson(e.Now, e.Attrs)}
	done := e.at.Persons[shard]
	rest := func(last ID) error {
		err := j.load()
		if err != nil {
			return err
		}
		e.at.Persons[shard] = last
		err = e.rest(j.visited)
		j.met, j.visited = 0, 0
		return err
	}
	err := persons(e.spills, shard, func(main ID, records []byte) error {
		if bytes.Compare(main[:], done[:]) <= 0 {
			return nil
		}
		if err := j.visit(main, records); err != nil {
			return fmt.Errorf("profile %s: %w", main, err)
		}
		if j.met++; j.met < e.breath {
			return ctx.Err()
		}
		return rest(main)
	})
	if err != nil {
		return err
	}
	return rest(lastID)
}

// lastID is behind all ids.
var lastID = ID(bytes.Repeat([]byte{0xff}, len(ID{})))

// visit visits a person, whose records are one after the other, each behind its length.
func (j *joiner) visit(id ID, records []byte) error {
	j.person.Reset()
	for len(records) > 0 {
		key, value, n := record(records)
		records = records[n:]
		if err := j.add(ID(key[1+len(ID{}):]), value); err != nil {
			return err
		}
	}
	main := j.person.Member(id)
	if main == nil || main.State.Deleted != nil { // its main profile is a member itself, or in a range of another pass
		return nil
	}
	for i := range main.State.Merges {
		for _, id := range main.State.Merges[i].From {
			if of := j.person.Member(id); of == nil || len(of.State.Merges) > 0 {
				j.pending = append(j.pending, main.ID)
				return nil
			}
		}
	}
	return j.deliver(j.person.Profile(main))
}

// add takes in a spilled profile.
func (j *joiner) add(id ID, b []byte) error {
	j.person.Add(id)
	for len(b) > 0 {
		key, value, rest, err := nextRow(b)
		if err != nil {
			return err
		}
		b = rest
		switch key[0] {
		case stateKey[0]:
			err = j.person.AddState(value)
		case contributionPrefix[0]:
			err = j.person.AddContribution(value)
		case headKey[0]:
			err = j.person.AddHead(value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deliver visits a person; nil: nothing of it is visible.
func (j *joiner) deliver(p *fold.Profile) error {
	if p == nil {
		return nil
	}
	p.Only(j.e.Attrs)
	j.visited++
	return j.e.do(j.worker, p)
}

// load visits the persons that are pending.
func (j *joiner) load() error {
	if len(j.pending) == 0 {
		return nil
	}
	mains, err := j.e.s.loadMainsAt(j.ctx, j.e.Incarnation, j.pending, j.e.Now)
	if err != nil {
		return err
	}
	for _, id := range j.pending {
		if m := mains[id]; m != nil {
			if err := j.deliver(m.Profile()); err != nil {
				return err
			}
		}
	}
	j.pending = j.pending[:0]
	return nil
}
