package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"kith/store"
	"kith/store/pebble"
)

// durable is what a handler does at least that puts objects so that they survive a crash, and finds their profiles: for each object as many
// reads as Kith makes, of rows that are there, and one commit of as many rows and bytes as Kith's, on the same engine. It understands
// nothing of what it stores.
type durable struct {
	store *pebble.Store
	seed  maphash.Seed
}

// The sizes of a put's rows in bytes, as Kith writes them for the objects of objectBodies.
const (
	sizeOfBody    = 1310
	sizeOfHead    = 380
	sizeOfHistory = 200
	sizeOfChange  = 26
)

const durableInc = store.Incarnation(1)

// openDurable opens a store in a folder, with as many customers as Kith has.
func openDurable(dir string) (*durable, error) {
	st, err := pebble.Open(dir, pebble.Options{CacheBytes: 128 << 20})
	if err != nil {
		return nil, err
	}
	d := &durable{store: st, seed: maphash.MakeSeed()}
	contribution := bytes.Repeat([]byte("contribution "), 20)
	var profiles, keys []store.RunRow
	for n := range uint64(requestRows) {
		id := profileOf(n)
		row := func(part []byte, key string, value []byte) store.RunRow {
			return store.RunRow{Incarnation: durableInc, Partition: part, Mutation: store.Mutation{Key: []byte(key), Value: value, Time: 1}}
		}
		profiles = append(profiles, row([]byte(id), "c1", contribution))
		for _, name := range []string{mailOf(n), fmt.Sprint("_account\x01", n), fmt.Sprint("_phone\x01+49", n), fmt.Sprint("_fullName\x01name ", n)} {
			keys = append(keys, row([]byte(name), id+"i", nil))
		}
	}
	return d, st.WriteRun(context.Background(), store.Run{Table: store.Index, Rows: store.SortRows(keys)}, store.Run{Table: store.Profile, Rows: store.SortRows(profiles)})
}

// profileOf is the id of a customer: 16 bytes in no order.
func profileOf(n uint64) string {
	id := binary.BigEndian.AppendUint64(nil, n*0x9e3779b97f4a7c15)
	return string(binary.BigEndian.AppendUint64(id, n))
}

func mailOf(n uint64) string { return fmt.Sprint("_email\x01customer", n, "@example.com") }

// put puts the objects of a request, n of them.
func (d *durable) put(ctx context.Context, body []byte, n int) error {
	of := maphash.Bytes(d.seed, body)
	for i := range uint64(n) {
		customer := (of + i) % requestRows
		for {
			err := d.one(ctx, customer, body, n > 1)
			if err == nil {
				break
			}
			if !errors.Is(err, store.ErrConflict) { // else another put to the same customer came before
				return err
			}
		}
	}
	if n == 1 {
		return nil
	}
	return d.store.Write(ctx, d.at(store.Change, "sync"), []store.Mutation{{Key: []byte("sync"), Time: time.Now().UnixMicro()}})
}

func (d *durable) at(t store.Table, key string) store.Partition {
	return store.Partition{Table: t, Incarnation: durableInc, Key: key}
}

// one reads the two index partitions and the profile, and commits.
func (d *durable) one(ctx context.Context, n uint64, object []byte, lazy bool) error {
	id := profileOf(n)
	named := []string{mailOf(n), fmt.Sprintf("object:\x01%032x", n)}
	probes := func(yield func(store.Probe) bool) {
		for _, part := range named {
			if !yield(store.Probe{Partition: part, Range: store.Range{Limit: 16}}) {
				return
			}
		}
	}
	for _, err := range d.store.Probe(ctx, store.Index, durableInc, probes) {
		if err != nil {
			return err
		}
	}
	mark := d.store.Mark()
	g := store.Group{Lazy: lazy, Since: mark, Partition: d.at(store.Profile, id)}
	var version uint64
	var old []byte
	for row, err := range d.store.Scan(ctx, g.Partition, store.Range{}) {
		if err != nil {
			return err
		}
		if string(row.Key) == "head" {
			version, old = row.Version, bytes.Clone(row.Value[:8])
		}
	}
	now := time.Now().UnixMicro()
	key := binary.BigEndian.AppendUint64(nil, uint64(now))
	head := append(slices.Clone(key), object[:min(len(object), sizeOfHead-8)]...)
	sized := func(n int) []byte { return append(make([]byte, 0, n), object[:min(len(object), n)]...)[:n] }
	g.Swap = []store.Swap{{Key: []byte("head"), Value: head, Expect: version}, {Key: []byte("state"), Op: store.Check}}
	bodies := []store.Mutation{{Key: key, Value: sized(sizeOfBody), Time: now}}
	if old != nil {
		bodies = append(bodies, store.Mutation{Key: old, Delete: true, Time: now})
	} else {
		g.Before = append(g.Before, store.PartitionWrite{Partition: d.at(store.Index, named[1]), Mutations: []store.Mutation{{Key: []byte(id + "a"), Time: now}}})
	}
	g.Before = append(g.Before, store.PartitionWrite{Partition: d.at(store.Body, id), Mutations: bodies},
		store.PartitionWrite{Partition: d.at(store.Change, fmt.Sprint(now/60_000_000)), Mutations: []store.Mutation{{Key: []byte(string(key) + id), Value: sized(sizeOfChange), Time: now}}},
		store.PartitionWrite{Partition: d.at(store.History, id), Mutations: []store.Mutation{{Key: key, Value: sized(sizeOfHistory), Time: now}}})
	_, err := d.store.Commit(ctx, g)
	return err
}
