// Package job runs durable background work, on one node or many. It survives kill -9: what was queued or running is continued by the
// next start, or by another node.
//
// There are three shapes of work:
//
//	queued     Enqueue puts a piece of work into a lane of its domain. A lane runs one piece at a time, in order of arrival; lanes
//	           run side by side. The lane Turn is for what writes the rows of imports; work that needs no order (a dry run, an
//	           export, a scan) has a lane of its own, named by itself. A Handler runs a kind of work.
//	standing   Standing is there for every living domain at all times: consumers of feeds, retention, statistics. It is woken, or run now
//	           and then, by one node at a time.
//	parts      Work of either shape is cut into parts (Task.Claim) that any node does; a Helper is a Handler whose work the
//	           nodes without the lease join. A Sharer divides the parts of a stage among workers and nodes.
//
// # Rows
//
// All are Swap rows in table jobs:
//
//	(incarnation, "queue")            "queue"       → queue       all work of the domain, who took what last, what is cancelled
//	(incarnation, "work/<id>")        "lease"       → lease       who has the work
//	                                  "attempts"    → attempts    how often it was tried
//	                                  "part/<name>" → lease       of a part that a node has claimed
//	                                  all other rows of the partition belong to the kind of work
//	(incarnation, "standing/<name>")  the same, for standing work; its rows stay when it has ended
//
// # Invariants
//
//  1. Work has its lane from before its first read of the store until it is taken out of the queue. Who takes the lease also writes
//     that into the queue, and only who did so last may take the work out: a former owner gives no lane on, and work that ended
//     between being seen and being leased is not run again.
//  2. Only the owner of the lease runs work. Every row that matters is published by Task.Swap, which checks the lease's version in
//     the same call: who lost the lease publishes nothing, however late it wakes up. This alone makes outcomes exact; that two
//     owners seldom run at the same time only saves work.
//  3. A handler may be run any number of times for one piece of work, and must end up in the same state.
//  4. A part has one owner at a time, who publishes its outcome by Part.Publish: that checks the part's own lease, so a helper
//     needs no other, and who lost it publishes nothing.
//  5. All work ends, or is standing. Nothing that fails for ever, or kills the process, keeps its lane.
//
// # The lease
//
// A lease holds no time of day. Clocks of machines differ and are set back; so a node judges a lease by what it has seen itself:
//
//	take(row):                                      // at node n, by n's monotonic clock
//	    version, l = read row
//	    seen = how long n has seen row with this version; 0 the first time
//	    if l.Owner == n: take                       // from before a restart of n: nothing here holds it
//	    if l.Owner != n and seen < l.For: leave it  // it is held, or rests
//	    Swap row (Expect version) → {Owner: n, For: 15 s}   // of several nodes one succeeds
//
//	keep(row), every For/3:
//	    at = now
//	    Swap row (Expect own version) → the same    // a new version: observers begin to count anew
//	    conflict: lost.  error: lost when now - (at of the last success) > For
//
// The owner counts from before its last renewal was written, the observer from after it was written, and both count For: so the
// owner has stopped before the observer takes, as far as clocks run equally fast. When they don't, or the owner is frozen, invariant
// 2 holds all the same. A rest after a failure is a lease without an owner: nobody takes it until it has been seen unchanged for
// its length. The price: a node that has just started waits a whole For before it takes over from a node that died, also when that
// died long ago. (A node with a data folder keeps its name, and waits for nothing.)
//
// # The lane
//
//	look, every second and when woken, at each domain:
//	    for each lane: it = the item that was taken, else the one that arrived first
//	        take the lease of it and write this taking among its attempts, in one Swap; else: help, if another node has it
//	        queue: if it is still the head, and taken by whom we have seen: it.Taker = us; else: drop the lease
//	        run it
//	end:    queue: if it.Taker == us: remove it; else: lost.   Then drop the lease and the attempts
//
// Work that is queued while the same work runs is run again behind it: the run may be past all its reads. So the undo of an import that has
// just ended need not know whether the import is out of the queue.
//
// # Attempts
//
// Work that publishes a row that was not there before gets on; then all counts begin anew. Else it ends (GiveUp) after
//
//	 3 failures in a row with one cause, or 10 of any: errors and panics of the handler
//	 3 deaths of the process of one known cause (Runner.Died): a crash, for want of memory
//	12 deaths that left no word. The work pauses before the attempts after the fifth, twice as long each time, up to a minute
//
// An attempt is written down before it begins and struck out when it ends, however it ends; so a name that stays is that of a process
// that died, and a process that only lost the lease strikes its own out when it notices. Not counted are orderly stops, lost leases,
// and failures of the moment (Runner.Passing).
//
// Why twelve: a SIGKILL says nothing of who sent it. A supervisor, an operator or a torture test kills whatever the process does; the
// kernel kills it for want of memory that the work takes. What tells them apart is that the former kill during pauses too, where
// there is nothing to count: with pauses of 1, 2, 4, … 60 s, killers that come more often than every minute never get the count up, and
// with rarer ones nearly all work gets on between two kills. Five attempts are free of pauses, so that work gets on under a rain of
// kills that leaves it any time at all.
//
// An operator's Cancel marks the item; whoever has it notices at its next heartbeat, whoever does not gives it up instead of running it.
package job
