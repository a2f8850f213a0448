// Package domain owns domains: their settings and tags, their incarnations, and their deletion.
//
// Operations: CreateDomain, GetDomain, UpdateDomain, DeleteDomain, ListDomains, TagResource, UntagResource,
// ListTagsForResource; CreateDomainLayout, GetDomainLayout, ListDomainLayouts, UpdateDomainLayout, DeleteDomainLayout;
// PutDomainObjectType, GetDomainObjectType, ListDomainObjectTypes, DeleteDomainObjectType. Behaviour: docs/spec/core.md sections 2, 4.9 and 6.6,
// docs/spec/advanced.md sections 6 and 10.2.
//
// Layouts and domain object types are plain resources (package resource), of the kinds "layouts" and "domain-object-types".
//
// Rows of its own, all Swap rows in table catalog, incarnation 0, partition "domains":
//
//	"d/<name>"             → Record        a living domain
//	"x/<incarnation, hex>" → empty         a deleted domain whose rows are still being removed
//
// Invariants:
//
//  1. An incarnation id is never used twice. Every row of a domain begins with it, so deleting a domain is one Swap.
//  2. A dead incarnation is removed by work of kind UndertakerKind in its own turn, behind whatever had the turn before.
package domain
