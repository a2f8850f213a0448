package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"kith/access"
	"kith/blob"
	"kith/blob/disk"
	"kith/store"
	"kith/store/pebble"
)

// folder is a data folder opened by this process:
//
//	master.key   seals client tokens and access-key secrets
//	node-id      this node's name in leases
//	store/       the embedded database
//	blob/        uploaded files, runs, rejects
//	crash.txt    while this process runs: what it dies of, if it dies by itself (crash.go)
//	local.json   while a server runs: its address, and a key for commands of the same user
type folder struct {
	dir    string
	master []byte
	owner  string
	died   string // what the last process died of, if it left word
	store  *pebble.Store
	blobs  *gatedBlobs
}

// openFolder opens or creates a data folder. Its errors say what to do.
func openFolder(dir string, log *slog.Logger, acceptDamage bool) (*folder, error) {
	if err := mayUse(dir); err != nil {
		return nil, err
	}
	if err := notOthers(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data folder %s can't be created: %w", dir, err)
	}
	if err := finished(dir); err != nil {
		return nil, err
	}
	if err := roomToStart(dir, freeBytes); err != nil {
		return nil, err
	}
	f := &folder{dir: dir}
	st, err := pebble.Open(filepath.Join(dir, "store"), pebble.Options{Log: log, AcceptDamage: acceptDamage, CacheBytes: cacheBytes()})
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("the data folder %s is in use by another kith process; stop it, or name another folder with --data", dir)
	}
	if errors.Is(err, store.ErrFormat) {
		return nil, fmt.Errorf("the data folder %s was written by a newer kith; use that version, or restore a backup made by this one (%w)", dir, err)
	}
	if errors.Is(err, store.ErrOldFormat) {
		return nil, fmt.Errorf("the data folder %s was written by an older kith, and this one can't read it (%w); keep using that version, or import your files into a new folder", dir, err)
	}
	if errors.Is(err, store.ErrDamaged) {
		return nil, damagedFolder(dir, err)
	}
	if err != nil {
		return nil, err
	}
	for _, d := range st.LogDamage() {
		log.Warn("the damage of the data folder was accepted", "damage", d.Error(), "damaged file kept as", d.Kept)
	}
	f.store = st
	blobs, err := disk.Open(filepath.Join(dir, "blob"))
	if err == nil {
		f.blobs = &gatedBlobs{Store: blobs}
		f.master, err = f.masterKey()
	}
	if err == nil {
		f.owner, err = nodeID(filepath.Join(dir, nodeIDFile))
	}
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	f.died = watchDeath(dir, log)
	return f, nil
}

// notOthers refuses a folder that holds other things and nothing of a data folder: its path was typed wrong.
func notOthers(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // it is not there yet, or what comes next says what is wrong
	}
	other := ""
	for _, e := range entries {
		switch name := e.Name(); name {
		case "store", "blob", access.MasterKeyFile, nodeIDFile, crashFile, unfinishedFile, filepath.Base(localPath(dir)):
			return nil
		default:
			if other == "" && name != "lost+found" && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "kith-") { // a disk's own, and temporary files
				other = name
			}
		}
	}
	if other != "" {
		return usageError("%s holds other things, such as %s, and no data: name an empty or new folder with --data", dir, oneLine(other))
	}
	return nil
}

// masterKey returns the folder's master key. Only a folder whose data is not bound to one yet is given a new key: a key that was lost must be
// found again, and a wrong one in its place would hide that.
func (f *folder) masterKey() ([]byte, error) {
	key, err := access.LoadMasterKey(os.Getenv("KITH_MASTER_KEY"), f.dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	bound, err := access.Bound(context.Background(), f.store)
	if err != nil {
		return nil, err
	}
	if bound {
		return nil, fmt.Errorf("the data folder %s has lost its master key: put back the file %s, which a backup has, or give KITH_MASTER_KEY; without it no access key and no uploaded file can be opened",
			f.dir, filepath.Join(f.dir, access.MasterKeyFile))
	}
	return access.MakeMasterKey(f.dir)
}

func (f *folder) close() error {
	return errors.Join(f.blobs.Close(), unwatchDeath(f.dir), f.store.Close())
}

func (f *folder) engines() *engines {
	return &engines{
		store: f.store, blobs: f.blobs, master: f.master, owner: f.owner, died: f.died, where: "data folder " + f.dir,
		backup: f.backup, purge: f.purge, purgeDue: f.store.PurgeDue, room: f.room, close: f.close, damaged: func() bool { return len(f.store.Damage()) > 0 },
		metrics: []prometheus.Collector{
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kith_store_compactions_running", Help: "Compactions of the embedded store that run now."},
				func() float64 { running, _ := f.store.Pending(); return float64(running) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kith_store_compaction_debt_bytes", Help: "Bytes of the embedded store that wait for a compaction."},
				func() float64 { _, debt := f.store.Pending(); return float64(debt) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kith_store_damaged_files", Help: "Files of the embedded store that were found damaged since the start."},
				func() float64 { return float64(len(f.store.Damage())) }),
		},
	}
}

// damagedFolder says what to do about a folder that can't be opened as it is.
func damagedFolder(dir string, err error) error {
	text := "the data folder %s is damaged: %w. Restore a backup (kith restore)"
	d, ok := errors.AsType[*pebble.LogDamage](err)
	switch {
	case ok && d.Flipped:
		text += ", or start once with --accept-damage, which puts that bit right and loses nothing"
	case ok && !d.Manifest:
		text += ", or start once with --accept-damage: what was written before the damage is there then, and the damaged file is kept"
	}
	return fmt.Errorf(text, dir, err)
}

const nodeIDFile = "node-id"

func nodeID(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var id [8]byte
	_, _ = rand.Read(id[:])
	text := "node-" + hex.EncodeToString(id[:])
	return text, os.WriteFile(path, []byte(text+"\n"), 0o600)
}

// gatedBlobs lets a backup hold back deletions, so that what the copied store names is still there when it is copied.
type gatedBlobs struct {
	blob.Store
	gate sync.RWMutex
}

// Delete implements blob.Store.
func (g *gatedBlobs) Delete(ctx context.Context, name string) error {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Store.Delete(ctx, name)
}

// room tells how much of the disk that holds the folder is free.
func (f *folder) room() (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(f.dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}

// local is what DIR/local.json tells commands of the same user: whoever may read the data folder may use the server.
type local struct {
	Endpoint        string
	AccessKeyID     string
	SecretAccessKey string
	// Shared says that the node's data is on a cluster: without the node there is nothing in the folder to serve.
	Shared bool `json:",omitzero"`
	// Certificate is the server's own, DER: these commands trust exactly it.
	Certificate []byte `json:",omitzero"`
}

func localPath(dir string) string { return filepath.Join(dir, "local.json") }

func writeLocal(dir string, l local) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_ = os.Remove(localPath(dir))
	return os.WriteFile(localPath(dir), append(b, '\n'), 0o600)
}

// readLocal returns nil when no server has written the file.
func readLocal(dir string) *local {
	b, err := os.ReadFile(localPath(dir))
	if err != nil {
		return nil
	}
	l := &local{}
	if json.Unmarshal(b, l) != nil {
		return nil
	}
	return l
}
