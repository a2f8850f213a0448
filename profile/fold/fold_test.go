package fold

import "kith/objecttype"

var (
	first = objecttype.Attr{ID: objecttype.FirstName}
	tier  = objecttype.Attr{Custom: "tier"}
)
