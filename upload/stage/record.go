package stage

import "kith/upload/table"

// Counters count rows. The first three are the API's; the others say more of those that are updated.
type Counters struct {
	Created, Updated, Failed int64
	// Unchanged are rows of customers who show the same as before, Repeated rows whose unique key an earlier row has.
	Unchanged int64 `json:",omitzero"`
	Repeated  int64 `json:",omitzero"`
}

// Plus adds counters.
func (c Counters) Plus(d Counters) Counters {
	return Counters{c.Created + d.Created, c.Updated + d.Updated, c.Failed + d.Failed, c.Unchanged + d.Unchanged, c.Repeated + d.Repeated}
}

// TooLong counts the values of a column that were longer than their attribute.
type TooLong struct {
	Column string
	Limit  int // characters
	Values int64
}

// ReadResult is what the read stage publishes.
type ReadResult struct {
	Rows    int64 // data records
	Failed  int64
	Rejects string `json:",omitzero"` // blob
	// KeptRejects is how many of the failed rows are in Rejects: all, unless there were very many.
	KeptRejects int64
	Buckets     int
	Bounds      [][]byte `json:",omitzero"` // unique keys that bound the buckets; none when they are by hash
	Spills      []string `json:",omitzero"` // scratch blobs by bucket; none when the rows were kept in memory
	// Shared says that nodes apply the buckets one by one.
	Shared bool `json:",omitzero"`
	Header []string
	// Delimiter separates the cells; it was found by looking at the header.
	Delimiter string
	// HeaderLine is the physical line that the header begins at, and Passed how many records before it were passed over.
	HeaderLine int64 `json:",omitzero"`
	Passed     int   `json:",omitzero"`
	// Repeated counts the records that were the header again, and Short those with fewer cells than the header.
	Repeated int64 `json:",omitzero"`
	Short    int64 `json:",omitzero"`
	// TooLong are the columns with values that were longer than their attributes.
	TooLong []TooLong `json:",omitzero"`
	table.Format
}

// Delim is what separates the cells of the file.
func (r *ReadResult) Delim() byte {
	if r.Delimiter == "" {
		return ','
	}
	return r.Delimiter[0]
}

// RunResult is what resolving a bucket publishes.
type RunResult struct {
	Counters
	Run      string  `json:",omitzero"` // blob of what was decided
	Who      section `json:",omitzero"` // of it
	WhoMarks []mark  `json:",omitzero"` // of that section
	More     section `json:",omitzero"` // of the blob
	// Ambiguous is a blob of the numbers of rows whose key several profiles have: each as its distance to the one before.
	Ambiguous string `json:",omitzero"`
	// Deep counts the updated profiles that have many contributions.
	Deep int64 `json:",omitzero"`
}

// Sum adds up what the stages have published.
func Sum(read *ReadResult, runs map[int]RunResult) (c Counters) {
	if read != nil {
		c.Failed = read.Failed
	}
	for _, run := range runs {
		c = c.Plus(run.Counters)
	}
	return c
}
