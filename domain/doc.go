// Package domain owns domains: their settings and tags, their incarnations, and their deletion.
//
// Operations: CreateDomain, GetDomain, UpdateDomain, DeleteDomain, ListDomains, TagResource, UntagResource,
// ListTagsForResource. Behaviour: spec/core.md sections 2 and 6.6.
//
// Rows, all Swap rows in table catalog, incarnation 0, partition "domains":
//
//	"d/<name>"             → Record        a living domain
//	"x/<incarnation, hex>" → empty         a deleted domain whose rows are still being removed
//
// Invariants:
//
//  1. An incarnation id is never used twice. Every row of a domain begins with it, so deleting a domain is one Swap.
//  2. A dead incarnation is removed by work of kind UndertakerKind in its own turn, behind whatever had the turn before.
package domain
