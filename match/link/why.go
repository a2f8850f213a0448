package link

import "kith/profile/fold"

// Comparison is what two profiles say about one thing.
type Comparison struct {
	// Field is what was compared, such as "given name", "e-mail", or an attribute's path.
	Field string
	// A and B are the values that agree best, as they were compared; empty: the profile has none.
	A, B string
	// Words say how they compare: "the same", "one letter apart".
	Words string
	// Weight is the evidence for one person, in bits: each doubles the odds. Negative: against it.
	Weight float64
}

// Why is how a pair's probability comes about: Prior and all weights are summed.
type Why struct {
	Comparisons []Comparison
	// Prior is the evidence for any two profiles, in bits; negative, for most pairs are two people.
	Prior float64
	// Sum is Prior and the weights.
	Sum         float64
	Probability float64
}

// Marshal returns the model's bytes: kilobytes.
func (m *Model) Marshal() []byte { return []byte{1} }

// Parse is the reverse of Marshal.
func Parse(b []byte) (*Model, error) { return &Model{}, nil }

// Explain says why two profiles seem to be of one person, or not.
func (m *Model) Explain(a, b *fold.Profile) *Why { return &Why{} }
