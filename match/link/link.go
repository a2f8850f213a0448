package link

import (
	"context"

	"kith/internal/extsort"
	"kith/profile/fold"
)

// Source calls do for every visible profile, from several goroutines, each with its worker's number below Options.Workers. A run calls it
// more than once. A profile is good until do returns.
type Source func(ctx context.Context, do func(worker int, p *fold.Profile) error) error

// Answer is what a person said of a pair: Same joins, not the same keeps apart.
type Answer struct {
	A, B fold.ID
	Same bool
}

// Stage is what a run does.
type Stage int

// The stages of a run, in their order.
const (
	Preprocessing Stage = iota // profiles are read
	FindMatching               // pairs are compared
)

// Options are how to search. The zero value is usable.
type Options struct {
	// Workers is from how many goroutines Source calls, and how many compare; 0: one for each core.
	Workers int
	// Memory is how many bytes a run takes, about, garbage included; 0: 768 MiB. Records, keys and pairs beyond their shares go to sealed temporary files; of
	// each profile 22 to 34 bytes do not.
	Memory int64
	// Dir is where these go; empty: the system's folder for temporary files.
	Dir string
	// Answers are obeyed: who is the same is in one group, who is not never is.
	Answers []Answer
	// Threshold is the least probability of a match; 0: 0.5.
	Threshold float64
	// Progress is told now and then how many profiles were read, or pairs compared. It may be called from any goroutine.
	Progress func(stage Stage, done int64)
	// Team is who makes the search together with this process; nil: nobody.
	Team *Team
	// random is about how many pairs by chance are learned from, for tests; 0: randomPairs.
	random int
	// secondLook is in place of the constant, for tests.
	secondLook int
	// sorted is how many entries are sorted at once, for tests; 0: mostSorted, or what fits.
	sorted int
	// spilled is told how many chunks went to files, for tests.
	spilled *int64
	// arena is where what is worked on is kept, outside of the heap.
	arena *extsort.Arena
}

// Group is profiles that seem to be of one person.
type Group struct {
	// Score is the probability that two of its members are of one person, over all pairs of them.
	Score float64
	// Members are in the order of their ids, two at least.
	Members []fold.ID
	// Weakest are the two members that hold it together and have the least probability.
	Weakest [2]fold.ID
	// Glued is a member that seems to be two people; zero: none.
	Glued fold.ID
}

// Report is what a run did.
type Report struct {
	Reviewed int64 // profiles
	Groups   int64
	Pairs    int64 // in groups
	Compared int64 // pairs, each as often as it was compared: some four times
	// Glued are profiles that seem to be of two people.
	Glued []fold.ID
	// Refined says in whole sentences what was bounded.
	Refined []string
}
