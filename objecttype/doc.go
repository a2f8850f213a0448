// Package objecttype owns the types of profile objects: what a type's fields and keys mean, the rules that they obey, the templates, and
// what one object of a type says (Type.Extract).
//
// Operations: PutProfileObjectType, GetProfileObjectType, ListProfileObjectTypes, DeleteProfileObjectType, ListProfileObjectTypeTemplates,
// GetProfileObjectTypeTemplate, DetectProfileObjectType.
//
// A type is a plain resource (package resource) of kind object-types; the package has no rows of its own. Behaviour:
// docs/spec/core.md 3 and 4.1 to 4.4.
//
// Invariants:
//
//  1. What is stored compiles: PutProfileObjectType refuses what does not.
//  2. All types of a domain that use a key's name give it the same content types. Changes of types take turns, so two calls can't break it.
//  3. A type keeps its Incarnation until it is deleted; one of the same name that is made later has another. An object counts only while its
//     type lives with the Incarnation that it was put with.
package objecttype
