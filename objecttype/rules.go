package objecttype

import (
	"maps"
	"slices"
	"strings"

	"kith/api"
	"kith/fault"
	"kith/schema"
)

// check refuses a definition that can't be of a type (docs/spec/core.md 3.6 and 3.7), as far as one type alone tells. The errors are
// faults; they name fields and keys.
func check(name string, def *definition, q Quotas) error {
	if n := len(def.Fields); n > q.fields() {
		return fault.BadRequestf("Fields has %d fields; the limit is %d.", n, q.fields())
	}
	for _, f := range slices.Sorted(maps.Keys(def.Fields)) {
		if err := checkName("Field", f, false); err != nil {
			return err
		}
	}
	n := 0
	for _, k := range slices.Sorted(maps.Keys(def.Keys)) {
		if n += len(def.Keys[k]); n > q.keys() {
			return fault.BadRequestf("Keys has more than %d definitions, which is the limit; each entry of a key's list counts.", q.keys())
		}
		if err := checkName("Key", k, true); err != nil {
			return err
		}
		if err := checkKey(k, def.Keys[k], def.Fields); err != nil {
			return err
		}
	}
	if err := checkRoles(def); err != nil {
		return err
	}
	t, err := compile(name, def)
	if err != nil {
		return err
	}
	return t.checkStandards()
}

// checkName refuses names that can't be of a field or key.
func checkName(what, name string, underscore bool) error {
	if name == "Tags" || name == "tags" {
		return fault.BadRequestf("%s %q must have another name: this one is reserved.", what, name)
	}
	c := name[0]
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' && underscore {
		return nil
	}
	if underscore {
		return fault.BadRequestf("%s %q must begin with a letter, or be one of the predefined keys, such as _email.", what, name)
	}
	return fault.BadRequestf("%s %q must begin with a letter.", what, name)
}

// lookupOnly are the keys whose values the server assigns: an object can ask for one, and never give one.
var lookupOnly = []string{schema.KeyProfileID, "_orderId", "_caseId", "_assetId"}

// checkKey checks the definitions of one key.
func checkKey(name string, defs []api.ObjectTypeKey, fields map[string]api.ObjectTypeField) error {
	if len(defs) == 0 {
		return fault.BadRequestf("Key %q has no definition: name its fields, as in [{\"FieldNames\":[\"email\"],\"StandardIdentifiers\":[\"PROFILE\"]}].", name)
	}
	for i, d := range defs {
		if len(d.FieldNames) == 0 {
			return fault.BadRequestf("Key %q has a definition without FieldNames: name the fields that fill it.", name)
		}
		for j, f := range d.FieldNames {
			field, ok := fields[f]
			if !ok {
				return fault.BadRequestf("Key %q names the field %q, which Fields does not have. Add it, or name another one.", name, f)
			}
			if slices.Contains(d.FieldNames[:j], f) {
				return fault.BadRequestf("Key %q names the field %q twice in one definition. Remove one.", name, f)
			}
			if strings.Contains(api.Val(field.Source), "[]") {
				return fault.BadRequestf("Key %q names the field %q, whose Source is a list; a key takes one value. Read one value.", name, f)
			}
		}
		if schema.Predefined(name) && name != schema.KeyFullName && len(d.FieldNames) > 1 {
			return fault.BadRequestf("Key %q is predefined and has one part, not %d. Give each field a definition of its own, or use another name.", name, len(d.FieldNames))
		}
		if !schema.Predefined(name) && !slices.Equal(contentTypes(name, defs[0].FieldNames, fields), contentTypes(name, d.FieldNames, fields)) {
			return fault.BadRequestf("Key %q has definitions whose fields have different content types (number 1 and %d); its values could not be compared. Give the fields the same ContentType, in the same order.", name, i+1)
		}
		if err := checkIdentifiers(name, identifiersOf(d)); err != nil {
			return err
		}
	}
	return nil
}

// checkIdentifiers checks what one definition says of itself.
func checkIdentifiers(name string, ids identifiers) error {
	lookup, newOnly := ids[api.StandardIdentifierLookupOnly], ids[api.StandardIdentifierNewOnly]
	switch {
	case ids[api.StandardIdentifierUnique] && (lookup || newOnly):
		return fault.BadRequestf("Key %q is UNIQUE and LOOKUP_ONLY or NEW_ONLY; what identifies the object must be stored. Remove one of them.", name)
	case lookup && newOnly:
		return fault.BadRequestf("Key %q is LOOKUP_ONLY, so that it is never stored, and NEW_ONLY, so that it is sometimes. Remove one of them.", name)
	case ids[api.StandardIdentifierSecondary] && !ids[api.StandardIdentifierProfile]:
		return fault.BadRequestf("Key %q is SECONDARY without PROFILE; SECONDARY says when a key that finds profiles is asked. Add PROFILE, or remove SECONDARY.", name)
	case slices.Contains(lookupOnly, name) && !lookup:
		return fault.BadRequestf("Key %q holds ids that the server assigns, so it must be LOOKUP_ONLY. Add LOOKUP_ONLY, or use a key of your own.", name)
	}
	return nil
}

// checkRoles checks what all keys together must do: identify the object, find the profile, and be found again.
func checkRoles(def *definition) error {
	var unique []string
	profile, free, bound := false, false, ""
	for _, name := range slices.Sorted(maps.Keys(def.Keys)) {
		for _, d := range def.Keys[name] {
			ids := identifiersOf(d)
			if ids[api.StandardIdentifierUnique] {
				unique = append(unique, name)
			}
			if !ids[api.StandardIdentifierProfile] {
				continue
			}
			profile = true
			if !ids[api.StandardIdentifierLookupOnly] && !ids[api.StandardIdentifierNewOnly] {
				free = true
			} else if name != schema.KeyProfileID {
				bound = name
			}
		}
	}
	switch {
	case len(unique) == 0:
		return fault.BadRequestf("No key is UNIQUE: give one definition of a key the standard identifier UNIQUE, which tells one object of the type from another.")
	case len(unique) > 1:
		return fault.BadRequestf("Keys %q and %q are both UNIQUE; one definition must be. Remove UNIQUE from the others.", unique[0], unique[1])
	case !profile:
		return fault.BadRequestf("No key is PROFILE: give at least one key the standard identifier PROFILE, by which an object finds its profile.")
	case def.Creates && bound != "" && !free:
		return fault.BadRequestf("Key %q is LOOKUP_ONLY or NEW_ONLY, and so is every other PROFILE key: a profile that an object makes would not be found by the next one. Add a PROFILE key that is neither, or set AllowProfileCreation to false.", bound)
	}
	return nil
}

// checkStandards refuses a type that feeds a standard object without a key of it.
func (t *Type) checkStandards() error {
	for _, s := range t.standards {
		if len(s.fields) > 0 && len(s.keys) == 0 && s.Name != "_communicationRecord" {
			f := t.fields[s.fields[0]]
			return fault.BadRequestf("Field %q fills %s.%s, and no key has the standard identifier %s, by which the object is found. Add it to a key.", f.name, s.Name, f.target.Path, s.Identifier)
		}
	}
	return nil
}

// checkOthers refuses a definition that does not go with the other types of its domain.
func checkOthers(name string, def *definition, all *set, dataStore bool) error {
	for _, k := range slices.Sorted(maps.Keys(def.Keys)) {
		others, used := all.keys[k]
		if k[0] == '_' && !schema.Predefined(k) && !used {
			return fault.BadRequestf("Key %q must begin with a letter: names that begin with _ are predefined, such as _email.", k)
		}
		own := contentTypes(k, def.Keys[k][0].FieldNames, def.Fields)
		if used && !slices.Equal(own, others) {
			return fault.BadRequestf("Key %q has the content types %v here and %v in object type %s; keys of one name share their values in a domain. Use the same content types in the same order, or another name.", k, own, others, all.owners[k])
		}
	}
	if !dataStore {
		return nil
	}
	if other, one, ok := schema.SameTable(append(slices.Sorted(maps.Keys(all.alive)), name)); ok {
		return fault.BadRequestf("Object type %s can't be told from %s in the domain's data store, where case, - and _ do not count. Use another name.", one, other)
	}
	return nil
}
