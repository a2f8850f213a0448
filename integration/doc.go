// Package integration keeps what brings data into a domain from elsewhere: sources, what their records become, and flows.
//
// Operations: PutIntegration, GetIntegration, DeleteIntegration, ListIntegrations, ListAccountIntegrations, and the addition
// GetIntegrationDetails. Behaviour: docs/spec/advanced.md sections 7.1 and 7.2.
//
// An integration is a plain resource (package resource) of the kind "integrations", named by its Uri. It is stored and never run: there is
// no connector. GetIntegrationDetails says so, and what is ready besides.
//
// Rows of its own, all Swap rows in table catalog, incarnation 0, partition "flows":
//
//	<uri> → version byte | incarnation of the domain that has a flow (8)
//
// Invariants:
//
//  1. A flow, named by its ARN, belongs to one domain at most. The row of a flow says which domain may have it; it counts while that domain
//     lives and has the integration, so what died on its way needs no mending. Put writes the row, then the integration, then the row once more: who takes
//     a row over has seen no integration, and expects the version at which that was so.
//  2. A domain's flows are forgotten by what removes its rows (DropDomain).
package integration
