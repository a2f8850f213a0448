package query

import (
	"context"
	"fmt"

	"kith/job"
	"kith/profile/change"
	"kith/store"
)

// Name is the name of the indexer, the standing work.
const Name = "query"

var (
	switchKey = []byte("switch")
	stateKey  = []byte("state")
)

// state is how far the index of a domain is. Times are microseconds.
type state struct {
	Serving  uint32   `json:",omitzero"` // the generation that is complete; 0: none
	Building uint32   `json:",omitzero"` // the generation that is being built; 0: none
	Newest   uint32   // the last generation that there was
	Old      []uint32 `json:",omitzero"` // generations whose rows are being removed
	Rest     string   `json:",omitzero"` // the cursor of what has not been built, as profile.Cursor
	// BuildAt is when the building began, and BuiltAt when that of the serving generation did.
	BuildAt, BuiltAt int64 `json:",omitzero"`
	// Profiles and Terms count what the generations have, as far as no failure made it be written twice; New those of the one that is
	// being built.
	Profiles, Terms       int64 `json:",omitzero"`
	NewProfiles, NewTerms int64 `json:",omitzero"`
	// FirstExpiry is when the first of the indexed profiles expires, NewExpiry of those of the generation that is being built.
	FirstExpiry, NewExpiry int64 `json:",omitzero"`
	// Marks is how far imports have been indexed.
	change.Marks
	// Time is the newest of a row that was written.
	Time int64 `json:",omitzero"`

	published change.Published
}

// searched returns the generation that is searched, or 0.
func (s *state) searched() uint32 {
	if s.Serving != 0 {
		return s.Serving
	}
	return s.Building
}

// generations lists those that changes go to.
func (s *state) generations() (all []uint32) {
	for _, gen := range []uint32{s.Serving, s.Building} {
		if gen != 0 {
			all = append(all, gen)
		}
	}
	return all
}

// abandon notes that generations are searched no more.
func (s *state) abandon(gens ...uint32) {
	for _, gen := range gens {
		if gen != 0 {
			s.Old = append(s.Old, gen)
		}
	}
}

// toggle is the domain's switch.
type toggle struct {
	On bool

	published change.Published
}

// read returns the switch and the state of a domain.
func (s *Service) read(ctx context.Context, inc store.Incarnation) (*toggle, *state, error) {
	sw, st := &toggle{}, &state{}
	p := job.StandingPartition(inc, Name)
	err := sw.published.Read(ctx, s.Store, p, switchKey, sw)
	if err == nil {
		err = st.published.Read(ctx, s.Store, p, stateKey, st)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the state of the query index: %w", err)
	}
	return sw, st, nil
}

// Families are the rows of this package.
var Families = []store.Family{
	{Name: "switch of the query index", Table: store.Jobs, Partition: "standing/" + Name, Key: "switch", Kind: store.SwapRows,
		Value: "JSON: whether it is on", Writers: "PutQuerySettings"},
	{Name: "state of the query index", Table: store.Jobs, Partition: "standing/" + Name, Key: "state", Kind: store.SwapRows,
		Value: "JSON: generations, how far they are, counts", Writers: "the indexer"},
	{Name: "what a profile is indexed with", Table: store.Query, Partition: "{generation:4}1{profile id:16}", Key: "f", Kind: store.WriteRows,
		Value: "version, expiry, terms", Writers: "the indexer"},
	{Name: "posting", Table: store.Query, Partition: "{generation:4}{n, e, a, p or c}{bucket}", Key: "{term}\x00{companion}\x00{profile id:16}", Kind: store.WriteRows,
		Value: "signature:8, digit", Writers: "the indexer"},
	{Name: "name without letters", Table: store.Query, Partition: "{generation:4}2{hash:2}", Key: "{hash:4}{term}", Kind: store.WriteRows,
		Value: "empty", Writers: "the indexer"},
}
