package schema

import "strings"

// TableName returns the name of the table that holds a type's objects in a data store: names that differ in case, or in "-" and "_" only, are
// one table. Standard types, whose names begin with "_", have a suffix.
func TableName(objectType string) string {
	name := strings.ToLower(strings.ReplaceAll(objectType, "-", "_"))
	if standard, ok := strings.CutPrefix(name, "_"); ok {
		return standard + "_standard"
	}
	return name
}

// SameTable returns two types that would be one table, among some and the standard ones; ok is false when all differ.
func SameTable(objectTypes []string) (a, b string, ok bool) {
	tables := map[string]string{TableName("_profile"): "_profile"}
	for _, s := range Standards {
		tables[TableName(s.Name)] = s.Name
	}
	for _, name := range objectTypes {
		table := TableName(name)
		if other, taken := tables[table]; taken && other != name {
			return other, name, true
		}
		tables[table] = name
	}
	return "", "", false
}
