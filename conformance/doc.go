// Package conformance asks a server, by the vendor's official SDK, whether it behaves as the API is documented.
//
// Each Check is one behaviour: the operation it is about, a sentence, where docs/spec has it, and how sure that is. Checks are
// independent of each other: each makes what it needs, with values of its own, in a domain that Run creates and removes.
//
// # It is safe to point at any server, AWS included
//
//  1. Nothing is changed but in domains that Run itself has created, and nothing else is deleted. Their names have 64 random bits, so
//     that no other domain has one.
//  2. Domains are removed when checks fail, when one panics, and when the context is cancelled; what could not be removed is said.
//  3. Calls go out one at a time, and those that are throttled are tried again.
//  4. A server may take its time until a write is seen (Config.Patience); a patience of 0 asks for read-after-write.
//
// What answers 501 NotImplementedException is skipped and said to be.
package conformance
