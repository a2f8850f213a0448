package e2e

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"kith/store"
)

// The program is killed at random moments of undos of imports that others repeat: each goes on, and what is left, index rows too, is what an
// undisturbed one leaves. KITH_TORTURE is as for imports.
func TestKillDuringUndo(t *testing.T) {
	t.Parallel()
	want := 2
	if text := os.Getenv("KITH_TORTURE"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		want = n / 4
	}
	dir := t.TempDir()
	file, imported := filepath.Join(dir, "customers.csv"), filepath.Join(dir, "imported")
	writeTortureFile(t, file, 10_000)
	var jobs []string
	server := serve(t, imported)
	for range 3 {
		_, stderr, _ := kith(t, "import", file, "--data", imported) // some rows are bad
		jobs = append(jobs, jobID.FindStringSubmatch(stderr)[1])
	}
	stop(t, server)

	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var calmTook time.Duration // of the program that nobody kills: others are killed within that time
	undone := func(name string, kills int) (outcome string, killed int) {
		data := filepath.Join(dir, name)
		if err := os.CopyFS(data, os.DirFS(imported)); err != nil {
			t.Fatal(err)
		}
		for _, id := range jobs[:2] { // the last one still needs their index rows
			for {
				cmd := exec.Command(path, "undo", id, "--data", data) // serves the folder itself
				began := time.Now()
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				var soon <-chan time.Time
				if killed < kills {
					soon = time.After(rand.N(calmTook))
				}
				select {
				case err := <-ended:
					if err != nil {
						t.Fatal(err)
					}
					calmTook = max(calmTook, time.Since(began))
				case <-soon:
					err := cmd.Process.Kill()
					<-ended
					switch {
					case err == nil:
						killed++
					case !errors.Is(err, os.ErrProcessDone): // it was faster
						t.Fatal(err)
					}
					continue
				}
				break
			}
		}
		return dumpFolder(t, data) + indexOf(t, data), killed
	}
	calm, _ := undone("calm", 0)
	for kills, round := 0, 0; kills < want; round++ {
		name := fmt.Sprint("killed", round)
		got, n := undone(name, min(want-kills, 1+rand.IntN(4)))
		if got != calm {
			t.Fatalf("round %d, %d kills\n%s\nundisturbed\n%s", round, n, got, calm)
		}
		kills += n
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// indexOf counts the index rows of a data folder, and hashes them.
func indexOf(t *testing.T, data string) string {
	t.Helper()
	n, hash := 0, fnv.New64()
	withFolder(t, data, func(st store.Store) error {
		for row, err := range st.Sweep(ctx, store.SweepRange{Table: store.Index}) {
			if err != nil {
				return err
			}
			n++
			_, _ = fmt.Fprintf(hash, "%q %x\n", row.Partition.Key, row.Row.Key)
		}
		return nil
	})
	return fmt.Sprint(n, " index rows ", hash.Sum64())
}
