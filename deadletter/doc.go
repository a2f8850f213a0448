// Package deadletter keeps the profile objects that could not be attached to a profile, so that somebody can look at them, mend what kept
// them out, and put them again.
//
// Operations (additions): ListDeadLetters, ReplayDeadLetters, DeleteDeadLetters. Behaviour: docs/spec/core.md sections 2.5 and 4.3, and
// docs/operations.md.
//
// A letter is written before the put that brought it is answered, so what a caller was told 200 for is either on a profile or here. Letters
// are kept for Config.Keep, and no longer than there is room in their domain (MaxLetters, MaxBytes): the oldest go first, because a type that
// is broken now is what somebody has to see, and because refusing would make a put fail that nobody can mend at that moment. With the domain
// all go.
//
// When the domain has a DeadLetterQueueUrl, letters are also sent there, by standing work (SendAll): at least once each, in no certain order,
// again and again with growing pauses while the queue does not take them. Puts never wait for a queue.
//
// Rows, in table resource, partition "dead/" + day since 1970 (4 bytes), all Write rows, written once by Keep:
//
//	"m" + id (16) → version, JSON: type, reason, bytes     what lists and counts read
//	"o" + id (16) → the object as it was put
//	"q" + id (16) → empty                                  it is still to be sent
//
// and partition "dead-objects", Swap rows:
//
//	hash of type and unique key (16) → id of the object's letter
//
// An id is the time in microseconds (8 bytes) and a random number (8 bytes): letters are in the order in which they came.
//
// Invariants:
//
//  1. The rows of a letter are written together and deleted together, but for "q", which goes when the queue has the letter.
//  2. Room is bounded without counters: whoever has kept a sixteenth of the room since it looked last counts, and removes the oldest
//     letters that are too many. So a domain holds at most its room and a sixteenth of it for each node.
//  3. A replayed letter is deleted after its object has been attached, never before. An object put twice replaces itself.
//  4. An object has one letter, with what was put last, however often it is put in vain: one Commit writes the letter, changes its row in "dead-objects", and
//     removes the older one. Where a store does not commit as a whole it comes in that order, and who is cut off between leaves one letter too many, never
//     one too few. A row whose letter has gone is removed when room is made.
//  5. Nothing of a letter is logged but its domain and how many there were.
package deadletter
