package fold

import "kith/schema"

var (
	first = schema.Attr{ID: schema.FirstName}
	tier  = schema.Attr{Custom: "tier"}
)
