package schema

import (
	"fmt"
	"strings"
)

// reserved are the targets that only the system fills.
var reserved = map[string]bool{"ProfileId": true, "ImportIds": true, "FoundByItems[]": true, "FoundByItems": true}

// ParseTarget returns the attribute that a Target of the form _profile.<path> names. The error is a sentence for the caller.
func ParseTarget(target string) (Attr, error) {
	path, ok := strings.CutPrefix(target, "_profile.")
	if !ok {
		return Attr{}, fmt.Errorf("Target %q must begin with _profile.", target) // a sentence for the caller
	}
	if reserved[path] {
		return Attr{}, fmt.Errorf("Target %q is reserved", target)
	}
	a, ok := ParsePath(path)
	if !ok || a.ID == ProfileType {
		return Attr{}, fmt.Errorf("Target %q is not an attribute of the standard profile; custom ones are _profile.Attributes.<name>", target)
	}
	return a, nil
}
