package main

import "math"

const (
	// usualBody is enough for all operations but those whose texts may be large, in bytes.
	usualBody = 6 << 20
	// escaped is what a character takes at most: JSON may write it as two escapes of six bytes, and several SDKs do so.
	escaped = 12
)

// maxBody returns how large a body of an operation may be: as large as the model's limits allow with every character escaped, and
// usualBody at least. An input without limits has usualBody.
func (m *model) maxBody(op *operation) int64 {
	in := m.Shapes[op.Input.Shape]
	size := m.largestStructure(in)
	if math.IsInf(size, 1) {
		return usualBody
	}
	return max(usualBody, int64(math.Ceil(size/(1<<20)))<<20)
}

// largest returns the size of the largest JSON of a shape, infinite if it has no limit.
func (m *model) largest(s *shape) float64 {
	limit := math.Inf(1)
	if s.Max != nil {
		limit = *s.Max
	}
	switch {
	case len(s.Enum) > 0:
		longest := 0
		for _, e := range s.Enum {
			longest = max(longest, len(e))
		}
		return float64(longest + len(`"",`))
	case s.Type == "blob":
		return limit*4/3 + 7 // base64
	case s.Type == "string":
		return limit*escaped + 3
	case s.Type == "list":
		return limit*(m.largest(m.Shapes[s.Member.Shape])) + 3
	case s.Type == "map":
		return limit*(m.largest(m.Shapes[s.Key.Shape])+m.largest(m.Shapes[s.Value.Shape])) + 3
	case s.Type == "structure":
		return m.largestStructure(s)
	}
	return 32 // numbers, booleans, times
}

func (m *model) largestStructure(s *shape) float64 {
	size := 3.0
	for _, mb := range s.Members {
		if mb.Location == "" {
			size += float64(len(mb.name)+len(`"":`)) + m.largest(m.Shapes[mb.Shape])
		}
	}
	return size
}
