// Package schema owns the rules that turn source fields into attributes of the standard profile: the attribute
// catalogue, the grammar of Source and Target, content types, and the predefined keys. All of it is pure.
//
// Behaviour: docs/spec/core.md sections 3.5 to 3.9.
package schema
