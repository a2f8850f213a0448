package e2e

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kith/api"
	"kith/node"
	"kith/store"
	"kith/store/faulty"
	"kith/store/pebble"
	"kith/store/storetest"
)

// power is a Pebble store on a disk that may lose its power: what was not synced then is lost, in part or as a whole.
type power struct {
	t     *testing.T
	rnd   *rand.Rand
	disk  *vfs.MemFS
	db    *pebble.Store
	store *faulty.Store // of the whole node

	mu    sync.Mutex
	left  int        // calls of the store until the power fails; 0: it does not
	after *vfs.MemFS // the disk as it was then
}

func newPower(t *testing.T, seed uint64) *power {
	p := &power{t: t, rnd: rand.New(rand.NewPCG(seed, 23)), disk: vfs.NewCrashableMem()}
	p.open()
	t.Cleanup(func() { _ = p.db.Close() })
	return p
}

func (p *power) open() {
	p.t.Helper()
	db, err := pebble.Open("db", pebble.Options{FS: p.disk})
	if err != nil {
		p.t.Fatal(err)
	}
	p.db, p.store = db, &faulty.Store{Store: db}
}

// failAt has the power fail at one of the next calls of the store, before or after it. From then on no call does anything.
func (p *power) failAt(call int) {
	p.mu.Lock()
	p.left = call
	before := p.rnd.IntN(2) == 0
	p.mu.Unlock()
	count := func(faulty.Op, store.Partition) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.left--; p.left <= 0 {
			p.fail()
			return errDied
		}
		return nil
	}
	dead := func(faulty.Op, store.Partition) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.after != nil {
			return errDied
		}
		return nil
	}
	if before {
		p.store.Before(count)
		p.store.After(dead)
	} else {
		p.store.Before(dead)
		p.store.After(count)
	}
}

// fail takes the disk as a power failure leaves it, once.
func (p *power) fail() {
	if p.after == nil {
		p.after = p.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: p.rnd.IntN(101), RNG: p.rnd})
	}
}

// failed says whether the power has failed.
func (p *power) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.after != nil
}

// again is the disk after the power failure, which happens now if it has not: then what was answered is there. early: it had.
func (p *power) again() (early bool) {
	p.mu.Lock()
	early = p.after != nil
	p.fail()
	disk := p.after
	p.mu.Unlock()
	p.store.Before(func(faulty.Op, store.Partition) error { return errDied })
	_ = p.db.Close()
	p.mu.Lock()
	p.disk, p.after, p.left = disk, nil, 0
	p.mu.Unlock()
	p.open()
	return early
}

// revive starts the node anew after a power failure. died: it failed before the call had its answer.
func (w *coreWorld) revive() (died bool) {
	w.t.Helper()
	stopped := w.power.store
	if !w.power.failed() {
		w.power.mu.Lock()
		w.power.fail()
		w.power.mu.Unlock()
	} else {
		died = true
	}
	stopped.Before(func(faulty.Op, store.Partition) error { return errDied })
	w.Stop()
	w.power.again()
	w.rig.store = &storetest.Census{Store: w.power.store, Families: node.Families, Report: w.t.Errorf}
	w.start()
	w.connect()
	w.note("power failure")
	return died
}

// dieImporting waits until the power fails or the import ends, and starts the node anew, and the import if it was not.
func (w *coreWorld) dieImporting(id string) {
	w.t.Helper()
	in := &api.GetUploadJobDetailsRequest{DomainName: api.Ptr(coreDomain), JobId: &id}
	for deadline := time.Now().Add(patience); !w.power.failed(); time.Sleep(time.Millisecond) {
		if d, err := w.Uploads.GetUploadJobDetails(ctx, in); err == nil && api.Val(d.Stage) == "finished" {
			break
		}
		if time.Now().After(deadline) {
			w.fail("an import does not end")
		}
	}
	w.revive()
	if job := w.get(coreDomain, id); *job.Status == api.UploadJobStatusCreated {
		if err := w.startJob(coreDomain, id); err != nil {
			w.fail("start an import again: " + err.Error())
		}
	}
}

// The server and the model agree as in TestCoreIsWhatTheModelSays, though the power fails in the middle of calls, imports and undos, and what was
// not synced is lost: what was answered is there, and what was not has happened as a whole or not at all.
func TestCoreSurvivesPowerFailures(t *testing.T) {
	t.Parallel()
	coreSeeds(t, 4, func(t *testing.T, seed uint64) {
		p := newPower(t, seed)
		w := newCoreWorld(t, &shared{Store: p.store}, seed)
		w.power = p
		w.live()
	})
}
