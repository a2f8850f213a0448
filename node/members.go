package node

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"

	"kith/store"
)

// Live nodes are Write rows in table catalog, partition "nodes": row key = the node's name, time = its last sign of life. A
// row has one writer, its node. They only divide rate limits and let operators see the nodes: no decision rests on them.

var membersPartition = store.Partition{Table: store.Catalog, Key: "nodes"}

const (
	signEvery = 5 * time.Second
	deadAfter = 20 * time.Second
	forgotten = 24 * time.Hour
)

type member struct {
	Started int64 // microseconds
}

// keepMember tells the others that this node lives, and the server how many live.
func (n *Node) keepMember(ctx context.Context) {
	value, err := json.Marshal(member{Started: n.Now().UnixMicro()})
	if err != nil {
		return
	}
	tick := time.NewTicker(signEvery)
	defer tick.Stop()
	for {
		live, err := n.sign(ctx, value)
		if err == nil {
			n.Server.ShareLimits(live)
			n.calm.Well(n.Log, "signing")
		} else if ctx.Err() == nil {
			n.calm.Failing(n.Log, "signing", "this node's sign of life could not be written; rate limits stay as they are", "error", err)
		}
		select {
		case <-ctx.Done():
			n.leave(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		}
	}
}

// sign writes this node's row and returns how many nodes live.
func (n *Node) sign(ctx context.Context, value []byte) (live int, err error) {
	now := n.Now()
	err = n.Store.Write(ctx, membersPartition, []store.Mutation{{Key: []byte(n.Owner), Value: value, Time: now.UnixMicro()}})
	if err != nil {
		return 0, err
	}
	var gone []store.Mutation
	for row, err := range n.Store.Scan(ctx, membersPartition, store.Range{}) {
		if err != nil {
			return 0, err
		}
		switch age := now.Sub(time.UnixMicro(row.Time)); {
		case age < deadAfter:
			live++
		case age > forgotten:
			gone = append(gone, store.Mutation{Key: row.Clone().Key, Delete: true, Time: row.Time})
		}
	}
	if gone != nil {
		err = n.Store.Write(ctx, membersPartition, gone)
	}
	return live, err
}

func (n *Node) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = n.Store.Write(ctx, membersPartition, []store.Mutation{{Key: []byte(n.Owner), Delete: true, Time: n.Now().UnixMicro()}})
}
