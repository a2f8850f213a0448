// Package change owns the feed: the log of what happened to the profiles of a domain, for those that react to it, and the registry of
// imports.
//
// # Rows
//
//	table change, partition = minute (4, big-endian) | shard (1)
//	    time (8) | profile id (16) | call (16)  → Row         Write row, dropped with its partition
//	table change, partition "imports"
//	    time of the import (8)                  → Import      Write row, written by the holder of the domain's turn
//	table jobs, partition of the completer
//	    "seal"                                  → Seal        Swap row, changed by the completer alone
//
// # Announcing
//
// A write announces itself before it reads what its Swap does not check, and names the time that the head will have, which is later than
// that of the head it replaces:
//
//	row := time, profile, the new head's time, keys and bodies that the write will touch
//	put row
//	if seal ≥ time of the row:  start over              (1)
//	read the index again, if the write depends on it     (2)
//	Swap the head, expecting the version that was read   (3)
//
// So a row is a hint: there is at least one for a change, perhaps one of a write that never happened. An attempt that starts over
// announces itself anew.
//
// A process that has the store to itself, with an engine that commits a Group as a whole, keeps what is under way in memory instead (Local):
// the row is then a part of the write's own Commit, and the seal stays short of the first write that has not ended.
//
// # The seal
//
// The seal is a time of a domain that only moves forward, normally 30 s behind the clock. Whoever announces behind it starts over, which
// makes the rows behind it a closed set, whatever clocks show:
//
//	completer:  publish a new seal S; read all rows up to S; settle them; publish that S is settled
//
// A writer that read the old seal at (1) had put its row before S was published, so the completer reads that row. A writer that read S
// starts over. To settle a row means that its write can't happen any more if it has not. A head whose time is not earlier than the row's
// was swapped since the writer read it, by the writer or by another one. Where it is earlier the completer rewrites the head with a
// later time (a fence), and the Swap (3) fails. Then what a write that was cut off left undone between partitions is done (package
// write). A row whose write is not known to have happened is settled once more an hour later, for processes that stand still, write and
// die.
//
// Behind the settled time nothing is added and nothing is in flight. That is what consumers stand on, and what reacts to profiles is one (Follower):
//
//	a consumer's durable cursor never passes the settled time: up to there it reads every row once, in order of time;
//	what lies beyond it may read as often as it likes, to be early. It sees those rows again.
//
// A writer that was frozen between (1) and (3) for an hour can do no harm: its row is settled long since. No rule here needs the clocks of
// nodes to agree; they decide only how long it takes. What does need it is the order of writes by their times, so a node whose clock
// is off refuses writes (clocks).
//
// # Imports
//
// An import writes one row when it has been applied: its published runs name whom it touched (Runs).
//
// # Retention
//
// The completer drops whole hours: those older than 7 days, and the oldest when the feed has more than 10 GB, never what is not settled.
// A consumer whose cursor is behind that starts with a scan of all profiles (ErrBehind).
package change
