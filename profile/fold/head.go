package fold

// Head is everything that API writes say about a profile, compacted.
type Head struct {
	// Time is the profile's time: later than every write before. It outlives what was written, so that index rows of a write that was
	// overtaken can't come back.
	Time int64 // microseconds
	// Expires is when the last thing that the head says expires; 0: it says nothing, and only keeps the time.
	Expires int64
	// Values are in the order of objecttype.Attr.Less, then of the fold. Each has its kind, stamp and expiry.
	Values []Value
	// Keys were added by hand.
	Keys []Key
}
