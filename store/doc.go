// Package store is the storage contract: ordered rows in partitions.
//
// A row is (table, incarnation, partition, row key) → value. A partition is the unit of atomicity and of placement: one
// profile, one value of a key, one job. Nothing is atomic across two. Engines know nothing about profiles; the key layout of
// a noun is in keys.go of its package.
//
// There are two kinds of rows, and a row stays of its kind for ever:
//
//   - Write rows are put and deleted blindly. Such a row has one writer at a time (the holder of the domain's turn). They
//     carry the writer's time in microseconds. Writing them again with the same time changes nothing.
//   - Swap rows are put, deleted and checked by version, several rows of one partition at once, all or none. Every put gets a
//     new version that no other row state ever had. Swap rows are deleted by Swap only, except in a dead incarnation.
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
//	Sweep     SELECT … WHERE token(inc, part)>? AND token(inc, part)<=?      (token ranges, driver paging)
//	Checkpoint is the operator's snapshot
//
// What these statements can't promise, no method promises: a Scan is no snapshot across pages, a Probe none across probes,
// a Sweep visits partitions in the engine's order, and nothing says when a row was last read. A Write with a time older than
// the row's is lost on a cluster and wins in one process, so nobody may send one: the holder of the turn has the newest time.
package store
