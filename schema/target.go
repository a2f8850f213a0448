package schema

import (
	"fmt"
	"strings"
)

// reserved are the targets below _profile that only the system fills.
var reserved = map[string]bool{"ProfileId": true, "ImportIds": true, "FoundByItems[]": true, "FoundByItems": true}

// Target is where a field's value goes: an attribute of the profile, a path of another standard object, or the time of all that the object
// says.
type Target struct {
	Standard *Standard // nil: the profile
	Attr     Attr      // of the profile
	// SourceTime says that the value is when the source changed the object: _profile.SourceLastUpdatedTimestamp.
	SourceTime bool
	// Path is below the standard object's prefix: "Status", "Attributes.x", "OrderItems[].Title".
	Path string
	// List says that the target takes a list: its path has a name that ends in [].
	List bool
}

const profilePrefix = "_profile."

// ParseTarget returns the attribute that a Target of the form _profile.<path> names. The error is a sentence for the caller.
func ParseTarget(target string) (Attr, error) {
	path, ok := strings.CutPrefix(target, profilePrefix)
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

// ParseObjectTarget returns where a Target of an object type leads. The error is a sentence for the caller.
func ParseObjectTarget(target string) (t Target, err error) {
	if target == profilePrefix+"SourceLastUpdatedTimestamp" {
		return Target{SourceTime: true}, nil
	}
	prefix, path, _ := strings.Cut(target, ".")
	if t.Standard = StandardByName(prefix); t.Standard == nil {
		if prefix+"." != profilePrefix {
			return t, fmt.Errorf("Target %q must begin with _profile. or the name of another standard object, such as _asset., _order. or _case.", target) // a sentence for the caller
		}
		t.Attr, err = ParseTarget(target)
		return t, err
	}
	t.Path, t.List = path, strings.Contains(path, "[]") && !strings.HasPrefix(path, customPrefix)
	switch {
	case path == t.Standard.ID:
		return t, fmt.Errorf("Target %q is reserved: the server assigns it", target)
	case !t.Standard.has(path) && t.Standard.Fields != nil:
		return t, fmt.Errorf("Target %q is not a field of %s, which has %s and Attributes.<name>", target, prefix, strings.Join(t.Standard.Fields, ", "))
	case !t.Standard.has(path):
		return t, fmt.Errorf("Target %q must be %s. and names between dots, of which one may end in []", target, prefix)
	}
	return t, nil
}
