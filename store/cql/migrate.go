package cql

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"kith/store"
)

// migrations are the numbered steps from an empty keyspace to the present schema. They are only ever added to. Each statement
// may be run twice, but for those that add a column.
var migrations = [][]migration{
	// 1: the tables of the contract
	{
		{cql: table("catalog", "inc bigint, part blob")}, {cql: table("jobs", "inc bigint, part blob")},
		{cql: table("profile", "inc bigint, part blob")}, {cql: table("key_index", "inc bigint, part blob")},
	},
	// 2: shards of wide partitions of the key index
	{
		{cql: table(shardTable, "inc bigint, part blob, shard int")},
		{cql: "CREATE TABLE IF NOT EXISTS " + wideTable + " (inc bigint, part blob, shards int, PRIMARY KEY (inc, part))"},
		{cql: "ALTER TABLE key_index ADD shards int STATIC", table: "key_index", column: "shards"},
	},
	// 3: tables of resources and of API writes
	{
		{cql: table("resource", "inc bigint, part blob")}, {cql: table("change", "inc bigint, part blob")},
		{cql: table("history", "inc bigint, part blob")}, {cql: table("body", "inc bigint, part blob")},
	},
	// 4: the index of searches beyond the API
	{
		{cql: table("query_index", "inc bigint, part blob")},
	},
	// 5: identity resolution
	{
		{cql: table("match", "inc bigint, part blob")},
	},
	// 6: what profiles show by imports, in short
	{
		{cql: table("fingerprint", "inc bigint, part blob")},
	},
}

// migration is a statement that changes the schema, and the column it adds, if it does.
type migration struct{ cql, table, column string }

// table returns the statement that makes a table of rows.
func table(name, partition string) string {
	columns := strings.NewReplacer(" bigint", "", " blob", "", " int", "").Replace(partition)
	return "CREATE TABLE IF NOT EXISTS " + name + " (" + partition + ", key blob, value blob, ver bigint, prev bigint, wid blob, PRIMARY KEY ((" + columns + "), key))" +
		" WITH gc_grace_seconds = 864000 AND compaction = {'class': 'LeveledCompactionStrategy'}"
}

// done says whether the column of a migration is there.
func (m migration) done(ctx context.Context, o Options, session *gocql.Session) (bool, error) {
	if m.column == "" {
		return false, nil
	}
	var name string
	err := session.Query("SELECT column_name FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ? AND column_name = ?", o.Keyspace, m.table, m.column).
		Consistency(gocql.One).ScanContext(ctx, &name)
	if errors.Is(err, gocql.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// SchemaVersion is what this program needs.
var SchemaVersion = len(migrations)

// schemaTable records the migrations that were made, a row each, and the one that is being made.
const schemaTable = `CREATE TABLE IF NOT EXISTS schema_version (id int, version int, applied timestamp, PRIMARY KEY (id, version))`

func readSchemaVersion(ctx context.Context, o Options, session *gocql.Session) (int, error) {
	var name string
	err := session.Query("SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'schema_version'", o.Keyspace).Consistency(gocql.One).ScanContext(ctx, &name)
	if errors.Is(err, gocql.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, explain(o, err)
	}
	var v *int
	err = whenKnown(ctx, func() error {
		return session.Query("SELECT max(version) FROM schema_version WHERE id = 0").ScanContext(ctx, &v)
	})
	if err != nil {
		return 0, explain(o, err)
	}
	if v == nil {
		return 0, nil
	}
	return *v, nil
}

// whenKnown runs a statement, which may be repeated, until the nodes that take it know the table: while one is being made, some nodes do and others don't.
func whenKnown(ctx context.Context, run func() error) error {
	return tryFor(ctx, patience, run, func(err error) bool {
		return strings.Contains(err.Error(), "does not exist") || strings.Contains(err.Error(), "unconfigured table") || passing(err)
	})
}

// tryFor repeats what may be repeated while it fails with an error of a kind, for so long.
func tryFor(ctx context.Context, d time.Duration, run func() error, again func(error) bool) error {
	for deadline := time.Now().Add(d); ; {
		err := run()
		if err == nil || !again(err) || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// checkSchema refuses a keyspace that this program does not fit.
func checkSchema(ctx context.Context, o Options, session *gocql.Session) error {
	v, err := readSchemaVersion(ctx, o, session)
	switch {
	case err != nil:
		return err
	case v > SchemaVersion:
		return fmt.Errorf("%w: the keyspace %s has schema %d and this kith knows up to %d: update this node", store.ErrFormat, o.Keyspace, v, SchemaVersion)
	case v < SchemaVersion:
		return fmt.Errorf("%w: the keyspace %s has schema %d and this kith needs %d: run kith migrate, once for the whole cluster", store.ErrOldFormat, o.Keyspace, v, SchemaVersion)
	}
	return nil
}

// Migrate brings a keyspace to the present schema and returns the versions before and after. With replication above 0 it makes
// the keyspace when there is none. Only one program migrates at a time.
func Migrate(ctx context.Context, o Options, replication int) (from, to int, err error) {
	session, err := connect(ctx, o)
	if _, ok := errors.AsType[*noKeyspace](err); ok && replication > 0 {
		if err = createKeyspace(ctx, o, replication); err == nil {
			session, err = connect(ctx, o)
		}
	}
	if err != nil {
		return 0, 0, err
	}
	defer session.Close()
	all := func(do func() error) error {
		if err := whenKnown(ctx, do); err != nil {
			return explain(o, err)
		}
		// A slow cluster takes its time to tell all nodes of a table; asking it is repeatable.
		return tryFor(ctx, time.Minute, func() error { return session.AwaitSchemaAgreement(ctx) }, passing)
	}
	run := func(stmt string, args ...any) error {
		return all(func() error { return session.Query(stmt, args...).ExecContext(ctx) })
	}
	if from, err = readSchemaVersion(ctx, o, session); err != nil {
		return 0, 0, err
	}
	if from > SchemaVersion {
		return from, from, checkSchema(ctx, o, session)
	}
	if from == SchemaVersion {
		return from, from, nil
	}
	if err := run(schemaTable); err != nil {
		return from, from, err
	}
	// The lock: a row that goes by itself when its holder died. Schema changes made side by side can tear a Cassandra schema.
	// Its time tells whose it is, to who has not heard that it got it.
	mine := time.UnixMilli(rand.Int64N(1 << 40)).UTC()
	var applied bool
	err = whenKnown(ctx, func() (err error) {
		lock := map[string]any{}
		applied, err = session.Query("INSERT INTO schema_version (id, version, applied) VALUES (1, 0, ?) IF NOT EXISTS USING TTL 120", mine).MapScanCASContext(ctx, lock)
		if at, ok := lock["applied"].(time.Time); ok && at.Equal(mine) {
			applied = true
		}
		return err
	})
	if err != nil {
		return from, from, explain(o, err)
	}
	if !applied {
		return from, from, errors.New("another kith migrate is at work on this keyspace; wait for it, or two minutes if it died")
	}
	defer func() {
		_, _ = session.Query("DELETE FROM schema_version WHERE id = 1 AND version = 0 IF EXISTS").MapScanCASContext(context.WithoutCancel(ctx), map[string]any{})
	}()
	if from, err = readSchemaVersion(ctx, o, session); err != nil {
		return 0, 0, err
	}
	for v := from + 1; v <= SchemaVersion; v++ {
		for _, m := range migrations[v-1] {
			err := all(func() error {
				if done, err := m.done(ctx, o, session); done || err != nil {
					return err
				}
				return session.Query(m.cql).ExecContext(ctx)
			})
			if err != nil {
				return from, v - 1, fmt.Errorf("migration %d: %w", v, err)
			}
		}
		if err := run("INSERT INTO schema_version (id, version, applied) VALUES (0, ?, ?)", v, time.Now()); err != nil {
			return from, v - 1, err
		}
	}
	return from, SchemaVersion, nil
}

func createKeyspace(ctx context.Context, o Options, replication int) error {
	session, err := o.cluster().CreateSession()
	if err != nil {
		return explain(o, err)
	}
	defer session.Close()
	var dc string
	if err := session.Query("SELECT data_center FROM system.local").Consistency(gocql.One).ScanContext(ctx, &dc); err != nil {
		return explain(o, err)
	}
	if o.Datacenter != "" {
		dc = o.Datacenter
	}
	stmt := fmt.Sprintf("CREATE KEYSPACE IF NOT EXISTS %s WITH replication = {'class': 'NetworkTopologyStrategy', '%s': %d}",
		o.Keyspace, strings.ReplaceAll(dc, "'", "''"), replication)
	if err := tryFor(ctx, patience, func() error { return session.Query(stmt).ExecContext(ctx) }, passing); err != nil {
		return explain(o, err)
	}
	return tryFor(ctx, time.Minute, func() error { return session.AwaitSchemaAgreement(ctx) }, passing)
}

// Exec runs statements in a keyspace. For tests.
func Exec(ctx context.Context, o Options, statements ...string) error {
	session, err := connect(ctx, o)
	if err != nil {
		return err
	}
	defer session.Close()
	for _, stmt := range statements {
		if err := session.Query(stmt).ExecContext(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Clear empties a keyspace. For tests.
func Clear(ctx context.Context, o Options) error {
	var statements []string
	for _, t := range store.Tables {
		statements = append(statements, "TRUNCATE "+t.String())
	}
	statements = append(statements, "TRUNCATE "+shardTable, "TRUNCATE "+wideTable)
	return Exec(ctx, o, statements...)
}

// DropKeyspace removes a keyspace with everything in it. For tests.
func DropKeyspace(ctx context.Context, o Options) error {
	session, err := o.cluster().CreateSession()
	if err != nil {
		return err
	}
	defer session.Close()
	return tryFor(ctx, time.Minute, func() error { return session.Query("DROP KEYSPACE IF EXISTS " + o.Keyspace).ExecContext(ctx) }, passing)
}
