// Package write is the one path by which API calls change profiles, and what keeps it whole when it is cut off.
//
// # A write
//
//	find                     the place where the object is, if it is anywhere                         (objects only)
//	resolve                  the profile by its id, or by the keys of an object; links of merges lead to the main profile
//	read                     state, head and contributions of the person
//	rule                     pure: what the head says afterwards, with the time T
//	announce                 the change row, with T, and all keys, claims and bodies in question
//	claim                    keys that resolution goes by and the profile lacks, in order            (objects only)
//	resolve again            the same profile, by what the index says now; else start over            (objects only)
//	commit: before           missing index rows of class 'a', with T; the object's body; a history record that is missing
//	        swap             the head, expecting its version, and that the state row is as it was read
//	        after            the history record; index rows in excess are deleted, with T; bodies in excess
//	look                     where else the object is, and strike it off there: move.go              (objects that were not there)
//	release                  the claims
//
// Each resolution reads what the index says about the keys by one Probe: the second begins when all claims stand.
//
// A call that loses to others for too long gives up: it releases its claims and answers that the caller may try again (Writer.GiveUp).
//
// T is max(now, the newest time in the person + 1, the time of the domain's last job + 1), so the times of a profile's heads rise.
//
// # In one process
//
// Where one process has the store to itself, and the store commits a Group as a whole (change.Local), the same write has fewer states:
//
//	begin       in memory: the seal does not reach the write before it has ended
//	hold        in memory: the partitions of the keys that the object brings, its own among them         (objects only)
//	find, resolve, read, rule
//	time        the change row gets its place in the feed; the type is looked at once more               (objects only)
//	commit      everything by one batch, the change row included
//	end         when the batch is visible, before it is durable
//
// What is cut off has left nothing, and what has happened has nothing left to do: its row says so (Row.Whole), and the completer passes it
// by, unless the domain has keys of its own, which the write may not have known. Only an object that was found in another place is still
// two commits, and its row names the move. Whoever meets open links, or an object in two places, gives up what it holds before it sets
// that right, and starts over.
//
// # Why it holds
//
//  1. A row too few. Before a head is visible, all index rows that it requires and the head before did not are there, with its T. A
//     delete carries the T of a head that does not require the row, and comes after that head's Swap. Whoever requires the row later
//     puts it with a later T, and an older delete never beats a newer put.
//  2. Writers side by side. The Swap expects the version that was read. Of two attempts that read the same head one conflicts, and starts
//     over: it puts its rows anew, with a new T. What a failed attempt left is in excess unless the head that stands requires it.
//  3. A body counts while the head lists its type, hash, time and attempt. Bodies are written before, so a head never lists one that is not
//     there; two attempts never share a body, so none is overwritten.
//  4. History. The head names its last change. Whoever swaps the head next writes the record of that change first, unless it stands; in one
//     process it always does.
//  5. Merges. Every Swap of a head checks the state row. An open link is settled first.
//  6. An object lives in one profile; for a moment perhaps in two, and then its change row says so.
//  7. Types. A put looks after its announcement, or when its row has its time, whether its object's type is alive. So when everything that was announced until a little
//     after a type's end has been settled, no object of it comes any more.
//
// # What is cut off
//
// A write may end between any two calls of the store: the process dies, the answer is lost, the caller goes away. Its change row stays.
// When the feed's seal has passed it, Settler fences what might still come, and brings what the row names to what the head that stands
// says: history record, index rows, bodies, claims, places of objects. It deletes a row with the head's time; where an attempt had a later one it fences
// first, so that the delete is later still.
//
// A write whose Swap may or may not have happened (store.ErrUnknown) is decided at once by reading: the head names its change, or the
// history has its record, or another write has replaced the version, or a fence does it now.
//
// # Imports beside creation
//
// An import resolves its keys at its turn's beginning and writes at its end. What objects created meanwhile it has not seen, and they have
// not seen it. When it has been applied it calls Reconcile, which reads the feed from there: see reconcile.go.
//
// Rows:
//
//	table body, partition = profile id
//	    type, its incarnation, hash, time, attempt → Body       Write row
//	table history, partition = profile id
//	    ^time (8) | call (16)                      → Record     Write row
package write
