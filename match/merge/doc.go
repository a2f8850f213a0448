// Package merge makes one person of several profiles without being told how by a caller: what identity resolution found to be one.
//
// What is merged, and which value wins, are pure functions of what the profiles show (plan.go, resolve.go):
//
//   - Criteria are asked in their order. The key of a person for a criterion is the tuple of the raw values of its attributes; who lacks one has
//     none. Persons with equal keys become one, and the next criterion sees that one, and all others.
//   - A field of several persons takes its value from one of them (Resolve): values set by hand before all others, then those of a source if
//     there is one, then the newest, then the lower profile id. An address is one value, a custom attribute is a field of its own.
//   - The oldest profile survives. Ids of profiles begin with when they were made, so that is the one with the lowest.
//
// The merge itself is that of package profile: membership, so that it can be taken back. Which profile a field comes from is written
// into it as a caller's FieldSourceProfileIds are.
package merge
