// Package store is the storage contract: ordered rows in partitions.
//
// A row is (table, incarnation, partition, row key) → value. A partition is the unit of atomicity and of placement: one
// profile, one value of a key, one job. Nothing is atomic across two. Engines know nothing about profiles; the key layout of
// a noun is in keys.go of its package.
//
// There are two kinds of rows, and a row stays of its kind for ever:
//
//   - Write rows are put and deleted blindly. They carry the writer's time in microseconds. Writing them again with the same
//     time changes nothing. Such a row has one writer at a time (the holder of the domain's turn), whose times rise, but for
//     tables with many writers (Table.ManyWriters).
//   - Swap rows are put, deleted and checked by version, several rows of one partition at once, all or none. Every put gets a
//     new version that no other row state ever had. Swap rows are deleted by Swap only, except in a dead incarnation.
//
// # Rows with many writers
//
// Write and Commit order the mutations of such a row by their times, whenever they arrive, on every engine:
//
//   - of two puts the later one stays (at equal times the one with the greater value);
//   - a delete removes puts of its own time and older ones, never a newer one.
//
// An engine may forget a delete once it is done: a put that is not newer and arrives behind it may bring its row back. Such a
// row has to be a hint. WriteRun compares nothing: it is for rows with one writer, also in these tables.
//
// Every key of a domain starts with the domain's incarnation, so that a deleted domain is a range to sweep.
//
// # The statements behind each method
//
// The contract is shaped with two engines open side by side. On a Cassandra-compatible cluster there is one table per Table:
//
//	CREATE TABLE profile (inc bigint, part blob, key blob, value blob, ver bigint, prev bigint, wid blob, PRIMARY KEY ((inc, part), key))
//
// ver is the version of a Swap row, wid the id of the write that put it and prev the version it replaced; a Write row has none of them,
// and its time is the timestamp of its value.
//
//	Get       SELECT … WHERE inc=? AND part=? AND key=?                      (quorum)
//	Scan      SELECT … WHERE inc=? AND part=? AND key>=? AND key<?           (quorum, driver paging)
//	Probe     the Scan statement per probe, bounded concurrency, answers put back in order
//	Write     BEGIN UNLOGGED BATCH  INSERT … USING TIMESTAMP at / DELETE … USING TIMESTAMP at   (one partition)
//	WriteRun  a loop over Write, many in flight, one run after the other
//	Swap      BEGIN BATCH  INSERT … IF NOT EXISTS / UPDATE … SET value=?, ver=new, prev=ver, wid=? IF ver=? / DELETE … IF ver=? APPLY BATCH;
//	          a check is UPDATE … SET ver=expected IF ver=expected, of absence UPDATE … SET ver=null IF ver=null. A write after
//	          doubt is decided by a read at SERIAL: own wid → success, expected versions still there → again, else ErrUnknown
//	Commit    Write for each partition of Before, side by side; Swap; Write for each partition of After, side by side
//	Sweep     SELECT … WHERE token(inc, part)>? AND token(inc, part)<=?      (token ranges, driver paging)
//	DropPartitions  DELETE … USING TIMESTAMP … WHERE inc=? AND part=?         (each that is listed)
//	Checkpoint is the operator's snapshot
//
// Stager (stage.go) is a contract of its own: a cluster has nothing that becomes visible at once, so its engine is none.
//
// What these statements can't promise, no method promises: a Scan is no snapshot across pages, a Probe none across probes,
// a Sweep visits partitions in the engine's order, and nothing says when a row was last read. A mutation of a row with one
// writer whose time is older than the row's is lost on a cluster and wins in one process, so nobody may send one.
package store
